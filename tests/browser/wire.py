"""A small HTTP/1.1 server that can do what real ones never do on cue: stall, lose an answer, drop a connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body is still in the socket: `body` of bytes once `read()` has returned."""

    method: str
    target: str
    headers: Mapping[str, str]
    stream: asyncio.StreamReader

    async def read(self) -> bytes:
        return await self.stream.readexactly(int(self.headers.get("content-length", "0")))


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        # One request a connection: on a reused one Chromium repeats a lost request by itself, and logs would vary.
        fixed = {"content-length": str(len(self.body)), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**self.headers, **fixed}.items())
        return f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{head}\r\n".encode() + self.body


Handler = Callable[[Request], Awaitable[Response | None]]


async def _receive(stream: asyncio.StreamReader) -> Request:
    head = (await stream.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, target, headers, stream)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve on a free port and give the origin, as `http://127.0.0.1:1234`; a handler's None drops the connection."""

    tasks: set[asyncio.Task[None]] = set()

    async def converse(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # The browser opens spare connections, and cancels; the end of the test may find some open.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await _answer(handler, stream, writer)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _answer(handler: Handler, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    response = await handler(await _receive(stream))
    if response is None:
        writer.transport.abort()
    else:
        writer.write(response.encode())
        await writer.drain()
