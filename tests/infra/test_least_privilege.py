"""The user that the gateway runs as can do what the gateway does, and nothing else, on a server that enforces IAM."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.s3 import documents
from tests.servers.s3 import S3Server

Call = Callable[[S3Server, str], Mapping[str, Any]]
PREFIXES = ("incoming/", "objects/")


def begun(server: S3Server, key: str) -> dict[str, Any]:
    """Begin a multipart upload as someone who may do anything."""
    names = {"Bucket": server.bucket, "Key": key}
    return {**names, "UploadId": server.admin_s3().create_multipart_upload(**names)["UploadId"]}  # type: ignore[arg-type] # strings


def copy_part(server: S3Server, key: str) -> Mapping[str, Any]:
    target = begun(server, key.replace("incoming", "objects"))
    return server.s3().upload_part_copy(**target, PartNumber=1, CopySource={"Bucket": server.bucket, "Key": key})


def complete(server: S3Server, key: str) -> Mapping[str, Any]:
    new = begun(server, f"{key}-in-parts")
    part = server.admin_s3().upload_part(**new, PartNumber=1, Body=b"x")
    named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return server.s3().complete_multipart_upload(**new, MultipartUpload=named, IfNoneMatch="*")  # type: ignore[arg-type] # as botocore takes it


BOTH: Mapping[str, Call] = {
    "begin parts": lambda s, key: s.s3().create_multipart_upload(Bucket=s.bucket, Key=key),
    "sign a part": lambda s, key: s.s3().upload_part(**begun(s, key), PartNumber=1, Body=b"x"),
    "list parts": lambda s, key: s.s3().list_parts(**begun(s, key)),
    "join parts": complete,
    "abort parts": lambda s, key: s.s3().abort_multipart_upload(**begun(s, key)),
    "look": lambda s, key: s.s3().head_object(Bucket=s.bucket, Key=key),
}
NEEDED: Mapping[str, tuple[str, Call]] = {
    **{f"{purpose} under {prefix}": (prefix, call) for purpose, call in BOTH.items() for prefix in PREFIXES},
    "write a marker": ("incoming/", lambda s, key: s.s3().put_object(Bucket=s.bucket, Key=key, Body=b"m")),
    "read its front": ("incoming/", lambda s, key: s.s3().get_object(Bucket=s.bucket, Key=key, Range="bytes=0-0")),
    "promote it": (
        "incoming/",
        lambda s, key: s.s3().copy_object(
            Bucket=s.bucket, Key=key.replace("incoming", "objects"), CopySource=f"{s.bucket}/{key}"
        ),
    ),
    "promote it by parts": ("incoming/", copy_part),
    "find copies under way": (
        "objects/",
        lambda s, key: s.s3().list_multipart_uploads(Bucket=s.bucket, Prefix=key),
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
    "begin parts elsewhere": (
        "elsewhere/",
        lambda s, key: s.s3().create_multipart_upload(Bucket=s.bucket, Key=key),
    ),
    "abort parts elsewhere": ("elsewhere/", lambda s, key: s.s3().abort_multipart_upload(**begun(s, key))),
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


ALLOWED = [
    (action, resource)
    for statement in documents.api_policy("gateway-test")["Statement"]
    for action in statement["Action"]
    for resource in statement["Resource"]
]


@pytest.mark.threat(19)
@pytest.mark.parametrize("spared", ALLOWED, ids=lambda pair: f"{pair[0]} {pair[1].rpartition(':')[2]}")
def test_without_any_one_permission_the_gateway_cannot(ministack: S3Server, spared: tuple[str, str]) -> None:
    with user_without(ministack, spared) as lesser:
        assert any(is_denied(lesser, *NEEDED[purpose]) for purpose in NEEDED)


@contextmanager
def user_without(server: S3Server, spared: tuple[str, str]) -> Iterator[S3Server]:
    """Make a user that has all of the gateway's permissions but one, on a server with the bucket of `ALLOWED`."""
    assert server.bucket == "gateway-test"
    iam, name = server.admin_iam(), f"lesser-{secrets.token_hex(8)}"
    left = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in ALLOWED
        if (action, resource) != spared
    ]
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": left})
    iam.put_user_policy(UserName=name, PolicyName="lesser", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        yield replace(server, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="lesser")
        iam.delete_user(UserName=name)


def is_denied(server: S3Server, prefix: str, call: Call) -> bool:
    try:
        call(server, existing(server, prefix))
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


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
