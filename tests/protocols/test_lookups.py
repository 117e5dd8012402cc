"""Look-ups of many objects: few at once in all, none after a failure, and in any event loop."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.protocols.lookups import LOOKUPS, Lookups
from gateway.s3.storage import Head
from tests.memory_storage import MemoryStorage


class Watched(MemoryStorage):
    """Counts its calls, all of them and those at once; from the `good`th on they fail, each as if it were refused."""

    def __init__(self, good: int = 1_000_000) -> None:
        super().__init__()
        self.good = good
        self.calls = self.now_running = self.most = 0

    async def head(self, key: str) -> Head | None:
        self.calls += 1
        if self.calls > self.good:
            raise Refusal(Code.STORAGE_UNAVAILABLE)
        self.now_running += 1
        self.most = max(self.most, self.now_running)
        try:
            await asyncio.sleep(0)
            return await super().head(key)
        finally:
            self.now_running -= 1


def keys(count: int) -> Mapping[str, ObjectKey]:
    return {f"{number:064x}": ObjectKey("default", "default", f"{number:064x}", "bin") for number in range(count)}


async def test_what_is_stored_is_told_under_the_name_it_was_asked_by() -> None:
    storage, wanted = Watched(), keys(20)
    there = f"{7:064x}"
    storage.upload(wanted[there].key, b"bytes", content_type="a/b", metadata={})
    found = await Lookups().heads(storage, wanted)
    assert found == {**dict.fromkeys(wanted), there: storage.objects[wanted[there].key].head}
    assert storage.calls == 20
    assert await Lookups().heads(storage, {}) == {}


async def test_all_batches_together_look_for_no_more_than_a_few_at_once() -> None:
    storage, lookups = Watched(), Lookups()
    found = await asyncio.gather(*(lookups.heads(storage, keys(50)) for _ in range(40)))
    assert (storage.most, storage.calls, [len(each) for each in found]) == (LOOKUPS, 2000, [50] * 40)


async def test_a_small_batch_does_not_wait_for_the_whole_of_a_large_one() -> None:
    storage, lookups = Watched(), Lookups()
    large = asyncio.create_task(lookups.heads(storage, keys(1000)))
    await asyncio.sleep(0)
    await lookups.heads(storage, keys(4))
    assert storage.calls < 100
    assert len(await large) == 1000


@pytest.mark.parametrize("good", [0, 100])
async def test_nothing_is_looked_for_after_the_first_failure(good: int) -> None:
    storage = Watched(good)
    with pytest.raises(Refusal) as caught:
        await Lookups().heads(storage, keys(1000))
    assert caught.value.code is Code.STORAGE_UNAVAILABLE
    assert storage.calls == good + 1


async def test_a_batch_that_is_given_up_leaves_its_turns_to_the_others() -> None:
    storage, lookups = Watched(), Lookups()
    given_up = [asyncio.create_task(lookups.heads(storage, keys(1000))) for _ in range(3)]
    await asyncio.sleep(0.001)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    assert all(task.cancelled() for task in given_up)
    begun = storage.calls
    assert len(await lookups.heads(storage, keys(100))) == 100
    assert (storage.calls - begun, storage.now_running) == (100, 0)


def test_one_bound_serves_one_event_loop_after_another() -> None:
    lookups = Lookups()

    async def busy() -> int:
        found = await asyncio.gather(*(lookups.heads(Watched(), keys(50)) for _ in range(3)))
        return sum(map(len, found))

    assert [asyncio.run(busy()) for _ in range(3)] == [150] * 3
    assert len(lookups._slots) == 1  # nothing is kept for those that are closed, but for the last
