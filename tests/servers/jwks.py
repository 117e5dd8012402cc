"""An issuer's JWKS over real HTTP on loopback: what it answers can change, and it counts how often it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class JwksServer:
    """`answer` is the whole response; nothing is sent unless `free` is set; `pause` parts the bytes, in seconds."""

    port: int = 0
    answer: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    pause: float = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def serve(self, *jwks: dict[str, object]) -> None:
        self.respond(json.dumps({"keys": jwks}).encode())

    def respond(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        self.answer = head.encode() + body

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.free.wait()
            step = 1 if self.pause else len(self.answer)
            for start in range(0, len(self.answer), step):
                writer.write(self.answer[start : start + step])
                await writer.drain()
                await asyncio.sleep(self.pause)
        except ConnectionError:
            pass  # a reader that has seen enough
        finally:
            writer.close()


@asynccontextmanager
async def running() -> AsyncIterator[JwksServer]:
    """Serve in the loop of the test."""
    jwks = JwksServer()
    jwks.free.set()
    server = await asyncio.start_server(jwks.handle, "127.0.0.1", 0)
    jwks.port = server.sockets[0].getsockname()[1]
    async with server:
        yield jwks
