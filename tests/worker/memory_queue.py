"""A queue in memory, held to the same contract suite as SQS: tests/worker/test_queue.py."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from gateway.worker.queue import Message


@dataclass(slots=True)
class Kept:
    """A message as the queue keeps it: when it can be seen (seconds), how often it was, and its last delivery."""

    body: str
    visible_at: float
    deliveries: int = 0
    receipt: str = ""


class MemoryQueue:
    """A Queue at a time of the test's choice: `clock` runs in seconds, and waiting is that of the event loop.

    What was delivered `most_deliveries` times and comes into sight again is moved to `dead`.
    """

    def __init__(self, clock: Callable[[], float], *, most_deliveries: int = 12) -> None:
        self.dead: list[str] = []
        self.kept: list[Kept] = []
        self._clock = clock
        self._most_deliveries = most_deliveries
        self._numbers = count(1)
        self._news = asyncio.Event()

    def send(self, body: str) -> None:
        """Do what S3 does."""
        self.kept.append(Kept(body, self._clock()))
        self._news.set()

    async def receive(self, most: int, *, wait: int, hidden: int) -> Sequence[Message]:
        # As with SQS, who asked may be gone, and still be given messages.
        return await asyncio.shield(asyncio.create_task(self._receive(most, wait, hidden)))

    async def _receive(self, most: int, wait: int, hidden: int) -> Sequence[Message]:
        await asyncio.sleep(0)
        until = self._clock() + wait
        while not (found := self._visible()[:most]):
            now = self._clock()
            if now >= until:
                return []
            self._news.clear()
            next_at = min([until, *(kept.visible_at for kept in self.kept)])
            try:
                async with asyncio.timeout(max(next_at - now, 0)):
                    await self._news.wait()
            except TimeoutError:
                pass
        return [self._delivered(kept, hidden) for kept in found]

    async def hide(self, message: Message, seconds: int) -> None:
        await asyncio.sleep(0)
        for kept in self._of(message):
            kept.visible_at = self._clock() + seconds
            self._news.set()

    async def delete(self, message: Message) -> None:
        await asyncio.sleep(0)
        for kept in self._of(message):
            self.kept.remove(kept)

    async def check(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        pass

    def _of(self, message: Message) -> list[Kept]:
        return [kept for kept in self.kept if kept.receipt == message.receipt]

    def _visible(self) -> list[Kept]:
        visible = [kept for kept in self.kept if kept.visible_at <= self._clock()]
        worn = [kept for kept in visible if kept.deliveries >= self._most_deliveries]
        for kept in worn:
            self.kept.remove(kept)
            self.dead.append(kept.body)
        return [kept for kept in visible if kept not in worn]

    def _delivered(self, kept: Kept, hidden: int) -> Message:
        kept.deliveries += 1
        kept.visible_at = self._clock() + hidden
        kept.receipt = f"delivery-{next(self._numbers)}"
        return Message(kept.body, kept.receipt, kept.deliveries)
