"""The worker inside `gateway dev`: on the same loop as the gateway, made when that is up, and quick to stop."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from gateway.cli.dev_lines import say_work
from gateway.cli.output import say

if TYPE_CHECKING:
    from gateway.s3.sigv4 import Credentials
    from gateway.settings import Settings
    from gateway.wiring import Worker


async def work_beside(settings: "Settings", queue: str, credentials: "Credentials", stop: asyncio.Event) -> None:
    """Work on the queue of that URL until told to stop; raises what ends it before."""
    worker = await asyncio.to_thread(_made, settings, queue, credentials)  # nobody has to wait for it
    working, stopped = asyncio.create_task(worker.consumer.run()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        worker.consumer.stop()
        await working
    finally:
        working.cancel()
        stopped.cancel()
        worker.close()


def say_end(working: asyncio.Task[None]) -> None:
    """Say that the worker has ended by itself: uploads that nobody completes wait from then on, and webhooks too."""
    if not working.cancelled() and (error := working.exception()) is not None:
        say("The worker has ended, and with it webhooks: start again.", to_stderr=True)
        sys.excepthook(type(error), error, error.__traceback__)


def _made(settings: "Settings", queue: str, credentials: "Credentials") -> "Worker":
    from gateway.wiring import create_worker  # noqa: PLC0415 - not for --help to wait
    from gateway.worker.consumer import Tempo  # noqa: PLC0415 - as above

    return create_worker(
        settings,
        queue,
        credentials,
        clock=time.time,
        stopwatch=time.monotonic,
        report=say_work,
        tempo=Tempo(wait=1, hidden=20, grace=2),
    )
