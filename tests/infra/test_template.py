"""infra/template.yaml says what gateway.s3.documents says, and servers that deploy it keep it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from gateway.s3 import documents
from localstack.prepare import deploy
from tests.infra.cloudformation import TEMPLATE, resolved
from tests.servers.s3 import ORIGINS, S3Server

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

BUCKET = "files"
ORIGIN_LIST = ["https://app.example", "https://www.example"]
PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def properties(**parameters: str) -> dict[str, Any]:
    return resolved({"AllowedOrigins": ORIGIN_LIST, **parameters}, bucket=BUCKET)


def cloudformation(server: S3Server) -> "CloudFormationClient":
    return boto3.client(
        "cloudformation",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.admin.access_key_id,
        aws_secret_access_key=server.admin.secret_access_key,
    )


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def test_cfn_lint_finds_nothing() -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_template_lets_in_the_pages_that_the_documents_let_in() -> None:
    rule = documents.cors(ORIGIN_LIST)["CORSRules"][0]
    assert properties()["Bucket"]["CorsConfiguration"] == {
        "CorsRules": [
            without(rule, "ExposeHeaders", "MaxAgeSeconds")
            | {"ExposedHeaders": rule["ExposeHeaders"], "MaxAge": rule["MaxAgeSeconds"]}
        ]
    }


def test_the_template_empties_incoming_and_aborts_uploads_when_the_documents_do() -> None:
    first, second = documents.lifecycle()["Rules"]
    assert properties()["Bucket"]["LifecycleConfiguration"] == {
        "Rules": [
            without(first, "ID", "Filter", "Expiration")
            | {"Id": first["ID"], "Prefix": "incoming/", "ExpirationInDays": first["Expiration"]["Days"]},
            without(second, "ID", "Filter") | {"Id": second["ID"], "Prefix": "objects/"},
        ]
    }
    assert [rule["Filter"] for rule in (first, second)] == [{"Prefix": "incoming/"}, {"Prefix": "objects/"}]


@pytest.mark.parametrize("require_tls", [True, False])
def test_the_template_refuses_what_the_documents_refuse(*, require_tls: bool) -> None:
    policy = properties(RequireTls=str(require_tls).lower())["BucketPolicy"]
    assert policy == {
        "Bucket": BUCKET,
        "PolicyDocument": documents.bucket_policy(BUCKET, require_tls=require_tls),
    }


@pytest.mark.threat(19)
def test_the_role_may_do_what_the_documents_allow_and_no_more() -> None:
    made = properties()
    assert made["ApiPolicy"]["PolicyDocument"] == documents.api_policy(BUCKET)
    assert without(made["ApiRole"], "Description") == {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                    "Action": ["sts:AssumeRole"],
                }
            ],
        },
        "ManagedPolicyArns": ["the-api-policy"],
    }


@pytest.mark.threat(20)
def test_the_bucket_is_private_and_encrypted() -> None:
    bucket = properties()["Bucket"]
    assert bucket["PublicAccessBlockConfiguration"] == PRIVATE
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["BucketEncryption"] == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }


def assert_as_documented(server: S3Server, bucket: str, origins: list[str]) -> None:
    s3 = server.admin_s3()
    assert without(s3.get_bucket_cors(Bucket=bucket), "ResponseMetadata") == documents.cors(origins)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == PRIVATE
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert ownership == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy == documents.bucket_policy(bucket, require_tls=False)


def rules(server: S3Server, bucket: str) -> list[Any]:
    return list(server.admin_s3().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])


def test_localstack_prepared_from_the_template_keeps_everything(localstack: S3Server) -> None:
    assert_as_documented(localstack, localstack.bucket, list(ORIGINS))
    assert rules(localstack, localstack.bucket) == documents.lifecycle()["Rules"]


def test_ministack_deploys_the_template_all_but_the_lifecycle(ministack: S3Server) -> None:
    outputs = deploy(cloudformation(ministack), ORIGIN_LIST)
    assert_as_documented(ministack, outputs["BucketName"], ORIGIN_LIST)
    assert outputs.keys() == {"BucketName", "Region", "ApiPolicyArn", "ApiRoleArn"}


def test_ministack_as_gateway_dev_makes_it_keeps_everything(ministack: S3Server) -> None:
    assert_as_documented(ministack, ministack.bucket, list(ORIGINS))
    assert rules(ministack, ministack.bucket) == documents.lifecycle()["Rules"]
