"""A store that fails as it is told: a few lines of TCP, for faults that no real server shows on demand."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import chain, repeat

Fault = Callable[[socket.socket, threading.Event], None]


class FaultStore:
    """Answers each request by the next fault of its script, for ever by the last."""

    def __init__(self, script: tuple[Fault, ...], port: int = 0) -> None:
        self.requests: list[str] = []
        self._script = chain(script, repeat(script[-1]))
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def release(self) -> None:
        """Let go of every connection that hangs or drips."""
        self._over.set()

    def close(self) -> None:
        self.release()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = _read_request(connection)
            if request:
                self.requests.append(request)
                next(self._script)(connection, self._over)


@contextmanager
def failing(*script: Fault, port: int = 0) -> Iterator[FaultStore]:
    """Run a store that answers by `script`."""
    store = FaultStore(script, port)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port at which nobody listens; it stays reserved."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a store may still open it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer whole; underscores in header names stand for hyphens."""
    lines = {"content-length": str(len(body)), "connection": "close"}
    lines.update({name.replace("_", "-"): value for name, value in headers.items()})
    return raw(_head(status, lines) + body)


def error(status: int, code: str, **headers: str) -> Fault:
    """Answer as S3 does when it refuses, with everything in the text that we must never pass on."""
    text = (
        f"<Error><Code>{code}</Code><Message>secret message</Message><BucketName>secret-bucket</BucketName>"
        f"<RequestId>secret-request</RequestId><Key>secret-key</Key></Error>"
    )
    return answer(status, b"<?xml version='1.0'?>" + text.encode(), content_type="application/xml", **headers)


def found(body: bytes = b"", **headers: str) -> Fault:
    """Answer 200 as S3 does for an object."""
    modified = "Sat, 21 Nov 2026 02:00:00 GMT"
    return answer(200, body, **{"etag": '"e"', "last_modified": modified, "content_type": "image/png", **headers})


def cut(body: bytes, missing: int) -> Fault:
    """Promise `missing` bytes more than come."""
    return found(body, content_length=str(len(body) + missing))


def raw(data: bytes) -> Fault:
    """Send just this."""
    return lambda connection, _: connection.sendall(data)


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Take the request and never answer."""
    del connection
    over.wait()


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Begin an answer whose headers never end, a byte at a time: no read ever waits long enough to time out."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not over.wait(0.02):
        connection.sendall(b"a")


def reset(connection: socket.socket, over: threading.Event) -> None:
    """Break off with a RST."""
    del over
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode()


def _read_request(connection: socket.socket) -> str:
    """Read one request with its body, and return its head."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return ""
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1").lower()
    if "expect: 100-continue" in text:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = next((int(line.split(":")[1]) for line in text.split("\r\n") if line.startswith("content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return text
