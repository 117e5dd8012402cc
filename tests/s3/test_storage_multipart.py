"""The contract of Storage, second half: uploads that come, or are copied, in parts."""

import asyncio
import base64
import time
from dataclasses import replace
from hashlib import md5, sha256

import pytest

from gateway.s3.parts import MIN_PART
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head, UnfitParts
from tests.s3.subjects import GONE, PICTURE, Subject, checksum, etag

LARGE = bytes(range(256)) * (MIN_PART // 256)
TAIL = b"the rest"


async def begin(subject: Subject, name: str = "a", *, checksums: bool = False) -> tuple[str, str]:
    key = subject.root + name
    metadata = {"Grant": "sealed"}
    upload_id = await subject.storage.create_upload(
        key, content_type="image/png", metadata=metadata, checksums=checksums
    )
    return key, upload_id


def send(subject: Subject, key: str, upload_id: str, *bodies: bytes, stated: bool = False) -> list[ArrivedPart]:
    """Send parts as a client does, the last one first."""
    numbered = reversed(list(enumerate(bodies, 1)))
    return [subject.upload_part(key, upload_id, number, body, stated) for number, body in numbered][::-1]


async def content(subject: Subject, key: str) -> bytes | None:
    head = await subject.storage.head(key)
    return None if head is None else await subject.storage.read(key, if_match=head.etag, size=head.size)


def joined_etag(*bodies: bytes) -> str:
    digests = b"".join(md5(body, usedforsecurity=False).digest() for body in bodies)
    return f'"{md5(digests, usedforsecurity=False).hexdigest()}-{len(bodies)}"'


def joined_checksum(*bodies: bytes) -> str:
    digests = b"".join(sha256(body).digest() for body in bodies)
    return f"{base64.b64encode(sha256(digests).digest()).decode()}-{len(bodies)}"


async def test_parts_become_one_object_and_only_when_they_are_joined(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    assert await subject.storage.list_parts(key, upload_id) == []
    parts = send(subject, key, upload_id, LARGE, TAIL)
    assert await subject.storage.list_parts(key, upload_id) == parts
    assert parts == [ArrivedPart(1, len(LARGE), etag(LARGE)), ArrivedPart(2, len(TAIL), etag(TAIL))]
    assert await subject.storage.head(key) is None
    await subject.storage.complete_upload(key, upload_id, parts)
    head = await subject.storage.head(key)
    assert head is not None
    size, tag = len(LARGE + TAIL), joined_etag(LARGE, TAIL)
    assert head == Head(size, tag, "image/png", None, None, {"grant": "sealed"}, head.last_modified)
    assert await content(subject, key) == LARGE + TAIL
    assert await subject.storage.list_uploads(key) == []


async def test_a_checksum_with_every_part_is_listed_and_makes_the_checksum_of_the_object(subject: Subject) -> None:
    key, upload_id = await begin(subject, checksums=True)
    parts = send(subject, key, upload_id, LARGE, TAIL, stated=True)
    assert [part.checksum_sha256 for part in parts] == [checksum(LARGE), checksum(TAIL)]
    assert await subject.storage.list_parts(key, upload_id) == parts
    await subject.storage.complete_upload(key, upload_id, parts)
    head = await subject.storage.head(key)
    assert head is not None
    assert (head.checksum_sha256, head.checksum_type) == (joined_checksum(LARGE, TAIL), "composite")


async def test_more_parts_than_a_page_holds_are_all_listed_in_the_order_of_their_numbers(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    numbers = [*range(1, 1001), 9_999, 10_000]
    parts = [subject.upload_part(key, upload_id, number, b"x", False) for number in numbers]  # noqa: FBT003 - see Subject
    assert await subject.storage.list_parts(key, upload_id) == parts
    await subject.storage.abort_upload(key, upload_id)


@pytest.mark.parametrize("named", [GONE, None], ids=["another etag", "no such part"])
async def test_parts_that_are_no_longer_as_they_are_named_are_not_joined(subject: Subject, named: str | None) -> None:
    key, upload_id = await begin(subject)
    first, second = send(subject, key, upload_id, LARGE, TAIL)
    other = replace(second, number=7) if named is None else replace(second, etag=named)
    with pytest.raises(Changed):
        await subject.storage.complete_upload(key, upload_id, [first, other])
    assert await subject.storage.head(key) is None
    await subject.storage.complete_upload(key, upload_id, [first, second])
    assert await content(subject, key) == LARGE + TAIL


async def test_a_part_that_is_sent_again_replaces_the_first(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    [old] = send(subject, key, upload_id, TAIL)
    [new] = send(subject, key, upload_id, PICTURE)
    assert await subject.storage.list_parts(key, upload_id) == [new]
    with pytest.raises(Changed):
        await subject.storage.complete_upload(key, upload_id, [old])
    await subject.storage.complete_upload(key, upload_id, [new])
    assert await content(subject, key) == PICTURE


async def test_parts_out_of_order_are_not_joined(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, LARGE, LARGE)
    with pytest.raises(UnfitParts):
        await subject.storage.complete_upload(key, upload_id, parts[::-1])
    assert await subject.storage.head(key) is None


async def test_a_small_part_before_the_last_is_not_joined(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, LARGE[:-1], TAIL)
    with pytest.raises(UnfitParts):
        await subject.storage.complete_upload(key, upload_id, parts)
    assert await subject.storage.head(key) is None


@pytest.mark.threat(2)
async def test_parts_are_never_joined_over_an_object(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, TAIL)
    subject.upload(key, PICTURE)
    with pytest.raises(Changed):
        await subject.storage.complete_upload(key, upload_id, parts)
    assert await content(subject, key) == PICTURE


async def test_joining_twice_changes_nothing(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, LARGE, TAIL)
    await subject.storage.complete_upload(key, upload_id, parts)
    [again] = await asyncio.gather(subject.storage.complete_upload(key, upload_id, parts), return_exceptions=True)
    assert type(again) in {type(None), Changed, Gone}  # AWS and others answer a repeat in all three ways
    assert await content(subject, key) == LARGE + TAIL
    with pytest.raises(Gone):
        await subject.storage.list_parts(key, upload_id)


@pytest.mark.threat(2)
async def test_two_uploads_of_the_same_bytes_that_are_joined_at_once_become_the_object_whole(subject: Subject) -> None:
    """As two processes promote. LocalStack joins in place: of other bytes it would make a mixture of both."""
    key, first = await begin(subject)
    key, second = await begin(subject)
    parts = {upload_id: send(subject, key, upload_id, LARGE, TAIL) for upload_id in (first, second)}
    results = await asyncio.gather(
        *(subject.storage.complete_upload(key, upload_id, parts[upload_id]) for upload_id in parts),
        return_exceptions=True,
    )
    # moto and LocalStack look before they join, so that both can succeed.
    assert {type(result) for result in results} in ({type(None), Changed}, {type(None)})
    assert await content(subject, key) == LARGE + TAIL


async def test_what_is_aborted_is_gone_and_may_be_aborted_again(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    send(subject, key, upload_id, TAIL)
    for _ in range(2):
        await subject.storage.abort_upload(key, upload_id)
        assert await subject.storage.list_uploads(key) == []
    with pytest.raises(Gone):
        await subject.storage.list_parts(key, upload_id)
    assert await subject.storage.head(key) is None


async def test_an_upload_that_is_gone_is_not_joined(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, TAIL)
    await subject.storage.abort_upload(key, upload_id)
    with pytest.raises(Gone):
        await subject.storage.complete_upload(key, upload_id, parts)
    assert await subject.storage.head(key) is None


async def test_an_upload_that_never_was_is_gone(subject: Subject) -> None:
    key = subject.root + "a"
    await subject.storage.abort_upload(key, "never-begun")
    with pytest.raises(Gone):
        await subject.storage.list_parts(key, "never-begun")


@pytest.mark.threat(5)
async def test_the_upload_of_another_key_is_not_touched(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    parts = send(subject, key, upload_id, TAIL)
    other = subject.root + "b"
    with pytest.raises(Gone):
        await subject.storage.list_parts(other, upload_id)
    with pytest.raises(Gone):
        await subject.storage.complete_upload(other, upload_id, parts)
    await subject.storage.abort_upload(other, upload_id)
    assert await subject.storage.list_parts(key, upload_id) == parts


async def test_the_unfinished_uploads_of_exactly_this_key_are_listed(subject: Subject) -> None:
    key, first = await begin(subject, "a")
    _, second = await begin(subject, "a")
    longer, other = await begin(subject, "a/b")
    assert sorted(await subject.storage.list_uploads(key)) == sorted([first, second])
    assert await subject.storage.list_uploads(longer) == [other]
    await subject.storage.abort_upload(key, first)
    assert await subject.storage.list_uploads(key) == [second]
    assert await subject.storage.list_uploads(subject.root) == []


async def listed(subject: Subject, prefix: str, *, limit: int = 1000) -> list[tuple[str, str]]:
    """List all unfinished uploads under a prefix, page by page."""
    found: list[tuple[str, str]] = []
    after = None
    while True:
        page = await subject.storage.list_unfinished(prefix, limit=limit, after=after)
        assert len(page.uploads) <= limit
        found += [(upload.key, upload.upload_id) for upload in page.uploads]
        if page.following is None:
            return found
        after = page.following


async def test_all_unfinished_uploads_under_a_prefix_are_listed(subject: Subject) -> None:
    begun = [await begin(subject, name) for name in ("b", "a/b", "c", "a", "a")]
    joined, done = await begin(subject, "joined")
    await subject.storage.complete_upload(joined, done, send(subject, joined, done, TAIL))
    await subject.storage.abort_upload(*begun.pop())
    assert sorted(await listed(subject, subject.root)) == sorted(begun)
    assert await listed(subject, subject.root + "a/") == [begun[1]]
    assert await listed(subject, subject.root + "d") == []


async def test_pages_of_unfinished_uploads_hold_each_once_in_the_order_of_their_keys(subject: Subject) -> None:
    begun = [await begin(subject, name) for name in ("c", "a", "b", "b", "b", "a.b", "a-b")]
    found = await listed(subject, subject.root, limit=2)
    assert sorted(found) == sorted(begun)
    assert [key for key, _ in found] == sorted(key for key, _ in begun)


async def test_uploads_that_end_between_two_pages_hide_no_others(subject: Subject) -> None:
    begun = [await begin(subject, name) for name in ("a", "b", "c", "d")]
    first = await subject.storage.list_unfinished(subject.root, limit=2)
    assert first.following is not None
    for upload in first.uploads:
        await subject.storage.abort_upload(upload.key, upload.upload_id)
    rest = await subject.storage.list_unfinished(subject.root, after=first.following)
    assert [(upload.key, upload.upload_id) for upload in (*first.uploads, *rest.uploads)] == begun


async def test_an_unfinished_upload_tells_when_it_was_begun(subject: Subject) -> None:
    before = int(time.time())
    await begin(subject)
    [upload] = (await subject.storage.list_unfinished(subject.root)).uploads
    assert before - 1 <= upload.begun <= int(time.time()) + 1


async def test_parts_are_copied_and_become_the_same_bytes(subject: Subject) -> None:
    source = subject.root + "source"
    subject.upload(source, LARGE + TAIL)
    key, upload_id = await begin(subject)
    tag, size = etag(LARGE + TAIL), len(LARGE + TAIL)
    copy = subject.storage.copy_part
    first = await copy(source, key, upload_id, 1, if_match=tag, first=0, last=len(LARGE) - 1)
    last = await copy(source, key, upload_id, 2, if_match=tag, first=len(LARGE), last=size - 1)
    assert [(part.number, part.size, part.etag) for part in (first, last)] == [
        (1, len(LARGE), etag(LARGE)),
        (2, len(TAIL), etag(TAIL)),
    ]
    assert await subject.storage.list_parts(key, upload_id) == [first, last]
    await subject.storage.complete_upload(key, upload_id, [first, last])
    assert await content(subject, key) == LARGE + TAIL


@pytest.mark.threat(2)
@pytest.mark.parametrize("last", [len(TAIL) - 1, len(LARGE)], ids=["within", "beyond the end"])
async def test_a_part_is_copied_only_of_what_was_proved(subject: Subject, last: int) -> None:
    source = subject.root + "source"
    subject.upload(source, TAIL)
    key, upload_id = await begin(subject)
    with pytest.raises(Changed):
        await subject.storage.copy_part(source, key, upload_id, 1, if_match=GONE, first=0, last=last)
    assert await subject.storage.list_parts(key, upload_id) == []


async def test_a_part_of_nothing_is_not_copied(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    with pytest.raises(Changed):
        await subject.storage.copy_part(subject.root + "none", key, upload_id, 1, if_match=GONE, first=0, last=7)


async def test_a_part_is_not_copied_into_an_upload_that_is_gone(subject: Subject) -> None:
    source = subject.root + "source"
    subject.upload(source, TAIL)
    key, upload_id = await begin(subject)
    await subject.storage.abort_upload(key, upload_id)
    with pytest.raises(Gone):
        await subject.storage.copy_part(source, key, upload_id, 1, if_match=etag(TAIL), first=0, last=len(TAIL) - 1)


async def test_what_came_in_parts_is_copied_whole(subject: Subject) -> None:
    key, upload_id = await begin(subject)
    await subject.storage.complete_upload(key, upload_id, send(subject, key, upload_id, LARGE, TAIL))
    tag, target = joined_etag(LARGE, TAIL), subject.root + "b"
    await subject.storage.copy(key, target, if_match=tag, content_type="image/gif", metadata={"description": "e30="})
    head = await subject.storage.head(target)
    assert head is not None
    assert (head.size, head.content_type, head.metadata) == (len(LARGE + TAIL), "image/gif", {"description": "e30="})
    assert await content(subject, target) == LARGE + TAIL
