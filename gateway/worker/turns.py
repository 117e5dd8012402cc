"""Turns: no application, however slow or silent, keeps the hands of the worker from everybody else's work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.circuit import AT_ONCE, Circuit
from gateway.worker.announcements import Announcement, Delivery
from gateway.worker.webhooks import DEADLINE, Unanswered, Undelivered

MOMENT = 2.0  # seconds to wait for a turn, in which an application that answers gives many
SHARE = 3  # one hand of so many is a tenant's, and one is nobody's


class NoTurn(Undelivered):
    """Nothing was tried."""


class Turns:
    """A delivery that has few attempts under way, in all and for each tenant, and none for a while after silence.

    An answer is an answer, whatever it says: one message that an application refuses holds up no other.
    """

    def __init__(self, delivery: Delivery, clock: Callable[[], float], hands: int) -> None:
        """Take what delivers, seconds that never go back, and how many messages are in hand at once."""
        self._delivery = delivery
        self._clock = clock
        self._share = min(max(hands // SHARE, 1), AT_ONCE)
        self._everybody = _Line(max(hands - self._share, 1))
        self._tenants: dict[str, tuple[_Line, Circuit]] = {}

    def hears(self, tenant: str) -> bool:
        """See Delivery."""
        return self._delivery.hears(tenant)

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        """See Delivery; raises NoTurn, which is Undelivered, where nothing was tried."""
        undelivered: Undelivered | None = None

        async def attempt() -> bool:
            nonlocal undelivered
            try:
                await self._delivery.deliver(tenant, announcement)
            except Unanswered as unanswered:
                undelivered = unanswered
                raise
            except Undelivered as refused:
                undelivered = refused
            return True

        line, circuit = self._of(tenant)
        async with line.turn(), self._everybody.turn():
            answered = await circuit.ask(attempt)
        if undelivered is not None:
            raise undelivered
        if answered is None:
            raise NoTurn("nobody answered a moment ago")

    def _of(self, tenant: str) -> "tuple[_Line, Circuit]":
        """Return what is each tenant's own: there are as many as have targets in the settings."""
        if tenant not in self._tenants:
            name = f"the webhook of tenant {tenant}"
            circuit = Circuit(name, (Unanswered,), self._clock, deadline=2 * DEADLINE)  # an attempt has its own
            self._tenants[tenant] = _Line(self._share), circuit
        return self._tenants[tenant]


class _Line:
    """Those who wait for one of a few turns."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._stuck = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn; raises NoTurn where none comes free in a moment, and from then on at once until one does."""
        if self._stuck and self._free.locked():  # one may have come free in the very moment of giving up
            raise NoTurn("others are under way")
        try:
            async with asyncio.timeout(MOMENT):
                await self._free.acquire()
        except TimeoutError:
            self._stuck = True
            raise NoTurn("others are under way") from None
        try:
            yield
        finally:
            self._stuck = False
            self._free.release()
