"""Threads for calls that block: a bounded number, and nobody waits for one longer than its deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
QUEUED_PER_THREAD = 16  # calls; at 3 ms a call the last of them waits 50 ms, and a store that hangs is refused at once


class Busy(Exception):  # noqa: N818 - a state, not a fault
    """Every thread is taken and the queue is full; `first` of those since nothing had to wait in it."""

    def __init__(self, *, first: bool) -> None:
        """Say whether this one is news."""
        super().__init__()
        self.first = first


class Threads:
    """At most `count` daemon threads, started as they are needed.

    A call that outlives its deadline keeps its thread until it really ends, so a peer that drips bytes for ever can
    take `count` threads and no more. concurrent.futures would join such a thread when the process ends, and hang.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start nothing yet; `name` is what the threads are called in a dump."""
        self._count = count
        self._name = name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unfinished = 0
        self._full = False  # from a refusal on until nothing waits any more

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Queue a call; raises Busy instead of queueing without bound."""
        future: Future[T] = Future()
        with self._lock:
            if self._unfinished >= self._count * (1 + QUEUED_PER_THREAD):
                first, self._full = not self._full, True
                raise Busy(first=first)
            self._unfinished += 1
            needed = min(self._unfinished, self._count) > self._started
            self._started += needed
            queue = self._queue
            queue.put(lambda: _settle(future, work))
        if needed:
            threading.Thread(target=self._serve, args=(queue,), name=self._name, daemon=True).start()
        return future

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Wait for a call at most `deadline` seconds, time in the queue included; raises TimeoutError or Busy."""
        async with asyncio.timeout(deadline):
            return await asyncio.wrap_future(self.start(work))

    def close(self) -> None:
        """Let the threads end once the queue is empty; a later call starts new ones."""
        with self._lock:
            for _ in range(self._started):
                self._queue.put(None)
            self._queue, self._started = SimpleQueue(), 0

    def _serve(self, queue: SimpleQueue[Callable[[], None] | None]) -> None:
        while (item := queue.get()) is not None:
            item()
            del item  # or the last answer would live until the next call
            with self._lock:
                self._unfinished -= 1
                self._full = self._full and self._unfinished > self._count


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # its deadline passed in the queue
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        future.set_exception(error)
    else:
        future.set_result(result)
