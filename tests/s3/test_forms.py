"""Presigned forms: the example AWS publishes, what boto3 signs, and nothing that is left to the client."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.signers
import pytest
from botocore.config import Config

from gateway.s3.endpoints import Endpoint
from gateway.s3.forms import presigned_form
from gateway.s3.presigned import PresignedForm
from gateway.s3.sigv4 import Credentials, Signer

NOW = 1_795_226_400  # 2026-11-21T02:00:00Z
REGION = "eu-west-3"
LASTING = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "to/ken+with=signs")
VIRTUAL = Endpoint("https", "photos.s3.eu-west-3.amazonaws.com", "/")
PATH = Endpoint("http", "127.0.0.1:9000", "/photos/")
FIELDS = {
    "key": "incoming/default/photos/0123456789abcdef0123456789abform.png",
    "success_action_status": "201",
    "Content-Type": "image/png",
    "x-amz-meta-grant": "sealed",
}
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
AWS_POLICY = """{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}"""
AWS_SIGNATURE = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
AWS_NOW = 1_451_347_200  # 2015-12-29T00:00:00Z


def form(endpoint: Endpoint = VIRTUAL, credentials: Credentials = LASTING) -> PresignedForm:
    signer = Signer(credentials, REGION, NOW)
    return presigned_form(endpoint, FIELDS, (1, 1000), signer, expires_at=NOW + 900)


def policy_of(fields: Any) -> dict[str, Any]:  # noqa: ANN401 - ours and boto3's
    document: dict[str, Any] = json.loads(base64.b64decode(fields["policy"]))
    return document


def test_the_policy_that_aws_publishes_gets_the_signature_that_aws_publishes() -> None:
    encoded = base64.b64encode(AWS_POLICY.replace("\n", "\r\n").encode()).decode()
    assert Signer(LASTING, "us-east-1", AWS_NOW).signature(encoded) == AWS_SIGNATURE


def test_the_fields_of_a_signer_are_those_that_aws_publishes() -> None:
    assert Signer(LASTING, "us-east-1", AWS_NOW).form_fields() == {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
        "x-amz-date": "20151229T000000Z",
    }


def boto3_form(endpoint: Endpoint, credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    at = datetime.fromtimestamp(NOW, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)
    monkeypatch.setattr(botocore.signers, "get_current_datetime", lambda: at)
    client = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=endpoint.origin if endpoint is PATH else None,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if endpoint is PATH else "virtual"}),
    )
    fields = {name: value for name, value in FIELDS.items() if name != "key"}
    conditions = [*({name: value} for name, value in fields.items()), ["content-length-range", 1, 1000]]
    made: dict[str, Any] = client.generate_presigned_post("photos", FIELDS["key"], fields, conditions, ExpiresIn=900)
    return made


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("endpoint", [VIRTUAL, PATH], ids=["virtual", "path"])
def test_a_form_says_what_boto3_s_says_and_boto3_signs_its_policy_alike(
    endpoint: Endpoint, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = form(endpoint, credentials), boto3_form(endpoint, credentials, monkeypatch)
    assert ours.url.rstrip("/") == theirs["url"].rstrip("/")
    signed = {"policy", "x-amz-signature"}
    assert {name: value for name, value in ours.fields.items() if name not in signed} == {
        name: value for name, value in theirs["fields"].items() if name not in signed
    }
    our_policy, their_policy = policy_of(ours.fields), policy_of(theirs["fields"])
    assert our_policy["expiration"] == their_policy["expiration"] == "2026-11-21T02:15:00Z"
    assert Counter(map(json.dumps, our_policy["conditions"])) == Counter(map(json.dumps, their_policy["conditions"]))
    signer = Signer(credentials, REGION, NOW)
    for fields in (ours.fields, theirs["fields"]):
        assert signer.signature(fields["policy"]) == fields["x-amz-signature"]


@pytest.mark.threat(5, 10, 16)
@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("endpoint", [VIRTUAL, PATH], ids=["virtual", "path"])
def test_a_form_leaves_nothing_to_the_client_but_the_bytes(endpoint: Endpoint, credentials: Credentials) -> None:
    presigned = form(endpoint, credentials)
    fixed = {name: value for name, value in presigned.fields.items() if name not in {"policy", "x-amz-signature"}}
    assert policy_of(presigned.fields) == {
        "expiration": "2026-11-21T02:15:00Z",
        "conditions": [
            {"bucket": "photos"},
            *({name: value} for name, value in fixed.items()),
            ["content-length-range", 1, 1000],
        ],
    }
    assert {name: fixed[name] for name in FIELDS} == FIELDS
    assert presigned.fields.get("x-amz-security-token") == credentials.session_token
    assert (presigned.url, presigned.expires_at) == (f"{endpoint.origin}{endpoint.path}", NOW + 900)


def test_the_fields_come_in_an_order_that_every_store_reads() -> None:
    # The key is first; S3 ignores all that follows the file, which the client appends.
    assert list(form(VIRTUAL, TEMPORARY).fields) == [
        *FIELDS,
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-security-token",
        "policy",
        "x-amz-signature",
    ]


def test_no_field_of_a_form_holds_the_secret_or_stands_in_its_address() -> None:
    presigned = form(PATH, TEMPORARY)
    assert TEMPORARY.secret_access_key not in json.dumps(dict(presigned.fields))
    assert urlsplit(presigned.url).query == ""


@pytest.mark.parametrize(
    ("endpoint", "bucket"),
    [
        (VIRTUAL, "photos"),
        (PATH, "photos"),
        (Endpoint("https", "s3.eu-west-3.amazonaws.com", "/dotted.name/"), "dotted.name"),
        (Endpoint("http", "my-bucket.localhost:4566", "/"), "my-bucket"),
    ],
)
def test_a_form_names_its_bucket_wherever_the_address_has_it(endpoint: Endpoint, bucket: str) -> None:
    assert {"bucket": bucket} in policy_of(form(endpoint).fields)["conditions"]
