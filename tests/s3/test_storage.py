"""One contract for every Storage: the fake that other tests use, and each server, keep the same promises."""

import asyncio
import secrets
import time
from dataclasses import replace

import pytest

from gateway.errors import Code, Refusal
from gateway.s3.storage import Changed, Head, Listed
from tests.s3.subjects import GONE, PICTURE, SCRIPT, Subject, checksum, etag, on_server, opened, place_of
from tests.servers.s3 import S3Server


async def put(subject: Subject, key: str, body: bytes, *, if_match: str | None = None, create: bool = False) -> None:
    metadata = {"state": "stored"}
    await subject.storage.put(
        key, body, content_type="application/json", metadata=metadata, if_match=if_match, create=create
    )


async def body_of(subject: Subject, key: str) -> bytes | None:
    head = await subject.storage.head(key)
    return None if head is None else await subject.storage.read(key, if_match=head.etag, size=1000)


async def test_head_describes_an_upload_whole(subject: Subject) -> None:
    before = int(time.time())
    subject.upload(subject.root + "a.png", PICTURE)
    head = await subject.storage.head(subject.root + "a.png")
    assert head is not None
    assert replace(head, last_modified=0) == Head(
        size=len(PICTURE),
        etag=etag(PICTURE),
        content_type="image/png",
        checksum_sha256=checksum(PICTURE),
        checksum_type="full",
        metadata={"grant": "sealed"},
        last_modified=0,
    )
    assert before - 1 <= head.last_modified <= time.time() + 1


async def test_head_describes_what_we_put(subject: Subject) -> None:
    await put(subject, subject.root + "a", b"{}", create=True)
    head = await subject.storage.head(subject.root + "a")
    assert head is not None
    expected = Head(2, etag(b"{}"), "application/json", None, None, {"state": "stored"}, head.last_modified)
    assert head == expected


async def test_head_of_nothing_is_none(subject: Subject) -> None:
    assert await subject.storage.head(subject.root + "nothing") is None


@pytest.mark.parametrize(
    ("body", "size", "front"),
    [
        (PICTURE, 4, PICTURE[:4]),
        (PICTURE, 1, PICTURE[:1]),
        (PICTURE, len(PICTURE), PICTURE),
        (PICTURE, 4096, PICTURE),
        (PICTURE, 0, b""),
        (b"", 0, b""),
        (b"", 4096, b""),
        (bytes(range(256)) * 4096, 4096, bytes(range(256)) * 16),
    ],
)
async def test_read_gives_the_front(subject: Subject, body: bytes, size: int, front: bytes) -> None:
    subject.upload(subject.root + "a", body)
    assert await subject.storage.read(subject.root + "a", if_match=etag(body), size=size) == front


@pytest.mark.threat(2)
@pytest.mark.parametrize("size", [0, 10])
@pytest.mark.parametrize("body", [b"", PICTURE, None])
async def test_read_gives_nothing_of_other_bytes_or_none(subject: Subject, body: bytes | None, size: int) -> None:
    if body is not None:
        subject.upload(subject.root + "a", body)
    with pytest.raises(Changed):
        await subject.storage.read(subject.root + "a", if_match=GONE, size=size)


async def test_a_copy_keeps_bytes_and_checksum_and_takes_our_type_and_metadata(subject: Subject) -> None:
    subject.upload(subject.root + "a", PICTURE)
    target = subject.root + "b"
    await subject.storage.copy(
        subject.root + "a", target, if_match=etag(PICTURE), content_type="image/gif", metadata={"description": "e30="}
    )
    head = await subject.storage.head(target)
    assert head is not None
    assert head == Head(
        size=len(PICTURE),
        etag=etag(PICTURE),
        content_type="image/gif",
        checksum_sha256=checksum(PICTURE),
        checksum_type="full",
        metadata={"description": "e30="},
        last_modified=head.last_modified,
    )
    assert await body_of(subject, target) == await body_of(subject, subject.root + "a") == PICTURE


@pytest.mark.threat(2)
async def test_a_copy_of_other_bytes_than_were_proved_is_not_made(subject: Subject) -> None:
    subject.upload(subject.root + "a", SCRIPT)
    with pytest.raises(Changed):
        await subject.storage.copy(
            subject.root + "a", subject.root + "b", if_match=etag(PICTURE), content_type="image/png", metadata={}
        )
    assert await subject.storage.head(subject.root + "b") is None


async def test_a_copy_of_nothing_is_not_made(subject: Subject) -> None:
    with pytest.raises(Changed):
        await subject.storage.copy(
            subject.root + "a", subject.root + "b", if_match=etag(PICTURE), content_type="image/png", metadata={}
        )
    assert await subject.storage.head(subject.root + "b") is None


async def test_what_is_created_is_never_overwritten_by_creating(subject: Subject) -> None:
    await put(subject, subject.root + "a", b"first", create=True)
    with pytest.raises(Changed):
        await put(subject, subject.root + "a", b"second", create=True)
    assert await body_of(subject, subject.root + "a") == b"first"


async def test_of_sixteen_that_create_at_once_exactly_one_does(subject: Subject) -> None:
    bodies = [b"%d" % number for number in range(16)]
    results = await asyncio.gather(
        *(put(subject, subject.root + "a", body, create=True) for body in bodies), return_exceptions=True
    )
    winners = [body for body, result in zip(bodies, results, strict=True) if result is None]
    assert [await body_of(subject, subject.root + "a")] == winners
    assert {type(result) for result in results} == {type(None), Changed}


async def test_a_put_over_exactly_what_was_seen_replaces_all_of_it(subject: Subject) -> None:
    subject.upload(subject.root + "a", PICTURE)
    await put(subject, subject.root + "a", b"marker", if_match=etag(PICTURE))
    head = await subject.storage.head(subject.root + "a")
    assert head is not None
    expected = Head(6, etag(b"marker"), "application/json", None, None, {"state": "stored"}, head.last_modified)
    assert head == expected


@pytest.mark.parametrize("body", [SCRIPT, b"", None])
async def test_a_put_over_what_is_no_longer_there_is_not_made(subject: Subject, body: bytes | None) -> None:
    if body is not None:
        subject.upload(subject.root + "a", body)
    with pytest.raises(Changed):
        await put(subject, subject.root + "a", b"marker", if_match=etag(PICTURE))
    assert await body_of(subject, subject.root + "a") == body


async def test_a_put_without_a_condition_is_made_over_anything(subject: Subject) -> None:
    await put(subject, subject.root + "a", b"first")
    await put(subject, subject.root + "a", b"second")
    assert await body_of(subject, subject.root + "a") == b"second"


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(subject: Subject) -> None:
    subject.upload(subject.root + "a", PICTURE)
    subject.upload(subject.root + "b", PICTURE)
    for _ in range(2):
        await subject.storage.delete(subject.root + "a")
        page = await subject.storage.list(subject.root, limit=10, after="")
        assert (page.keys, page.more) == ((subject.root + "b",), False)


async def test_keys_are_listed_page_by_page_in_the_order_of_their_bytes(subject: Subject) -> None:
    names = ["a/1.png", "a.png", "Z.png", "z.png", "a-.png"]
    for name in names:
        subject.upload(subject.root + name, b"x")
    keys = tuple(sorted(subject.root + name for name in names))

    async def page(prefix: str, *, limit: int, after: str) -> tuple[tuple[str, ...], bool]:
        found = await subject.storage.list(prefix, limit=limit, after=after)
        return found.keys, found.more

    assert await page(subject.root, limit=1000, after="") == (keys, False)
    assert await page(subject.root, limit=5, after="") == (keys, False)
    assert await page(subject.root, limit=2, after="") == (keys[:2], True)
    assert await page(subject.root, limit=2, after=keys[1]) == (keys[2:4], True)
    assert await page(subject.root, limit=2, after=keys[3]) == (keys[4:], False)
    assert await page(subject.root, limit=2, after=keys[4]) == ((), False)
    assert await page(subject.root + "a", limit=9, after="") == (keys[1:4], False)
    assert await page(subject.root + "nothing", limit=9, after="") == ((), False)


async def test_a_listing_says_of_an_object_what_the_object_says(subject: Subject) -> None:
    for name, body in (("a", b"x"), ("b", PICTURE), ("c", b"")):
        subject.upload(subject.root + name, body)
    upload_id = await subject.storage.create_upload(subject.root + "d", content_type="image/png", metadata={})
    source = await subject.storage.head(subject.root + "b")
    assert source is not None
    part = await subject.storage.copy_part(
        subject.root + "b", subject.root + "d", upload_id, 1, if_match=source.etag, first=0, last=0
    )
    await subject.storage.complete_upload(subject.root + "d", upload_id, [part])
    listed = (await subject.storage.list(subject.root, limit=10, after="")).objects
    heads = [(key, await subject.storage.head(key)) for key in (subject.root + name for name in "abcd")]
    assert listed == tuple(Listed(key, head.size, head.last_modified) for key, head in heads if head is not None)
    assert [each.size for each in listed] == [1, len(PICTURE), 0, 1]


async def test_a_bucket_that_can_be_reached_passes_the_check(subject: Subject) -> None:
    await subject.storage.check()


@pytest.mark.threat(9)
async def test_nothing_that_an_uploader_added_survives_the_copy(server: S3Server) -> None:
    root = f"incoming/contract/{secrets.token_hex(8)}/"
    with opened(server, place_of(server)) as storage:
        on_server(server, storage, root).upload(root + "a", PICTURE)
        await storage.copy(root + "a", root + "b", if_match=etag(PICTURE), content_type="image/png", metadata={})
    headers = server.s3().head_object(Bucket=server.bucket, Key=root + "b")["ResponseMetadata"]["HTTPHeaders"]
    hostile = {"cache-control", "content-disposition", "content-encoding", "content-language", "expires"}
    assert hostile & {name for name, value in headers.items() if value} == set()


@pytest.mark.threat(45)
async def test_a_missing_bucket_is_a_refusal_that_names_nothing(server: S3Server) -> None:
    with opened(server, replace(place_of(server), bucket="no-such-bucket-here")) as storage:
        for call in (
            storage.check(),
            storage.list("incoming/", limit=1, after=""),
            storage.read("incoming/a", if_match=GONE, size=1),
            storage.copy("incoming/a", "objects/a", if_match=GONE, content_type="a/b", metadata={}),
            storage.put("incoming/a", b"x", content_type="a/b", metadata={}, if_match=GONE),
            storage.put("incoming/a", b"x", content_type="a/b", metadata={}, create=True),
        ):
            with pytest.raises(Refusal) as refused:
                await call
            told = refused.value.code, refused.value.detail, refused.value.retry_after
            assert told == (Code.STORAGE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE.sentence, 5)


@pytest.mark.threat(51)
async def test_a_bucket_in_another_region_is_not_ready(ministack: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = replace(place_of(ministack), region="eu-central-1")
    with opened(ministack, elsewhere) as storage, pytest.raises(Refusal):
        await storage.check()
    assert caplog.messages[-1].endswith(f"the bucket's region {ministack.region}")


@pytest.mark.threat(3)
async def test_the_gateway_itself_may_not_free_a_key_under_incoming(ministack: S3Server) -> None:
    key = f"incoming/contract/{secrets.token_hex(8)}"
    with opened(ministack, place_of(ministack)) as storage:
        await storage.put(key, b"marker", content_type="a/b", metadata={}, create=True)
        with pytest.raises(Refusal):
            await storage.delete(key)
        assert await storage.read(key, if_match=etag(b"marker"), size=10) == b"marker"


async def test_denied_is_never_read_as_missing(ministack: S3Server) -> None:
    forger = replace(ministack, secret_access_key="not the secret")
    with opened(forger, place_of(ministack)) as storage, pytest.raises(Refusal) as refused:
        await storage.head("incoming/nothing")
    assert refused.value.code is Code.STORAGE_UNAVAILABLE
