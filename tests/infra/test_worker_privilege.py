"""With exactly its policy the worker can take events from its queue, and do nothing else with queues."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.cli.provision import make_user
from gateway.s3 import documents
from tests.servers.queues import dead_letters, with_queue
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Call = Callable[["SQSClient", S3Server], Mapping[str, Any]]


@pytest.fixture(scope="module")
def queued(ministack: S3Server) -> Iterator[S3Server]:
    with with_queue(ministack) as server:
        yield server


def in_hand(server: S3Server) -> dict[str, str]:
    """Send a message and take it, as someone who may do anything."""
    sqs, url = server.admin_sqs(), str(server.queue)
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    return {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}


NEEDED: Mapping[str, Call] = {
    "take": lambda sqs, s: sqs.receive_message(QueueUrl=str(s.queue), WaitTimeSeconds=0, VisibilityTimeout=0),
    "hide": lambda sqs, s: sqs.change_message_visibility(**in_hand(s), VisibilityTimeout=7),
    "delete": lambda sqs, s: sqs.delete_message(**in_hand(s)),
    "check": lambda sqs, s: sqs.get_queue_attributes(QueueUrl=str(s.queue), AttributeNames=["QueueArn"]),
}
FORBIDDEN: Mapping[str, Call] = {
    "send": lambda sqs, s: sqs.send_message(QueueUrl=str(s.queue), MessageBody="{}"),
    "empty": lambda sqs, s: sqs.purge_queue(QueueUrl=str(s.queue)),
    "change": lambda sqs, s: sqs.set_queue_attributes(QueueUrl=str(s.queue), Attributes={"VisibilityTimeout": "1"}),
    "remove": lambda sqs, s: sqs.delete_queue(QueueUrl=str(s.queue)),
    "take what was set aside": lambda sqs, s: sqs.receive_message(QueueUrl=dead_letters(s), WaitTimeSeconds=0),
    "make a queue": lambda sqs, _: sqs.create_queue(QueueName=f"other-{secrets.token_hex(8)}"),
    "list queues": lambda sqs, _: sqs.list_queues(),
}


@pytest.mark.threat(19)
@pytest.mark.parametrize("purpose", NEEDED)
def test_the_worker_can(queued: S3Server, purpose: str) -> None:
    assert NEEDED[purpose](queued.sqs(), queued)["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.threat(19)
@pytest.mark.parametrize("purpose", FORBIDDEN)
def test_the_worker_cannot(queued: S3Server, purpose: str) -> None:
    assert is_denied(queued, FORBIDDEN[purpose])


@pytest.mark.threat(19)
@pytest.mark.parametrize("purpose", NEEDED)
def test_the_api_cannot(queued: S3Server, purpose: str) -> None:
    user = make_user(queued.admin_iam(), queued.bucket, user=f"api-{secrets.token_hex(8)}")
    api = replace(queued, access_key_id=user.access_key_id, secret_access_key=user.secret_access_key)
    assert is_denied(api, NEEDED[purpose])


[STATEMENT] = documents.worker_policy("the queue")["Statement"]


@pytest.mark.threat(19)
@pytest.mark.parametrize("spared", STATEMENT["Action"])
def test_without_any_one_permission_the_worker_cannot(queued: S3Server, spared: str) -> None:
    iam, name = queued.admin_iam(), f"lesser-{secrets.token_hex(8)}"
    arn = queued.admin_sqs().get_queue_attributes(QueueUrl=str(queued.queue), AttributeNames=["QueueArn"])
    left = [action for action in STATEMENT["Action"] if action != spared]
    document = documents.worker_policy(arn["Attributes"]["QueueArn"])
    document["Statement"][0]["Action"] = left
    user = make_user(iam, queued.bucket, user=name)
    iam.put_user_policy(UserName=name, PolicyName="lesser", PolicyDocument=json.dumps(document))
    lesser = replace(queued, access_key_id=user.access_key_id, secret_access_key=user.secret_access_key)
    denied = [purpose for purpose, call in NEEDED.items() if is_denied(lesser, call)]
    assert len(denied) == 1


def is_denied(server: S3Server, call: Call) -> bool:
    try:
        call(server.sqs(), server)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False
