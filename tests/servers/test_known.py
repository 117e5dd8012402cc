"""Every row of the table of servers, asked of every server: a surprise in either direction fails.

The requests are signed by botocore, not by us.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from gateway.s3.parts import MIN_PART
from tests.servers.known import NOT_ENFORCED, enforces
from tests.servers.s3 import ORIGIN, S3Server

BODY = b"twelve bytes"
TYPE = "text/plain"
OTHER_BODY = b"TWELVE BYTES"
LARGE_PART = bytes(MIN_PART)


def key() -> str:
    return f"incoming/t/p/{secrets.token_hex(16)}.txt"


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@dataclass(frozen=True, slots=True)
class Put:
    """A presigned PUT, and the headers it wants."""

    url: str
    headers: dict[str, str]

    def send(self, body: bytes = BODY, headers: Mapping[str, str | None] | None = None) -> int:
        """Send `body` with the wanted headers, some of them replaced or, by None, left out; answer the status."""
        merged = {**self.headers, **(headers or {})}
        sent = {name: value for name, value in merged.items() if value is not None}
        return httpx.put(self.url, content=body, headers=sent).status_code


def presign_put(server: S3Server, at: str | None = None) -> Put:
    """Presign a PUT as a ticket does: length, type, checksum, metadata, and only if the key is free."""
    headers = {
        "content-type": TYPE,
        "if-none-match": "*",
        "x-amz-checksum-sha256": sha256(BODY),
        "x-amz-sdk-checksum-algorithm": "SHA256",
        "x-amz-meta-grant": "sealed",
    }
    params = {
        "Bucket": server.bucket,
        "Key": at or key(),
        "ContentLength": len(BODY),
        "ContentType": TYPE,
        "IfNoneMatch": "*",
        "ChecksumSHA256": sha256(BODY),
        "ChecksumAlgorithm": "SHA256",
        "Metadata": {"grant": "sealed"},
    }
    return Put(server.s3().generate_presigned_url("put_object", Params=params, ExpiresIn=900), headers)


def put_copy_of_another(server: S3Server) -> int:
    """Make copies of another object of a presigned PUT and of a presigned part; answer the lower status."""
    other = key()
    server.s3().put_object(Bucket=server.bucket, Key=other, Body=BODY)
    source = {"x-amz-copy-source": f"/{server.bucket}/{other}"}
    whole = presign_put(server).send(b"", {**source, "x-amz-metadata-directive": "REPLACE"})
    at = key()
    upload_id = server.s3().create_multipart_upload(Bucket=server.bucket, Key=at)["UploadId"]
    params = {"Bucket": server.bucket, "Key": at, "UploadId": upload_id, "PartNumber": 1}
    url = server.s3().generate_presigned_url("upload_part", Params=params, ExpiresIn=900)
    return min(whole, httpx.put(url, headers=source).status_code)


def get(server: S3Server, **changes: Any) -> int:  # noqa: ANN401 - any field of the signer
    """Put an object and send a presigned GET for it, with one thing about the signing changed; answer the status."""
    at = key()
    server.s3().put_object(Bucket=server.bucket, Key=at, Body=BODY)
    url = f"{server.endpoint}/{server.bucket}/{at}"
    credentials = Credentials(server.access_key_id, server.secret_access_key, changes.get("token"))
    region, expires = changes.get("region", server.region), changes.get("expires", 900)
    signer = S3SigV4QueryAuth(credentials, "s3", region, expires=expires)
    request = AWSRequest("GET", url)
    shift: timedelta = changes.get("shift", timedelta())
    sign_at(signer, request, datetime.now(UTC) + shift)
    return httpx.get(str(request.url)).status_code


def sign_at(signer: Any, request: AWSRequest, when: datetime) -> None:  # noqa: ANN401 - its stubs lack the steps
    """Sign as `add_auth` does, but at the time of our choice."""
    request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signer._inject_signature_to_request(request, signature)


def refused(call: Callable[..., Any], **arguments: Any) -> int:  # noqa: ANN401 - any call of boto3
    """Make a call of boto3; answer the status, also of a refusal."""
    try:
        done = call(**arguments)
    except ClientError as error:
        done = error.response
    return int(done["ResponseMetadata"]["HTTPStatusCode"])


def wrong_signature(server: S3Server) -> int:
    put = presign_put(server)
    return Put(altered(put.url), put.headers).send()


def put_other_than_its_md5(server: S3Server) -> int:
    md5 = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
    params = {"Bucket": server.bucket, "Key": key(), "ContentMD5": md5}
    put = Put(server.s3().generate_presigned_url("put_object", Params=params, ExpiresIn=900), {"content-md5": md5})
    assert put.send() == 200
    return put.send(OTHER_BODY)


def second_put(server: S3Server) -> int:
    put = presign_put(server)
    assert put.send() == 200
    return put.send()


def old_signature(server: S3Server) -> int:
    at = key()
    server.s3().put_object(Bucket=server.bucket, Key=at, Body=BODY)
    old = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=Config(signature_version="s3", s3={"addressing_style": "path"}),
    )
    return httpx.get(old.generate_presigned_url("get_object", Params={"Bucket": server.bucket, "Key": at})).status_code


def copy(server: S3Server, **condition: str) -> int:
    source, target = key(), key().replace("incoming", "objects")
    for at in (source, target):
        server.s3().put_object(Bucket=server.bucket, Key=at, Body=BODY)
    return refused(
        server.s3().copy_object, Bucket=server.bucket, Key=target, CopySource=f"{server.bucket}/{source}", **condition
    )


def post(server: S3Server, body: bytes = BODY, expires_in: int = 900, /, **changes: str) -> int:
    """Post a form with exactly its key, type and metadata, and at most as many bytes; change or add fields."""
    fields = {"content-type": TYPE, "x-amz-meta-grant": "sealed"}
    form = server.s3().generate_presigned_post(
        server.bucket,
        key(),
        Fields=dict(fields),
        Conditions=[*({name: text} for name, text in fields.items()), ["content-length-range", 1, len(BODY)]],
        ExpiresIn=expires_in,
    )
    return httpx.post(form["url"], data={**form["fields"], **changes}, files={"file": body}).status_code


@dataclass(frozen=True, slots=True)
class Parts:
    """A multipart upload, as the gateway begins it and a client fills it."""

    server: S3Server
    key: str
    upload_id: str

    @classmethod
    def begun(cls, server: S3Server, *, checksums: bool = False) -> "Parts":
        at, settled = key(), {"ChecksumAlgorithm": "SHA256"} if checksums else {}
        made = server.s3().create_multipart_upload(Bucket=server.bucket, Key=at, **settled)  # type: ignore[arg-type] # strings
        return cls(server, at, made["UploadId"])

    def names(self) -> dict[str, Any]:
        return {"Bucket": self.server.bucket, "Key": self.key, "UploadId": self.upload_id}

    def send(self, body: bytes = BODY, number: int = 1, *, stated: bytes | None = None, url: str = "") -> int:
        """Send a part by a URL of its own, or of another's; state the checksum of `stated`; answer the status."""
        stating = {} if stated is None else {"ChecksumSHA256": sha256(stated), "ChecksumAlgorithm": "SHA256"}
        headers = {} if stated is None else {"x-amz-checksum-sha256": sha256(stated)}
        if stated is not None:
            headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
        return httpx.put(url or self.url(number, **stating), content=body, headers=headers).status_code

    def url(self, number: int = 1, **more: Any) -> str:  # noqa: ANN401 - any field of the call
        params = {**self.names(), "PartNumber": number, **more}
        return self.server.s3().generate_presigned_url("upload_part", Params=params)

    def complete(self, *bodies: bytes, **changes: Any) -> int:  # noqa: ANN401 - as above
        """Send these parts and complete the upload of them, with something changed; answer the status."""
        for number, body in enumerate(bodies, 1):
            assert self.send(body, number) == 200
        return self.join(*bodies, **changes)

    def join(self, *bodies: bytes, **changes: Any) -> int:  # noqa: ANN401 - as above
        """Complete the upload of these parts, sent or not."""
        md5s = (hashlib.md5(body, usedforsecurity=False).hexdigest() for body in bodies)
        named = [{"PartNumber": number, "ETag": md5} for number, md5 in enumerate(md5s, 1)]
        call = self.server.s3().complete_multipart_upload
        return refused(call, **{**self.names(), "MultipartUpload": {"Parts": named}, **changes})

    def aborted(self) -> "Parts":
        self.server.s3().abort_multipart_upload(**self.names())
        return self

    def copied(self, etag: str = "") -> int:
        """Copy a part of an object, and only if it has this ETag; answer the status."""
        at = key()
        put = self.server.s3().put_object(Bucket=self.server.bucket, Key=at, Body=BODY)
        copy_source = {"Bucket": self.server.bucket, "Key": at}
        return refused(
            self.server.s3().upload_part_copy,
            **self.names(),
            PartNumber=1,
            CopySource=copy_source,
            CopySourceIfMatch=etag or put["ETag"],
            CopySourceRange=f"bytes=0-{len(BODY) - 1}",
        )


def altered(url: str) -> str:
    return url[:-1] + ("0" if url[-1] != "0" else "1")


def another_number(server: S3Server) -> int:
    parts = Parts.begun(server)
    return parts.send(url=parts.url(1).replace("partNumber=1", "partNumber=2"))


def another_length(server: S3Server) -> int:
    parts = Parts.begun(server)
    return parts.send(BODY + b"!", url=parts.url(ContentLength=len(BODY)))


def list_under_another_key(server: S3Server) -> int:
    return refused(server.s3().list_parts, **{**Parts.begun(server).names(), "Key": key()})


def parts_out_of_order(server: S3Server) -> int:
    parts = Parts.begun(server)
    assert {parts.send(LARGE_PART, number) for number in (1, 2)} == {200}
    md5 = hashlib.md5(LARGE_PART, usedforsecurity=False).hexdigest()
    named = [{"PartNumber": 2, "ETag": md5}, {"PartNumber": 1, "ETag": md5}]
    return parts.join(MultipartUpload={"Parts": named})


def complete_over_an_object(server: S3Server) -> int:
    parts = Parts.begun(server)
    server.s3().put_object(Bucket=server.bucket, Key=parts.key, Body=OTHER_BODY)
    return parts.complete(BODY, IfNoneMatch="*")


def list_unfinished(server: S3Server, *, limit: int) -> Sequence[datetime]:
    """Begin two multipart uploads to one key and answer when at most `limit` of them were begun."""
    parts = Parts.begun(server)
    server.s3().create_multipart_upload(Bucket=server.bucket, Key=parts.key)
    found = server.s3().list_multipart_uploads(Bucket=server.bucket, Prefix=parts.key, MaxUploads=limit)
    return [upload["Initiated"] for upload in found["Uploads"]]


def as_if_refused(kept: bool) -> int:  # noqa: FBT001 - the whole question
    """Answer a status for what is no refusal: whether a server keeps to what it is asked for."""
    return 400 if kept else 200


def put_large_metadata(server: S3Server) -> int:
    metadata = {"note": "x" * 3000}  # AWS: at most 2 KB
    return refused(server.s3().put_object, Bucket=server.bucket, Key=key(), Body=BODY, Metadata=metadata)


def preflight(server: S3Server, origin: str, method: str = "PUT") -> int:
    asks = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": ",".join(["content-md5", *presign_put(server).headers]),
    }
    return httpx.options(f"{server.endpoint}/{server.bucket}/{key()}", headers=asks).status_code


PROBES: Mapping[str, Callable[[S3Server], int]] = {
    "signature": wrong_signature,
    "expiry": lambda server: get(server, shift=timedelta(seconds=-1000)),
    "date not in the future": lambda server: get(server, shift=timedelta(hours=2)),
    "at most seven days": lambda server: get(server, expires=604_801),
    "region": lambda server: get(server, region="eu-west-3"),
    "session token": lambda server: get(server, token="made-up"),
    "signature version 4": old_signature,
    "content-length": lambda server: presign_put(server).send(BODY + b"!"),
    "content-type": lambda server: presign_put(server).send(headers={"content-type": "text/html"}),
    "if-none-match is sent": lambda server: presign_put(server).send(headers={"if-none-match": None}),
    "if-none-match": second_put,
    "checksum": lambda server: presign_put(server).send(OTHER_BODY),
    "content-md5": put_other_than_its_md5,
    "metadata": lambda server: presign_put(server).send(headers={"x-amz-meta-grant": "forged"}),
    "no unsigned metadata": lambda server: presign_put(server).send(headers={"x-amz-meta-more": "x"}),
    "no unsigned copy source": put_copy_of_another,
    "metadata of 2 KB": put_large_metadata,
    "form": lambda server: min(
        post(server, key=key()),
        post(server, **{"content-type": "text/html"}),
        post(server, **{"x-amz-meta-grant": "forged"}),
        post(server, BODY + b"!"),
        post(server, b""),
    ),
    "expiry of a form": lambda server: post(server, BODY, -60),
    "signature of a form": lambda server: post(server, **{"x-amz-signature": "0" * 64}),
    "no field beside a form's": lambda server: post(server, **{"x-amz-meta-more": "x"}),
    "signature of a part": lambda server: (parts := Parts.begun(server)).send(url=altered(parts.url())),
    "number of a part": another_number,
    "content-length of a part": another_length,
    "checksum of a part": lambda server: Parts.begun(server, checksums=True).send(OTHER_BODY, stated=BODY),
    "a checksum with every part": lambda server: Parts.begun(server, checksums=True).send(),
    "no checksum where none was settled": lambda server: Parts.begun(server).send(stated=BODY),
    "part number of 10,000": lambda server: Parts.begun(server).send(number=10_001),
    "part of a gone upload": lambda server: Parts.begun(server).aborted().send(),
    "upload id of another key": list_under_another_key,
    "part of 5 MiB": lambda server: Parts.begun(server).complete(BODY, BODY),
    "part order": parts_out_of_order,
    "complete if-none-match": complete_over_an_object,
    "completion of a gone upload": lambda server: Parts.begun(server).aborted().join(BODY),
    "size of what is completed": lambda server: Parts.begun(server).complete(BODY, MpuObjectSize=len(BODY) + 1),
    "part copy if-match": lambda server: Parts.begun(server).copied(etag='"00000000000000000000000000000000"'),
    "part copy of a gone upload": lambda server: Parts.begun(server).aborted().copied(),
    "pages of unfinished uploads": lambda server: as_if_refused(len(list_unfinished(server, limit=1)) == 1),
    "when an upload was begun": lambda server: as_if_refused(
        all(abs(datetime.now(UTC) - begun) < timedelta(hours=1) for begun in list_unfinished(server, limit=2))
    ),
    "copy if-match": lambda server: copy(server, CopySourceIfMatch='"00000000000000000000000000000000"'),
    "copy if-none-match": lambda server: copy(server, IfNoneMatch="*"),
    "no write without credentials": lambda server: (
        httpx.put(f"{server.endpoint}/{server.bucket}/{key()}", content=BODY).status_code
    ),
    "user policy": lambda server: refused(
        server.s3().put_object, Bucket=server.bucket, Key=f"elsewhere/{secrets.token_hex(8)}", Body=BODY
    ),
    "cors": lambda server: preflight(server, "https://evil.example"),
}


@pytest.mark.threat(57)
@pytest.mark.parametrize("feature", NOT_ENFORCED)
def test_a_server_refuses_what_the_table_says_it_refuses_and_nothing_else(s3_server: S3Server, feature: str) -> None:
    status = PROBES[feature](s3_server)
    # MiniStack answers 301 to another region; moto answers 500 to what it does not expect, which is no refusal.
    assert (300 <= status < 500) is enforces(s3_server, feature), status


def test_a_server_accepts_the_request_that_none_of_the_probes_spoiled(s3_server: S3Server) -> None:
    assert presign_put(s3_server).send() == 200
    assert get(s3_server) == 200
    assert copy(s3_server) == 200
    assert Parts.begun(s3_server).copied() == 200
    assert (
        Parts.begun(s3_server).complete(LARGE_PART, BODY, IfNoneMatch="*", MpuObjectSize=len(LARGE_PART + BODY)) == 200
    )
    assert Parts.begun(s3_server, checksums=True).send(number=10_000, stated=BODY) == 200
    assert (parts := Parts.begun(s3_server)).send(url=parts.url(ContentLength=len(BODY))) == 200
    assert post(s3_server) in {201, 204}


def test_a_server_lets_in_the_pages_that_its_bucket_names(s3_server: S3Server) -> None:
    assert preflight(s3_server, ORIGIN) == 200
    assert preflight(s3_server, "http://127.0.0.1:54321") == 200
    assert preflight(s3_server, ORIGIN, "POST") == 200


def test_a_server_shows_pages_the_etag_and_the_location(s3_server: S3Server) -> None:
    put = presign_put(s3_server)
    answer = httpx.put(put.url, content=BODY, headers={**put.headers, "origin": ORIGIN})
    exposed = answer.headers["access-control-expose-headers"]
    assert {name.strip().lower() for name in exposed.split(",")} == {"etag", "location"}
