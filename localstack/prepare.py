#!/usr/bin/env python3
"""Deploy infra/template.yaml to LocalStack, set by API what it drops, and print what the gateway needs to use it."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from gateway.cli.provision import USER, AccessKey, fresh_access_key, iam_client, queue_url, s3_client
from gateway.s3 import documents

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

TEMPLATE = Path(__file__).parents[1] / "infra" / "template.yaml"
ADMIN = AccessKey("test", "test")  # LocalStack's own
STACK = "gateway"


def main() -> None:
    """Print KEY=value lines for a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4566")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--origin", action="append", default=[], help="of a page that uploads; may be repeated")
    asked = parser.parse_args()
    origins = asked.origin or ["http://127.0.0.1:8000", "http://localhost:8000"]
    for name, value in prepare(asked.endpoint, asked.region, origins).items():
        sys.stdout.write(f"{name}={shlex.quote(value)}\n")


def prepare(endpoint: str, region: str, origins: list[str]) -> dict[str, str]:
    """Deploy to `endpoint`; answer the settings and the credentials of the gateway's own user."""
    outputs = deploy(_cloudformation(endpoint, region), origins)
    bucket = outputs["BucketName"]
    # LocalStack's CloudFormation drops the lifecycle; its S3 keeps it.
    s3_client(endpoint, region, ADMIN).put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration=documents.lifecycle(),  # type: ignore[arg-type] # a plain dict
    )
    key = _user(endpoint, region, [outputs["ApiPolicyArn"], outputs["WorkerPolicyArn"]])
    return {
        "GATEWAY_BUCKET": bucket,
        "GATEWAY_REGION": region,
        "GATEWAY_STORAGE_ENDPOINT": endpoint,
        "GATEWAY_EVENTS_QUEUE": queue_url(endpoint, outputs["EventsQueueUrl"]),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }


def deploy(cloudformation: "CloudFormationClient", origins: list[str]) -> dict[str, str]:
    """Create the stack, with plain http allowed, or take the one that is there; answer its outputs."""
    if not any(stack["StackName"] == STACK for stack in cloudformation.describe_stacks()["Stacks"]):
        cloudformation.create_stack(
            StackName=STACK,
            TemplateBody=TEMPLATE.read_text("utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": "AllowedOrigins", "ParameterValue": ",".join(origins)},
                {"ParameterKey": "RequireTls", "ParameterValue": "false"},
            ],
        )
        created = cloudformation.get_waiter("stack_create_complete")
        created.wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})  # seconds, looks
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _user(endpoint: str, region: str, policy_arns: list[str]) -> AccessKey:
    iam = iam_client(endpoint, region, ADMIN)
    if not any(user["UserName"] == USER for user in iam.list_users()["Users"]):
        iam.create_user(UserName=USER)
    for policy_arn in policy_arns:
        iam.attach_user_policy(UserName=USER, PolicyArn=policy_arn)
    return fresh_access_key(iam, USER)


def _cloudformation(endpoint: str, region: str) -> "CloudFormationClient":
    return boto3.client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ADMIN.access_key_id,
        aws_secret_access_key=ADMIN.secret_access_key,
    )


if __name__ == "__main__":
    main()
