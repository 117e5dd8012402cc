"""A bucket with a queue of its own events for one test, on a server that others use as well."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from gateway.cli.provision import make_bucket, make_queue, make_user
from gateway.s3 import documents
from tests.servers.s3 import ORIGINS, S3Server


@contextmanager
def with_queue(
    server: S3Server, *, hidden: int = documents.HIDDEN_SECONDS, deliveries: int = documents.MOST_DELIVERIES
) -> Iterator[S3Server]:
    """Give the same server with a new bucket, its queue, and a user that may do there what API and worker do.

    Messages in hand are hidden for `hidden` seconds, and set aside after so many `deliveries`, into the queue
    `dead_letters(server)`. The event that S3 sends to try the queue is there already.
    """
    name = f"queued-{secrets.token_hex(8)}"
    iam, sqs, s3 = server.admin_iam(), server.admin_sqs(), server.admin_s3()
    make_bucket(s3, name, ORIGINS)
    queue = make_queue(sqs, s3, name, name, hidden=hidden, deliveries=deliveries)
    user = make_user(iam, name, queue.arn, user=name)
    try:
        yield replace(
            server,
            bucket=name,
            access_key_id=user.access_key_id,
            secret_access_key=user.secret_access_key,
            queue=queue.url,
        )
    finally:
        s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={})
        for url in (queue.url, queue.dead_letter_url):
            sqs.delete_queue(QueueUrl=url)


def dead_letters(server: S3Server) -> str:
    """Return the URL of the queue that takes what was set aside."""
    return f"{server.queue}-dead"
