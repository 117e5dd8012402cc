"""The consumer: the loop between the queue and what is done about its messages.

A message is hidden from other workers as long as one works on it, and taken out of the queue when all it tells of is
handled for good. Whatever dies on the way, the message comes again: to the next worker, as often as the queue allows,
and then it lies in the queue of dead letters. Workers share nothing, and any number may run side by side.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

from gateway.errors import Refusal
from gateway.worker.events import Appeared, appeared
from gateway.worker.handling import Again, Handled
from gateway.worker.queue import Message, Queue
from gateway.worker.reports import Clock, Report, milliseconds

log = logging.getLogger(__name__)

MOST = 10  # messages that one call brings: SQS's own limit
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds without the queue, doubled from one to the next
FIRST_AGAIN = 5  # seconds until a message comes again; four times as long after each further delivery
LAST_WORDS = 5.0  # seconds for the calls at the very end
FAILED = "failed"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Tempo:
    """How many messages are in hand at once, and how long things take, in seconds.

    A worker that was told to stop waits for the poll under way: one that is given up may still take messages, which
    stay hidden for `hidden` s. So `wait` is much shorter than `grace`, and than the 20 s that SQS allows.
    """

    hands: int = 10
    wait: int = 5
    hidden: int = 60
    grace: float = 20.0


class Consumer:
    """Receives messages and has their events handled, until it is told to stop."""

    def __init__(  # noqa: PLR0913 - what it stands on, and what tests choose
        self,
        queue: Queue,
        handle: Callable[[Appeared], Awaitable[Handled]],
        *,
        clock: Clock,
        random: Callable[[], float],
        report: Report,
        tempo: Tempo | None = None,
        about: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Take the queue and what handles events; `clock` runs in seconds, `random` gives 0 … 1.

        `about` names in the log, by its key, what an event is about.

        `report` gets one mapping for each event: event, key, tenant, policy, outcome, ms, deliveries, again_in?.
        """
        self._queue = queue
        self._handle = handle
        self._clock = clock
        self._random = random
        self._report = report
        self._tempo = tempo or Tempo()
        self._about = about
        self._stopped = asyncio.Event()
        self._in_hand: set[asyncio.Task[None]] = set()
        self._receiving: asyncio.Task[None] | None = None
        self._next_pause = FIRST_PAUSE
        self._turned_at = clock()
        self._over = False

    def stop(self) -> None:
        """Receive no more; `run` returns when what is in hand is finished or handed back."""
        self._stopped.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    def alive(self, within: float) -> bool:
        """Whether the loop has gone round within so many seconds."""
        return not self._over and self._clock() - self._turned_at <= within

    async def run(self) -> None:
        """Work until told to stop. A queue that is out is waited for."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            while not self._stopped.is_set():
                self._turned_at = self._clock()
                if self._receiving is None and len(self._in_hand) < self._tempo.hands:
                    self._receiving = asyncio.create_task(self._receive(self._tempo.hands - len(self._in_hand)))
                under_way = {*self._in_hand, self._receiving or stopped, stopped}
                await asyncio.wait(under_way, timeout=self._tempo.wait, return_when=asyncio.FIRST_COMPLETED)
            await self._finish()
        finally:
            self._over = True
            stopped.cancel()
            await self._let_go()

    async def _receive(self, most: int) -> None:
        """Take what the queue has into hand, or pause where it is out."""
        try:
            found = await self._queue.receive(min(most, MOST), wait=self._tempo.wait, hidden=self._tempo.hidden)
        except Exception as error:
            if not isinstance(error, Refusal):  # which the queue has told of
                log.exception("the queue could not be read")
            await self._pause(self._next_pause)
            self._next_pause = min(self._next_pause * 2, LONGEST_PAUSE)
        else:
            self._next_pause = FIRST_PAUSE
            for message in found:
                self._take(message)
        finally:
            self._receiving = None

    def _take(self, message: Message) -> None:
        task = asyncio.create_task(self._work(message))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _finish(self) -> None:
        """Give what is in hand its time, the poll under way included."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._tempo.grace):
                while under_way := {*self._in_hand, *([self._receiving] if self._receiving else [])}:
                    await asyncio.wait(under_way)

    async def _let_go(self) -> None:
        """Cancel what is in hand, which hands it back, and at last the poll."""
        in_hand = set(self._in_hand)
        for task in in_hand:
            task.cancel()
        await asyncio.gather(*in_hand, return_exceptions=True)
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)

    async def _work(self, message: Message) -> None:
        """Handle a message while it is kept from others; whoever is cancelled hands it back."""
        done = asyncio.Event()
        beat = asyncio.create_task(self._keep(message, done))
        again_in: int | None = 0
        try:
            if not self._stopped.is_set():
                again_in = await self._handled(message)
        finally:
            done.set()
            if again_in == 0 and self._receiving is not None:  # or this very worker would take it again
                await asyncio.wait({self._receiving}, timeout=self._tempo.wait + LAST_WORDS)
            with suppress(Refusal, TimeoutError):
                async with asyncio.timeout(LAST_WORDS if self._stopped.is_set() else None):
                    await beat  # one that is under way would hide the message again
                    await self._settle(message, again_in)

    async def _settle(self, message: Message, again_in: int | None) -> None:
        if again_in is None:
            await self._queue.delete(message)
        else:
            await self._queue.hide(message, again_in)

    async def _keep(self, message: Message, done: asyncio.Event) -> None:
        """Hide a message again and again, until `done`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tempo.hidden / 3):
                    await done.wait()
                return
            with suppress(Refusal):  # the next time may come through, and somebody else does no harm
                await self._queue.hide(message, self._tempo.hidden)

    async def _handled(self, message: Message) -> int | None:
        """Have all events of a message handled; return after how many seconds it has to come again, if it has."""
        try:
            events = appeared(message.body)
        except ValueError:  # whoever looks at the dead letters may know what it is
            log.warning("a message is no notification of S3's")
            return self._told(Handled(UNREADABLE, again=Again.COMPLETION), 0, message)
        delays = [await self._delay_after(event, message) for event in events]
        return max((delay for delay in delays if delay is not None), default=None)

    async def _delay_after(self, event: Appeared, message: Message) -> int | None:
        began = self._clock()
        with self._about(event.key):
            try:
                handled = await self._handle(event)
            except Exception:  # a bug: it may be none of this upload's, and waits for whoever repairs it
                log.exception("an event could not be handled")
                handled = Handled(FAILED, again=Again.COMPLETION)
            return self._told(handled, self._clock() - began, message)

    def _told(self, handled: Handled, seconds: float, message: Message) -> int | None:
        """Report what came of it, and return when it has to come again, if it has."""
        again_in = None if handled.again is None else delay(message.deliveries, handled.again, self._random())
        self._report(_line(handled, seconds, message.deliveries, again_in))
        return again_in


def delay(deliveries: int, again: Again, random: float) -> int:
    """Return the seconds until a message comes again: more after each delivery, the last quarter at random.

    SQS counts a delivery also where nothing was tried for want of a turn. So such messages are spread further: those
    that came together do not come together again, and most find a turn long before they are dead.
    """
    longest: int = min(FIRST_AGAIN * 4 ** min(deliveries - 1, 8), again.value)
    spread = 0.75 if again is Again.TURN else 0.25
    return round(longest * (1 - spread + spread * random))


def _line(handled: Handled, seconds: float, deliveries: int, again_in: int | None) -> Mapping[str, object]:
    key = handled.key
    place = {} if key is None else {"key": key.upload_key, "tenant": key.tenant, "policy": key.policy}
    line = {"event": "upload", **place, "outcome": handled.outcome, "ms": milliseconds(seconds)}
    again = {} if again_in is None else {"again_in": again_in}
    return {**line, "deliveries": deliveries, **again}
