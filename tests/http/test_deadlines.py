"""A shared deadline ends what takes too long, and nothing else."""

import asyncio

import pytest

from gateway.http.deadlines import TICK, Deadline


async def wait_within(deadline: Deadline, seconds: float) -> str:
    try:
        with deadline:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late"
    return "in time"


async def test_only_the_task_that_takes_too_long_is_ended() -> None:
    deadline = Deadline(0.1)
    waits = (wait_within(deadline, seconds) for seconds in (0, 0.05, 30, 0.01, 30))
    async with asyncio.timeout(0.1 + 4 * TICK):
        assert await asyncio.gather(*waits) == ["in time", "in time", "late", "in time", "late"]


async def test_a_task_that_was_late_goes_on_undisturbed() -> None:
    deadline = Deadline(0.01)
    assert await wait_within(deadline, 30) == "late"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(2 * TICK)
    assert await wait_within(deadline, 0) == "in time"


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    task = asyncio.create_task(wait_within(Deadline(30), 30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_timer_sleeps_when_nobody_is_under_a_deadline() -> None:
    deadline = Deadline(30)
    await wait_within(deadline, 0)
    await asyncio.sleep(2.5 * TICK)
    assert deadline._watching is None
    assert await wait_within(deadline, 0) == "in time"
