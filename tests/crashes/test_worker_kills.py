"""A worker is killed after every step, and another takes over: one object, one announcement, an empty queue."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from gateway.crashes import Crashing
from gateway.s3.sigv4 import Credentials
from gateway.wiring import Worker, create_worker
from gateway.worker.consumer import Consumer, Tempo
from tests.crashes.journeys import (
    FLAGS,
    POLICIES,
    Arrived,
    Journey,
    by_form,
    by_put,
    check_bucket,
    in_parts,
    untruthful,
)
from tests.crashes.processes import ENDED_WITHIN, running
from tests.crashes.test_api_kills import KILLED, REMOVALS, Removal, check_gone, kill, kill_removing, steps_between
from tests.gateways import make_app, settings
from tests.http.routes.conftest import speaking
from tests.servers import clamd
from tests.servers.queues import dead_letters, with_queue
from tests.servers.receivers import Receiver, receiving
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

TEMPO = Tempo(wait=1, hidden=2)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Flags = Mapping[str, Any]


def make_worker(server: S3Server, flags: Flags) -> Worker:
    return create_worker(
        settings(server, **flags),
        flags["events_queue"],
        Credentials(server.access_key_id, server.secret_access_key),
        clock=time.time,
        stopwatch=time.monotonic,
        report=lambda _: None,
        tempo=TEMPO,
    )


def work(server: S3Server, flags: Flags) -> None:
    """Work as `gateway worker` does, until killed."""
    asyncio.run(make_worker(server, flags).consumer.run())


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with clamd.running(tmp_path_factory.mktemp("clamd")) as server:
        yield server.socket


@pytest.fixture
def server(ministack: S3Server) -> Iterator[S3Server]:
    with with_queue(ministack, hidden=TEMPO.hidden) as server:
        server.admin_sqs().purge_queue(QueueUrl=str(server.queue))  # of what S3 sends to try the queue
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def flags(server: S3Server, scanner: Path, receiver: Receiver) -> Flags:
    """Have small files scanned, and the application told of all."""
    policies = {**POLICIES, "default": {**POLICIES["default"], "scan": True}}
    default = {**FLAGS["tenants"]["default"], "policies": policies}
    webhook = {"url": f"http://127.0.0.1:{receiver.port}/", "secrets": [SECRET]}
    return {
        **FLAGS,
        "tenants": {"default": {**default, "webhook": webhook}},
        "events_queue": server.queue,
        "clamd_socket": scanner,
        "webhook_networks": ["127.0.0.0/8"],
    }


@pytest.fixture
async def client(server: S3Server, flags: Flags) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(server, **flags)
    async with speaking(app) as client:
        yield client
    await app.state.gateway.close()


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - the store speaks http
        yield client


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """Run the worker's loop anew: what it stands on may be used again and again."""
    consumer = Consumer(
        worker.queue,
        worker.consumer._handle,
        clock=time.monotonic,
        random=lambda: 0.5,
        report=lambda _: None,
        tempo=TEMPO,
    )
    working = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        consumer.stop()
        await working


def ids(receiver: Receiver, arrived: Arrived) -> list[str]:
    """List the announcements of one upload."""
    return [told.headers["webhook-id"] for told in receiver.received if arrived.key.name.encode() in told.body]


async def until_all_is_done(server: S3Server, receiver: Receiver, arrived: Arrived, *, announced: bool = True) -> None:
    """Wait until the upload was announced, if it is, and nothing waits in the queue, in hand or not."""
    sqs = server.admin_sqs()
    assert server.queue is not None
    async with asyncio.timeout(ENDED_WITHIN):
        while (announced and not ids(receiver, arrived)) or await asyncio.to_thread(waiting, sqs, server.queue) > 0:  # noqa: ASYNC110 - in other processes
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(waiting, sqs, dead_letters(server)) == 0


def waiting(sqs: "SQSClient", queue: str) -> int:
    """Count the messages of a queue, those in hand included."""
    names: Sequence[Literal["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


async def arrive(journey: Journey, client: httpx.AsyncClient, bucket: httpx.AsyncClient, server: S3Server) -> Arrived:
    """Upload; parts are joined by an API that dies of it."""
    arrived = await journey(client, bucket)
    if journey is in_parts:
        await kill(server, arrived, "storage.complete_upload:1")
    return arrived


# What leaves the world other than it was. To die after a mere look is to die after the change before it: of one kind of
# upload every step is taken nevertheless.
CHANGES = ("storage.c", "storage.put", "storage.abort", "storage.delete", "scanner.", "announcer.", "queue.")
SHARES = [
    (by_put, 0, 3),
    (by_put, 1, 3),
    (by_put, 2, 3),
    (untruthful, 0, 1),
    (in_parts, 0, 1),
    (by_form, 0, 2),
    (by_form, 1, 2),
]


@pytest.mark.threat(33)
@pytest.mark.parametrize(("journey", "first", "shares"), SHARES)
async def test_a_worker_that_is_killed_after_any_step_leaves_what_another_brings_to_its_end(  # noqa: PLR0913, PLR0917 - what takes part
    server: S3Server,
    flags: Flags,
    receiver: Receiver,
    client: httpx.AsyncClient,
    bucket: httpx.AsyncClient,
    journey: Journey,
    first: int,
    shares: int,
) -> None:
    worker = make_worker(server, {**flags, "crash_at": "none.never:1"})
    arrived = await arrive(journey, client, bucket, server)
    steps = await steps_of(worker, server, receiver, arrived)
    assert {"storage.put:1", "announcer.announce:1", "queue.delete:1"} <= set(steps)
    taken = steps if journey is by_put else [step for step in steps if step.startswith(CHANGES)]
    for step in taken[first::shares]:
        arrived = await arrive(journey, client, bucket, server)
        with running(work, server, {**flags, "crash_at": step}) as process:
            await asyncio.to_thread(process.join, ENDED_WITHIN)
            assert process.exitcode == KILLED, step
        async with at_work(worker):
            await until_all_is_done(server, receiver, arrived)
        check_bucket(server, arrived)
        assert len(set(ids(receiver, arrived))) == 1, step
    worker.close()


async def steps_of(worker: Worker, server: S3Server, receiver: Receiver, arrived: Arrived) -> list[str]:
    """Have a worker do its work undisturbed, and name every step of it, as a fresh process counts them."""
    storage, queue = worker.foundation.storage, worker.queue
    assert isinstance(storage, Crashing)
    assert isinstance(queue, Crashing)
    async with at_work(worker):
        await until_all_is_done(server, receiver, arrived)
    check_bucket(server, arrived)
    assert len(set(ids(receiver, arrived))) == 1
    deletions = [f"queue.delete:{number + 1}" for number in range(queue.calls["delete"])]
    scans = ["scanner.is_clean:1"] if arrived.key.policy == "default" and arrived.body is not None else []
    return [*steps_between(storage, {}), "queue.receive:1", *scans, "announcer.announce:1", *deletions]


@pytest.mark.threat(3)
@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS)
async def test_what_an_api_died_of_removing_is_removed_by_a_worker(  # noqa: PLR0913, PLR0917 - what takes part
    server: S3Server,
    flags: Flags,
    receiver: Receiver,
    client: httpx.AsyncClient,
    bucket: httpx.AsyncClient,
    removal: Removal,
) -> None:
    worker = make_worker(server, flags)
    arrived = await by_put(client, bucket)
    if removal.stored:
        async with at_work(worker):
            await until_all_is_done(server, receiver, arrived)
    await kill_removing(server, removal.path(arrived), "storage.put:1")
    async with at_work(worker):
        await until_all_is_done(server, receiver, arrived, announced=removal.stored)
    check_gone(server, arrived, removal)
    told = [json.loads(each.body)["type"] for each in receiver.received]
    assert told == (["upload.stored", "object.deleted"] if removal.stored else [])
    worker.close()
