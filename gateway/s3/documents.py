"""What the bucket and the queue of its events must be told, and the policies of the users or roles the gateway runs as.

Each document is a plain dict as S3, SQS and IAM take it. `infra/template.yaml` says the same in CloudFormation, and a
test keeps the two equal.
"""

from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]

# An explicit list: LocalStack does not know `x-amz-*`, and `*` would let a page send any x-amz header it likes.
ALLOWED_HEADERS = (
    "content-md5",
    "content-type",
    "if-none-match",
    "x-amz-checksum-sha256",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-meta-grant",
)
ALLOWED_METHODS = ("GET", "HEAD", "PUT", "POST")
EXPOSED_HEADERS = ("ETag", "Location")
CORS_MAX_AGE = 3600  # seconds; browsers cap it at 2 h (Chromium) or 24 h (Firefox)
INCOMING_DAYS = 9  # the longest ticket, 7 days, and 2 more
HIDDEN_SECONDS = 60  # a message from others, while a worker that then dies had it in hand
KEPT_SECONDS = 14 * 86_400  # an event that nobody took; the most that SQS allows (CreateQueue, MessageRetentionPeriod)
WAIT_SECONDS = 10  # of long polling, of at most 20 (CreateQueue, ReceiveMessageWaitTimeSeconds)
MOST_DELIVERIES = 12  # of one event; then it is set aside


def cors(origins: Sequence[str]) -> Document:
    """Let pages of exactly these `origins` upload and read, and see what S3 answers (a `CORSConfiguration`)."""
    return {
        "CORSRules": [
            {
                "AllowedOrigins": list(origins),
                "AllowedMethods": list(ALLOWED_METHODS),
                "AllowedHeaders": list(ALLOWED_HEADERS),
                "ExposeHeaders": list(EXPOSED_HEADERS),
                "MaxAgeSeconds": CORS_MAX_AGE,
            }
        ]
    }


def lifecycle(incoming_days: int = INCOMING_DAYS) -> Document:
    """Empty `incoming/` after `incoming_days`, and free the parts of multipart uploads that nobody completed.

    Nothing else frees a key under `incoming/`. Under `objects/`, multipart uploads are copies that were left half done.
    """
    unfinished = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": incoming_days}}
    return {
        "Rules": [
            {
                "ID": "empty-incoming",
                "Status": "Enabled",
                "Filter": {"Prefix": "incoming/"},
                "Expiration": {"Days": incoming_days},
                **unfinished,
            },
            {"ID": "abort-copies", "Status": "Enabled", "Filter": {"Prefix": "objects/"}, **unfinished},
        ]
    }


def bucket_policy(bucket: str, *, require_tls: bool) -> Document:
    """Refuse any signature but version 4 and, with `require_tls`, any request over plain http."""
    everything = [_bucket(bucket), _bucket(bucket) + "/*"]
    refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    # https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    # Null: MiniStack does not know the key, and where it is absent StringNotEquals alone would refuse everything.
    old_signature = {
        "Null": {"s3:signatureversion": "false"},
        "StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"},
    }
    statements = [{"Sid": "OnlySignatureVersion4", **refused, "Condition": old_signature}]
    if require_tls:
        plain_http = {"Bool": {"aws:SecureTransport": "false"}}
        statements.append({"Sid": "OnlyTls", **refused, "Condition": plain_http})
    return {"Version": "2012-10-17", "Statement": statements}


def api_policy(bucket: str) -> Document:
    """Exactly the actions that the gateway takes on its bucket, for the user or role it runs as."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            # Without ListBucket S3 answers 403 for a missing key; with a condition on the prefix it refuses HeadBucket.
            {
                "Sid": "List",
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                "Resource": [_bucket(bucket)],
            },
            {
                "Sid": "ReadAndWrite",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
                "Resource": [f"{_bucket(bucket)}/incoming/*", f"{_bucket(bucket)}/objects/*"],
            },
            {
                "Sid": "Delete",
                "Effect": "Allow",
                "Action": ["s3:DeleteObject"],
                "Resource": [f"{_bucket(bucket)}/objects/*"],
            },
        ],
    }


def notifications(queue_arn: str) -> Document:
    """Tell the queue of every object that appears under `incoming/` (a `NotificationConfiguration`)."""
    return {
        "QueueConfigurations": [
            {
                "Id": "incoming",
                "QueueArn": queue_arn,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "incoming/"}]}},
            }
        ]
    }


def queue_attributes(
    dead_letter_arn: str, *, hidden: int = HIDDEN_SECONDS, deliveries: int = MOST_DELIVERIES
) -> Document:
    """Keep events, hide those in hand for `hidden` seconds, and set aside what was delivered `deliveries` times."""
    return {
        "VisibilityTimeout": hidden,
        "ReceiveMessageWaitTimeSeconds": WAIT_SECONDS,
        **dead_letter_attributes(),
        "RedrivePolicy": {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": deliveries},
    }


def dead_letter_attributes() -> Document:
    """Keep what was set aside; its age goes on from when it was sent, so that this is no longer than the other's."""
    return {"MessageRetentionPeriod": KEPT_SECONDS}


def queue_policy(queue_arn: str, bucket: str) -> Document:
    """Let S3 send the events of this bucket, of the queue's own account, and nobody anything else."""
    # The account too: a bucket's name can be somebody else's later.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "EventsOfTheBucket",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": ["sqs:SendMessage"],
                "Resource": [queue_arn],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": _bucket(bucket)},
                    "StringEquals": {"aws:SourceAccount": queue_arn.split(":")[4]},
                },
            }
        ],
    }


def worker_policy(queue_arn: str) -> Document:
    """Exactly the actions that the worker takes on its queue; on the bucket it takes those of the API."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Consume",
                "Effect": "Allow",
                "Action": [
                    "sqs:ReceiveMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                ],
                "Resource": [queue_arn],
            }
        ],
    }


def _bucket(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"
