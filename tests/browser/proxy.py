"""A TCP proxy that counts every byte and notes each request line; it can hold bytes back and lose an answer."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_REQUEST_LINE = re.compile(rb"(GET|HEAD|PUT|POST|DELETE|OPTIONS) (\S+) HTTP/1\.1\r\n")
_CHUNK = 65_536  # bytes


@dataclass(slots=True)
class Proxy:
    """`carried` counts the bytes of both directions, headers included; clear `open` to hold what clients send."""

    upstream: tuple[str, int]
    origin: str = ""
    carried: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    lost_answers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, sink = await asyncio.open_connection(*self.upstream)
        losing = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forth(reader, sink, losing))
                both.create_task(self._back(server, writer, losing))
        except* ConnectionError:
            pass  # one side hung up, so the other is hung up on
        finally:
            sink.close()
            writer.close()

    async def _forth(self, reader: asyncio.StreamReader, sink: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while chunk := await reader.read(_CHUNK):
            # A browser sends no request before the last is answered, so each begins a chunk.
            if line := _REQUEST_LINE.match(chunk):
                method = line[1].decode()
                self.requests.append((method, line[2].decode()))
                self.news.set()
                if method == "PUT" and self.lost_answers:
                    self.lost_answers -= 1
                    losing.set()
            self.carried += len(chunk)
            await self.open.wait()
            sink.write(chunk)
            await sink.drain()
        raise ConnectionResetError

    async def _back(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while chunk := await server.read(_CHUNK):
            if losing.is_set():
                break
            self.carried += len(chunk)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    def count(self, method: str) -> int:
        return sum(each == method for each, _ in self.requests)

    async def asked(self, method: str) -> None:
        """Wait until such a request has come by."""
        async with asyncio.timeout(20):
            while not self.count(method):
                self.news.clear()
                await self.news.wait()


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
