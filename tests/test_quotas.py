"""Quotas: what is counted where, for whom and for how long; and what happens when nobody counts."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from limits import RateLimitItem

from gateway import create_app, load
from gateway.circuit import PAUSE
from gateway.content.media_types import MEDIA_TYPES
from gateway.errors import Code
from gateway.grants.policies import Policy, Quota
from gateway.quotas import KEY_PREFIX, Count, Quotas, Tally, in_memory, in_redis
from gateway.setting_sources import SettingsError
from tests.cli.commands import SETTINGS
from tests.servers import redis
from tests.servers.redis import RedisServer

HOUR, GIB = 3600, 2**30
NOW = 1_800_000_000.0  # when an hour begins
PATIENT = 60.0  # seconds, for a machine with better things to do
PASSWORD = "hunter2-hunter2"
Counting = Callable[[], Quotas]

# One of several processes: it asks for as many uploads as it is told to, all at once, and says how many it was granted.
ASKER = """
import asyncio, sys, time
from gateway.grants.policies import Policy, Quota
from gateway.quotas import in_redis

async def main(url, count, limit):
    quotas = in_redis(url, time.monotonic, refuses=True, deadline=60.0)
    policy = Policy("photos", {}, 1000, quota=Quota(limit, None, 3600))
    tallies = await asyncio.gather(*(quotas.spend("shop", policy, 1, 10) for _ in range(count)))
    await quotas.close()
    print(sum(tally.refusal is None for tally in tallies))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def policy(uploads: int | None = None, size: int | None = None, window: int = HOUR, name: str = "photos") -> Policy:
    return Policy(name, {"image/png": MEDIA_TYPES["image/png"]}, 5 * GIB, quota=Quota(uploads, size, window))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def fresh(server: RedisServer) -> RedisServer:
    assert server.say("FLUSHALL").startswith("+OK")
    return server


@asynccontextmanager
async def counting(
    server: RedisServer,
    *,
    refuses: bool = True,
    clock: Callable[[], float] = lambda: 0.0,
    deadline: float = PATIENT,
    uncounted: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Quotas]:
    """Count in Redis."""
    quotas = in_redis(server.url, clock, refuses=refuses, deadline=deadline, uncounted=uncounted)
    try:
        yield quotas
    finally:
        await quotas.close()


@pytest.fixture(params=["memory", "redis"])
async def quotas(request: pytest.FixtureRequest) -> AsyncIterator[Quotas]:
    """Count in this process, and in Redis: what holds for one holds for the other."""
    if request.param == "memory":
        yield in_memory()
    else:
        async with counting(request.getfixturevalue("fresh")) as quotas:
            yield quotas


class Clock:
    """Says what time it is to what counts in memory, and to whoever else is given it."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=clock.time))
    return clock


def granted(tally: Tally) -> bool:
    return tally.refusal is None


def left(tally: Tally) -> dict[str, int]:
    return {count.unit: count.remaining for count in tally.counts}


def wait(tally: Tally) -> int:
    """Return after how many seconds a refused wish is told to come again."""
    refusal = tally.refusal
    assert refusal is not None
    assert refusal.retry_after is not None
    assert refusal.code is Code.TOO_MANY_REQUESTS
    told = f"The quota of this policy is used up for now: try again in {refusal.retry_after} seconds."
    assert refusal.detail == told
    return refusal.retry_after


async def test_so_many_uploads_pass_and_the_next_is_refused(quotas: Quotas) -> None:
    photos = policy(uploads=3)
    assert [left(await quotas.spend("shop", photos, 1, 10)) for _ in range(3)] == [
        {"uploads": 2},
        {"uploads": 1},
        {"uploads": 0},
    ]
    refused = await quotas.spend("shop", photos, 1, 10)
    assert left(refused) == {"uploads": 0}
    assert 0 < wait(refused) <= 2 * HOUR


async def test_five_gibibytes_cost_no_more_than_one_byte_and_are_counted_exactly(quotas: Quotas) -> None:
    """Redis counts in Lua, whose numbers are floats: they are exact as far as a quota may go."""
    largest = 10**15 - 1
    films = policy(size=largest)
    for size in (5 * GIB, 1, 48 * 2**40, 10**12):
        largest -= size
        assert left(await quotas.spend("shop", films, 1, size)) == {"bytes": largest}
    assert left(await quotas.spend("shop", films, 1, largest)) == {"bytes": 0}
    assert not granted(await quotas.spend("shop", films, 1, 1))


async def test_a_refused_wish_takes_nothing_of_either_count(quotas: Quotas) -> None:
    films = policy(uploads=3, size=11 * GIB)
    assert left(await quotas.spend("shop", films, 1, 5 * GIB)) == {"uploads": 2, "bytes": 6 * GIB}
    assert left(await quotas.spend("shop", films, 1, 5 * GIB)) == {"uploads": 1, "bytes": GIB}
    for _ in range(5):
        refused = await quotas.spend("shop", films, 1, 2 * GIB)
        assert (granted(refused), left(refused)) == (False, {"uploads": 1, "bytes": GIB})
    assert left(await quotas.spend("shop", films, 1, GIB)) == {"uploads": 0, "bytes": 0}
    refused = await quotas.spend("shop", films, 1, 0)
    assert (granted(refused), left(refused)) == (False, {"uploads": 0, "bytes": 0})


async def test_what_could_not_begin_is_given_back(quotas: Quotas) -> None:
    films = policy(uploads=2, size=6 * GIB)
    for _ in range(5):
        tally = await quotas.spend("shop", films, 1, 5 * GIB)
        assert left(tally) == {"uploads": 1, "bytes": GIB}
        await quotas.give_back(tally.spent)


async def test_several_uploads_pass_together_or_not_at_all(quotas: Quotas) -> None:
    pushed = policy(uploads=5, size=100)
    assert left(await quotas.spend("shop", pushed, 3, 60)) == {"uploads": 2, "bytes": 40}
    assert not granted(await quotas.spend("shop", pushed, 3, 30))
    assert not granted(await quotas.spend("shop", pushed, 2, 41))
    assert left(await quotas.spend("shop", pushed, 2, 40)) == {"uploads": 0, "bytes": 0}


async def test_an_empty_file_is_an_upload_of_no_bytes(quotas: Quotas) -> None:
    assert left(await quotas.spend("shop", policy(uploads=2, size=1), 1, 0)) == {"uploads": 1, "bytes": 1}
    assert left(await quotas.spend("shop", policy(uploads=2, size=1), 1, 1)) == {"uploads": 0, "bytes": 0}


async def test_tenants_and_policies_are_counted_apart_and_a_changed_quota_begins_anew(quotas: Quotas) -> None:
    one = policy(uploads=1)
    for tenant, each in [("shop", one), ("blog", one), ("shop", policy(uploads=1, name="films"))]:
        assert granted(await quotas.spend(tenant, each, 1, 1))
        assert not granted(await quotas.spend(tenant, each, 1, 1))
    assert left(await quotas.spend("shop", policy(uploads=2), 1, 1)) == {"uploads": 1}


async def test_a_policy_without_a_quota_is_not_counted(quotas: Quotas) -> None:
    free = Policy("free", {}, 5 * GIB)
    assert [await quotas.spend("shop", free, 1, 5 * GIB) for _ in range(10)] == [Tally()] * 10


@pytest.mark.threat(36)
async def test_of_fifty_at_once_exactly_as_many_pass_as_the_quota_says(quotas: Quotas) -> None:
    photos = policy(uploads=20, size=10_000)
    tallies = await asyncio.gather(*(quotas.spend("shop", photos, 1, 100) for _ in range(50)))
    assert sum(map(granted, tallies)) == 20
    small = policy(uploads=10_000, size=1000)
    tallies = await asyncio.gather(*(quotas.spend("shop", small, 1, 100) for _ in range(50)))
    assert sum(map(granted, tallies)) == 10
    assert left(await quotas.spend("shop", small, 1, 100)) == {"uploads": 9990, "bytes": 0}


async def eventually(ask: Callable[[], Awaitable[Tally]]) -> None:
    """Ask until it is granted."""
    async with asyncio.timeout(PATIENT):
        while not granted(await ask()):  # noqa: ASYNC110 - nobody tells when time has passed
            await asyncio.sleep(0.05)


async def test_when_the_window_has_passed_it_passes_again(quotas: Quotas) -> None:
    brief = policy(uploads=2, size=20, window=1)
    for _ in range(2):
        while granted(await quotas.spend("shop", brief, 1, 10)):
            pass
        await eventually(lambda: quotas.spend("shop", brief, 1, 10))


# The clock in this process can be set.


async def test_a_tally_tells_the_whole_truth(clock: Clock) -> None:
    quotas, films = in_memory(), policy(uploads=10, size=100)
    assert await quotas.spend("shop", films, 1, 40) == Tally(
        [Count("uploads", 10, HOUR, 9, 2 * HOUR), Count("bytes", 100, HOUR, 60, 2 * HOUR)]
    )
    clock.now += HOUR + HOUR // 2
    assert await quotas.spend("shop", films, 1, 70) == Tally(
        [Count("uploads", 10, HOUR, 9, HOUR + HOUR // 2), Count("bytes", 100, HOUR, 10, HOUR + HOUR // 2)]
    )
    refused = await quotas.spend("shop", films, 1, 20)
    assert refused.counts == [
        Count("uploads", 10, HOUR, 9, HOUR + HOUR // 2),
        Count("bytes", 100, HOUR, 10, HOUR + HOUR // 2),
    ]
    assert wait(refused) == 810 + 1  # of the 20 that count still of the first 40, less than 11 do then


@pytest.mark.parametrize(("uploads", "size"), [(7, None), (None, 7000), (7, 7000)])
@pytest.mark.parametrize("pause", [0, 1, 1800, 3599])
async def test_whoever_comes_again_when_told_to_is_granted_and_two_seconds_before_is_not(
    clock: Clock, uploads: int | None, size: int | None, pause: int
) -> None:
    quotas, photos = in_memory(), policy(uploads, size)
    for _ in range(20):
        while granted(tally := await quotas.spend("shop", photos, 1, 1000)):
            clock.now += 1
        seconds = wait(tally)
        clock.now += max(seconds - 2, 0)
        assert seconds <= 2 or not granted(await quotas.spend("shop", photos, 1, 1000))
        clock.now += min(seconds, 2)
        assert granted(await quotas.spend("shop", photos, 1, 1000))
        clock.now += pause


@pytest.mark.threat(36)
@pytest.mark.parametrize("others", [0, 2])
async def test_what_is_given_back_when_its_window_is_over_makes_no_room_in_the_next(clock: Clock, others: int) -> None:
    quotas, photos = in_memory(), policy(uploads=3, size=30)
    clock.now += HOUR - 1
    late = await quotas.spend("shop", photos, 1, 10)
    clock.now += 2
    passed = [granted(await quotas.spend("shop", photos, 1, 10)) for _ in range(others)]
    await quotas.give_back(late.spent)
    clock.now += HOUR - 2
    passed += [granted(await quotas.spend("shop", photos, 1, 10)) for _ in range(9)]
    assert sum(passed) == 3


@pytest.mark.threat(36)
async def test_uploads_that_bytes_refuse_as_the_window_turns_make_no_room_in_the_next(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    quotas, photos = in_memory(), policy(uploads=3, size=10)
    clock.now += HOUR - 1
    assert granted(await quotas.spend("shop", photos, 1, 10))
    hit = quotas._limiter.hit

    async def slow(item: RateLimitItem, *place: str, cost: int) -> bool:
        counted = await hit(item, *place, cost=cost)
        if not counted:
            clock.now += 2
        return counted

    with monkeypatch.context() as patched:
        patched.setattr(quotas._limiter, "hit", slow)
        assert not granted(await quotas.spend("shop", photos, 1, 10))
    clock.now += HOUR - 2
    assert sum([granted(await quotas.spend("shop", photos, 1, 0)) for _ in range(9)]) == 3


async def test_in_no_window_much_more_is_granted_than_in_two(clock: Clock) -> None:
    """The bound of counting by two numbers: twice the quota in any hour, and the quota on average."""
    quotas, photos, times = in_memory(), policy(uploads=60), []
    for _ in range(10 * HOUR // 10):
        if granted(await quotas.spend("shop", photos, 1, 1)):
            times.append(clock.now)
        clock.now += 10
    assert max(sum(start <= time < start + HOUR for time in times) for start in times) <= 120
    assert len(times) <= 60 * (10 + 1)


async def test_nothing_is_kept_of_windows_that_are_over(clock: Clock) -> None:
    quotas = in_memory()
    for _ in range(50):
        await quotas.spend("shop", policy(uploads=2, size=100), 1, 1)
        clock.now += HOUR
    await asyncio.sleep(0)  # the library tidies up in a task of its own
    assert len(quotas._storage.storage) <= 6  # type: ignore[union-attr]


# Redis counts for many processes.


@pytest.mark.threat(36)
def test_processes_that_share_a_redis_share_its_counts(fresh: RedisServer) -> None:
    command = [sys.executable, "-c", ASKER, fresh.url, "40", "30"]
    askers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(asker.communicate(timeout=PATIENT)[0]) for asker in askers]
    assert [asker.returncode for asker in askers] == [0, 0]
    assert sum(counts) == 30


async def test_the_keys_have_a_prefix_and_name_no_one(fresh: RedisServer) -> None:
    async with counting(fresh) as quotas:
        await quotas.spend("shop", policy(uploads=5, size=5 * GIB), 1, 10)
    keys = fresh.keys()
    assert keys == [
        f"{KEY_PREFIX}:{{bytes/shop/photos/5368709120/3600/second}}",
        f"{KEY_PREFIX}:{{uploads/shop/photos/5/3600/second}}",
    ]
    assert all(1 <= int(fresh.say(f"TTL {key}").splitlines()[0][1:]) <= 2 * HOUR for key in keys)


async def test_time_passes_in_redis_as_it_does_here(fresh: RedisServer) -> None:
    """Its keys live for two windows, and in the second what they count fades: to shorten a life is to wait."""
    key = f"{KEY_PREFIX}:{{uploads/shop/photos/10/3600/second}}"
    async with counting(fresh) as quotas:
        photos = policy(uploads=10)
        for _ in range(10):
            assert granted(await quotas.spend("shop", photos, 1, 1))
        assert HOUR - 60 <= wait(await quotas.spend("shop", photos, 1, 1)) <= HOUR + 1
        fresh.say(f"PEXPIRE {key} {(HOUR + HOUR // 2) * 1000}")
        assert HOUR // 2 - 60 <= wait(await quotas.spend("shop", photos, 1, 1)) <= HOUR // 2 + 1
        fresh.say(f"PEXPIRE {key} {HOUR // 2 * 1000}")
        for _ in range(5):
            assert granted(await quotas.spend("shop", photos, 1, 1))
        last = await quotas.spend("shop", photos, 2, 2)
        assert (granted(last), left(last)) == (False, {"uploads": last.counts[0].remaining})
        assert 0 <= last.counts[0].remaining <= 1


@pytest.mark.threat(36)
async def test_in_redis_too_nothing_is_given_back_when_its_window_is_over(fresh: RedisServer) -> None:
    key = f"{KEY_PREFIX}:{{uploads/shop/photos/10/3600/second}}"
    async with counting(fresh) as quotas:
        photos = policy(uploads=10)
        assert granted(await quotas.spend("shop", photos, 1, 1))
        fresh.say(f"PEXPIRE {key} {(HOUR + 60) * 1000}")  # a minute before its window ends
        tally = await quotas.spend("shop", photos, 4, 4)
        fresh.say(f"PEXPIRE {key} {(HOUR - 60) * 1000}")
        assert granted(await quotas.spend("shop", photos, 3, 3))
        await quotas.give_back(tally.spent)
        assert fresh.say(f"GET {key}").splitlines()[1] == "3"
        fresh.say("FLUSHALL")  # it may evict, or lose, what it holds
        await quotas.give_back(tally.spent)
        assert fresh.keys() == []


# Redis may be down.


class Ear:
    """Hears how many uploads were not counted."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def __call__(self, uploads: int) -> None:
        self.heard.append(uploads)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis of the test's own."""
    with redis.running(tmp_path) as server:
        yield server


@pytest.mark.threat(36)
async def test_without_redis_uploads_are_granted_uncounted_and_counted_again_when_it_is_back(
    mortal: RedisServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ear, photos = Ear(), policy(uploads=2)
    async with counting(mortal, refuses=False, clock=clock.time, uncounted=ear) as quotas:
        first = await quotas.spend("shop", photos, 1, 1)
        assert left(first) == {"uploads": 1}
        mortal.kill()
        assert [await quotas.spend("shop", photos, 1, 1) for _ in range(20)] == [Tally()] * 20
        await quotas.give_back(first.spent)
        assert ear.heard == [1] * 20
        mortal.start()
        assert await quotas.spend("shop", photos, 3, 3) == Tally()
        assert ear.heard == [*[1] * 20, 3]
        clock.now += PAUSE
        assert left(await quotas.spend("shop", photos, 1, 1)) == {"uploads": 1}
        assert left(await quotas.spend("shop", photos, 1, 1)) == {"uploads": 0}
        assert not granted(await quotas.spend("shop", photos, 1, 1))
    assert [record.getMessage() for record in caplog.records] == [
        "the store of quotas does not answer: ConnectionError",
        "the store of quotas answers again: 22 calls went on without it",
    ]


@pytest.mark.threat(36)
async def test_without_redis_uploads_are_refused_where_that_is_wanted(mortal: RedisServer, clock: Clock) -> None:
    ear, photos = Ear(), policy(uploads=2)
    async with counting(mortal, refuses=True, clock=clock.time, uncounted=ear) as quotas:
        mortal.kill()
        tally = await quotas.spend("shop", photos, 1, 1)
        assert tally.refusal is not None
        told = tally.counts, tally.refusal.code, tally.refusal.detail, tally.refusal.retry_after
        sentence = "Uploads cannot be counted just now: try again in 5 seconds."
        assert told == ((), Code.TOO_MANY_REQUESTS, sentence, PAUSE)
        assert ear.heard == [1]
        mortal.start()
        clock.now += PAUSE
        assert granted(await quotas.spend("shop", photos, 1, 1))


@pytest.mark.threat(36)
async def test_a_redis_that_hangs_costs_one_call_its_deadline_and_not_each(mortal: RedisServer, clock: Clock) -> None:
    ear, photos, deadline = Ear(), policy(uploads=2), 1.0
    loop = asyncio.get_running_loop()
    async with counting(mortal, refuses=False, clock=clock.time, deadline=deadline, uncounted=ear) as quotas:
        await eventually(lambda: quotas.spend("shop", photos, 1, 1))
        with mortal.stalled():
            began = loop.time()
            assert await quotas.spend("shop", photos, 1, 1) == Tally()
            assert loop.time() - began > deadline / 2
            began = loop.time()
            assert [await quotas.spend("shop", photos, 1, 1) for _ in range(1000)] == [Tally()] * 1000
            assert loop.time() - began < 100 * deadline
            assert ear.heard == [1] * 1001
        async with asyncio.timeout(PATIENT):
            while (await quotas.spend("shop", photos, 1, 1)).counts == ():
                clock.now += PAUSE
                await asyncio.sleep(0)


async def test_a_wrong_password_is_an_outage_and_stands_in_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with redis.running(tmp_path, PASSWORD) as server:
        async with counting(server) as quotas:
            assert granted(await quotas.spend("shop", policy(uploads=2), 1, 1))
        server.password = f"not-{PASSWORD}"
        async with counting(server) as quotas:
            assert not granted(await quotas.spend("shop", policy(uploads=2), 1, 1))
        server.password = PASSWORD
    assert [record.getMessage() for record in caplog.records if record.name.startswith("gateway")] == [
        "the store of quotas does not answer: AuthenticationError"
    ]
    assert PASSWORD not in caplog.text


# How it is set up.


def test_the_start_fails_with_one_line_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    settings = load(**SETTINGS, limits_url=f"redis://:{PASSWORD}@127.0.0.1:1")
    with pytest.raises(SettingsError) as ended:
        create_app(settings)
    assert str(ended.value) == "GATEWAY_LIMITS_URL needs the extra 'redis': in a clone, pip install '.[redis]'."
    assert ended.value.__suppress_context__


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/2", "rediss://u:p@127.0.0.1", "redis+unix:///nowhere?db=2"])
async def test_an_application_begins_whether_or_not_redis_is_there(url: str) -> None:
    app = create_app(load(**SETTINGS, limits_url=url, limits_when_down="closed"))
    tally = await app.state.gateway.quotas.spend("shop", policy(uploads=2), 1, 1)
    assert not granted(tally)
    await app.state.gateway.close()


def test_nothing_of_redis_is_imported_without_it() -> None:
    script = """
import json, sys
from gateway import create_app, load
create_app(load(**json.loads(sys.argv[1])))
print([name for name in ("redis", "coredis", "prometheus_client") if name in sys.modules])
"""
    command = [sys.executable, "-c", script, json.dumps(SETTINGS)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
