"""A TCP proxy before a real S3 server, for replies that are lost after the server has done its work.

It takes each request whole, passes it on over a connection of its own and takes the reply whole, so that what a client
misses is certain to have happened. Every connection carries one request.
"""

import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.faults.store import Fault

PATIENCE = 60.0  # seconds that either side may be silent
CHUNK = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, which is passed on only if a treatment asks for the reply."""

    client: socket.socket
    over: threading.Event
    reply: Callable[[], bytes]


Treatment = Callable[[Exchange], None]


def whole(exchange: Exchange) -> None:
    """Answer what the server answers."""
    exchange.client.sendall(exchange.reply())


def instead(fault: Fault) -> Treatment:
    """Let the server do its work, and then do something else than to answer what it says."""

    def treat(exchange: Exchange) -> None:
        exchange.reply()
        fault(exchange.client, exchange.over)

    return treat


def before(fault: Fault) -> Treatment:
    """Never let the server know."""
    return lambda exchange: fault(exchange.client, exchange.over)


def cut(missing: int) -> Treatment:
    """Break off so many bytes before the end of the server's answer."""
    return lambda exchange: exchange.client.sendall(exchange.reply()[:-missing])


@dataclass(slots=True)
class Rule:
    """What becomes of the next requests of a method to targets in which this pattern is found."""

    method: str
    target: re.Pattern[str]
    treatments: deque[Treatment]


class Proxy:
    """`requests` are the methods and targets that came by, in their order."""

    def __init__(self, upstream: str) -> None:
        url = urlsplit(upstream)
        self._upstream = url.hostname, url.port
        self.requests: list[str] = []
        self._rules: list[Rule] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def spoil(self, method: str, target: str, *treatments: Treatment) -> None:
        """Treat the next requests of this kind so, one after the other; those that follow are answered whole."""
        self._rules.append(Rule(method, re.compile(target), deque(treatments)))

    def spoiled(self) -> bool:
        """Whether all that was to be spoiled has come by."""
        return not any(rule.treatments for rule in self._rules)

    def forgive(self) -> None:
        """Answer all whole from here on."""
        self._rules.clear()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE)
        with client, suppress(OSError):
            request = read_request(client)
            if request is None:
                return
            method, target, _ = request.split(b" ", 2)
            self.requests.append(f"{method.decode()} {target.decode()}")
            treat = self._treatment(method.decode(), target.decode())
            treat(Exchange(client, self._over, lambda: self._passed_on(request)))

    def _treatment(self, method: str, target: str) -> Treatment:
        for rule in self._rules:
            if rule.method == method and rule.target.search(target) and rule.treatments:
                return rule.treatments.popleft()
        return whole

    def _passed_on(self, request: bytes) -> bytes:
        with socket.create_connection(self._upstream, PATIENCE) as server:
            server.sendall(request)
            return b"".join(iter(lambda: server.recv(CHUNK), b""))


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """Run a proxy on a free port of loopback before the server at this address."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()


def read_request(client: socket.socket) -> bytes | None:
    """Read one request with its body, and ask for the connection to end behind the answer."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        data = client.recv(CHUNK)
        if not data:
            return None
        received += data
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    if re.search(rb"\r\nexpect: *100-continue", head, re.IGNORECASE):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Nobody signs these two.
    head = re.sub(rb"\r\n(expect|connection):[^\r]*", b"", head, flags=re.IGNORECASE) + b"\r\nConnection: close"
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = int(length[1]) - len(body) if length else 0
    rest = [body]
    while missing > 0:
        data = client.recv(min(CHUNK, missing))
        if not data:
            return None
        missing -= len(data)
        rest.append(data)
    return head + b"\r\n\r\n" + b"".join(rest)
