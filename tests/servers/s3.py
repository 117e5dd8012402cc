"""The one value that a test knows an S3 server by, and clients for it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.cli.provision import AccessKey, iam_client, s3_client, sqs_client

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
# The page that uploads, as every server's bucket CORS knows it.
ORIGIN = "https://app.example"
# Ports that a page served by a test may have are not known beforehand, so pages on loopback are let in as well.
ORIGINS = (ORIGIN, "http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server with a bucket made by `gateway.s3.documents`. Other tests use it too: name keys at random.

    `access_key_id` and `secret_access_key` are what the gateway runs as, `admin` may do anything. `queue` is the URL of
    the queue that hears of what appears under `incoming/`, where the server has queues; a test that takes from a queue
    wants one of its own: `tests.servers.queues`.
    """

    name: str
    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    admin: AccessKey
    queue: str | None = None

    @property
    def gateway(self) -> AccessKey:
        return AccessKey(self.access_key_id, self.secret_access_key)

    def s3(self) -> "S3Client":
        """Speak S3 as the gateway's own user."""
        return s3_client(self.endpoint, self.region, self.gateway)

    def admin_s3(self) -> "S3Client":
        """Speak S3 as someone who may look into the bucket and change it."""
        return s3_client(self.endpoint, self.region, self.admin)

    def admin_iam(self) -> "IAMClient":
        """Speak IAM as someone who may make users."""
        return iam_client(self.endpoint, self.region, self.admin)

    def sqs(self) -> "SQSClient":
        """Speak SQS as the gateway's own user."""
        return sqs_client(self.endpoint, self.region, self.gateway)

    def admin_sqs(self) -> "SQSClient":
        """Speak SQS as someone who may make queues, and look into what was set aside."""
        return sqs_client(self.endpoint, self.region, self.admin)
