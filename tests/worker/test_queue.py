"""One contract for every Queue: the fake that other tests use, and SQS of each server, keep the same promises."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

import pytest

from gateway.errors import Code, Refusal
from gateway.worker.queue import Message, Queue
from gateway.worker.sqs import Patience, SqsQueue
from tests.s3.subjects import session_of
from tests.servers.queues import dead_letters, with_queue
from tests.servers.s3 import S3Server
from tests.worker.memory_queue import MemoryQueue

DELIVERIES = 3  # until a message is dead
BODY = json.dumps({"Records": [], "ü": "line\nline"}, ensure_ascii=False)
A_WHILE = 20  # seconds that a loaded machine may take to show what is there already


@dataclass(frozen=True, slots=True)
class Subject:
    """A queue, who sends to it, and what lies in the one for dead letters."""

    queue: Queue
    send: Callable[[str], None]
    dead: Callable[[], Sequence[str]]


@contextmanager
def on_server(server: S3Server) -> Iterator[Subject]:
    with with_queue(server, hidden=30, deliveries=DELIVERIES) as queued, closing(queued.admin_sqs()) as sqs:
        url = queued.queue or ""
        session = session_of(queued.region, queued.access_key_id, queued.secret_access_key)
        while found := sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages"):  # S3's test event
            sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])

        def send(body: str) -> None:
            sqs.send_message(QueueUrl=url, MessageBody=body)

        def dead() -> Sequence[str]:
            found = sqs.receive_message(QueueUrl=dead_letters(queued), WaitTimeSeconds=1)
            return [message["Body"] for message in found.get("Messages", [])]

        with closing(SqsQueue(session, url, queued.region)) as queue:
            yield Subject(queue, send, dead)


@pytest.fixture(params=["memory", "ministack", "localstack"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        queue = MemoryQueue(time.monotonic, most_deliveries=DELIVERIES)
        yield Subject(queue, queue.send, lambda: queue.dead)
        return
    with on_server(request.getfixturevalue(request.param)) as found:
        yield found


async def one_of(queue: Queue, *, hidden: int = 30) -> Message:
    (message,) = await queue.receive(10, wait=A_WHILE, hidden=hidden)
    return message


async def test_a_message_is_given_as_it_was_sent(subject: Subject) -> None:
    subject.send(BODY)
    message = await one_of(subject.queue)
    assert (message.body, message.deliveries) == (BODY, 1)


async def test_an_empty_queue_gives_nothing_and_takes_its_time(subject: Subject) -> None:
    began = time.monotonic()
    assert await subject.queue.receive(10, wait=1, hidden=30) == []
    assert time.monotonic() - began > 0.8


async def test_a_wait_ends_when_a_message_comes(subject: Subject) -> None:
    receiving = asyncio.create_task(subject.queue.receive(10, wait=20, hidden=30))
    await asyncio.sleep(0)
    subject.send(BODY)
    began = time.monotonic()
    assert [message.body for message in await receiving] == [BODY]
    assert time.monotonic() - began < 15


async def test_no_more_than_were_asked_for_are_given(subject: Subject) -> None:
    for number in range(5):
        subject.send(str(number))
    found: list[str] = []
    while len(found) < 5:
        messages = await subject.queue.receive(2, wait=A_WHILE, hidden=30)
        assert 1 <= len(messages) <= 2
        found += [message.body for message in messages]
    assert sorted(found) == ["0", "1", "2", "3", "4"]


async def test_what_is_in_hand_is_hidden_from_others_and_then_comes_again(subject: Subject) -> None:
    subject.send(BODY)
    first = await one_of(subject.queue, hidden=2)
    assert await subject.queue.receive(10, wait=0, hidden=30) == []
    second = await one_of(subject.queue)
    assert (second.body, second.deliveries) == (BODY, 2)
    assert second.receipt != first.receipt


async def test_two_that_receive_at_once_get_different_messages(subject: Subject) -> None:
    for number in range(6):
        subject.send(str(number))
    found: list[str] = []
    while len(found) < 6:
        both = await asyncio.gather(*(subject.queue.receive(1, wait=A_WHILE, hidden=30) for _ in range(2)))
        found += [message.body for messages in both for message in messages]
    assert sorted(found) == ["0", "1", "2", "3", "4", "5"]


async def test_what_is_hidden_again_stays_away_longer(subject: Subject) -> None:
    subject.send(BODY)
    message = await one_of(subject.queue, hidden=1)
    await subject.queue.hide(message, 30)
    assert await subject.queue.receive(10, wait=2, hidden=30) == []


async def test_what_is_handed_back_comes_at_once(subject: Subject) -> None:
    subject.send(BODY)
    await subject.queue.hide(await one_of(subject.queue, hidden=600), 0)
    again = await one_of(subject.queue)
    assert (again.body, again.deliveries) == (BODY, 2)


async def test_what_is_deleted_never_comes_again(subject: Subject) -> None:
    subject.send(BODY)
    await subject.queue.delete(await one_of(subject.queue, hidden=1))
    assert await subject.queue.receive(10, wait=2, hidden=30) == []


async def test_a_delivery_that_is_over_hides_and_deletes_nothing_and_is_no_error(subject: Subject) -> None:
    subject.send(BODY)
    message = await one_of(subject.queue)
    await subject.queue.delete(message)
    await subject.queue.hide(message, 30)
    await subject.queue.delete(message)
    await subject.queue.hide(Message(BODY, "of nobody", 1), 30)
    subject.send("another")
    assert (await one_of(subject.queue)).body == "another"


async def test_what_was_delivered_too_often_is_dead(subject: Subject) -> None:
    subject.send(BODY)
    for deliveries in range(1, DELIVERIES + 1):
        message = await one_of(subject.queue)
        assert message.deliveries == deliveries
        await subject.queue.hide(message, 0)
    assert await subject.queue.receive(10, wait=1, hidden=30) == []
    assert await eventually(subject.dead) == [BODY]


async def eventually(dead: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Look until there is something: a server may take its time to move what is dead."""
    async with asyncio.timeout(A_WHILE):
        while not (found := await asyncio.to_thread(dead)):
            pass  # a look at a real queue waits for a second
        return found


async def test_a_queue_that_is_there_is_reached(subject: Subject) -> None:
    await subject.queue.check()


@contextmanager
def silent() -> Iterator[str]:
    """Give the URL of a queue whose server takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/000000000000/gateway-events"


@contextmanager
def nobody() -> Iterator[str]:
    """Give the URL of a queue whose server is not there."""
    with silent() as url:
        pass
    yield url


@pytest.mark.parametrize("place", [silent, nobody])
@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.receive(10, wait=0, hidden=30),
        lambda queue: queue.hide(Message(BODY, "receipt", 1), 30),
        lambda queue: queue.delete(Message(BODY, "receipt", 1)),
        lambda queue: queue.check(),
    ],
)
async def test_a_queue_that_does_not_answer_is_refused_in_time_and_told_without_its_address(
    place: Callable[[], AbstractContextManager[str]],
    call: Callable[[SqsQueue], Awaitable[object]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = session_of("us-east-1", "AKIAIOSFODNN7EXAMPLE", "a-secret-access-key-of-nobody")
    with place() as url, closing(SqsQueue(session, url, "us-east-1", Patience(deadline=0.5, attempts=1))) as queue:
        began = time.monotonic()
        with pytest.raises(Refusal) as caught:
            await call(queue)
        assert time.monotonic() - began < 15
    assert (caught.value.code, caught.value.retry_after) == (Code.STORAGE_UNAVAILABLE, 5)
    (record,) = [record for record in caplog.records if record.name.startswith("gateway")]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("the queue does not answer: ")
    assert "127.0.0.1" not in caplog.text.partition("Traceback")[0]


async def test_a_queue_that_is_not_there_is_refused_and_told(
    ministack: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{ministack.endpoint}/000000000000/no-such-queue"
    session = session_of(ministack.region, ministack.admin.access_key_id, ministack.admin.secret_access_key)
    with closing(SqsQueue(session, url, ministack.region)) as queue:
        with pytest.raises(Refusal, match="storage-unavailable"):
            await queue.check()
        with pytest.raises(Refusal, match="storage-unavailable"):
            await queue.receive(1, wait=0, hidden=30)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("NonExistentQueue" in message for message in caplog.messages)
    assert [message for message in caplog.messages if "bucket" in message or "region" in message] == []


async def test_the_user_of_the_gateway_may_do_no_more_to_its_queue(ministack: S3Server) -> None:
    with with_queue(ministack) as queued, closing(queued.sqs()) as sqs:
        with pytest.raises(sqs.exceptions.ClientError, match="AccessDenied"):
            sqs.send_message(QueueUrl=queued.queue or "", MessageBody="{}")
        with pytest.raises(sqs.exceptions.ClientError, match="AccessDenied"):
            sqs.purge_queue(QueueUrl=queued.queue or "")
        with pytest.raises(sqs.exceptions.ClientError, match="AccessDenied"):
            sqs.receive_message(QueueUrl=dead_letters(queued))


def test_the_environment_moves_no_queue(monkeypatch: pytest.MonkeyPatch, ministack: S3Server) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    session = session_of(ministack.region, ministack.access_key_id, ministack.secret_access_key)
    with closing(SqsQueue(session, ministack.queue or "", ministack.region)) as queue:
        asyncio.run(queue.check())
