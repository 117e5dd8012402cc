"""A gateway behind a real socket over a real S3 server, with policies of every kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, OTHER_API_KEY, OTHER_APP_SECRET, api_key, make_app, tenant
from tests.http.live import serving
from tests.servers.s3 import S3Server

OCTETS = "application/octet-stream"
UPLOADER_KEY = "gwk_dddddddd_0123456789abcdef0123456789abcdef"  # uploads and links, and reads nothing
POLICIES = {
    "default": {"content_types": [*ALL_TYPES, OCTETS], "min_size": 0, "max_size": "5 GiB"},
    "parts": {"content_types": [*ALL_TYPES, OCTETS], "min_size": 0, "max_size": "5 GiB", "multipart_from": "20 MiB"},
    "divided": {"content_types": [OCTETS], "max_size": "1 GiB", "multipart_from": 1},
    "vast": {"content_types": [OCTETS], "max_size": "1 TiB"},
    "proved": {"content_types": [OCTETS], "max_size": "1 GiB", "checksum": "required"},
    "small": {"content_types": ["text/plain"], "max_size": 1000},
}
TENANTS = {
    "default": tenant(
        API_KEY,
        APP_SECRET,
        api_keys=[
            api_key(API_KEY, policies=list(POLICIES)),
            api_key(UPLOADER_KEY, actions=["upload", "link"], policies=list(POLICIES)),
        ],
        policies=POLICIES,
    ),
    "other": tenant(OTHER_API_KEY, OTHER_APP_SECRET, policies=POLICIES),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway that listens, and its bucket."""

    url: str
    s3: S3Server

    def keys(self, prefix: str) -> list[str]:
        """List what lies in the bucket."""
        answer = self.s3.admin_s3().list_objects_v2(Bucket=self.s3.bucket, Prefix=prefix)
        return [found["Key"] for found in answer.get("Contents", [])]

    def content(self, key: str) -> bytes:
        """Read an object as it lies in the bucket."""
        return self.s3.admin_s3().get_object(Bucket=self.s3.bucket, Key=key)["Body"].read()

    def open_uploads(self) -> list[str]:
        """List the multipart uploads that nobody has ended."""
        answer = self.s3.admin_s3().list_multipart_uploads(Bucket=self.s3.bucket)
        return [found["Key"] for found in answer.get("Uploads", [])]


@contextmanager
def standing(server: S3Server, bucket_url: str | None = None) -> Iterator[Site]:
    """Serve a gateway over a server, whose bucket clients reach by another address if one is given."""
    app = make_app(server, tenants=TENANTS, public_storage_endpoint=bucket_url or server.endpoint)
    with serving(app) as (host, port):
        yield Site(f"http://{host}:{port}", server)
