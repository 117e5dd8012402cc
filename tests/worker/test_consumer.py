"""The loop of the worker, over a queue in memory, with hours that pass in no time."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.s3.documents import MOST_DELIVERIES
from gateway.worker.consumer import Consumer, Tempo, delay
from gateway.worker.events import Appeared
from gateway.worker.handling import Again, Handled
from gateway.worker.queue import Message, Queue
from tests.worker.hours import clock, played
from tests.worker.memory_queue import MemoryQueue

KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "txt")
STORED = Handled("stored", KEY)
HOUR = 3600.0
REMOVED = json.dumps({"Records": [{"eventName": "ObjectRemoved:Delete", "s3": {"object": {"key": "a"}}}]})
TEST_EVENT = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"})


def told_of(*keys: str) -> str:
    """Return a notification that these keys appeared."""
    records = [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key, "eTag": "1"}}} for key in keys]
    return json.dumps({"Records": records})


class Work:
    """Handles events as a test wants: what each call began and came to."""

    def __init__(self, seconds: float = 0, handled: Handled = STORED) -> None:
        self.began: list[tuple[float, str]] = []
        self.seconds = seconds
        self.handled = handled
        self.at_once = self.most_at_once = 0

    async def __call__(self, event: Appeared) -> Handled:
        self.began.append((clock(), event.key))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        return self.handled


class Hiding(MemoryQueue):
    """A queue in memory that writes down who hid what, and when."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.hid: list[tuple[float, int]] = []

    async def hide(self, message: Message, seconds: int) -> None:
        self.hid.append((clock(), seconds))
        await super().hide(message, seconds)


class Failing(MemoryQueue):
    """A queue that is out until a time, and at it the times when it was asked."""

    def __init__(self, until: float, error: Exception) -> None:
        super().__init__(clock)
        self.asked: list[float] = []
        self._until = until
        self._error = error

    async def receive(self, most: int, *, wait: int, hidden: int) -> Sequence[Message]:
        self.asked.append(clock())
        if clock() < self._until:
            raise self._error
        return await super().receive(most, wait=wait, hidden=hidden)

    async def delete(self, message: Message) -> None:
        if clock() < self._until + 100:
            raise self._error
        await super().delete(message)


def consumer_of(
    queue: Queue,
    work: Callable[[Appeared], Awaitable[Handled]],
    lines: list[Mapping[str, object]] | None = None,
    tempo: Tempo | None = None,
) -> Consumer:
    report = (lambda _: None) if lines is None else lines.append
    return Consumer(queue, work, clock=clock, random=lambda: 1.0, report=report, tempo=tempo)


async def run_for(seconds: float, *consumers: Consumer) -> None:
    """Let consumers work for so long, and stop them."""
    running = [asyncio.create_task(consumer.run()) for consumer in consumers]
    await asyncio.sleep(seconds)
    for consumer in consumers:
        consumer.stop()
    await asyncio.gather(*running)


def test_what_is_handled_is_deleted_and_reported_in_one_line() -> None:
    lines: list[Mapping[str, object]] = []

    async def scenario() -> None:
        queue = MemoryQueue(clock)
        queue.send(told_of(KEY.upload_key))
        await run_for(1, consumer_of(queue, Work(0.25), lines))
        assert queue.kept == []

    played(scenario)
    assert lines == [
        {
            "event": "upload",
            "key": KEY.upload_key,
            "tenant": "default",
            "policy": "photos",
            "outcome": "stored",
            "ms": 250.0,
            "deliveries": 1,
        }
    ]


def test_a_foreign_key_is_reported_without_its_name() -> None:
    lines: list[Mapping[str, object]] = []

    async def scenario() -> None:
        queue = MemoryQueue(clock)
        queue.send(told_of("incoming/who/knows"))
        await run_for(1, consumer_of(queue, Work(handled=Handled("foreign")), lines))

    played(scenario)
    assert lines == [{"event": "upload", "outcome": "foreign", "ms": 0.0, "deliveries": 1}]


def test_long_work_is_hidden_from_others_until_it_is_done_and_no_longer() -> None:
    async def scenario() -> tuple[Hiding, Work, Work]:
        queue, one, other = Hiding(), Work(3595), Work(3595)
        queue.send(told_of(KEY.upload_key))
        await run_for(2 * HOUR, consumer_of(queue, one), consumer_of(queue, other))
        return queue, one, other

    queue, one, other = played(scenario)
    assert len(one.began + other.began) == 1
    assert [seconds for _, seconds in queue.hid] == [60] * 179
    assert [round(at) for at, _ in queue.hid] == list(range(20, 3600, 20))
    assert queue.kept == []


def test_what_is_refused_for_now_comes_again_later_each_time_and_is_dead_in_the_end() -> None:
    refused = Handled("scanner-unavailable", KEY, Again.COMPLETION)
    lines: list[Mapping[str, object]] = []

    async def scenario() -> tuple[MemoryQueue, Work]:
        queue, work = MemoryQueue(clock), Work(handled=refused)
        queue.send(told_of(KEY.upload_key))
        await run_for(24 * HOUR, consumer_of(queue, work, lines))
        return queue, work

    queue, work = played(scenario)
    pauses = [round(later[0] - sooner[0]) for sooner, later in pairwise(work.began)]
    assert pauses == [5, 20, 80, 320, *[900] * 7]
    assert [line["again_in"] for line in lines] == [*pauses, 900]
    assert (queue.dead, queue.kept) == ([told_of(KEY.upload_key)], [])


def test_a_webhook_that_nobody_takes_is_tried_for_more_than_a_day() -> None:
    undelivered = Handled("undelivered", KEY, Again.ANNOUNCEMENT)

    async def scenario() -> Work:
        queue, work = MemoryQueue(clock), Work(handled=undelivered)
        queue.send(told_of(KEY.upload_key))
        await run_for(72 * HOUR, consumer_of(queue, work))
        return work

    began = [at for at, _ in played(scenario).began]
    pauses = [round(later - sooner) for sooner, later in pairwise(began)]
    assert pauses == [5, 20, 80, 320, 1280, 5120, 20_480, *[21_600] * 4]
    assert began[-1] - began[0] > 24 * HOUR


def test_a_message_without_a_turn_is_no_sooner_dead_than_one_that_nobody_takes() -> None:
    """On average; and a pause stays below the twelve hours that SQS hides a message at most."""
    spans = {again: sum(delay(number, again, 0.5) for number in range(1, MOST_DELIVERIES)) for again in Again}
    assert spans[Again.TURN] > spans[Again.ANNOUNCEMENT] > 24 * HOUR
    assert delay(MOST_DELIVERIES, Again.TURN, 1) <= 11 * HOUR


@given(
    deliveries=st.integers(min_value=1, max_value=10**6),
    again=st.sampled_from(Again),
    random=st.floats(min_value=0, max_value=1),
)
def test_a_pause_grows_and_is_spread_and_bounded(deliveries: int, again: Again, random: float) -> None:
    pause = delay(deliveries, again, random)
    least = 0.25 if again is Again.TURN else 0.75
    assert 1 <= pause <= again.value
    assert pause <= delay(deliveries, again, 1)
    assert pause >= round(delay(deliveries, again, 1) * least) - 1
    assert delay(deliveries + 1, again, random) >= pause


def test_a_message_of_several_events_is_deleted_when_all_are_handled_for_good() -> None:
    handled = {"a": [STORED, STORED], "b": [Handled("storage-unavailable", KEY, Again.COMPLETION), STORED]}
    seen: list[str] = []

    async def work(event: Appeared) -> Handled:
        await asyncio.sleep(0)
        seen.append(event.key)
        return handled[event.key].pop(0)

    async def scenario() -> None:
        queue = MemoryQueue(clock)
        queue.send(told_of("a", "b"))
        await run_for(60, consumer_of(queue, work))
        assert queue.kept == []

    played(scenario)
    assert seen == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"Records": 1}',
        '{"Records": [1]}',
        '{"Records": [{"eventName": "INSERT", "dynamodb": {}}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {}}}]}',
        '{"Type": "Notification", "Message": "hello"}',
        '{"Type": "SubscriptionConfirmation", "Message": "{}"}',
        '{"detail-type": "Object Created", "source": "aws.s3", "detail": {"object": {"key": "a"}}}',
        "[" * 100_000,
        "\ud800",
    ],
)
def test_what_is_no_notification_is_kept_and_counted_and_ends_among_the_dead(
    body: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[Mapping[str, object]] = []

    async def scenario() -> MemoryQueue:
        queue, work = MemoryQueue(clock), Work()
        queue.send(body)
        await run_for(24 * HOUR, consumer_of(queue, work, lines))
        assert work.began == []
        return queue

    queue = played(scenario)
    assert (queue.dead, queue.kept) == ([body], [])
    assert lines[0] == {"event": "upload", "outcome": "unreadable", "ms": 0, "deliveries": 1, "again_in": 5}
    assert caplog.messages == ["a message is no notification of S3's"] * len(lines) == [caplog.messages[0]] * 12


@pytest.mark.parametrize(
    "body", [TEST_EVENT, json.dumps({"Type": "Notification", "Message": TEST_EVENT}), '{"Records": []}', REMOVED]
)
def test_a_notification_that_tells_of_no_upload_is_deleted_in_silence(
    body: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[Mapping[str, object]] = []

    async def scenario() -> None:
        queue, work = MemoryQueue(clock), Work()
        queue.send(body)
        await run_for(1, consumer_of(queue, work, lines))
        assert (queue.kept, work.began) == ([], [])

    played(scenario)
    assert (caplog.messages, lines) == ([], [])


def test_what_comes_through_sns_is_unwrapped() -> None:
    envelope = {
        "Type": "Notification",
        "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
        "TopicArn": "arn:aws:sns:us-east-2:111122223333:ExampleTopic1",
        "Subject": "Amazon S3 Notification",
        "Message": told_of(KEY.upload_key),
        "SignatureVersion": "1",
    }

    async def scenario() -> list[tuple[float, str]]:
        queue, work = MemoryQueue(clock), Work()
        queue.send(json.dumps(envelope))
        await run_for(1, consumer_of(queue, work))
        assert queue.kept == []
        return work.began

    assert [key for _, key in played(scenario)] == [KEY.upload_key]


def test_no_more_are_in_hand_than_there_are_hands_and_a_free_hand_takes_the_next() -> None:
    async def scenario() -> Work:
        queue, work = MemoryQueue(clock), Work(100)
        for number in range(25):
            queue.send(told_of(str(number)))
        await run_for(350, consumer_of(queue, work))
        assert queue.kept == []
        return work

    work = played(scenario)
    assert work.most_at_once == 10
    assert [round(at) for at, _ in work.began] == [0] * 10 + [100] * 10 + [200] * 5


def test_workers_side_by_side_share_what_is_there() -> None:
    async def scenario() -> list[Work]:
        queue, works = MemoryQueue(clock), [Work(100), Work(100), Work(100)]
        for number in range(60):
            queue.send(told_of(str(number)))
        await run_for(250, *(consumer_of(queue, work) for work in works))
        assert queue.kept == []
        return works

    works = played(scenario)
    assert sorted(int(key) for work in works for _, key in work.began) == list(range(60))
    assert [len(work.began) for work in works] == [20, 20, 20]


def test_the_log_is_told_what_an_event_is_about_until_it_is_reported() -> None:
    about: list[str] = []
    said: list[tuple[str, Sequence[str]]] = []

    @contextmanager
    def naming(key: str) -> Iterator[None]:
        about.append(key)
        yield
        about.remove(key)

    async def work(event: Appeared) -> Handled:
        said.append((event.key, tuple(about)))
        if event.key == "bug":
            raise ZeroDivisionError
        return STORED

    def report(line: Mapping[str, object]) -> None:
        said.append((str(line["outcome"]), tuple(about)))

    async def scenario() -> None:
        queue = MemoryQueue(clock)
        queue.send(told_of("one", "bug"))
        consumer = Consumer(
            queue, work, clock=clock, random=lambda: 1.0, report=report, tempo=Tempo(hands=1), about=naming
        )
        await run_for(1, consumer)

    played(scenario)
    assert said == [("one", ("one",)), ("stored", ("one",)), ("bug", ("bug",)), ("failed", ("bug",))]
    assert about == []


def test_a_day_without_the_queue_is_no_reason_to_end() -> None:
    async def scenario() -> MemoryQueue:
        queue = Failing(24 * HOUR, Refusal(Code.STORAGE_UNAVAILABLE))
        queue.send(told_of(KEY.upload_key))
        await run_for(25 * HOUR, consumer_of(queue, Work()))
        return queue

    assert played(scenario).kept == []


@pytest.mark.parametrize("error", [Refusal(Code.STORAGE_UNAVAILABLE), ValueError("a bug")])
def test_without_the_queue_the_worker_waits_longer_and_longer_and_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> Failing:
        queue = Failing(125, error)
        queue.send(told_of(KEY.upload_key))
        consumer = consumer_of(queue, Work())
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(120)
        assert consumer.alive(60)
        await asyncio.sleep(280)
        assert queue.kept == []
        consumer.stop()
        await running
        return queue

    queue = played(scenario)
    assert [round(at) for at in queue.asked[:9]] == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    told = [record for record in caplog.records if record.levelno == logging.ERROR and record.name != "asyncio"]
    assert len(told) >= (0 if isinstance(error, Refusal) else 8)


def test_a_bug_leaves_the_message_for_later_and_the_worker_at_work(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[Mapping[str, object]] = []

    async def work(event: Appeared) -> Handled:
        if event.key == "a" and clock() < 10:
            raise ZeroDivisionError
        await asyncio.sleep(0)
        return STORED

    async def scenario() -> None:
        queue = MemoryQueue(clock)
        queue.send(told_of("a"))
        queue.send(told_of("b"))
        await run_for(60, consumer_of(queue, work, lines))
        assert queue.kept == []

    played(scenario)
    told = [(line["outcome"], line["deliveries"], line.get("again_in")) for line in lines]
    assert sorted(told, key=str) == [("failed", 1, 5), ("failed", 2, 20), ("stored", 1, None), ("stored", 3, None)]
    assert caplog.messages == ["an event could not be handled"] * 2


def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand() -> None:
    async def scenario() -> float:
        queue, work = MemoryQueue(clock), Work(15)
        queue.send(told_of(KEY.upload_key))
        await run_for(1, consumer_of(queue, work))
        assert queue.kept == []
        return clock()

    assert round(played(scenario)) == 15


def test_what_is_not_finished_in_time_is_handed_back_and_taken_by_another_at_once() -> None:
    async def scenario() -> list[tuple[float, str]]:
        queue, slow, quick = MemoryQueue(clock), Work(HOUR), Work()
        queue.send(told_of("a"))
        other = consumer_of(queue, quick)
        await run_for(5, consumer_of(queue, slow))
        assert round(clock()) == 25
        await run_for(5, other)
        assert (queue.kept, slow.at_once) == ([], 0)
        return quick.began

    ((at, _),) = played(scenario)
    assert round(at) == 25


def test_what_comes_after_the_stop_is_handed_back_unseen() -> None:
    async def scenario() -> list[tuple[float, str]]:
        queue, late, other = MemoryQueue(clock), Work(), Work()
        consumer = consumer_of(queue, late)
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(1)
        consumer.stop()
        await asyncio.sleep(1)
        assert not running.done()  # a poll that is given up might still be answered
        queue.send(told_of("a"))
        await running
        assert late.began == []
        await run_for(1, consumer_of(queue, other))
        assert queue.kept == []
        return other.began

    ((at, _),) = played(scenario)
    assert round(at) == 2


def test_a_worker_with_nothing_in_hand_stops_when_its_poll_ends() -> None:
    async def scenario() -> float:
        await run_for(3, consumer_of(MemoryQueue(clock), Work()))
        return clock()

    assert round(played(scenario)) == 5


def test_a_worker_stops_in_the_middle_of_a_pause_and_with_a_queue_that_hangs() -> None:
    async def scenario() -> tuple[float, float]:
        await run_for(20, consumer_of(Failing(HOUR, Refusal(Code.STORAGE_UNAVAILABLE)), Work()))
        first = clock()
        queue, work = MemoryQueue(clock), Work(HOUR)
        queue.send(told_of("a"))
        queue.hide = lambda *_: asyncio.sleep(HOUR)  # type: ignore[method-assign] # nobody answers
        await run_for(5, consumer_of(queue, work))
        return first, clock() - first

    first, second = played(scenario)
    assert (round(first), round(second)) == (20, 5 + 20 + 5)


def test_a_worker_that_is_cancelled_hands_back_what_it_has() -> None:
    async def scenario() -> list[tuple[float, str]]:
        queue, other = MemoryQueue(clock), Work()
        queue.send(told_of("a"))
        consumer = consumer_of(queue, Work(HOUR))
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(5)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert not consumer.alive(HOUR)
        await run_for(1, consumer_of(queue, other))
        return other.began

    ((at, _),) = played(scenario)
    assert round(at) == 5


def test_a_worker_is_alive_as_long_as_its_loop_goes_round() -> None:
    async def scenario() -> list[bool]:
        queue, work = MemoryQueue(clock), Work(HOUR)
        for number in range(10):
            queue.send(told_of(str(number)))
        consumer = consumer_of(queue, work, tempo=replace(Tempo(), wait=10))
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(300)
        alive = [consumer.alive(15), consumer.alive(-1)]
        consumer.stop()
        await running
        return [*alive, consumer.alive(HOUR)]

    assert played(scenario) == [True, False, False]
