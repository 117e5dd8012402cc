"""What the contract of Storage is tested on: a storage, and what clients do to the same bucket."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import md5, sha256
from typing import Final

import boto3

from gateway.s3.clients import Place
from gateway.s3.credentials import open_session
from gateway.s3.s3_storage import S3Storage
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import ArrivedPart, Storage
from tests.memory_storage import MemoryStorage
from tests.servers.s3 import S3Server

PICTURE = b"\x89PNG\r\n\x1a\nnot much of a picture"
SCRIPT = b"<script>alert(1)</script>"
GONE = '"00000000000000000000000000000000"'

# What a test needs the server to enforce: a row of tests/servers/known.py.
NEEDS: Final[Mapping[str, str]] = {
    "test_a_copy_of_other_bytes_than_were_proved_is_not_made": "copy if-match",
    "test_a_checksum_with_every_part_is_listed_and_makes_the_checksum_of_the_object": "checksum of a part",
    "test_parts_out_of_order_are_not_joined": "part order",
    "test_a_small_part_before_the_last_is_not_joined": "part of 5 MiB",
    "test_a_part_is_copied_only_of_what_was_proved": "part copy if-match",
    "test_a_part_is_not_copied_into_an_upload_that_is_gone": "part copy of a gone upload",
    "test_an_upload_that_is_gone_is_not_joined": "completion of a gone upload",
    "test_the_upload_of_another_key_is_not_touched": "upload id of another key",
    "test_pages_of_unfinished_uploads_hold_each_once_in_the_order_of_their_keys": "pages of unfinished uploads",
    "test_uploads_that_end_between_two_pages_hide_no_others": "pages of unfinished uploads",
    "test_an_unfinished_upload_tells_when_it_was_begun": "when an upload was begun",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A storage, and what a client with a presigned PUT, or with presigned parts, does to the same bucket."""

    storage: Storage
    upload: Callable[[str, bytes], None]
    upload_part: Callable[[str, str, int, bytes, bool], ArrivedPart]  # the last says whether it states its SHA-256
    root: str  # its own corner of a bucket that tests share


def place_of(server: S3Server) -> Place:
    return Place(server.bucket, server.region, server.endpoint, "path")


@cache
def session_of(region: str, access_key_id: str, secret_access_key: str) -> boto3.Session:
    """Open one session for all tests: it keeps the description of S3, which takes long to read."""
    return open_session(region, Credentials(access_key_id, secret_access_key))


@contextmanager
def opened(server: S3Server, place: Place) -> Iterator[S3Storage]:
    """Speak to a server as the gateway does."""
    storage = S3Storage(session_of(server.region, server.access_key_id, server.secret_access_key), place)
    try:
        yield storage
    finally:
        storage.close()


def checksum(body: bytes) -> str:
    return base64.b64encode(sha256(body).digest()).decode()


def etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def in_memory(root: str) -> Subject:
    storage = MemoryStorage(now=int(time.time()))

    def upload(key: str, body: bytes) -> None:
        storage.upload(
            key, body, content_type="image/png", metadata={"Grant": "sealed"}, checksum_sha256=checksum(body)
        )

    def upload_part(key: str, upload_id: str, number: int, body: bytes, stated: bool) -> ArrivedPart:  # noqa: FBT001 - see Subject
        return storage.upload_part(key, upload_id, number, body, checksum(body) if stated else None)

    return Subject(storage, upload, upload_part, root)


def on_server(server: S3Server, storage: S3Storage, root: str) -> Subject:
    client = server.s3()

    def upload(key: str, body: bytes) -> None:
        client.put_object(
            Bucket=server.bucket,
            Key=key,
            Body=body,
            ContentType="image/png",
            Metadata={"Grant": "sealed"},
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum(body),
            # Nothing in a presigned PUT keeps a client from adding these.
            CacheControl="public, max-age=31536000",
            ContentDisposition="inline",
            ContentEncoding="gzip",
            ContentLanguage="tlh",
        )

    def upload_part(key: str, upload_id: str, number: int, body: bytes, stated: bool) -> ArrivedPart:  # noqa: FBT001 - see Subject
        upload = {"Bucket": server.bucket, "Key": key, "UploadId": upload_id}
        stating = {"ChecksumSHA256": checksum(body)} if stated else {}
        answer = client.upload_part(**upload, PartNumber=number, Body=body, **stating)  # type: ignore[arg-type] # strings
        return ArrivedPart(number, len(body), answer["ETag"], checksum(body) if stated else None)

    return Subject(storage, upload, upload_part, root)
