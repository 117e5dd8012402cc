"""A TCP proxy in a thread that notes each request and does what it is told to some: lose, refuse, cut, hold."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

_CHUNK = 65_536  # bytes
BOUND = 30  # seconds that a test waits for anything


@dataclass(slots=True)
class Fault:
    """What happens to the next requests that it is about."""

    method: str
    about: str  # in the request's target
    kind: str  # lose the answer, cut the answer or the request, or a status to answer with
    times: int = 1
    after: int = 0  # bytes of a body that pass before a cut
    headers: str = ""
    body: bytes = b""


@dataclass(slots=True)
class Proxy:
    """Every request has a connection of its own behind it, so that an answer ends where its connection does."""

    upstream: tuple[str, int]
    listener: socket.socket
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def count(self, method: str, about: str = "") -> int:
        return sum(one == method and about in target for one, target in self.requests)

    def wait_for(self, met: Callable[[], bool]) -> None:
        """Wait until something is true that requests bring about."""
        with self.news:
            assert self.news.wait_for(met, BOUND)

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head, body = _read_head(client)
            if not head:
                return
            method, target = head.split(" ", 2)[:2]
            fault = self._note(method, target, head)
            with socket.create_connection(self.upstream) as server:
                self._exchange(client, server, head, body, fault)

    def _note(self, method: str, target: str, head: str) -> Fault | None:
        with self.news:
            self.requests.append((method, target))
            self.heads.append(head)
            self.news.notify_all()
            for fault in self.faults:
                if fault.times and fault.method == method and fault.about in target:
                    fault.times -= 1
                    return fault
        return None

    def _exchange(
        self, client: socket.socket, server: socket.socket, head: str, body: bytes, fault: Fault | None
    ) -> None:
        kind = fault.kind if fault else ""
        left = _length(head) - len(body)
        if fault and kind.isdecimal():
            _drain(client, left)
            head = f"HTTP/1.1 {kind} {HTTPStatus(int(kind)).phrase}\r\n{fault.headers}content-length: {len(fault.body)}"
            client.sendall(_closing(head) + fault.body)
            return
        self.open.wait(BOUND)
        server.sendall(_closing(head) + body)
        passed = len(body)
        while left > 0:
            data = client.recv(min(_CHUNK, left))
            if not data:
                return
            if kind == "cut request" and fault and passed >= fault.after:
                return
            self.open.wait(BOUND)
            server.sendall(data)
            passed += len(data)
            left -= len(data)
        answer_head, answer = _read_head(server)
        if kind == "lose":
            return
        client.sendall(_closing(answer_head) + answer)
        passed = len(answer)
        while data := server.recv(_CHUNK):
            if kind == "cut answer" and fault and passed >= fault.after:
                return
            client.sendall(data)
            passed += len(data)


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    """Put a proxy on a free port of loopback before an address."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    proxy = Proxy((parts.hostname, parts.port), socket.create_server(("127.0.0.1", 0)))
    proxy.open.set()
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        thread.join()


def _read_head(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(_CHUNK)
        if not data:
            return "", b""
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def _length(head: str) -> int:
    lines = head.lower().split("\r\n")
    return next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)


def _closing(head: str) -> bytes:
    lines = [line for line in head.split("\r\n") if not line.lower().startswith(("connection:", "keep-alive:"))]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def _drain(connection: socket.socket, left: int) -> None:
    while left > 0 and (data := connection.recv(min(_CHUNK, left))):
        left -= len(data)
