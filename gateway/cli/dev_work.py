"""The worker inside `gateway dev`: on the same loop as the gateway, made when that is up, and quick to stop."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.cli.output import dim, say

if TYPE_CHECKING:
    from gateway.s3.sigv4 import Credentials
    from gateway.settings import Settings
    from gateway.wiring import Worker


async def work_beside(settings: "Settings", queue: str, credentials: "Credentials", stop: asyncio.Event) -> None:
    """Work on the queue of that URL until told to stop."""
    worker = await asyncio.to_thread(_made, settings, queue, credentials)  # nobody has to wait for it
    working = asyncio.create_task(worker.consumer.run())
    try:
        await stop.wait()
        worker.consumer.stop()
        await working
    finally:
        working.cancel()
        worker.close()


def _made(settings: "Settings", queue: str, credentials: "Credentials") -> "Worker":
    from gateway.wiring import create_worker  # noqa: PLC0415 - not for --help to wait
    from gateway.worker.consumer import Tempo  # noqa: PLC0415 - as above

    return create_worker(
        settings,
        queue,
        credentials,
        clock=time.time,
        stopwatch=time.monotonic,
        report=_say_work,
        tempo=Tempo(wait=1, hidden=20, grace=2),
    )


def _say_work(line: Mapping[str, object]) -> None:
    """Print what an application was told, and what has to be tried again; requests tell of all else."""
    now = time.strftime("%H:%M:%S")
    if line["event"] == "webhook":
        why = f": {line['why']}" if "why" in line else ""
        say(dim(f"{now}  {line['result']}  {line['type']}  {line['id']}{why}"), to_stderr=True)
    elif "again_in" in line:
        say(dim(f"{now}  {line['outcome']}  {line.get('key')}, again in {line['again_in']} s"), to_stderr=True)
