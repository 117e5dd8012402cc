"""An event loop in a thread of its own, for callers that have none, or one of another kind."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for whatever thread asks; a daemon, so that one that is never stopped ends with the process."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway.client", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether it has not been stopped."""
        return not self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Wait for what a coroutine returns. Ctrl-C cancels it, and waits until it has cleaned up behind itself."""
        if not self.runs:
            coroutine.close()
            raise RuntimeError("this client is closed")
        outcome: Future[Result] = Future()
        tasks: list[asyncio.Task[Result]] = []

        def start() -> None:
            task = self._loop.create_task(coroutine)
            task.add_done_callback(lambda done: _hand_over(done, outcome))
            tasks.append(task)

        self._loop.call_soon_threadsafe(start)
        try:
            return outcome.result()
        except BaseException:
            if not outcome.done():
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())  # noqa: PLW0108 - it may not have begun yet
                wait([outcome])
            raise

    def stop(self) -> None:
        """End it, when nothing runs in it any more."""
        self.run(_wind_up(self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _hand_over(task: asyncio.Task[Result], outcome: Future[Result]) -> None:
    if task.cancelled():
        outcome.set_exception(CancelledError())
    elif error := task.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


async def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
