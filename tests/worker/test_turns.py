"""One tenant's application is slow, silent or both: everybody else's work goes on, and its own is not lost."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count

import pytest

from gateway.content.filenames import Filename
from gateway.grants.app_tokens import AppTokens
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant, Tenant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.s3.documents import MOST_DELIVERIES
from gateway.states import States
from gateway.uploads import Uploads
from gateway.worker.announcements import Announcement, Announcer, Delivery
from gateway.worker.consumer import Consumer, Tempo
from gateway.worker.handling import Handling
from gateway.worker.turns import NoTurn, Turns
from gateway.worker.webhooks import DEADLINE, Unanswered, Undelivered
from tests.memory_storage import MemoryStorage
from tests.worker.hours import clock, played
from tests.worker.memory_queue import MemoryQueue

NOW = 1_800_000_000
HOUR = 3600.0
TENANTS = ["a", "b", *(f"a{number}" for number in range(8))]
TOKENS = Tokens(
    [b"a-secret-key-of-the-gateway-32-bytes-or-more"],
    {name: AppTokens(Tenant(name), [b"a-secret-of-an-application-32-bytes-or-more"]) for name in TENANTS},
)
MESSAGE = Announcement("msg_1", "upload.stored", NOW, b"{}")
HANDS = Tempo().hands


def key_of(tenant: str, number: int = 0) -> ObjectKey:
    return ObjectKey(tenant, "texts", f"{number:032x}", "txt")


def grant_of(key: ObjectKey) -> Grant:
    return Grant("alice", key, "text/plain", 5, None, Filename("a.txt"), {}, NOW, NOW + 3600)


class Applications:
    """Each tenant's application: silent until an hour of its own, and then it takes so many seconds for an answer."""

    def __init__(self, silent_until: Mapping[str, float], takes: Mapping[str, float] | None = None) -> None:
        self.told: dict[str, float] = {}  # an announcement's id, and when it was first taken
        self.tried: list[tuple[float, str]] = []
        self.at_once: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.refuses: set[str] = set()
        self._silent_until = silent_until
        self._takes = takes or {}

    def hears(self, tenant: str) -> bool:
        return tenant in self._silent_until

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        """Take as long as the worker's own delivery would."""
        self.tried.append((clock(), tenant))
        for who in (tenant, "all"):
            self.at_once[who] += 1
            self.most[who] = max(self.most[who], self.at_once[who])
        try:
            if clock() < self._silent_until[tenant]:
                await asyncio.sleep(DEADLINE)
                raise Unanswered("TimeoutError")
            await asyncio.sleep(self._takes.get(tenant, 0.1))
            if announcement.id in self.refuses:
                raise Undelivered("answered 500")
            self.told.setdefault(announcement.id, clock())
        finally:
            for who in (tenant, "all"):
                self.at_once[who] -= 1


class Gateway:
    """A bucket and its queue, and one worker."""

    def __init__(self, delivery: Delivery) -> None:
        numbers = count()
        self.lines: list[Mapping[str, object]] = []
        self.storage = MemoryStorage(NOW)
        self.queue = MemoryQueue(clock, most_deliveries=MOST_DELIVERIES)
        self.uploads = Uploads(self.storage, TOKENS, lambda: f"nonce-{next(numbers)}", pause=0)
        announcer = Announcer(self.storage, TOKENS, delivery)
        self._handle = Handling(States(self.storage, str), self.uploads, announcer).handle

    async def store(self, key: ObjectKey) -> None:
        """Upload and complete, and tell of the marker."""
        self.arrive(key)
        await self.uploads.complete(Ticket(grant_of(key)))

    def arrive(self, key: ObjectKey) -> None:
        metadata = {"grant": TOKENS.seal_grant_token(grant_of(key))}
        self.storage.upload(key.upload_key, b"hello", content_type="text/plain", metadata=metadata)

    def tell(self, key: ObjectKey) -> None:
        record = {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key.upload_key}}}
        self.queue.send(json.dumps({"Records": [record]}))

    async def work_until(self, so: Callable[[], bool], more: float = 0) -> float:
        """Return how many seconds of work it took, at most three days; then go on for some more, and stop."""
        chance = random.Random(1).random  # noqa: S311 - the same at each run
        consumer = Consumer(self.queue, self._handle, clock=clock, random=chance, report=self.lines.append)
        working = asyncio.create_task(consumer.run())
        while not so() and clock() < 72 * HOUR:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.1 if clock() < 60 else 60)
        took = clock()
        await asyncio.sleep(more)
        consumer.stop()
        await working
        return took

    async def work_until_quiet(self) -> float:
        return await self.work_until(lambda: not self.queue.kept)


async def backlog(gateway: Gateway, tenants: Mapping[str, int], other: str) -> None:
    """Let a tenant have so many markers to be told of, and then another an upload that nobody completed."""
    for tenant, uploads in tenants.items():
        for number in range(uploads):
            await gateway.store(key_of(tenant, number))
            gateway.tell(key_of(tenant, number))
    gateway.arrive(key_of(other))
    gateway.tell(key_of(other))


def stored_after(gateway: Gateway, applications: Applications, tenants: Mapping[str, int], other: str) -> float:
    """Return the seconds until the upload of the other is stored, behind the backlog."""

    async def scenario() -> float:
        await backlog(gateway, tenants, other)
        return await gateway.work_until(lambda: key_of(other).key in gateway.storage.objects, more=60)

    stored = played(scenario)
    assert applications.tried
    return stored


@pytest.mark.threat(58)
def test_one_silent_application_keeps_nobody_else_s_upload_waiting() -> None:
    applications = Applications({"a": 24 * HOUR})
    gateway = Gateway(Turns(applications, clock, HANDS))
    assert stored_after(gateway, applications, {"a": 500}, "b") < 5
    assert applications.most["a"] == HANDS // 3
    # In more than a minute: the first few, and then one every few seconds that finds out.
    assert len(applications.tried) < 20


@pytest.mark.threat(58)
def test_many_silent_applications_leave_hands_for_others() -> None:
    tenants = {f"a{number}": 50 for number in range(8)}
    applications = Applications(dict.fromkeys(tenants, 24 * HOUR))
    gateway = Gateway(Turns(applications, clock, HANDS))
    assert stored_after(gateway, applications, tenants, "b") < 10
    assert applications.most["all"] < HANDS


def test_what_was_postponed_is_told_when_the_application_is_back_and_nothing_is_dead() -> None:
    applications = Applications({"a": 12 * HOUR})
    gateway = Gateway(Turns(applications, clock, HANDS))

    async def scenario() -> float:
        await backlog(gateway, {"a": 200}, "b")
        return await gateway.work_until_quiet()

    assert played(scenario) < 36 * HOUR
    assert (len(applications.told), gateway.queue.dead, gateway.queue.kept) == (200, [], [])
    outcomes = Counter(str(line["outcome"]) for line in gateway.lines)
    assert outcomes.keys() == {"announced", "undelivered", "postponed", "stored"}
    assert outcomes["announced"] == 200


@pytest.mark.parametrize(("takes", "within"), [(0.1, 60.0), (2.0, 2 * HOUR), (9.0, 12 * HOUR)])
def test_a_slow_application_hears_of_everything_in_its_own_time(takes: float, within: float) -> None:
    applications = Applications({"a": 0.0}, {"a": takes})
    gateway = Gateway(Turns(applications, clock, HANDS))

    async def scenario() -> float:
        await backlog(gateway, {"a": 500}, "b")
        return await gateway.work_until_quiet()

    assert played(scenario) < within
    assert (len(applications.told), gateway.queue.dead) == (500, [])


def test_a_burst_that_an_application_takes_is_postponed_by_nothing() -> None:
    applications = Applications({"a": 0.0})
    gateway = Gateway(Turns(applications, clock, HANDS))

    async def scenario() -> float:
        await backlog(gateway, {"a": 100}, "b")
        return await gateway.work_until_quiet()

    assert played(scenario) < 10
    assert Counter(line["deliveries"] for line in gateway.lines) == {1: 101}


def test_an_answer_whatever_it_says_holds_up_no_other_announcement() -> None:
    applications = Applications({"a": 0.0})
    applications.refuses.add("msg_1")
    turns = Turns(applications, clock, HANDS)

    async def scenario() -> None:
        for _ in range(3):
            with pytest.raises(Undelivered, match="answered 500"):
                await turns.deliver("a", MESSAGE)
            await turns.deliver("a", Announcement("msg_2", "upload.stored", NOW, b"{}"))

    played(scenario)
    assert [tenant for _, tenant in applications.tried] == ["a"] * 6


def test_after_silence_nothing_is_tried_for_a_moment_and_then_one_finds_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    applications = Applications({"a": 12.0, "b": 0.0})
    turns = Turns(applications, clock, HANDS)

    async def scenario() -> None:
        with pytest.raises(Unanswered, match="TimeoutError"):
            await turns.deliver("a", MESSAGE)
        for _ in range(5):
            with pytest.raises(NoTurn, match="nobody answered a moment ago"):
                await turns.deliver("a", MESSAGE)
        await turns.deliver("b", MESSAGE)
        await asyncio.sleep(5)
        await turns.deliver("a", MESSAGE)
        await turns.deliver("a", MESSAGE)

    played(scenario)
    assert [tenant for _, tenant in applications.tried] == ["a", "b", "a", "a"]
    assert caplog.messages == [
        "the webhook of tenant a does not answer: Unanswered",
        "the webhook of tenant a answers again: 6 calls went on without it",
    ]


def test_whoever_gives_up_leaves_the_way_free() -> None:
    applications = Applications({"a": 0.0}, {"a": 100.0})
    turns = Turns(applications, clock, HANDS)

    async def scenario() -> None:
        trying = [asyncio.create_task(turns.deliver("a", MESSAGE)) for _ in range(5)]
        await asyncio.sleep(0.5)
        for task in trying:
            task.cancel()
        await asyncio.gather(*trying, return_exceptions=True)
        applications._takes = {}
        await turns.deliver("a", MESSAGE)

    played(scenario)
    assert applications.told == {"msg_1": pytest.approx(0.6)}


@pytest.mark.parametrize("hands", [1, 2, 3, 10, 100])
def test_of_any_number_of_hands_some_stay_free(hands: int) -> None:
    applications = Applications(dict.fromkeys("abcdefgh", 0.0), dict.fromkeys("abcdefgh", 9.0))
    turns = Turns(applications, clock, hands)

    async def scenario() -> None:
        trying = [turns.deliver(tenant, MESSAGE) for tenant in "a" * 20 + "bcdefgh" * 20]
        await asyncio.gather(*trying, return_exceptions=True)

    played(scenario)
    assert applications.most["a"] == {1: 1, 2: 1, 3: 1, 10: 3, 100: 16}[hands]
    assert applications.most["all"] == {1: 1, 2: 1, 3: 2, 10: 7, 100: 84}[hands]
