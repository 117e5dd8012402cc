"""A TCP proxy that counts every byte and notes each request line; it can hold bytes back, lose an answer and be cut."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_REQUEST_LINE = re.compile(rb"(GET|HEAD|PUT|POST|DELETE|OPTIONS) (\S+) HTTP/1\.1\r\n")
_CHUNK = 65_536  # bytes


@dataclass(slots=True)
class Proxy:
    """`carried` counts the bytes of both directions, headers included; clear `open` to hold what clients send.

    `history` has each request as `(method, target, 0)`, and again with the status of its answer. While `is_cut`, every
    connection ends as it begins; `cut()` ends those there are, too.
    """

    upstream: tuple[str, int]
    origin: str = ""
    carried: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    history: list[tuple[str, str, int]] = field(default_factory=list)
    is_cut: bool = False
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    lost_answers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        server, sink = await asyncio.open_connection(*self.upstream)
        self.connections |= {writer, sink}
        talk = _Talk()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forth(reader, sink, talk))
                both.create_task(self._back(server, writer, talk))
        except* ConnectionError:
            pass  # one side hung up, so the other is hung up on
        finally:
            self.connections -= {writer, sink}
            sink.close()
            writer.close()

    async def _forth(self, reader: asyncio.StreamReader, sink: asyncio.StreamWriter, talk: "_Talk") -> None:
        while chunk := await reader.read(_CHUNK):
            # A browser sends no request before the last is answered, so each begins a chunk.
            if line := _REQUEST_LINE.match(chunk):
                talk.request = method, target = line[1].decode(), line[2].decode()
                self.requests.append(talk.request)
                self.history.append((method, target, 0))
                self.news.set()
                if method == "PUT" and self.lost_answers:
                    self.lost_answers -= 1
                    talk.losing = True
            self.carried += len(chunk)
            await self.open.wait()
            sink.write(chunk)
            await sink.drain()
        raise ConnectionResetError

    async def _back(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: "_Talk") -> None:
        while chunk := await server.read(_CHUNK):
            if talk.losing:
                break
            if (line := _STATUS_LINE.match(chunk)) and talk.request:
                self.history.append((*talk.request, int(line[1])))
                talk.request = None
                self.news.set()
            self.carried += len(chunk)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    def cut(self) -> None:
        """Let nothing through until `is_cut` is unset."""
        self.is_cut = True
        for connection in self.connections:
            connection.transport.abort()

    def count(self, method: str) -> int:
        return sum(each == method for each, _ in self.requests)

    async def asked(self, method: str) -> None:
        """Wait until such a request has come by."""
        await self.until(lambda: bool(self.count(method)))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until requests and answers have made it true."""
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()


@dataclass(slots=True)
class _Talk:
    """What is said on one connection: the request that is not answered yet, and whether its answer gets lost."""

    request: tuple[str, str] | None = None
    losing: bool = False


@asynccontextmanager
async def before(host: str, port: int) -> AsyncIterator[Proxy]:
    """Put a proxy on a free port of loopback before `host:port`."""
    proxy = Proxy((host, port))
    proxy.open.set()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await proxy.handle(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    proxy.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks)
