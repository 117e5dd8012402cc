"""What a queue hears of its bucket on each server that has queues, and the rows of `known` about queues."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from gateway.cli.provision import make_queue, make_user
from gateway.s3 import documents
from gateway.setting_values import check_queue_url
from gateway.worker.events import Appeared, appeared
from tests.servers.known import NOT_ENFORCED_OF_QUEUES, enforces
from tests.servers.queues import dead_letters, with_queue
from tests.servers.s3 import S3Server

DELIVERIES = 2
PATIENCE = 60.0  # seconds that an event may take; below 1 is usual


@pytest.fixture(params=["ministack", "localstack"])
def queued(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    with with_queue(request.getfixturevalue(request.param), deliveries=DELIVERIES) as server:
        yield server


def key(prefix: str = "incoming") -> str:
    return f"{prefix}/t/p/{secrets.token_hex(16)}.txt"


def put(server: S3Server, at: str, body: bytes = b"some") -> str:
    return server.s3().put_object(Bucket=server.bucket, Key=at, Body=body)["ETag"]


def post(server: S3Server, at: str) -> str:
    form = server.s3().generate_presigned_post(server.bucket, at)
    answer = httpx.post(form["url"], data=form["fields"], files={"file": b"posted"})
    assert answer.status_code in {201, 204}
    return answer.headers["etag"]


def copy(server: S3Server, at: str) -> str:
    put(server, source := key("objects"))
    return server.s3().copy_object(Bucket=server.bucket, Key=at, CopySource=f"{server.bucket}/{source}")[
        "CopyObjectResult"
    ]["ETag"]


def join(server: S3Server, at: str) -> str:
    names = {"Bucket": server.bucket, "Key": at}
    upload = {**names, "UploadId": server.s3().create_multipart_upload(**names)["UploadId"]}  # type: ignore[arg-type] # strings
    part = server.s3().upload_part(**upload, PartNumber=1, Body=b"part")  # type: ignore[arg-type] # as above
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return server.s3().complete_multipart_upload(**upload, MultipartUpload=parts)["ETag"]  # type: ignore[arg-type] # as above


def refused_put(server: S3Server, at: str) -> str:
    etag = put(server, at)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        server.s3().put_object(Bucket=server.bucket, Key=at, Body=b"more", IfNoneMatch="*")
    return etag


def write_over(server: S3Server, at: str) -> str:
    return server.s3().put_object(Bucket=server.bucket, Key=at, Body=b"marker", IfMatch=put(server, at))["ETag"]


WAYS: Mapping[str, Callable[[S3Server, str], str]] = {
    "put": put,
    "post": post,
    "copy": copy,
    "join parts": join,
    "a second put is refused": refused_put,
}


def taken(server: S3Server, url: str) -> list[dict[str, Any]]:
    """Take messages that are there, or come within a second, out of a queue."""
    sqs = server.admin_sqs()
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10)
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [dict(message) for message in answer.get("Messages", [])]


def bodies(server: S3Server, count: int) -> list[str]:
    """Take messages until `count` of them tell of objects, and once more."""
    found: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        found += [message["Body"] for message in taken(server, str(server.queue)) if appeared(message["Body"])]
    return found + [message["Body"] for message in taken(server, str(server.queue))]


def test_the_queue_hears_of_each_object_once_whichever_way_it_came(queued: S3Server) -> None:
    made = {at: way(queued, at) for way, at in ((way, key()) for way in WAYS.values())}
    told = [event for body in bodies(queued, len(made)) for event in appeared(body)]
    assert sorted(told, key=lambda event: event.key) == [
        Appeared(at, etag.strip('"')) for at, etag in sorted(made.items())
    ]


def test_what_is_written_over_an_object_is_told_as_well(queued: S3Server) -> None:
    marker = write_over(queued, at := key())
    told = [event for body in bodies(queued, 2) for event in appeared(body)]
    assert {event.key for event in told} == {at}
    assert len(told) == 2
    assert marker.strip('"') in {event.etag for event in told}


def test_the_url_of_the_queue_is_one_that_the_settings_take_and_leads_where_the_bucket_is(queued: S3Server) -> None:
    assert check_queue_url(str(queued.queue)).startswith(f"{queued.endpoint}/")


def test_a_key_that_is_quoted_comes_as_it_was(queued: S3Server) -> None:
    put(queued, at := "incoming/a b+c/ü&?.txt")
    assert [event.key for body in bodies(queued, 1) for event in appeared(body)] == [at]


def test_a_queue_that_is_made_again_keeps_its_messages_and_takes_new_numbers(queued: S3Server) -> None:
    put(queued, at := key())
    sqs, name = queued.admin_sqs(), str(queued.queue).rpartition("/")[2]
    again = make_queue(sqs, queued.admin_s3(), queued.bucket, name, hidden=7, deliveries=9)
    assert (again.url, again.dead_letter_url) == (queued.queue, dead_letters(queued))
    attributes = sqs.get_queue_attributes(QueueUrl=again.url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "7"
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 9
    assert [event.key for body in bodies(queued, 1) for event in appeared(body)] == [at]


def most_deliveries(server: S3Server) -> bool:
    """Whether an event that is handed back again and again is set aside after so many times."""
    put(server, at := key())
    sqs, url, seen = server.sqs(), str(server.queue), 0
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            seen += [event.key for event in appeared(message["Body"])].count(at)
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        aside = [event for message in taken(server, dead_letters(server)) for event in appeared(message["Body"])]
        if aside:
            return [event.key for event in aside] == [at] and seen == DELIVERIES
    return False


def who_may_send(server: S3Server) -> bool:
    """Whether events go to no queue that does not let them."""
    sqs, name = server.admin_sqs(), f"closed-{secrets.token_hex(8)}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    try:
        server.admin_s3().put_bucket_notification_configuration(
            Bucket=server.bucket,
            NotificationConfiguration=documents.notifications(arn),  # type: ignore[arg-type] # a plain dict
        )
    except ClientError:
        return True
    finally:
        sqs.delete_queue(QueueUrl=url)
    return False


def who_may_take(server: S3Server) -> bool:
    """Whether a user without the worker's policy is refused."""
    name = f"api-only-{secrets.token_hex(8)}"
    user = make_user(server.admin_iam(), server.bucket, user=name)
    other = replace(server, access_key_id=user.access_key_id, secret_access_key=user.secret_access_key)
    try:
        other.sqs().receive_message(QueueUrl=str(server.queue), WaitTimeSeconds=0, VisibilityTimeout=0)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


def sequencers_in_order(server: S3Server) -> bool:
    """Whether what was written later to a key has the greater sequencer (AWS: "Event message structure")."""
    at = key()
    etags = [put(server, at, b"first"), put(server, at, b"second")]
    records = [record for body in bodies(server, 2) for record in json.loads(body).get("Records", [])]
    sequencers = {record["s3"]["object"]["eTag"]: record["s3"]["object"]["sequencer"] for record in records}
    first, second = (str(sequencers[etag.strip('"')]) for etag in etags)
    return first.zfill(len(second)) < second.zfill(len(first))


PROBES: Mapping[str, Callable[[S3Server], bool]] = {
    "who may send to a queue": who_may_send,
    "who may take from a queue": who_may_take,
    "sequencers tell the order of events": sequencers_in_order,
    "most deliveries": most_deliveries,
}


@pytest.mark.parametrize("feature", NOT_ENFORCED_OF_QUEUES)
def test_a_server_does_with_queues_what_the_table_says(queued: S3Server, feature: str) -> None:
    assert PROBES[feature](queued) is enforces(queued, feature)
