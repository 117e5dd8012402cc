"""The user that the gateway runs as can do what the gateway does, and nothing else, on a server that enforces IAM."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers.s3 import S3Server

Call = Callable[[S3Server, str], Mapping[str, Any]]

NEEDED: Mapping[str, tuple[str, Call]] = {
    "write a marker": ("incoming/", lambda s, key: s.s3().put_object(Bucket=s.bucket, Key=key, Body=b"m")),
    "look at an upload": ("incoming/", lambda s, key: s.s3().head_object(Bucket=s.bucket, Key=key)),
    "read its front": ("incoming/", lambda s, key: s.s3().get_object(Bucket=s.bucket, Key=key, Range="bytes=0-0")),
    "promote it": (
        "incoming/",
        lambda s, key: s.s3().copy_object(
            Bucket=s.bucket, Key=key.replace("incoming", "objects"), CopySource=f"{s.bucket}/{key}"
        ),
    ),
    "list": ("objects/", lambda s, _: s.s3().list_objects_v2(Bucket=s.bucket, Prefix="objects/")),
    "see that the bucket is there": ("objects/", lambda s, _: s.s3().head_bucket(Bucket=s.bucket)),
    "delete an object": ("objects/", lambda s, key: s.s3().delete_object(Bucket=s.bucket, Key=key)),
}
FORBIDDEN: Mapping[str, tuple[str, Call]] = {
    "free a key of incoming": ("incoming/", lambda s, key: s.s3().delete_object(Bucket=s.bucket, Key=key)),
    "open an upload to others": (
        "incoming/",
        lambda s, key: s.s3().put_object_acl(Bucket=s.bucket, Key=key, ACL="public-read"),
    ),
    "open an object to others": (
        "objects/",
        lambda s, key: s.s3().put_object_acl(Bucket=s.bucket, Key=key, ACL="public-read"),
    ),
    "write elsewhere": ("elsewhere/", lambda s, key: s.s3().put_object(Bucket=s.bucket, Key=key, Body=b"x")),
    "read elsewhere": ("elsewhere/", lambda s, key: s.s3().get_object(Bucket=s.bucket, Key=key)),
    "delete elsewhere": ("elsewhere/", lambda s, key: s.s3().delete_object(Bucket=s.bucket, Key=key)),
    "tag": ("objects/", lambda s, key: s.s3().put_object_tagging(Bucket=s.bucket, Key=key, Tagging={"TagSet": []})),
    "change the bucket's policy": ("objects/", lambda s, _: s.s3().put_bucket_policy(Bucket=s.bucket, Policy="{}")),
    "remove the bucket's policy": ("objects/", lambda s, _: s.s3().delete_bucket_policy(Bucket=s.bucket)),
    "change its CORS": ("objects/", lambda s, _: s.s3().delete_bucket_cors(Bucket=s.bucket)),
    "change its lifecycle": ("objects/", lambda s, _: s.s3().delete_bucket_lifecycle(Bucket=s.bucket)),
    "make a bucket": ("objects/", lambda s, _: s.s3().create_bucket(Bucket=f"other-{secrets.token_hex(8)}")),
    "remove the bucket": ("objects/", lambda s, _: s.s3().delete_bucket(Bucket=s.bucket)),
    "list buckets": ("objects/", lambda s, _: s.s3().list_buckets()),
}


def existing(server: S3Server, prefix: str) -> str:
    key = f"{prefix}t/p/{secrets.token_hex(16)}.txt"
    server.admin_s3().put_object(Bucket=server.bucket, Key=key, Body=b"x")
    return key


@pytest.mark.threat(19)
@pytest.mark.parametrize("purpose", NEEDED)
def test_the_gateway_can(ministack: S3Server, purpose: str) -> None:
    prefix, call = NEEDED[purpose]
    assert call(ministack, existing(ministack, prefix))["ResponseMetadata"]["HTTPStatusCode"] < 300


@pytest.mark.threat(19)
@pytest.mark.parametrize("purpose", FORBIDDEN)
def test_the_gateway_cannot(ministack: S3Server, purpose: str) -> None:
    prefix, call = FORBIDDEN[purpose]
    with pytest.raises(ClientError) as refused:
        call(ministack, existing(ministack, prefix))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.threat(19)
def test_a_key_that_is_missing_is_404_and_not_403(ministack: S3Server) -> None:
    with pytest.raises(ClientError) as refused:
        ministack.s3().head_object(Bucket=ministack.bucket, Key=f"objects/t/p/{secrets.token_hex(16)}.txt")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
