"""Presigned parts: the URLs that boto3 signs for the same second, and exactly what their bytes have to be."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.config import Config

from gateway.s3.endpoints import Endpoint
from gateway.s3.part_uploads import PartUploads
from gateway.s3.presigned import PresignedRequest
from gateway.s3.sigv4 import Credentials, Signer

NOW = 1_795_226_400  # 2026-11-21T02:00:00Z
REGION = "eu-west-3"
UPLOAD_KEY = "incoming/default/videos/0123456789abcdef0123456789abcdef.bin"
LASTING = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "to/ken+with=signs")
VIRTUAL = Endpoint("https", "photos.s3.eu-west-3.amazonaws.com", "/")
PATH = Endpoint("http", "127.0.0.1:9000", "/photos/")
SHA256 = base64.b64encode(hashlib.sha256(b"").digest()).decode()
UPLOAD_IDS = [
    "VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA",  # as in AWS's documentation
    "ibZBv_75gd9r8lH_gqXatLdxMVpAlj6ZQjEs.OwyF3953YdwbcQnMA2BLGn8Lx12fQNICtMw5KyteFeHw.Sjng--",  # as AWS makes them
    "2~iCw_lDY8VoBhoRrIJbPMrUqnE3Z-3Qh",  # as Ceph does
    "a b+c/d=e&f?g%h#i~é",
]


def parts(
    endpoint: Endpoint = VIRTUAL,
    credentials: Credentials = LASTING,
    upload_id: str = UPLOAD_IDS[0],
    *,
    expires_in: int = 900,
) -> PartUploads:
    return PartUploads(
        endpoint, UPLOAD_KEY, upload_id, Signer(credentials, REGION, NOW), now=NOW, expires_in=expires_in
    )


def boto3_url(  # noqa: PLR0913, PLR0917 - all that a part says
    endpoint: Endpoint,
    credentials: Credentials,
    upload_id: str,
    number: int,
    size: int | None,
    checksum: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC))
    client = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=endpoint.origin if endpoint is PATH else None,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path" if endpoint is PATH else "virtual"},
        ),
    )
    parameters: dict[str, Any] = {"Bucket": "photos", "Key": UPLOAD_KEY, "UploadId": upload_id, "PartNumber": number}
    if size is not None:
        parameters["ContentLength"] = size
    if checksum is not None:
        parameters |= {"ChecksumSHA256": checksum, "ChecksumAlgorithm": "SHA256"}
    url: str = client.generate_presigned_url("upload_part", Params=parameters, ExpiresIn=900)
    return url


def said(url: str) -> tuple[str, dict[str, str]]:
    """Split into the address and what the query says, in whatever order: it is sorted before it is signed."""
    address, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return address, dict(pairs)


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("endpoint", [VIRTUAL, PATH], ids=["virtual", "path"])
@pytest.mark.parametrize("upload_id", UPLOAD_IDS)
@pytest.mark.parametrize(("size", "checksum"), [(8_388_608, None), (1, SHA256), (None, None), (None, SHA256)])
def test_a_part_is_signed_as_boto3_signs_it(  # noqa: PLR0913, PLR0917 - the columns of the tables
    credentials: Credentials,
    endpoint: Endpoint,
    upload_id: str,
    size: int | None,
    checksum: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signing = parts(endpoint, credentials, upload_id)
    for number in (1, 10_000):
        theirs = boto3_url(endpoint, credentials, upload_id, number, size, checksum, monkeypatch)
        assert said(signing.part(number, size, checksum).url) == said(theirs)


@pytest.mark.threat(10)
def test_a_part_is_exactly_this_request() -> None:
    assert parts().part(7, 8_388_608) == PresignedRequest(
        "PUT",
        f"https://photos.s3.eu-west-3.amazonaws.com/{UPLOAD_KEY}"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261121%2Feu-west-3%2Fs3%2Faws4_request"
        "&X-Amz-Date=20261121T020000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=content-length%3Bhost"
        f"&partNumber=7&uploadId={UPLOAD_IDS[0]}"
        "&X-Amz-Signature=8c2df819b4d1c612a70b49ba58589f6d4c00a6f088e55f2b2ac0f91235ee7793",
        {},
        NOW + 900,
    )


@pytest.mark.threat(11)
def test_a_part_with_a_checksum_has_headers_to_send_and_signs_them() -> None:
    request = parts().part(1, 5, SHA256)
    assert request.headers == {"x-amz-checksum-sha256": SHA256, "x-amz-sdk-checksum-algorithm": "SHA256"}
    assert said(request.url)[1]["X-Amz-SignedHeaders"] == (
        "content-length;host;x-amz-checksum-sha256;x-amz-sdk-checksum-algorithm"
    )


@pytest.mark.threat(5, 10, 11)
def test_each_thing_that_a_part_says_changes_the_signature() -> None:
    signing, other = parts(), parts(upload_id=UPLOAD_IDS[1])
    requests = [
        signing.part(1, 5),
        signing.part(2, 5),
        signing.part(1, 6),
        signing.part(1, None),
        signing.part(1, 5, SHA256),
        signing.part(1, 5, SHA256.replace("4", "5")),
        other.part(1, 5),
        parts(PATH).part(1, 5),
        parts(expires_in=901).part(1, 5),
    ]
    assert len({said(request.url)[1]["X-Amz-Signature"] for request in requests}) == len(requests)


@pytest.mark.threat(5)
def test_an_upload_id_adds_no_parameter_of_its_own() -> None:
    url = parts(upload_id="x&partNumber=2&versionId=3#fragment").part(1, 5).url
    assert urlsplit(url).fragment == ""
    parameters = said(url)[1]
    assert (parameters["uploadId"], parameters["partNumber"]) == ("x&partNumber=2&versionId=3#fragment", "1")
    assert "versionId" not in parameters


def test_a_part_is_signed_alike_however_many_were_signed_before() -> None:
    signing = parts()
    kinds = [(5, None), (None, None), (5, SHA256), (None, SHA256)]
    first = [parts().part(3, size, checksum) for size, checksum in kinds]
    again = [[signing.part(3, size, checksum) for size, checksum in kinds] for _ in range(2)]
    assert again == [first, first]
