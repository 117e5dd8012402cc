"""Multipart uploads, forms and content addresses as use cases, over a bucket in memory."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from itertools import count

import pytest

from gateway.assembly import ClaimedPart
from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import Marker, State, marker_of
from gateway.s3.storage import ArrivedPart, UnfitParts
from gateway.uploads import Outcome, Uploads
from tests.memory_storage import MemoryStorage

NOW = 1_800_000_000
TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
NAME = "0123456789abcdef0123456789abcdef"
KEY = ObjectKey("default", "films", NAME, "txt")
BODY = b"four and four and two"
PART_SIZE = 8
PARTS = {1: BODY[:8], 2: BODY[8:16], 3: BODY[16:]}
GRANT = Grant("alice", KEY, "text/plain", len(BODY), None, Filename("a.txt"), {}, NOW, NOW + 86_400)
FORM_GRANT = replace(GRANT, key=replace(KEY, name=f"{NAME}form"), exact=False, size=100)


class Counting(MemoryStorage):
    """A bucket in memory that takes parts of any size, and counts the copies of parts."""

    def __init__(self) -> None:
        super().__init__(NOW, min_part=1)
        self.copied: list[int] = []

    async def copy_part(  # noqa: PLR0913 - see Storage
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        part = await super().copy_part(source, target, upload_id, number, if_match=if_match, first=first, last=last)
        self.copied.append(number)
        return part


def uploads_of(storage: MemoryStorage, copy_threshold: int = 1 << 30, process: str = "one") -> Uploads:
    numbers = count()
    return Uploads(
        storage,
        TOKENS,
        lambda: f"nonce-{process}-{next(numbers)}",
        copy_threshold=copy_threshold,
        copied_part=4,
        pause=0,
    )


def send(storage: MemoryStorage, ticket: Ticket, *numbers: int, parts: Mapping[int, bytes] = PARTS) -> None:
    """Do what the client does with its presigned parts."""
    for number in numbers:
        storage.upload_part(ticket.grant.key.upload_key, ticket.divided().upload_id, number, parts[number])


def post(storage: MemoryStorage, body: bytes, grant: Grant = FORM_GRANT) -> None:
    """Do what the client does with its form, which no bucket refuses."""
    storage.objects.pop(grant.key.upload_key, None)
    metadata = {"grant": TOKENS.seal_grant_token(grant)}
    storage.upload(grant.key.upload_key, body, content_type=grant.content_type, metadata=metadata)


async def refusal(awaitable: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value.code, caught.value.detail


async def named(uploads: Uploads, ticket: Ticket) -> Sequence[ClaimedPart]:
    return [ClaimedPart(part.number, part.etag) for part in (await uploads.status(ticket)).parts]


async def test_parts_that_add_up_become_the_object_whoever_lists_them() -> None:
    for client_lists in (False, True):
        storage = Counting()
        uploads = uploads_of(storage)
        ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
        assert (await uploads.status(ticket)).state is State.WAITING
        send(storage, ticket, 3, 1)
        outcome = await uploads.status(ticket)
        assert (outcome.state, [(part.number, part.size) for part in outcome.parts]) == (
            State.UPLOADING,
            [(1, 8), (3, 5)],
        )
        send(storage, ticket, 2)
        outcome = await uploads.complete(ticket, await named(uploads, ticket) if client_lists else None)
        assert outcome.state is State.STORED
        assert storage.objects[KEY.key].body == BODY
        assert not storage.uploads
        assert await uploads.complete(ticket) == await uploads.status(ticket) == outcome


async def test_parts_that_are_missing_can_still_be_sent() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    nothing = (Code.NOT_UPLOADED, "No part of this upload has arrived yet.")
    assert await refusal(uploads.complete(ticket)) == nothing
    send(storage, ticket, 2)
    two = (Code.NOT_UPLOADED, "2 parts of this upload have not arrived yet.")
    assert await refusal(uploads.complete(ticket)) == two
    assert await refusal(uploads.complete(ticket, await named(uploads, ticket))) == two
    send(storage, ticket, 1, 3)
    assert (await uploads.complete(ticket)).state is State.STORED


async def test_a_part_sent_again_after_it_was_named_is_not_joined_unseen() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    claimed = await named(uploads, ticket)
    send(storage, ticket, 2, parts={2: b"other on"})
    again = (Code.NOT_UPLOADED, "Part 2 has not arrived as it is named: upload it again.")
    assert await refusal(uploads.complete(ticket, claimed)) == again
    assert KEY.upload_key not in storage.objects


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([2, 1, 3], (Code.INVALID_REQUEST, "Name each part once, in the order of their numbers.")),
        ([1, 1, 2, 3], (Code.INVALID_REQUEST, "Name each part once, in the order of their numbers.")),
        ([1, 2, 3, 4], (Code.NOT_UPLOADED, "Part 4 has not arrived as it is named: upload it again.")),
        ([1, 2], (Code.NOT_UPLOADED, "1 parts of this upload have not arrived yet.")),
        ([], (Code.NOT_UPLOADED, "No part of this upload has arrived yet.")),
    ],
)
async def test_parts_out_of_order_twice_unknown_or_too_few_are_refused(
    order: list[int], expected: tuple[Code, str]
) -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    there = {part.number: part.etag for part in await named(uploads, ticket)}
    claimed = [ClaimedPart(number, there.get(number, '"none"')) for number in order]
    assert await refusal(uploads.complete(ticket, claimed)) == expected
    assert (await uploads.complete(ticket)).state is State.STORED


@pytest.mark.threat(10)
async def test_parts_of_more_than_was_granted_are_never_joined() -> None:
    for grant in (GRANT, replace(GRANT, exact=False)):
        storage = Counting()
        uploads = uploads_of(storage)
        ticket = await uploads.create_multipart(grant, part_size=None)
        send(storage, ticket, 1, 2, 3, parts={**PARTS, 3: b"nd two, and more"})
        for _ in range(2):
            assert await refusal(uploads.complete(ticket)) == (Code.SIZE_MISMATCH, Code.SIZE_MISMATCH.sentence)
        assert list(storage.objects) == [KEY.upload_key]
        assert marker_of(storage.objects[KEY.upload_key].head) == Marker(State.REJECTED, Code.SIZE_MISMATCH)
        assert not storage.uploads


async def test_a_stream_may_have_fewer_bytes_than_its_limit() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(replace(GRANT, exact=False), part_size=PART_SIZE)
    send(storage, ticket, 1, 2, parts={1: BODY[:8], 2: b"the end"})
    assert (await uploads.complete(ticket)).state is State.STORED
    assert storage.objects[KEY.key].body == BODY[:8] + b"the end"


async def test_a_stream_is_not_stored_with_a_gap_nor_below_the_least() -> None:
    for sent, at_least, detail in (
        ({1: BODY[:8], 3: b"end"}, 0, "A part before the last has not arrived yet, or not whole."),
        ({1: BODY[:7], 2: b"end"}, 0, "A part before the last has not arrived yet, or not whole."),
        ({1: BODY[:8]}, 9, "This policy takes files of at least 9 bytes."),
    ):
        storage = Counting()
        uploads = uploads_of(storage)
        ticket = await uploads.create_multipart(replace(GRANT, exact=False, at_least=at_least), part_size=PART_SIZE)
        send(storage, ticket, *sent, parts=sent)
        for claimed in (None, await named(uploads, ticket)):
            assert await refusal(uploads.complete(ticket, claimed)) == (Code.NOT_UPLOADED, detail)
        send(storage, ticket, 1, 2, parts={1: BODY[:8], 2: BODY[8:16]})
        assert (await uploads.complete(ticket)).state is State.STORED


async def test_a_checksum_that_a_client_names_is_that_of_the_part() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE, checksums=True)
    sums = {number: base64.b64encode(hashlib.sha256(part).digest()).decode() for number, part in PARTS.items()}
    for number, part in PARTS.items():
        storage.upload_part(KEY.upload_key, ticket.divided().upload_id, number, part, sums[number])
    right = [ClaimedPart(each.number, each.etag, sums[each.number]) for each in await named(uploads, ticket)]
    wrong = [replace(right[0], checksum_sha256=sums[2]), *right[1:]]
    again = (Code.NOT_UPLOADED, "Part 1 has not arrived as it is named: upload it again.")
    assert await refusal(uploads.complete(ticket, wrong)) == again
    stored = (await uploads.complete(ticket, right)).stored
    digests = b"".join(hashlib.sha256(part).digest() for part in PARTS.values())
    composite = f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-3"
    assert stored is not None
    assert (stored.checksum_sha256, stored.checksum_type) == (composite, "composite")


@pytest.mark.threat(11, 12)
async def test_the_joined_bytes_are_proved_as_any_others() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3, parts={**PARTS, 1: b"<script>"})
    assert (await refusal(uploads.complete(ticket)))[0] is Code.ACTIVE_CONTENT
    assert list(storage.objects) == [KEY.upload_key]


async def test_an_abort_frees_every_part_and_stays_one() -> None:
    for sent in ((), (1, 3)):
        storage = Counting()
        uploads = uploads_of(storage)
        ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
        send(storage, ticket, *sent)
        await uploads.abort(ticket)
        await uploads.abort(ticket)
        assert not storage.uploads
        assert await uploads.status(ticket) == Outcome(State.ABORTED)
        aborted = (Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket.")
        assert await refusal(uploads.complete(ticket)) == aborted


async def test_an_upload_that_a_lifecycle_rule_dropped_has_not_arrived() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    storage.uploads.clear()
    assert (await uploads.status(ticket)).state is State.WAITING
    assert await refusal(uploads.complete(ticket)) == (Code.NOT_UPLOADED, Code.NOT_UPLOADED.sentence)


async def test_an_abort_wins_over_a_store_that_joins_parts_over_its_marker() -> None:
    """Ceph 16 knows no if-none-match there."""

    class Joining(Counting):
        async def abort_upload(self, key: str, upload_id: str) -> None:
            if upload_id in self.uploads:
                del self.objects[key]
                await self.complete_upload(key, upload_id, await self.list_parts(key, upload_id))
            await super().abort_upload(key, upload_id)

    storage = Joining()
    uploads = uploads_of(storage)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    await uploads.abort(ticket)
    assert await uploads.status(ticket) == Outcome(State.ABORTED)


# Promotion by parts


async def test_a_large_object_is_copied_by_parts_and_leaves_nothing_behind() -> None:
    storage = Counting()
    uploads = uploads_of(storage, copy_threshold=4)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    assert (await uploads.complete(ticket)).state is State.STORED
    assert sorted(storage.copied) == [1, 2, 3, 4, 5, 6]
    assert storage.objects[KEY.key].body == BODY
    assert not storage.uploads


async def test_a_copy_whose_process_died_is_gone_on_with_and_not_begun_again() -> None:
    class Dying(Counting):
        dies = True

        async def copy_part(  # noqa: PLR0913 - see Storage
            self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
        ) -> ArrivedPart:
            if self.dies and number > 2:
                raise Refusal(Code.STORAGE_UNAVAILABLE)
            return await super().copy_part(source, target, upload_id, number, if_match=if_match, first=first, last=last)

    storage = Dying()
    ticket = await uploads_of(storage).create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    assert (await refusal(uploads_of(storage, 4).complete(ticket)))[0] is Code.STORAGE_UNAVAILABLE
    assert await storage.head(KEY.key) is None
    storage.dies = False
    assert (await uploads_of(storage, 4).complete(ticket)).state is State.STORED
    assert sorted(storage.copied) == [1, 2, 3, 4, 5, 6]
    assert storage.objects[KEY.key].body == BODY
    assert not storage.uploads


async def test_a_copy_that_was_divided_otherwise_is_never_gone_on_with() -> None:
    """Of two releases with other parts, a last part of one may be as large as any of the other."""
    for left in ({1: BODY[:10]}, {1: BODY[:16], 2: BODY[16:20]}, {9: BODY[:4]}):
        storage = Counting()
        uploads = uploads_of(storage, 4)
        ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
        send(storage, ticket, 1, 2, 3)
        other = await storage.create_upload(KEY.key, content_type="text/plain", metadata={})
        for number, part in left.items():
            storage.upload_part(KEY.key, other, number, part)
        assert (await uploads.complete(ticket)).state is State.STORED
        assert storage.objects[KEY.key].body == BODY
        assert not storage.uploads


@pytest.mark.threat(3)
@pytest.mark.parametrize("ends", ["abort", "delete"])
async def test_parts_that_were_copied_are_not_joined_once_the_upload_has_ended(ends: str) -> None:
    class Ending(Counting):
        """A store where somebody else ends the upload after all parts were copied, and before they are joined."""

        async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
            if key == KEY.key:
                other = uploads_of(self)
                await (other.abort(ticket) if ends == "abort" else other.delete(KEY))
            await super().complete_upload(key, upload_id, parts)

    storage = Ending()
    uploads = uploads_of(storage, 4)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    assert (await refusal(uploads.complete(ticket)))[0] is Code.NOT_UPLOADED
    assert list(storage.objects) == [KEY.upload_key]
    assert not storage.uploads


@pytest.mark.threat(3)
async def test_a_form_s_copy_is_not_promoted_once_the_upload_has_ended() -> None:
    class Ending(Counting):
        """A store where somebody else deletes the object just before the claimed copy is promoted."""

        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            if target == FORM_GRANT.key.key:
                await uploads_of(self).delete(FORM_GRANT.key)
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    storage = Ending()
    post(storage, b"the first")
    assert (await refusal(uploads_of(storage).complete(Ticket(FORM_GRANT))))[0] is Code.NOT_UPLOADED
    assert FORM_GRANT.key.key not in storage.objects


async def test_a_deletion_removes_the_object_though_uploads_cannot_be_listed() -> None:
    class Silent(Counting):
        async def list_uploads(self, key: str) -> Sequence[str]:
            raise Refusal(Code.STORAGE_UNAVAILABLE, key)

    storage = Silent()
    ticket = await uploads_of(storage).create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    await uploads_of(storage).complete(ticket)
    assert (await refusal(uploads_of(storage).delete(KEY)))[0] is Code.STORAGE_UNAVAILABLE
    assert list(storage.objects) == [KEY.upload_key]


async def test_parts_that_the_store_does_not_join_are_copied_anew() -> None:
    class Refusing(Counting):
        refused = False

        async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
            if key == KEY.key and not self.refused:
                self.refused = True
                raise UnfitParts
            await super().complete_upload(key, upload_id, parts)

    storage = Refusing()
    uploads = uploads_of(storage, 4)
    ticket = await uploads.create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    assert (await uploads.complete(ticket)).state is State.STORED
    assert storage.objects[KEY.key].body == BODY
    assert not storage.uploads


async def test_processes_that_are_asked_together_share_the_copying() -> None:
    storage = Counting()
    body = b"ab" * 400
    grant = replace(GRANT, size=len(body))
    ticket = await uploads_of(storage).create_multipart(grant, part_size=len(body))
    send(storage, ticket, 1, parts={1: body})
    processes = [uploads_of(storage, 4, name) for name in ("one", "two", "three")]
    await asyncio.gather(*(process.complete(ticket) for process in processes))
    assert storage.objects[KEY.key].body == body
    assert len(storage.copied) < 2 * 200


@pytest.mark.threat(33)
async def test_processes_that_copy_by_parts_at_once_store_one_object() -> None:
    storage = Counting()
    ticket = await uploads_of(storage).create_multipart(GRANT, part_size=PART_SIZE)
    send(storage, ticket, 1, 2, 3)
    processes = [uploads_of(storage, 4) for _ in range(5)]
    outcomes = await asyncio.gather(*(process.complete(ticket) for process in processes))
    assert {outcome.state for outcome in outcomes} == {State.STORED}
    assert storage.objects[KEY.key].body == BODY
    assert not storage.uploads


# Forms


@pytest.mark.threat(2)
async def test_what_was_posted_first_is_served_whatever_is_posted_over_it() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    ticket = Ticket(FORM_GRANT)
    assert await refusal(uploads.complete(ticket)) == (Code.NOT_UPLOADED, Code.NOT_UPLOADED.sentence)
    post(storage, b"the first")
    assert await uploads.status(ticket) == Outcome(State.UPLOADED)
    stored = await uploads.complete(ticket)
    assert stored.state is State.STORED
    post(storage, b"another one, later")
    assert await uploads.complete(await uploads.granted(FORM_GRANT.key)) == stored
    assert await uploads.status(ticket) == stored
    assert storage.objects[FORM_GRANT.key.key].body == b"the first"


@pytest.mark.threat(2)
async def test_the_bytes_of_a_form_are_freed_once_they_are_judged() -> None:
    for body, rejected in ((b"the first", False), (b"\0", True)):
        storage = Counting()
        uploads = uploads_of(storage)
        post(storage, body)
        if rejected:
            assert (await refusal(uploads.complete(Ticket(FORM_GRANT))))[0] is Code.CONTENT_MISMATCH
        else:
            await uploads.complete(Ticket(FORM_GRANT))
        kept = {key: stored.body for key, stored in storage.objects.items() if key.startswith("incoming/")}
        assert len(kept) == 3
        assert body not in kept.values()
        assert set(kept) > {FORM_GRANT.key.upload_key, FORM_GRANT.key.state_key}


async def test_a_claim_whose_reply_was_lost_is_ones_own() -> None:
    class Losing(Counting):
        async def put(  # noqa: PLR0913 - see Storage
            self,
            key: str,
            body: bytes,
            *,
            content_type: str,
            metadata: Mapping[str, str],
            if_match: str | None = None,
            create: bool = False,
        ) -> None:
            lost = create and key not in self.objects
            for _ in range(2 if lost else 1):
                await super().put(
                    key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create
                )

    storage = Losing()
    post(storage, b"the first")
    assert (await uploads_of(storage).complete(Ticket(FORM_GRANT))).state is State.STORED
    assert storage.objects[FORM_GRANT.key.key].body == b"the first"


async def test_a_form_that_was_revoked_is_dead() -> None:
    for posted in (False, True):
        storage = Counting()
        uploads = uploads_of(storage)
        if posted:
            post(storage, b"the first")
        await uploads.abort(Ticket(FORM_GRANT))
        post(storage, b"another one")
        aborted = (Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket.")
        assert await refusal(uploads.complete(Ticket(FORM_GRANT))) == aborted
        assert FORM_GRANT.key.key not in storage.objects


async def test_a_form_posted_after_its_grant_has_not_arrived() -> None:
    storage = Counting()
    storage.now = FORM_GRANT.expires_at + 1
    post(storage, b"too late")
    assert (await refusal(uploads_of(storage).complete(Ticket(FORM_GRANT))))[0] is Code.NOT_UPLOADED


# Content addresses


def addressed(upload_name: str) -> Grant:
    return replace(GRANT, key=replace(KEY, name="ab" * 32, upload_name=upload_name))


async def test_an_upload_never_takes_what_another_of_the_same_content_has_stored() -> None:
    first, second = addressed("1" * 32), addressed("2" * 32)
    storage = Counting()
    uploads = uploads_of(storage)
    for grant in (first, second):
        metadata = {"grant": TOKENS.seal_grant_token(grant)}
        storage.upload(grant.key.upload_key, BODY, content_type="text/plain", metadata=metadata)
    assert (await uploads.complete(Ticket(first))).state is State.STORED
    await uploads.abort(Ticket(second))
    assert storage.objects[first.key.key].body == BODY
    assert (await uploads.find(first.key)).size == len(BODY)
    assert await uploads.status(Ticket(second)) == Outcome(State.ABORTED)


@pytest.mark.threat(12)
async def test_bytes_are_proved_though_their_address_holds_an_object_already() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    for name, body, code in (("1" * 32, BODY, None), ("2" * 32, b"other", Code.SIZE_MISMATCH)):
        grant = addressed(name)
        metadata = {"grant": TOKENS.seal_grant_token(grant)}
        storage.upload(grant.key.upload_key, body, content_type="text/plain", metadata=metadata)
        if code is None:
            assert (await uploads.complete(Ticket(grant))).state is State.STORED
        else:
            assert (await refusal(uploads.complete(Ticket(grant))))[0] is code
    assert storage.objects[addressed("1" * 32).key.key].body == BODY


async def test_a_content_that_was_deleted_can_be_stored_again() -> None:
    storage = Counting()
    uploads = uploads_of(storage)
    for name in ("1" * 32, "2" * 32):
        grant = addressed(name)
        metadata = {"grant": TOKENS.seal_grant_token(grant)}
        storage.upload(grant.key.upload_key, BODY, content_type="text/plain", metadata=metadata)
        assert (await uploads.complete(Ticket(grant))).state is State.STORED
        by_key = ObjectKey.parse_key(grant.key.key)
        assert (await uploads.find(by_key)).size == len(BODY)
        await uploads.delete(by_key)
        assert (await refusal(uploads.find(by_key)))[0] is Code.NOT_FOUND
