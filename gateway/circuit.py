"""Asks a server that may be silent: few calls at once, each within a deadline, and none for a while after a failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 16  # calls; others wait for their turn, without a deadline, so that a burst is not taken for an outage
DEADLINE = 0.5  # seconds for one call, all that it asks
PAUSE = 5  # seconds after a failure in which nobody asks; then one call tries, and the others go on without
LOG_EVERY = 60.0  # seconds between two lines about one outage

log = logging.getLogger(__name__)


class Circuit:
    """The way to one server. `clock` gives seconds that never go back."""

    def __init__(
        self,
        name: str,
        failures: tuple[type[Exception], ...],
        clock: Callable[[], float],
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Take what the log calls the server, and what its client raises, of which the log tells the class alone."""
        self._name = name
        self._failures: tuple[type[Exception], ...] = (*failures, OSError)  # of which TimeoutError is one
        self._clock = clock
        self._deadline = deadline
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._paused_until: float | None = None
        self._logged_at: float | None = None
        self._unanswered = 0

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Return what the call answers, which is never None, or None where the server does not answer."""
        async with self._turns:
            if self._is_paused():
                self._unanswered += 1
                return None
            try:
                async with asyncio.timeout(self._deadline):
                    answer = await call()
            except self._failures as failure:
                self._failed(failure)
                return None
        self._answered()
        return answer

    def _is_paused(self) -> bool:
        """Tell whether to go on without asking. After a pause one call asks, and for the others it begins anew."""
        if self._paused_until is None:
            return False
        now = self._clock()
        if now < self._paused_until:
            return True
        self._paused_until = now + PAUSE
        return False

    def _failed(self, failure: Exception) -> None:
        now = self._clock()
        self._paused_until = now + PAUSE
        self._unanswered += 1
        if self._logged_at is None or now >= self._logged_at + LOG_EVERY:
            self._logged_at = now
            log.warning("%s does not answer: %s", self._name, _kind(failure))

    def _answered(self) -> None:
        if self._paused_until is None:
            return
        log.warning("%s answers again: %d calls went on without it", self._name, self._unanswered)
        self._paused_until, self._logged_at, self._unanswered = None, None, 0


def _kind(failure: Exception) -> str:
    """Return the class of what failed, or of what that says is its cause."""
    cause = failure.__cause__
    return type(cause if isinstance(cause, Exception) else failure).__name__
