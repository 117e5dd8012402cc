"""The queue as the worker needs it: a small Protocol, and the message it speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A message in hand: `receipt` names this very delivery, and `deliveries` counts them, this one included."""

    body: str
    receipt: str
    deliveries: int


class Queue(Protocol):
    """A queue that gives each message at least once. A call that gets no answer raises `storage-unavailable`."""

    async def receive(self, most: int, *, wait: int, hidden: int) -> Sequence[Message]:
        """Return 1 … `most` (at most 10) messages, or none within `wait` seconds; others see them `hidden` s later."""

    async def hide(self, message: Message, seconds: int) -> None:
        """Keep a message in hand from others for so long from now on (0 … 43,200); 0 hands it back."""

    async def delete(self, message: Message) -> None:
        """Take a message that is done with out of the queue."""

    async def check(self) -> None:
        """Return when the queue can be reached."""

    def close(self) -> None:
        """Let threads and connections go."""
