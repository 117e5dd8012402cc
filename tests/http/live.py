"""An ASGI application behind the gateway's own uvicorn settings, and a client that sends exactly its bytes."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.http.serving import run_config

Address = tuple[str, int]  # of a TCP socket


@dataclass(frozen=True, slots=True)
class Reply:
    """One response as it was on the wire; header names in lower case, in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def problem(self) -> dict[str, Any]:
        assert self.one("content-type") == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert list(document) == ["type", "title", "status", "detail", "code", "request_id"]
        assert document["status"] == self.status
        return document


@contextmanager
def serving(app: ASGIApp, listener: socket.socket | None = None) -> Iterator[Address]:
    """Serve `app` from a thread until the block ends, on a free port unless `listener` is given."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(run_config(app, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def send(address: Address, *pieces: bytes) -> Reply:
    """Send the pieces on a connection of their own and read one response, whatever is left unsent."""
    with socket.create_connection(address, timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except ConnectionError:
            pass  # the server may answer and close before it has everything
        return read_reply(connection, head_only=pieces[0].startswith(b"HEAD "))


def get(address: Address, target: str, *headers: str, method: str = "GET", host: str = "gw.example") -> Reply:
    """Send one request without a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "Connection: close", "", ""]
    return send(address, "\r\n".join(lines).encode("latin-1"))


def read_reply(connection: socket.socket, *, head_only: bool = False) -> Reply:
    """Read one response, by its Content-Length or to the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(":") for line in lines]
    headers = tuple((name.lower(), value.strip()) for name, _, value in fields)
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    while not head_only and len(body) < length:
        body += _more(connection)
    return Reply(int(first.split(" ")[1]), headers, body)


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(65_536)
    if not piece:
        raise ConnectionError("the server closed the connection without a whole response")
    return piece
