"""The use cases over a bucket in memory, at a time of the test's choice: proof, promotion, repeats, faults, crashes."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from itertools import count

import pytest

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import MARKER_TYPE, Marker, State, marker_of
from gateway.objects import StoredObject
from gateway.s3.storage import Changed, Storage
from gateway.uploads import ANSWER_WITHIN, RETRY_AFTER, Outcome, Uploads
from tests.memory_storage import MemoryStorage

NOW = 1_800_000_000
TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "txt")
BODY = b"bytes of a text"
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
GRANT = Grant("alice", KEY, "text/plain", len(BODY), SHA256, Filename("a.txt"), {"a": "b"}, NOW, NOW + 3600)
TICKET = Ticket(GRANT)
STORED = Outcome(
    State.STORED,
    StoredObject(
        KEY,
        len(BODY),
        "text/plain",
        "a.txt",
        SHA256,
        "full",
        f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"',
        "alice",
        {"a": "b"},
        NOW,
    ),
)


class Recorder(MemoryStorage):
    """A bucket in memory that writes down which calls change it."""

    def __init__(self, now: int = NOW) -> None:
        super().__init__(now)
        self.writes: list[str] = []

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)
        self.writes.append("copy")

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
        await super().put(key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create)
        self.writes.append("marker")

    async def delete(self, key: str) -> None:
        await super().delete(key)
        self.writes.append("delete")


def uploads_of(storage: Storage, answer_within: float = 20) -> Uploads:
    numbers = count()
    return Uploads(storage, TOKENS, lambda: f"nonce-{next(numbers)}", answer_within=answer_within, pause=0)


def arrive(storage: MemoryStorage, grant: Grant = GRANT, body: bytes = BODY, **more: str) -> None:
    """Do what the client's presigned PUT does."""
    checksum = base64.b64encode(hashlib.sha256(body).digest()).decode() if grant.checksum_sha256 else None
    storage.upload(
        grant.key.upload_key,
        body,
        content_type=more.get("content_type", grant.content_type),
        metadata={"grant": TOKENS.seal_grant(grant)[1]},
        checksum_sha256=checksum,
    )


async def refusal(awaitable: Awaitable[object]) -> tuple[Code, str]:
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value.code, caught.value.detail


def refused(code: Code) -> tuple[Code, str]:
    return code, code.sentence


def marker_in(storage: MemoryStorage) -> Marker | None:
    stored = storage.objects.get(KEY.upload_key)
    return None if stored is None else marker_of(stored.head)


async def test_what_is_proved_is_stored_and_its_bytes_are_freed() -> None:
    storage = Recorder()
    arrive(storage)
    assert await uploads_of(storage).complete(TICKET) == STORED
    assert storage.writes == ["copy", "marker"]
    assert storage.objects[KEY.key].body == BODY
    marker = storage.objects[KEY.upload_key]
    assert (marker.body, marker.head.content_type) == (
        b'{"state": "stored", "code": null, "nonce": "nonce-0"}',
        MARKER_TYPE,
    )
    assert marker.head.metadata == {"state": "stored", "grant": TOKENS.seal_grant(GRANT)[1]}


async def test_nothing_is_completed_before_it_arrived() -> None:
    storage = Recorder()
    assert await refusal(uploads_of(storage).complete(TICKET)) == refused(Code.NOT_UPLOADED)
    assert storage.writes == []


@pytest.mark.parametrize("late", [0, 86_400 * 9])
async def test_an_upload_that_arrived_in_time_is_completed_however_late(late: int) -> None:
    storage = Recorder(NOW + 3600)
    arrive(storage)
    storage.now += late
    outcome = await uploads_of(storage).complete(TICKET)
    assert outcome.stored is not None
    assert outcome.stored.stored_at == NOW + 3600 + late


async def test_an_upload_that_arrived_after_its_grant_is_none() -> None:
    storage = Recorder(NOW + 3601)
    arrive(storage)
    for _ in range(2):
        assert await refusal(uploads_of(storage).complete(TICKET)) == refused(Code.NOT_UPLOADED)
    assert storage.writes == []


@pytest.mark.threat(10, 11, 12)
@pytest.mark.parametrize(
    ("body", "changes", "code"),
    [
        (BODY + b"!", {}, Code.SIZE_MISMATCH),
        (b"", {}, Code.SIZE_MISMATCH),
        (b"BYTES of a text", {}, Code.CONTENT_MISMATCH),
        (BODY, {"content_type": "text/html"}, Code.CONTENT_MISMATCH),
        (b"<script>x()</sc", {"checksum_sha256": None}, Code.ACTIVE_CONTENT),
        (b"\0" * 15, {"checksum_sha256": None}, Code.CONTENT_MISMATCH),
    ],
)
async def test_what_is_rejected_stays_rejected_and_is_answered_alike(
    body: bytes, changes: dict[str, str | None], code: Code
) -> None:
    storage = Recorder()
    grant = replace(GRANT, checksum_sha256=changes.get("checksum_sha256", SHA256))
    arrive(storage, grant, body, content_type=changes.get("content_type") or "text/plain")
    uploads = uploads_of(storage)
    for _ in range(3):
        assert await refusal(uploads.complete(Ticket(grant))) == refused(code)
    assert await refusal(uploads.complete(await uploads.granted(KEY))) == refused(code)
    assert await uploads.status(TICKET) == Outcome(State.REJECTED, code=code)
    assert storage.writes == ["marker"]
    assert KEY.key not in storage.objects
    with pytest.raises(Changed):
        arrive(storage, grant)


async def test_without_a_checksum_in_the_grant_none_is_asked_of_the_bytes() -> None:
    storage = Recorder()
    grant = replace(GRANT, checksum_sha256=None)
    arrive(storage, grant)
    outcome = await uploads_of(storage).complete(Ticket(grant))
    assert outcome.stored is not None
    assert (outcome.stored.checksum_sha256, outcome.stored.checksum_type) == (None, None)


async def test_proof_reads_the_front_and_no_more() -> None:
    sizes = []

    class Reading(MemoryStorage):
        async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
            sizes.append(size)
            return await super().read(key, if_match=if_match, size=size, first=first)

    storage = Reading(NOW)
    body = b"a line\n" * 10_000
    grant = replace(GRANT, size=len(body), checksum_sha256=None)
    arrive(storage, grant, body)
    await uploads_of(storage).complete(Ticket(grant))
    assert sizes == [4096]


# Repeats, in parallel and one after another


class Slow(Recorder):
    """A store whose copies take until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)


async def test_a_slow_promotion_is_answered_in_time_and_goes_on_for_the_next_who_asks() -> None:
    assert ANSWER_WITHIN == 20  # seconds
    storage = Slow()
    arrive(storage)
    uploads = uploads_of(storage, answer_within=0.02)
    for _ in range(2):
        assert await uploads.complete(TICKET) == Outcome(State.PROMOTING, retry_after=RETRY_AFTER)
    assert await uploads.status(TICKET) == Outcome(State.PROMOTING, retry_after=RETRY_AFTER)
    storage.go_on.set()
    patient = uploads_of(storage)
    assert await patient.complete(TICKET) == STORED
    assert await uploads.complete(TICKET) == STORED
    assert await uploads.status(TICKET) == STORED
    assert storage.writes.count("copy") <= 2
    assert storage.objects[KEY.key].body == BODY


async def test_a_slow_promotion_goes_on_when_nobody_asks_again() -> None:
    storage = Slow()
    arrive(storage)
    uploads = uploads_of(storage, answer_within=0.02)
    await uploads.complete(TICKET)
    storage.go_on.set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert await uploads.status(TICKET) == STORED
    assert storage.writes == ["copy", "marker"]


async def test_a_client_that_leaves_does_not_stop_the_promotion() -> None:
    storage = Slow()
    arrive(storage)
    uploads = uploads_of(storage)
    request = asyncio.create_task(uploads.complete(TICKET))
    await storage.begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    storage.go_on.set()
    assert await uploads.complete(TICKET) == STORED
    assert storage.writes == ["copy", "marker"]


async def test_a_refusal_that_nobody_waits_for_any_more_is_found_again() -> None:
    storage = Slow()
    arrive(storage)
    uploads = uploads_of(storage, answer_within=0.02)
    await uploads.complete(TICKET)
    await uploads_of(storage).abort(TICKET)
    storage.go_on.set()
    aborted = (Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket.")
    assert await refusal(uploads_of(storage).complete(TICKET)) == aborted
    assert await refusal(uploads.complete(TICKET)) == aborted
    assert KEY.key not in storage.objects


@pytest.mark.threat(33)
async def test_fifty_completions_in_one_process_are_one() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    outcomes = await asyncio.gather(*(uploads.complete(TICKET) for _ in range(50)))
    assert outcomes == [STORED] * 50
    assert storage.writes == ["copy", "marker"]


@pytest.mark.threat(33)
async def test_completions_in_two_processes_answer_alike_and_one_marker_is_written() -> None:
    storage = Recorder()
    arrive(storage)
    processes = [uploads_of(storage), uploads_of(storage)]
    outcomes = await asyncio.gather(*(processes[number % 2].complete(TICKET) for number in range(50)))
    assert outcomes == [STORED] * 50
    assert storage.writes.count("marker") == 1
    assert storage.objects[KEY.key].body == BODY


async def test_the_upload_of_one_never_waits_for_that_of_another() -> None:
    storage = Slow()
    other = replace(GRANT, key=replace(KEY, name="f" * 32), size=1, checksum_sha256=None)
    arrive(storage)
    arrive(storage, other, b"\0")
    uploads = uploads_of(storage)
    first = asyncio.create_task(uploads.complete(TICKET))
    assert await refusal(uploads.complete(Ticket(other))) == refused(Code.CONTENT_MISMATCH)
    storage.go_on.set()
    assert await first == STORED


# Abort and deletion


async def test_abort_says_the_same_twice_and_nothing_arrives_after_it() -> None:
    for arrived in (False, True):
        storage = Recorder()
        if arrived:
            arrive(storage)
        uploads = uploads_of(storage)
        await uploads.abort(TICKET)
        await uploads.abort(TICKET)
        assert marker_in(storage) == Marker(State.ABORTED)
        assert storage.objects[KEY.upload_key].head.metadata["grant"] == TOKENS.seal_grant(GRANT)[1]
        assert await uploads.status(TICKET) == Outcome(State.ABORTED)
        with pytest.raises(Changed):
            arrive(storage)
        aborted = (Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket.")
        assert await refusal(uploads.complete(TICKET)) == aborted


async def test_what_is_stored_cannot_be_aborted() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    await uploads.complete(TICKET)
    for _ in range(2):
        assert await refusal(uploads.abort(TICKET)) == refused(Code.ALREADY_STORED)
    assert await uploads.complete(TICKET) == STORED


async def test_what_is_stored_cannot_be_aborted_after_a_lifecycle_rule_that_came_too_early() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    await uploads.complete(TICKET)
    del storage.objects[KEY.upload_key]
    assert await refusal(uploads.abort(TICKET)) == refused(Code.ALREADY_STORED)
    assert list(storage.objects) == [KEY.key]


async def test_what_was_rejected_or_deleted_is_aborted_already() -> None:
    storage = Recorder()
    arrive(storage, body=b"\0" * len(BODY))
    uploads = uploads_of(storage)
    await refusal(uploads.complete(TICKET))
    await uploads.abort(TICKET)
    assert marker_in(storage) == Marker(State.REJECTED, Code.CONTENT_MISMATCH)
    await uploads.delete(KEY)
    await uploads.abort(TICKET)
    assert marker_in(storage) == Marker(State.DELETED)


@pytest.mark.threat(3)
async def test_a_deletion_marks_first_and_is_for_good() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    await uploads.complete(TICKET)
    storage.writes.clear()
    await uploads.delete(KEY)
    await uploads.delete(KEY)
    assert storage.writes == ["marker", "delete", "delete"]
    assert KEY.key not in storage.objects
    assert await uploads.status(TICKET) == Outcome(State.DELETED)
    deleted = (Code.NOT_UPLOADED, "The upload was deleted: ask for a new ticket.")
    assert await refusal(uploads.complete(TICKET)) == deleted
    with pytest.raises(Changed):
        arrive(storage)


@pytest.mark.threat(3)
async def test_a_deletion_that_died_after_its_marker_is_a_deletion() -> None:
    storage = Recorder()
    arrive(storage)
    await uploads_of(storage).complete(TICKET)
    await storage.put(KEY.upload_key, b"{}", content_type=MARKER_TYPE, metadata=Marker(State.DELETED).metadata(None))
    deleted = (Code.NOT_UPLOADED, "The upload was deleted: ask for a new ticket.")
    assert await refusal(uploads_of(storage).complete(TICKET)) == deleted
    assert KEY.key not in storage.objects


async def test_an_object_that_somebody_removed_by_hand_is_deleted() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    await uploads.complete(TICKET)
    await storage.delete(KEY.key)
    assert await uploads.status(TICKET) == Outcome(State.DELETED)
    assert await uploads.complete(TICKET) == Outcome(State.DELETED)


# By key


async def test_the_grant_lies_with_the_bytes() -> None:
    storage = Recorder()
    arrive(storage)
    uploads = uploads_of(storage)
    assert await uploads.granted(KEY) == TICKET
    await uploads.complete(TICKET)
    assert await uploads.granted(KEY) == TICKET
    await uploads.delete(KEY)
    assert await uploads.granted(KEY) == TICKET


@pytest.mark.threat(1, 6)
async def test_bytes_with_another_keys_grant_or_a_forged_one_are_nobodys() -> None:
    moved = replace(KEY, name="f" * 32)
    for metadata, expected in (
        ({"grant": TOKENS.seal_grant(GRANT)[1]}, Code.NOT_FOUND),
        ({"grant": TOKENS.seal_grant(replace(GRANT, key=moved))[0]}, Code.NOT_FOUND),
        ({"grant": "forged"}, Code.NOT_FOUND),
        ({}, Code.NOT_UPLOADED),
    ):
        storage = Recorder()
        storage.upload(moved.upload_key, BODY, content_type="text/plain", metadata=metadata)
        assert (await refusal(uploads_of(storage).granted(moved)))[0] is expected
    assert (await refusal(uploads_of(Recorder()).granted(KEY)))[0] is Code.NOT_UPLOADED


# Stores that change under our hands, crash and lose replies


@pytest.mark.threat(2, 34)
async def test_bytes_swapped_at_any_moment_are_never_promoted_unproved() -> None:
    """A store without if-none-match, where a client writes script over its text at each call in turn."""
    script = b"<script>x()</sc"
    grant = replace(GRANT, checksum_sha256=None)

    class Swapping(Recorder):
        calls = 0
        swap_at = 0

        def swap(self) -> None:
            self.calls += 1
            if self.calls == self.swap_at:
                del self.objects[KEY.upload_key]
                arrive(self, grant, script)

        async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
            self.swap()
            front = await super().read(key, if_match=if_match, size=size, first=first)
            self.swap()
            return front

        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            self.swap()
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    for moment in (1, 2, 3):
        storage = Swapping()
        storage.swap_at = moment
        arrive(storage, grant)
        assert await refusal(uploads_of(storage).complete(Ticket(grant))) == refused(Code.ACTIVE_CONTENT)
        assert storage.writes == ["marker"]
        assert KEY.key not in storage.objects


@pytest.mark.threat(34)
async def test_bytes_that_never_hold_still_are_given_up() -> None:
    class Restless(Recorder):
        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            if_match = f"older than {if_match}"
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    storage = Restless()
    arrive(storage)
    assert await refusal(uploads_of(storage).complete(TICKET)) == refused(Code.CONTENT_CHANGED)
    assert storage.writes == []


class Crash(BaseException):
    """The process is gone."""


def crashing(step: str, *, after: bool) -> Recorder:
    """Return a store at which the process dies once, right before or right after a call."""
    left = [step]

    class Crashing(Recorder):
        async def once(self, name: str, work: Awaitable[None]) -> None:
            dies = left == [name]
            if dies:
                left.clear()
            if dies and not after:
                work.close()  # type: ignore[attr-defined]  # a coroutine
                raise Crash
            await work
            if dies:
                raise Crash

        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            work = super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)
            await self.once("copy", work)

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
            work = super().put(
                key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create
            )
            await self.once("marker", work)

    return Crashing()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["copy", "marker"])
async def test_another_process_takes_up_where_one_died(step: str, *, after: bool) -> None:
    storage = crashing(step, after=after)
    arrive(storage)
    dead = uploads_of(storage)
    with pytest.raises(Crash):
        await dead._complete(TICKET, None)
    assert await uploads_of(storage).complete(TICKET) == STORED
    assert storage.writes == ["copy", "marker"]


def losing(call: str) -> Recorder:
    """Return a store that does as it is told, and whose reply is lost on the way back, once."""
    lost = [call]

    class Losing(Recorder):
        async def lose(self, name: str) -> None:
            if lost == [name]:
                lost.clear()
                raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=5)

        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)
            await self.lose("copy")

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
            await super().put(key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create)
            await self.lose("marker")

        async def delete(self, key: str) -> None:
            await super().delete(key)
            await self.lose("delete")

    return Losing()


@pytest.mark.parametrize("call", ["copy", "marker"])
async def test_after_a_lost_reply_a_repeat_finds_what_was_done(call: str) -> None:
    storage = losing(call)
    arrive(storage)
    uploads = uploads_of(storage)
    assert await refusal(uploads.complete(TICKET)) == refused(Code.STORAGE_UNAVAILABLE)
    assert await uploads.complete(TICKET) == STORED
    assert storage.writes == ["copy", "marker"]


@pytest.mark.parametrize("call", ["marker", "delete"])
@pytest.mark.parametrize("verb", ["abort", "delete"])
async def test_after_a_lost_reply_abort_and_delete_can_be_repeated(verb: str, call: str) -> None:
    storage = losing(call)
    arrive(storage)
    uploads = uploads_of(storage)

    async def work() -> None:
        await (uploads.abort(TICKET) if verb == "abort" else uploads.delete(KEY))

    assert await refusal(work()) == refused(Code.STORAGE_UNAVAILABLE)
    await work()
    assert await uploads.status(TICKET) == Outcome(State.ABORTED if verb == "abort" else State.DELETED)
    assert KEY.key not in storage.objects
    with pytest.raises(Changed):
        arrive(storage)


async def test_a_marker_that_met_its_own_first_try_is_found_and_believed() -> None:
    """botocore repeats a put whose reply was lost, and the repeat is told 412."""

    class Repeating(Recorder):
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
            await super().put(key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create)
            raise Changed

    storage = Repeating()
    arrive(storage)
    assert await uploads_of(storage).complete(TICKET) == STORED
    storage = Repeating()
    await uploads_of(storage).abort(TICKET)
    assert marker_in(storage) == Marker(State.ABORTED)


@pytest.mark.threat(3)
@pytest.mark.parametrize("state", [State.DELETED, State.ABORTED])
async def test_what_a_process_died_of_removing_is_removed_for_it(state: State) -> None:
    storage = Recorder()
    arrive(storage)
    await uploads_of(storage).complete(TICKET)
    source = await storage.head(KEY.upload_key)
    marker = Marker(state)
    await storage.put(
        KEY.upload_key,
        marker.body("nonce"),
        content_type=MARKER_TYPE,
        metadata=marker.metadata(None),
        if_match=source.etag if source else None,
    )
    head = await storage.head(KEY.upload_key)
    assert head is not None
    assert KEY.key in storage.objects
    for _ in range(2):
        await uploads_of(storage).make_good(KEY, head, marker)
        assert set(storage.objects) == {KEY.upload_key}
    assert marker_in(storage) == marker


@pytest.mark.parametrize("marker", [Marker(State.STORED), Marker(State.REJECTED, Code.CONTENT_MISMATCH)])
async def test_nothing_is_removed_for_what_is_stored_or_never_was(marker: Marker) -> None:
    storage = Recorder()
    arrive(storage)
    await uploads_of(storage).complete(TICKET)
    before, head = dict(storage.objects), await storage.head(KEY.upload_key)
    assert head is not None
    await uploads_of(storage).make_good(KEY, head, marker)
    assert storage.objects == before
