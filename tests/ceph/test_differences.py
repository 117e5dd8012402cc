"""What Ceph 16 does where it does not do as AWS: nothing that is not as granted is stored, or it is said here."""

import secrets
from dataclasses import replace

import httpx
import pytest

from gateway.errors import Code, Refusal
from gateway.s3.storage import Head
from tests.ceph.differences import DIFFERENT
from tests.gateways import API_KEY, BASE_URL
from tests.http.routes.conftest import AppOver
from tests.http.routes.flow import (
    PNG,
    PNG_SHA256,
    assert_refused,
    bearer,
    complete,
    film,
    issue,
    issue_divided,
    put,
    put_part,
    sha256,
    sign,
    store,
)
from tests.s3.subjects import PICTURE, Subject, etag
from tests.s3.test_storage_multipart import LARGE, TAIL, begin, send
from tests.servers.known import NOT_ENFORCED
from tests.servers.s3 import S3Server


@pytest.fixture
def stating(ceph: S3Server, app_over: AppOver) -> httpx.AsyncClient:
    """Speak to the gateway as a client that states checksums all the same."""
    transport = httpx.ASGITransport(app=app_over(ceph))
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=bearer(API_KEY))


def test_a_difference_that_is_a_row_of_the_table_of_servers_is_one_of_ceph() -> None:
    rows = [reason for reason in DIFFERENT.values() if " " not in reason or reason in NOT_ENFORCED]
    assert [row for row in rows if "ceph" not in NOT_ENFORCED[row]] == []


async def test_an_upload_is_described_whole_but_for_its_checksum(subject: Subject) -> None:
    subject.upload(subject.root + "a", PICTURE)
    await subject.storage.copy(
        subject.root + "a", subject.root + "b", if_match=etag(PICTURE), content_type="image/gif", metadata={"k": "v"}
    )
    source, target = [await subject.storage.head(subject.root + name) for name in "ab"]
    assert source is not None
    assert target is not None
    expected = Head(len(PICTURE), etag(PICTURE), "image/png", None, None, {"grant": "sealed"}, source.last_modified)
    assert source == expected
    assert target == replace(
        expected, content_type="image/gif", metadata={"k": "v"}, last_modified=target.last_modified
    )


async def test_nothing_is_stored_that_was_granted_with_a_checksum(
    stating: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(stating, checksum_sha256=PNG_SHA256)
    assert (await put(bucket, ticket, PNG)).status_code == 200
    assert_refused(await complete(stating, ticket), Code.CONTENT_MISMATCH)


async def test_a_picture_without_a_checksum_is_stored_with_none(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored = (await store(client, bucket))["status"]["object"]
    assert (stored["size"], stored["checksum_sha256"], stored["checksum_type"]) == (len(PNG), None, None)
    assert stored["etag"] == etag(PNG)


async def test_parts_with_checksums_that_the_store_does_not_keep_are_not_stored(
    stating: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(1000)
    ticket = await issue_divided(stating, len(body), part_checksums=True)
    (part,) = await sign(stating, ticket, 1, checksums_sha256={"1": sha256(body)})
    assert (await put_part(bucket, part, body[::-1])).status_code == 200
    assert_refused(await complete(stating, ticket), Code.CONTENT_MISMATCH)


async def test_parts_are_joined_over_an_object(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, TAIL)
    subject.upload(key, PICTURE)
    await subject.storage.complete_upload(key, upload_id, parts)
    head = await subject.storage.head(key)
    assert head is not None
    assert head.size == len(TAIL)


async def test_a_part_is_copied_of_whatever_is_there(subject: Subject) -> None:
    subject.upload(subject.root + "source", LARGE)
    key, upload_id = await begin(subject)
    part = await subject.storage.copy_part(
        subject.root + "source", key, upload_id, 1, if_match=etag(PICTURE), first=0, last=len(LARGE) - 1
    )
    assert part.etag == etag(LARGE)


@pytest.mark.parametrize("case", ["gone", "another key's"])
async def test_an_upload_that_is_not_there_is_not_joined_and_the_caller_asks_again(subject: Subject, case: str) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, TAIL)
    if case == "gone":
        await subject.storage.abort_upload(key, upload_id)
    else:
        key = subject.root + "b"
    with pytest.raises(Refusal) as refused:
        await subject.storage.complete_upload(key, upload_id, parts)
    assert (refused.value.code, refused.value.retry_after) == (Code.STORAGE_UNAVAILABLE, 5)
    assert await subject.storage.head(key) is None


async def test_a_content_encoding_that_was_never_signed_is_served_empty(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client)
    assert (await put(bucket, ticket, PNG, {"content-encoding": "gzip"})).status_code == 200
    status = (await complete(client, ticket)).json()
    served = await bucket.get((await client.get(status["link"])).headers["location"])
    assert (served.headers["content-encoding"], served.content) == ("", PNG)


def test_the_gateway_sees_no_bucket_of_others(ceph: S3Server) -> None:
    ceph.admin_s3().create_bucket(Bucket=f"other-{secrets.token_hex(4)}")
    assert ceph.s3().list_buckets()["Buckets"] == []
