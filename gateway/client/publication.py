"""Publishing: bytes that are still being generated go to the bucket part by part, and nobody counts them beforehand."""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

from gateway.client.bodies import Spool
from gateway.client.errors import unexpected
from gateway.client.parts import PartSender
from gateway.client.progress import Meter, OnProgress
from gateway.client.uploads import complete, revoked_on_failure, send_new
from gateway.client.values import Stored
from gateway.client.wire import Wire
from gateway.client.wishes import Wish
from gateway.s3.parts import USUAL_PART

AT_ONCE = 2  # parts on their way while the next one is being generated


class Publication:
    """An object that is being generated. Used as `async with`, it is revoked when the block fails."""

    def __init__(self, wire: Wire, wish: Wish, on_progress: OnProgress | None) -> None:
        """Begin with nothing: what turns out to be short goes as one ordinary request."""
        self._wire = wire
        self._wish = wish
        self._on_progress = on_progress
        self._spool = Spool()
        self._capacity = USUAL_PART
        self._number = 1
        self._token: str | None = None
        self._sender: PartSender | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Stop what is under way, and revoke the upload if the block failed."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._spool.close()
        await self._stack.__aexit__(*failure)  # type: ignore[arg-type]  # as it was given

    async def add(self, data: bytes) -> None:
        """Take some more bytes, and send what makes a part."""
        rest = memoryview(data)
        while rest:
            if self._spool.size == self._capacity:
                await self._send_full()
            room = self._capacity - self._spool.size
            await asyncio.to_thread(self._spool.write, rest[:room])
            rest = rest[room:]

    async def finish(self) -> Stored:
        """Send the last part, and store the whole."""
        if self._sender is None or self._token is None:
            return await send_new(self._wire, self._spool, self._wish, self._on_progress)
        await self._send_part(self._sender)
        await self._room(0)
        return await complete(self._wire, self._token)

    async def _send_full(self) -> None:
        """Make room: the first time, ask for a ticket, whose parts may well be larger than what is there."""
        if self._sender is None:
            ticket = await self._wish.ticket(self._wire, None)
            if ticket.part_size is None:  # what nobody has counted goes in parts
                raise unexpected()
            await self._stack.enter_async_context(revoked_on_failure(self._wire, ticket.token))
            self._token, self._capacity = ticket.token, ticket.part_size
            self._sender = PartSender(self._wire, ticket.token, Meter(None, self._on_progress), stream=True)
        if self._spool.size == self._capacity:
            await self._send_part(self._sender)

    async def _send_part(self, sender: PartSender) -> None:
        """Send what is there while more is being generated; wait before that until few enough are on their way."""
        await self._room(AT_ONCE - 1)
        self._under_way.add(asyncio.create_task(self._deliver(sender, self._number, self._spool)))
        self._spool, self._number = Spool(), self._number + 1

    async def _deliver(self, sender: PartSender, number: int, spool: Spool) -> None:
        try:
            (request,) = await sender.presign({number: spool})
            await sender.send(number, spool, request)
        finally:
            spool.close()

    async def _room(self, most: int) -> None:
        """Wait until at most so many parts are on their way; raises what one of them failed with."""
        while len(self._under_way) > most:
            done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            failures = [error for task in done if (error := task.exception()) is not None]
            if failures:
                raise failures[0]
