"""Progress of a transfer: how many bytes have gone, never fewer than were told before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes that have been transferred, those of an earlier try included; `total` is None while nobody knows it."""

    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


class Meter:
    """Adds up what several requests have sent. A request that is sent again does not take back what was told."""

    def __init__(self, total: int | None, on_progress: OnProgress | None, arrived: int = 0) -> None:
        """Begin with what had arrived before, and tell that."""
        self._total = total
        self._on_progress = on_progress
        self._settled = arrived
        self._under_way: dict[int, int] = {}
        self._told = -1
        self._tell()

    def begin(self, number: int) -> Callable[[int], None]:
        """Count a request from zero; what it sends is added by the function that is returned."""
        self._under_way[number] = 0

        def add(size: int) -> None:
            self._under_way[number] += size
            self._tell()

        return add

    def settle(self, number: int, size: int) -> None:
        """Count a part as arrived."""
        self._under_way.pop(number, None)
        self._settled += size
        self._tell()

    def _tell(self) -> None:
        done = self._settled + sum(self._under_way.values())
        if self._on_progress is not None and done > self._told:
            self._told = done
            self._on_progress(Progress(done, self._total))


BUSY = "busy, trying again"
NO_ANSWER = "no answer, trying again"
SENT_AGAIN = "the storage no longer has what was sent, sending it again"
_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("who_hears_what_a_transfer_waits_for", default=None)


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Have a function hear what transfers that begin within meet: one of the sentences above, in any thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def mention(sentence: str) -> None:
    """Tell whoever listens."""
    if (listener := _LISTENER.get()) is not None:
        listener(sentence)
