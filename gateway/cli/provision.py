"""For development and tests: a bucket as `gateway.s3.documents` wants it, and the gateway's least-privileged user."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from gateway.s3 import documents

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

USER = "gateway"


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


def make_user(iam: "IAMClient", bucket: str) -> AccessKey:
    """Create the gateway's user if need be, set its policy, revoke its older access keys, and answer a fresh one."""
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=USER)
    iam.put_user_policy(
        UserName=USER, PolicyName="gateway-api", PolicyDocument=json.dumps(documents.api_policy(bucket))
    )
    return fresh_access_key(iam, USER)


def fresh_access_key(iam: "IAMClient", user: str) -> AccessKey:
    """Revoke the access keys of `user` and answer a new one."""
    for old in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=old["AccessKeyId"])
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
