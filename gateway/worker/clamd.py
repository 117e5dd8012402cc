"""clamd, the scanner: its INSTREAM over a Unix socket, answers read while bytes are sent, one deadline for the whole.

https://docs.clamav.net/manual/Usage/Scanning.html#clamd: commands that begin with `z` end with a zero byte, and so do
their answers. A chunk is its length in four bytes, big-endian, and its bytes; one of no length is the end.
"""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

from gateway.errors import Code, Refusal

RETRY_AFTER = 5  # seconds
PING_WITHIN = 5.0  # seconds
MAX_ANSWER = 4096  # bytes; clamd's answer is one line
_CLEAN = b"stream: OK\0"
_FOUND = re.compile(rb"stream: ([!-~]{1,200}) FOUND\0")
# What AlertExceedsMax makes of bytes that clamd did not look at: nothing was found, and nothing is proved.
_LIMITS = "Heuristics.Limits.Exceeded"
_KNOWN = {
    b"": "it closed the connection",
    b"INSTREAM size limit exceeded. ERROR\0": "the upload is larger than its StreamMaxLength",
    b"COMMAND READ TIMED OUT\0": "it waited for bytes longer than its ReadTimeout",
}

log = logging.getLogger(__name__)


class Clamd:
    """A scanner (`gateway.proof.Scanner`) that asks clamd; nothing but its exact OK means clean."""

    def __init__(self, socket: Path, deadline: float) -> None:
        """Name the socket, and the seconds that a scan may take, to read what is scanned included."""
        self._socket = socket
        self._deadline = deadline

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        """Tell whether clamd has looked at all of the blocks and found nothing; raises as `found` does."""
        return await self.found(blocks) is None

    async def found(self, blocks: AsyncIterator[bytes]) -> str | None:
        """Return the name of the signature that was found, None where clamd has looked at all and found nothing.

        Raises what `blocks` raises, and `scanner-unavailable` for whatever is neither OK nor FOUND, and where clamd
        reached a limit of its own before the end.
        """
        whole, answer = await self._ask(_instream(blocks), self._deadline)
        if answer == _CLEAN:
            if not whole:
                raise _unavailable("it called bytes clean before it had them all")
            return None
        found = _FOUND.fullmatch(answer)
        if found is None:
            raise _unavailable(_KNOWN.get(answer, "its answer is neither OK nor FOUND"))
        signature = found[1].decode()
        if signature.startswith(_LIMITS):
            raise _unavailable(f"the upload is beyond a limit of its own, {signature}")
        log.warning("the scanner found %s", signature)
        return signature

    async def check(self) -> None:
        """Return when clamd answers; raises `scanner-unavailable`."""
        if await self._ask(_ping(), min(PING_WITHIN, self._deadline)) != (True, b"PONG\0"):
            raise _unavailable("its answer is no PONG")

    async def _ask(self, pieces: AsyncGenerator[bytes, None], deadline: float) -> tuple[bool, bytes]:
        """Return whether all was sent before the answer began, and the answer, on a connection of its own."""
        timeout = asyncio.timeout(deadline)
        try:
            async with timeout:
                with socket.socket(socket.AF_UNIX) as line:
                    line.settimeout(0)  # the loop waits
                    try:
                        await asyncio.get_running_loop().sock_connect(line, str(self._socket))
                    except OSError as error:
                        raise _unavailable(f"no connection, {type(error).__name__}") from None
                    return await _exchanged(line, pieces)
        except TimeoutError:
            if not timeout.expired():  # whatever gives the blocks has its own
                raise
            raise _unavailable(f"no answer within {deadline:g} s") from None


async def _exchanged(line: socket.socket, pieces: AsyncGenerator[bytes, None]) -> tuple[bool, bytes]:
    """Send and receive at once. Sockets and not asyncio's streams: those drop what came before a failed write."""
    answer = bytearray()
    sending = asyncio.create_task(_send(line, pieces, answer))
    receiving = asyncio.create_task(_receive(line, answer))
    tasks = {sending, receiving}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        whole = sending.done() and sending.result()
        await receiving
        return whole, bytes(answer)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)  # or they would listen on a number that is another's by then
        for task in tasks:
            if not task.cancelled():
                task.exception()


async def _send(line: socket.socket, pieces: AsyncGenerator[bytes, None], answer: bytearray) -> bool:
    """Send all pieces unless an answer begins before the last; False too when nobody takes them any more."""
    loop = asyncio.get_running_loop()
    async with aclosing(pieces):
        async for piece in pieces:
            if answer:
                return False
            try:
                await loop.sock_sendall(line, piece)
            except OSError:
                return False
    return True


async def _receive(line: socket.socket, answer: bytearray) -> None:
    loop = asyncio.get_running_loop()
    while len(answer) <= MAX_ANSWER:
        try:
            received = await loop.sock_recv(line, MAX_ANSWER)
        except OSError:
            return
        if not received:
            return
        answer += received


async def _instream(blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield b"zINSTREAM\0"
    async for block in blocks:
        if block:  # no length would be the end
            yield len(block).to_bytes(4, "big")
            yield block
    yield bytes(4)


async def _ping() -> AsyncGenerator[bytes, None]:
    yield b"zPING\0"


def _unavailable(why: str) -> Refusal:
    log.warning("the scanner gives no verdict: %s", why)
    return Refusal(Code.SCANNER_UNAVAILABLE, retry_after=RETRY_AFTER)
