"""A queue of SQS by boto3, in threads of its own: nobody waits longer for a call than its deadline.

The permissions that the calls need are in gateway/s3/documents.py.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from gateway.errors import Code, Refusal
from gateway.s3.answers import code_of, expect, report
from gateway.s3.threads import Busy, Threads
from gateway.worker.queue import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

T = TypeVar("T")

RETRY_AFTER = 5  # seconds
LONGEST_POLL = 20  # seconds: SQS's own limit
# What SQS says of a delivery that is over: the message came again, is deleted, or was in flight for 12 hours.
_OVER = {"ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"}
_OVER |= {"InvalidParameterValue", "InvalidParameterValueException"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long calls may take, in seconds, and how often one is tried in all; a poll takes its `wait` besides."""

    threads: int = 10
    deadline: float = 10.0
    connect: float = 2.0
    read: float = 3.0
    attempts: int = 3


class SqsQueue:
    """A queue behind SQS's API, called at the origin of its URL."""

    def __init__(self, session: boto3.Session, url: str, region: str, patience: Patience | None = None) -> None:
        """Connect to nothing yet; `url` is as SQS gives it."""
        self._session = session
        self._url = url
        self._region = region
        self._patience = patience or Patience()
        self._threads = Threads(self._patience.threads, "queue")
        self._pollers = Threads(1, "queue-polls")  # of its own: it is taken for as long as nothing happens
        self._making = threading.Lock()
        self._made: dict[float, SQSClient] = {}

    async def receive(self, most: int, *, wait: int, hidden: int) -> Sequence[Message]:
        """See Queue."""
        work = partial(self._receive, most, wait, hidden)
        return await _answered(self._pollers, work, self._patience.deadline + wait)

    async def hide(self, message: Message, seconds: int) -> None:
        """See Queue."""
        await self._call(partial(self._hide, message.receipt, seconds))

    async def delete(self, message: Message) -> None:
        """See Queue."""
        await self._call(partial(self._delete, message.receipt))

    async def check(self) -> None:
        """See Queue."""
        await self._call(self._look)

    def close(self) -> None:
        """Let idle threads and connections go."""
        self._threads.close()
        self._pollers.close()
        for client in self._made.values():
            client.close()

    def _receive(self, most: int, wait: int, hidden: int) -> Sequence[Message]:
        answer = self._client(LONGEST_POLL, attempts=1).receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            VisibilityTimeout=hidden,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [_message(each) for each in answer.get("Messages", [])]

    def _hide(self, receipt: str, seconds: int) -> None:
        _unless_over(
            lambda: self._client().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )
        )

    def _delete(self, receipt: str) -> None:
        _unless_over(lambda: self._client().delete_message(QueueUrl=self._url, ReceiptHandle=receipt))

    def _look(self) -> None:
        self._client().get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    async def _call(self, work: Callable[[], T]) -> T:
        return await _answered(self._threads, work, self._patience.deadline)

    def _client(self, wait: float = 0, attempts: int | None = None) -> "SQSClient":
        """Return the client of calls that take `wait` s where all is well, made when it is first asked for."""
        with self._making:
            if wait not in self._made:
                self._made[wait] = self._make(wait, attempts or self._patience.attempts)
            return self._made[wait]

    def _make(self, wait: float, attempts: int) -> "SQSClient":
        address = urlsplit(self._url)
        config = Config(  # type: ignore[call-arg]  # the stubs do not know ignore_configured_endpoint_urls yet
            retries={"total_max_attempts": attempts, "mode": "standard"},
            connect_timeout=self._patience.connect,
            read_timeout=self._patience.read + wait,
            max_pool_connections=self._patience.threads,
            ignore_configured_endpoint_urls=True,
            proxies={},
        )
        endpoint = f"{address.scheme}://{address.netloc}"
        return self._session.client("sqs", region_name=self._region, endpoint_url=endpoint, config=config)


def _message(told: "MessageTypeDef") -> Message:
    expect(told, "Body", "ReceiptHandle", "Attributes")
    return Message(told["Body"], told["ReceiptHandle"], int(told["Attributes"]["ApproximateReceiveCount"]))


def _unless_over(call: Callable[[], object]) -> None:
    """Call about a delivery; where it is over, nothing is left to do."""
    try:
        call()
    except ClientError as error:
        if code_of(error) not in _OVER:
            raise


async def _answered(threads: Threads, work: Callable[[], T], deadline: float) -> T:
    try:
        return await threads.run(work, deadline)
    except (BotoCoreError, ClientError, ResponseParserError, TimeoutError, Busy) as error:
        report(error, "queue")
        raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER) from error
