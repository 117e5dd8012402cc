"""A bounded number of threads, a bounded queue, and no waiting past a deadline."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from gateway.s3.threads import QUEUED_PER_THREAD, Busy, Threads


async def test_work_is_done_in_another_thread_and_its_result_or_error_comes_back() -> None:
    threads = Threads(1, "test-work")
    assert await threads.run(lambda: threading.current_thread().name, 3) == "test-work"
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, 3)
    assert await threads.run(lambda: 2 + 2, 3) == 4
    threads.close()


async def test_no_more_than_so_many_run_at_once() -> None:
    threads, running, most, lock = Threads(3, "test-most"), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    await asyncio.gather(*(threads.run(work, 5) for _ in range(20)))
    assert most == 3
    threads.close()


async def test_a_call_that_waits_past_its_deadline_is_never_begun() -> None:
    threads, gate, begun = Threads(1, "test-late"), threading.Event(), threading.Event()
    stuck = threads.start(gate.wait)
    with pytest.raises(TimeoutError):
        await threads.run(begun.set, 0.05)
    gate.set()
    assert await asyncio.wrap_future(stuck) is True
    assert await threads.run(lambda: "next", 3) == "next"
    assert not begun.is_set()
    threads.close()


async def test_a_full_queue_refuses_at_once_and_empties_when_the_thread_is_free() -> None:
    threads, gate = Threads(1, "test-full"), threading.Event()
    for _ in range(1 + QUEUED_PER_THREAD):
        threads.start(gate.wait)
    with pytest.raises(Busy):
        threads.start(gate.wait)
    gate.set()
    async with asyncio.timeout(3):
        while True:
            try:
                assert await threads.run(lambda: "free", 3) == "free"
            except Busy:
                await asyncio.sleep(0.002)
            else:
                break
    threads.close()


async def test_of_refusals_in_a_row_the_first_is_news_until_nothing_waits_any_more() -> None:
    threads = Threads(1, "test-news")

    def fill() -> tuple[Callable[[], None], list[bool]]:
        """Fill the queue, and try three times more."""
        gate, refused = threading.Event(), []
        for _ in range(1 + QUEUED_PER_THREAD):
            threads.start(gate.wait)
        for _ in range(3):
            with pytest.raises(Busy) as caught:
                threads.start(gate.wait)
            refused.append(caught.value.first)
        return gate.set, refused

    for _ in range(2):
        empty, refused = fill()
        assert refused == [True, False, False]
        empty()
        async with asyncio.timeout(3):
            while threads._unfinished:  # noqa: ASYNC110 - threads set no Event
                await asyncio.sleep(0.002)
    threads.close()


async def test_a_place_that_becomes_free_in_a_full_queue_makes_the_next_refusal_no_news() -> None:
    threads, gates = Threads(1, "test-flap"), [threading.Event() for _ in range(1 + QUEUED_PER_THREAD)]
    begun = [threads.start(gate.wait) for gate in gates]
    with pytest.raises(Busy):
        threads.start(gates[0].wait)
    gates[0].set()
    await asyncio.wrap_future(begun[0])
    async with asyncio.timeout(3):
        while threads._unfinished > QUEUED_PER_THREAD:  # noqa: ASYNC110 - threads set no Event
            await asyncio.sleep(0.002)
    threads.start(gates[0].wait)
    with pytest.raises(Busy) as caught:
        threads.start(gates[0].wait)
    assert not caught.value.first
    for gate in gates:
        gate.set()
    threads.close()


async def test_close_lets_the_threads_end() -> None:
    threads = Threads(2, "test-close")
    await asyncio.gather(*(threads.run(lambda: time.sleep(0.02), 3) for _ in range(4)))
    threads.close()
    async with asyncio.timeout(3):
        while "test-close" in {each.name for each in threading.enumerate()}:  # noqa: ASYNC110 - threads set no Event
            await asyncio.sleep(0.002)


async def test_work_that_comes_after_close_is_done_all_the_same() -> None:
    """An application whose lifespan ended may be started again, as test clients do."""
    threads = Threads(2, "test-again")
    assert await threads.run(lambda: "before", 3) == "before"
    threads.close()
    assert await threads.run(lambda: "after", 3) == "after"
    threads.close()


def test_a_thread_that_is_stuck_does_not_keep_the_process_alive() -> None:
    program = (
        "import time; from gateway.s3.threads import Threads; "
        "Threads(1, 'stuck').start(lambda: time.sleep(60)); time.sleep(0.1)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=20).returncode == 0
