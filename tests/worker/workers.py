"""`gateway worker` as processes over a bucket with a queue of its own, and an application that hears of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from gateway.cli.dev_files import as_variables
from tests.cli.commands import Running
from tests.crashes.journeys import FLAGS
from tests.gateways import SECRET_KEY
from tests.servers.queues import dead_letters, with_queue
from tests.servers.receivers import Receiver
from tests.servers.s3 import S3Server
from tests.worker.forks import forked

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE = 90.0  # seconds that a loaded machine may take for anything


@contextmanager
def queued(server: S3Server, *, hidden: int = 60, deliveries: int = 12) -> Iterator[S3Server]:
    """Give the server with a bucket and an empty queue of a test's own."""
    with with_queue(server, hidden=hidden, deliveries=deliveries) as found:
        found.admin_sqs().purge_queue(QueueUrl=str(found.queue))  # of what S3 sends to try it
        yield found


def variables(server: S3Server, receiver: Receiver, **more: object) -> dict[str, str]:
    """Return the environment of a worker whose application listens at the receiver."""
    webhook = {"url": f"http://127.0.0.1:{receiver.port}/heard", "secrets": [WEBHOOK_SECRET]}
    settings: dict[str, Any] = {
        **FLAGS,
        "secret_keys": [SECRET_KEY],
        "tenants": {"default": {**FLAGS["tenants"]["default"], "webhook": webhook}},
        "bucket": server.bucket,
        "region": server.region,
        "storage_endpoint": server.endpoint,
        "events_queue": server.queue,
        "webhook_networks": ["127.0.0.0/8"],
        **more,
    }
    credentials = {"AWS_ACCESS_KEY_ID": server.access_key_id, "AWS_SECRET_ACCESS_KEY": server.secret_access_key}
    return {**as_variables(settings), **credentials}


@asynccontextmanager
async def working(
    env: Mapping[str, str], *flags: str, run: Callable[..., AbstractContextManager[Running]] = forked
) -> AsyncIterator[Running]:
    """Run a worker that has begun to work; it is ended at the end, as it comes."""
    with run("worker", "--port", "0", *flags, env=env) as command:
        await asyncio.to_thread(command.wait_for, lambda line: '"working"' in line, PATIENCE)
        try:
            yield command
        finally:
            command.process.kill()


async def ended(command: Running) -> int:
    """Wait until a worker has ended, and return its exit code."""
    return await asyncio.to_thread(command.process.wait, PATIENCE)


async def told_to_stop(command: Running) -> None:
    """Wait until a worker knows that it has to stop."""
    await asyncio.to_thread(command.wait_for, lambda line: '"stopping"' in line, PATIENCE)


def lines(command: Running) -> list[dict[str, Any]]:
    """Return the lines of the log; each has to be a JSON object."""
    assert command.stdout == []
    return [json.loads(line) for line in command.stderr]


def address(command: Running) -> str:
    """Return where health and metrics are."""
    (line,) = [line for line in lines(command) if line["event"] == "working"]
    return f"http://{line['health']}"


def hold(receiver: Receiver) -> asyncio.Event:
    """Have an application answer nothing until the event is set."""
    released, usual = asyncio.Event(), receiver.answer

    async def wait(writer: asyncio.StreamWriter) -> None:
        await released.wait()
        await usual(writer)

    receiver.answer = wait
    return released


def heard(receiver: Receiver) -> list[tuple[str, str]]:
    """Return the type and the id of what an application was told, in order."""
    return [(json.loads(told.body)["type"], told.headers["webhook-id"]) for told in receiver.received]


async def until(so: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is so, in this process or in another."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(so):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)


def waiting(sqs: "SQSClient", queue: str) -> int:
    """Count the messages of a queue, those in hand included."""
    names: Sequence[Literal["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


async def until_quiet(server: S3Server) -> None:
    """Wait until nothing waits in the queue, and see that nothing was set aside."""
    sqs = server.admin_sqs()
    await until(lambda: waiting(sqs, str(server.queue)) == 0)
    assert await asyncio.to_thread(waiting, sqs, dead_letters(server)) == 0
    sqs.close()
