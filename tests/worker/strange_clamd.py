"""A clamd that answers what a test says, whatever it is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = b"zINSTREAM\0"


@dataclass(slots=True)
class StrangeClamd:
    """Gives `answer` when it has met `after`, or else the end of the stream, and closes, unless it `stays`.

    `received` is what it was sent until then; `answered` and `left` tell how far it is.
    """

    socket: Path
    answer: bytes
    after: bytes = b""
    stays: bool = False
    received: bytearray = field(default_factory=bytearray)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while not (self.after in self.received if self.after else is_whole(self.received)):
                if not (read := await reader.read(2**16)):
                    break
                self.received += read
            writer.write(self.answer)
            await writer.drain()
            self.answered.set()
            while self.stays and await reader.read(2**16):
                pass
        self.left.set()
        writer.close()


def is_whole(received: bytes | bytearray) -> bool:
    """Tell whether the chunks after the command end with one of no length."""
    at = len(COMMAND)
    while at + 4 <= len(received):
        size = int.from_bytes(received[at : at + 4], "big")
        if size == 0:
            return True
        at += 4 + size
    return False


@asynccontextmanager
async def running(strange: StrangeClamd) -> AsyncIterator[StrangeClamd]:
    """Serve in the loop of the test."""
    async with await asyncio.start_unix_server(strange.handle, strange.socket):
        yield strange
