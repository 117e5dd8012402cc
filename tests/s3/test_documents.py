"""The bucket's documents, pinned; what servers make of them is in tests/infra."""

from gateway.s3 import documents


def test_pages_of_exactly_these_origins_may_send_exactly_what_a_ticket_signs() -> None:
    assert documents.cors(["https://app.example", "https://www.example"]) == {
        "CORSRules": [
            {
                "AllowedOrigins": ["https://app.example", "https://www.example"],
                "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
                "AllowedHeaders": [
                    "content-md5",
                    "content-type",
                    "if-none-match",
                    "x-amz-checksum-sha256",
                    "x-amz-sdk-checksum-algorithm",
                    "x-amz-meta-grant",
                ],
                "ExposeHeaders": ["ETag", "Location"],
                "MaxAgeSeconds": 3600,
            }
        ]
    }


def test_incoming_is_emptied_and_unfinished_parts_are_freed_two_days_after_the_longest_ticket() -> None:
    assert documents.lifecycle() == {
        "Rules": [
            {
                "ID": "empty-incoming",
                "Status": "Enabled",
                "Filter": {"Prefix": "incoming/"},
                "Expiration": {"Days": 9},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 9},
            },
            {
                "ID": "abort-copies",
                "Status": "Enabled",
                "Filter": {"Prefix": "objects/"},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 9},
            },
        ]
    }


def test_the_bucket_refuses_old_signatures_and_where_asked_plain_http() -> None:
    everything = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::files", "arn:aws:s3:::files/*"],
    }
    old_signature = {
        "Sid": "OnlySignatureVersion4",
        **everything,
        "Condition": {
            "Null": {"s3:signatureversion": "false"},
            "StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"},
        },
    }
    plain_http = {"Sid": "OnlyTls", **everything, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    strict = {"Version": "2012-10-17", "Statement": [old_signature, plain_http]}
    assert documents.bucket_policy("files", require_tls=True) == strict
    assert documents.bucket_policy("files", require_tls=False) == {**strict, "Statement": [old_signature]}


def test_the_gateway_may_list_read_and_write_its_two_prefixes_and_delete_only_stored_objects() -> None:
    allowed = {
        (action, resource)
        for statement in documents.api_policy("files")["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert allowed == {
        ("s3:ListBucket", "arn:aws:s3:::files"),
        ("s3:ListBucketMultipartUploads", "arn:aws:s3:::files"),
        ("s3:GetObject", "arn:aws:s3:::files/incoming/*"),
        ("s3:GetObject", "arn:aws:s3:::files/objects/*"),
        ("s3:PutObject", "arn:aws:s3:::files/incoming/*"),
        ("s3:PutObject", "arn:aws:s3:::files/objects/*"),
        ("s3:ListMultipartUploadParts", "arn:aws:s3:::files/incoming/*"),
        ("s3:ListMultipartUploadParts", "arn:aws:s3:::files/objects/*"),
        ("s3:AbortMultipartUpload", "arn:aws:s3:::files/incoming/*"),
        ("s3:AbortMultipartUpload", "arn:aws:s3:::files/objects/*"),
        ("s3:DeleteObject", "arn:aws:s3:::files/objects/*"),
    }


QUEUE_ARN = "arn:aws:sqs:eu-central-1:111122223333:events"


def test_the_queue_hears_of_every_object_that_appears_in_quarantine_and_of_no_other() -> None:
    assert documents.notifications(QUEUE_ARN) == {
        "QueueConfigurations": [
            {
                "Id": "incoming",
                "QueueArn": QUEUE_ARN,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "incoming/"}]}},
            }
        ]
    }


def test_only_the_bucket_of_the_queue_s_own_account_may_send_to_it() -> None:
    assert documents.queue_policy(QUEUE_ARN, "files") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "EventsOfTheBucket",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": ["sqs:SendMessage"],
                "Resource": [QUEUE_ARN],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": "arn:aws:s3:::files"},
                    "StringEquals": {"aws:SourceAccount": "111122223333"},
                },
            }
        ],
    }


def test_events_are_kept_for_two_weeks_and_set_aside_after_twelve_deliveries() -> None:
    assert documents.queue_attributes(f"{QUEUE_ARN}-dead") == {
        "VisibilityTimeout": 60,
        "ReceiveMessageWaitTimeSeconds": 10,
        "MessageRetentionPeriod": 1_209_600,
        "RedrivePolicy": {"deadLetterTargetArn": f"{QUEUE_ARN}-dead", "maxReceiveCount": 12},
    }
    assert documents.dead_letter_attributes() == {"MessageRetentionPeriod": 1_209_600}


def test_the_worker_may_take_events_from_its_queue_and_do_nothing_else_there() -> None:
    [statement] = documents.worker_policy(QUEUE_ARN)["Statement"]
    assert statement == {
        "Sid": "Consume",
        "Effect": "Allow",
        "Action": [
            "sqs:ReceiveMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
        ],
        "Resource": [QUEUE_ARN],
    }
