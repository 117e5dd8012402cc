"""For development and tests: bucket, queue and a least-privileged user, as `gateway.s3.documents` wants them."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from gateway.s3 import documents

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

USER = "gateway"
QUEUE = "gateway-events"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair that signs requests; the secret stays out of representations."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def s3_client(endpoint: str, region: str, key: AccessKey) -> "S3Client":
    """Speak S3 to `endpoint` with `key`: signature version 4, path style, three attempts."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 3})
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=config,
    )


def iam_client(endpoint: str, region: str, key: AccessKey) -> "IAMClient":
    """Speak IAM to `endpoint` with `key`."""
    return boto3.client(
        "iam",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )


def sqs_client(endpoint: str, region: str, key: AccessKey) -> "SQSClient":
    """Speak SQS to `endpoint` with `key`."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )


def make_bucket(s3: "S3Client", bucket: str, origins: Sequence[str], *, require_tls: bool = False) -> None:
    """Create `bucket` if need be, and (again) make it private with its CORS, lifecycle and policy."""
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        if s3.meta.region_name == "us-east-1":
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})  # type: ignore[typeddict-item] # any region
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=documents.cors(origins))  # type: ignore[arg-type] # plain dicts
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=documents.lifecycle())  # type: ignore[arg-type] # plain dicts
    policy = documents.bucket_policy(bucket, require_tls=require_tls)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@dataclass(frozen=True, slots=True)
class EventsQueue:
    """A queue that hears of what appears under `incoming/`, and the one beside it for what is set aside."""

    url: str
    arn: str
    dead_letter_url: str


def make_queue(  # noqa: PLR0913 - two clients, two names, two numbers
    sqs: "SQSClient",
    s3: "S3Client",
    bucket: str,
    name: str = QUEUE,
    *,
    hidden: int = documents.HIDDEN_SECONDS,
    deliveries: int = documents.MOST_DELIVERIES,
) -> EventsQueue:
    """Create the queue `name` and `<name>-dead` if need be, and (again) tell the bucket to send its events there.

    `hidden` is in seconds; after `deliveries` an event is set aside.
    """
    dead_letter_url, dead_letter_arn = _queue(sqs, f"{name}-dead")
    url, arn = _queue(sqs, name)
    _set_attributes(sqs, dead_letter_url, documents.dead_letter_attributes())
    attributes = documents.queue_attributes(dead_letter_arn, hidden=hidden, deliveries=deliveries)
    _set_attributes(sqs, url, {**attributes, "Policy": documents.queue_policy(arn, bucket)})
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration=documents.notifications(arn),  # type: ignore[arg-type] # a plain dict
    )
    return EventsQueue(url, arn, dead_letter_url)


def queue_url(endpoint: str, given: str) -> str:
    """Return the URL of a queue at the address where its server is called.

    Servers on one's own machine may name themselves by a host that only the public DNS knows.
    """
    return endpoint + urlsplit(given).path


def _queue(sqs: "SQSClient", name: str) -> tuple[str, str]:
    """Create a queue if need be; return its URL and its ARN."""
    url = queue_url(sqs.meta.endpoint_url, sqs.create_queue(QueueName=name)["QueueUrl"])
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def _set_attributes(sqs: "SQSClient", url: str, attributes: documents.Document) -> None:
    """Set them: SQS takes each as a text. Given while a queue is created, others than before would be an error."""
    texts = {name: json.dumps(value) for name, value in attributes.items()}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=texts)  # type: ignore[arg-type] # plain names


def make_user(iam: "IAMClient", bucket: str, queue_arn: str | None = None, *, user: str = USER) -> AccessKey:
    """Create the gateway's user if need be, set its policies, revoke its older access keys, and answer a fresh one.

    With a queue it may run the worker as well.
    """
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=user)
    policies = {"gateway-api": documents.api_policy(bucket)}
    if queue_arn is not None:
        policies["gateway-worker"] = documents.worker_policy(queue_arn)
    for name, policy in policies.items():
        iam.put_user_policy(UserName=user, PolicyName=name, PolicyDocument=json.dumps(policy))
    return fresh_access_key(iam, user)


def fresh_access_key(iam: "IAMClient", user: str) -> AccessKey:
    """Revoke the access keys of `user` and answer a new one."""
    for old in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=old["AccessKeyId"])
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
