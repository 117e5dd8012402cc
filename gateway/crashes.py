"""Crashes on purpose: a test names a step, and the process kills itself right after it, as the kernel would.

A step is a call across one of our boundaries, such as `storage.copy:1`: the first copy. Nothing else that completion
does outlives the process, so that to die after each of them is to die everywhere.
"""

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

T = TypeVar("T")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Crashing:
    """Stands for a part of the gateway, and dies after the step."""

    def __init__(self, part: object, name: str, crash_at: str, *, die: Callable[[], object] = _kill) -> None:
        """Take the part, by which name steps call it, and the step; `calls` counts them all."""
        self.calls: Counter[str] = Counter()
        self._part = part
        self._name = name
        self._crash_at = crash_at
        self._die = die

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the part has
        """Return what the part has; what it answers to the step, nobody hears."""
        found = getattr(self._part, name)
        return self._watched(name, found) if iscoroutinefunction(found) else found

    def _watched(self, name: str, call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def watched(*arguments: object, **named: object) -> object:
            self.calls[name] += 1
            step = f"{self._name}.{name}:{self.calls[name]}"
            try:
                return await call(*arguments, **named)
            finally:
                if step == self._crash_at:
                    self._die()

        return watched


def crashing(part: T, name: str, crash_at: str | None) -> T:
    """Return the part itself, or where a step is named, one that dies after it."""
    return part if crash_at is None else cast("T", Crashing(part, name, crash_at))
