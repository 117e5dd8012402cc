"""A deadline that many tasks share: one timer for all of them, where asyncio.timeout sets one for each."""

import asyncio

TICK = 0.5  # seconds between looks, and so the most that a task may be late


class Deadline:
    """Lets tasks run for `seconds`; one that takes longer gets a TimeoutError where it waits."""

    def __init__(self, seconds: float) -> None:
        """Start no timer yet."""
        self._seconds = seconds
        self._ends: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._watching: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        """Begin the time of the running task. It may not begin another one of this deadline within."""
        loop = asyncio.get_running_loop()
        if self._watching is not loop:
            self._watching = loop
            loop.call_later(TICK, self._look, loop)
        task = asyncio.current_task(loop)
        if task is not None:
            self._ends[task] = loop.time() + self._seconds

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it; raises TimeoutError in place of the cancellation that is the deadline's own."""
        task = asyncio.current_task()
        if task is None:
            return
        self._ends.pop(task, None)
        if task in self._late:
            self._late.discard(task)
            task.uncancel()
            if kind is asyncio.CancelledError:
                raise TimeoutError

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, end in self._ends.items() if end < now]:
            del self._ends[task]
            self._late.add(task)
            task.cancel()
        if self._ends:
            loop.call_later(TICK, self._look, loop)
        else:
            self._watching = None
