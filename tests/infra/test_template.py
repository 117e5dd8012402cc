"""infra/template.yaml says what gateway.s3.documents says, and servers that deploy it keep it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from gateway.cli.provision import queue_url
from gateway.s3 import documents
from localstack.prepare import deploy
from tests.infra.cloudformation import QUEUE_ARN, TEMPLATE, resolved
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


def test_the_bucket_tells_the_queue_what_the_documents_say() -> None:
    [queue] = documents.notifications(QUEUE_ARN)["QueueConfigurations"]
    [event] = queue["Events"]
    assert properties()["Bucket"]["NotificationConfiguration"] == {
        "QueueConfigurations": [
            {
                "Event": event,
                "Queue": queue["QueueArn"],
                "Filter": {
                    "S3Key": {
                        "Rules": [
                            {"Name": rule["Name"], "Value": rule["Value"]}
                            for rule in queue["Filter"]["Key"]["FilterRules"]
                        ]
                    }
                },
            }
        ]
    }


def test_the_queues_keep_and_set_aside_events_as_the_documents_say() -> None:
    assert properties()["EventsQueue"] == documents.queue_attributes(f"{QUEUE_ARN}-dead")
    assert properties()["DeadLetterQueue"] == documents.dead_letter_attributes()


@pytest.mark.threat(19)
@pytest.mark.parametrize(("named", "sender"), [(BUCKET, BUCKET), ("", "*")], ids=["bucket named", "any bucket of ours"])
def test_only_s3_may_send_to_the_queue(named: str, sender: str) -> None:
    made = properties(BucketName=named)
    assert made["EventsQueuePolicy"] == {
        "Queues": ["https://sqs.example/the-queue"],
        "PolicyDocument": documents.queue_policy(QUEUE_ARN, sender),
    }
    assert made["Bucket"].get("BucketName", "") == named


def role(*policies: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": ["sts:AssumeRole"]}
    return {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "ManagedPolicyArns": list(policies),
    }


@pytest.mark.threat(19)
def test_the_roles_may_do_what_the_documents_allow_and_no_more() -> None:
    made = properties()
    assert made["ApiPolicy"]["PolicyDocument"] == documents.api_policy(BUCKET)
    assert made["WorkerPolicy"]["PolicyDocument"] == documents.worker_policy(QUEUE_ARN)
    assert without(made["ApiRole"], "Description") == role("the-api-policy")
    assert without(made["WorkerRole"], "Description") == role("the-api-policy", "the-worker-policy")


@pytest.mark.threat(20)
def test_the_bucket_is_private_and_encrypted() -> None:
    bucket = properties()["Bucket"]
    assert bucket["PublicAccessBlockConfiguration"] == PRIVATE
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["BucketEncryption"] == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }


def assert_as_documented(server: S3Server, bucket: str, origins: list[str], queue: str) -> None:
    s3 = server.admin_s3()
    assert without(s3.get_bucket_cors(Bucket=bucket), "ResponseMetadata") == documents.cors(origins)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == PRIVATE
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert ownership == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy == documents.bucket_policy(bucket, require_tls=False)
    assert_queue_as_documented(server, bucket, queue)


def assert_queue_as_documented(server: S3Server, bucket: str, queue: str) -> None:
    arn, attributes = attributes_of(server, queue)
    dead_arn = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
    wanted = documents.queue_attributes(dead_arn)
    assert {name: json.loads(attributes[name]) for name in wanted} == wanted
    dead = server.admin_sqs().get_queue_url(QueueName=dead_arn.rpartition(":")[2])["QueueUrl"]
    assert attributes_of(server, dead)[1]["MessageRetentionPeriod"] == str(documents.KEPT_SECONDS)
    told = server.admin_s3().get_bucket_notification_configuration(Bucket=bucket)
    [wanted_configuration] = documents.notifications(arn)["QueueConfigurations"]
    [configuration] = told["QueueConfigurations"]
    assert without(configuration, "Id", "Filter") == without(wanted_configuration, "Id", "Filter")
    [rule] = configuration["Filter"]["Key"]["FilterRules"]
    assert (rule["Name"].lower(), rule["Value"]) == ("prefix", "incoming/")  # S3 answers "Prefix"


def attributes_of(server: S3Server, queue: str) -> tuple[str, dict[str, str]]:
    attributes = server.admin_sqs().get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return attributes["QueueArn"], {str(name): value for name, value in attributes.items()}


def senders(server: S3Server, queue: str) -> Any:  # noqa: ANN401 - a policy document
    return json.loads(attributes_of(server, queue)[1]["Policy"])


def rules(server: S3Server, bucket: str) -> list[Any]:
    return list(server.admin_s3().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])


def test_localstack_prepared_from_the_template_keeps_everything(localstack: S3Server) -> None:
    assert localstack.queue is not None
    assert_as_documented(localstack, localstack.bucket, list(ORIGINS), localstack.queue)
    assert rules(localstack, localstack.bucket) == documents.lifecycle()["Rules"]
    arn, _ = attributes_of(localstack, localstack.queue)
    assert senders(localstack, localstack.queue) == documents.queue_policy(arn, "*")


def test_ministack_deploys_the_template_all_but_the_lifecycle(ministack: S3Server) -> None:
    outputs = deploy(cloudformation(ministack), ORIGIN_LIST)
    queue = queue_url(ministack.endpoint, outputs["EventsQueueUrl"])
    assert_as_documented(ministack, outputs["BucketName"], ORIGIN_LIST, queue)
    assert outputs.keys() == {
        "BucketName",
        "Region",
        "EventsQueueUrl",
        "DeadLetterQueueUrl",
        "ApiPolicyArn",
        "ApiRoleArn",
        "WorkerPolicyArn",
        "WorkerRoleArn",
    }


def test_ministack_as_gateway_dev_makes_it_keeps_everything(ministack: S3Server) -> None:
    assert ministack.queue is not None
    assert_as_documented(ministack, ministack.bucket, list(ORIGINS), ministack.queue)
    assert rules(ministack, ministack.bucket) == documents.lifecycle()["Rules"]
    arn, _ = attributes_of(ministack, ministack.queue)
    assert senders(ministack, ministack.queue) == documents.queue_policy(arn, ministack.bucket)
