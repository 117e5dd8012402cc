"""The reaper over a bucket in memory: what nobody finished is finished or freed, and what is alive is left alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import Marker, State, marker_of
from gateway.proof import Proof
from gateway.s3.storage import ArrivedPart, Gone, Head, Page, Storage
from gateway.states import States
from gateway.uploads import Uploads
from gateway.worker.reaper import AT_ONCE, MARGIN, PAGE, Fate, Kind, Leftover, Reaper
from tests.memory_storage import MemoryStorage
from tests.test_upload_races import ByForm, ByPut, InParts, MemoryStore, Races, Stepped, over

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400
LONGEST = 3 * DAY  # of the tickets of these tests
TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
OTHERS = Tokens([b"a-secret-key-of-another-gateway-32-bytes-long"], {})
KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "txt")
OTHER_KEY = replace(KEY, name="fedcba9876543210fedcba9876543210")
FORM = replace(KEY, name=f"{KEY.name}form")
LFS = ObjectKey("default", "photos", "ab" * 32, "txt", upload_name="00112233445566778899aabbccddeeff")
GOOD, BAD = b"first", b"\x00\x01\x02\x03\x04"


def grant_of(key: ObjectKey) -> Grant:
    return Grant("alice", key, "text/plain", 5, None, Filename("a.txt"), {}, NOW, NOW + HOUR, exact=not key.by_form)


def metadata_of(key: ObjectKey, tokens: Tokens = TOKENS) -> dict[str, str]:
    return {"grant": tokens.seal_grant_token(grant_of(key))}


def bucket(now: int = NOW) -> MemoryStorage:
    return MemoryStorage(now, min_part=1)


def uploads_over(storage: Storage, proof: Proof | None = None, copy_threshold: int = 1 << 30) -> Uploads:
    numbers = count()
    return Uploads(
        storage,
        TOKENS,
        lambda: f"nonce-{next(numbers)}",
        proof=proof,
        copy_threshold=copy_threshold,
        copied_part=2,
        pause=0,
    )


def arrive(storage: MemoryStorage, key: ObjectKey = KEY, body: bytes = GOOD, **more: str) -> None:
    """Do what a client's presigned PUT does."""
    storage.upload(key.upload_key, body, content_type="text/plain", metadata=more or metadata_of(key))


async def reaped(  # noqa: PLR0913 - everything but the storage has its default
    storage: Storage,
    *,
    after: int = 2 * DAY,
    older_than: int = DAY,
    proof: Proof | None = None,
    dry_run: bool = False,
    copy_threshold: int = 1 << 30,
) -> list[Leftover]:
    """Sweep so many seconds after the beginning; return what was found, in the order of keys."""
    uploads = uploads_over(storage, proof, copy_threshold)
    reaper = Reaper(storage, uploads, longest_ticket=LONGEST, dry_run=dry_run)
    leftovers: list[Leftover] = []
    await reaper.sweep(NOW + after, older_than, leftovers.append)
    return sorted(leftovers, key=lambda each: each.key)


def found(key: ObjectKey, fate: Fate, code: Code | None = None, *, age: int = 2 * DAY) -> Leftover:
    return Leftover(Kind.OBJECT, key.upload_key, len(GOOD), age, fate, None if code is None else code.code)


def markers(storage: MemoryStorage) -> dict[str, State]:
    marked = {key: marker_of(stored.head) for key, stored in storage.objects.items()}
    return {key: marker.state for key, marker in marked.items() if marker is not None}


def everything(storage: MemoryStorage) -> object:
    return dict(storage.objects), {name: dict(upload.parts) for name, upload in storage.uploads.items()}


@pytest.mark.threat(3)
@pytest.mark.parametrize("key", [KEY, FORM], ids=["put", "form"])
@pytest.mark.parametrize("state", [State.DELETED, State.ABORTED])
async def test_what_somebody_died_of_removing_is_removed(key: ObjectKey, state: State) -> None:
    storage = bucket()
    arrive(storage, key)
    uploads = uploads_over(storage)
    await uploads.conclude(await uploads.granted(key))
    stored = await storage.head(key.state_key)
    await States(storage, lambda: "nonce").mark(key, Marker(state), stored)
    left = Leftover(Kind.OBJECT, key.key, len(GOOD), 2 * DAY, Fate.WOULD_REMOVE)
    assert await reaped(storage, dry_run=True) == [left]
    assert storage.objects[key.key].body == GOOD
    assert await reaped(storage) == [replace(left, fate=Fate.REMOVED)]
    assert key.key not in storage.objects
    assert markers(storage) == {key.state_key: state}
    assert await reaped(storage) == []


@pytest.mark.threat(37)
@pytest.mark.parametrize("key", [KEY, FORM, LFS], ids=["put", "form", "content address"])
async def test_a_whole_upload_that_nobody_completed_is_stored(key: ObjectKey) -> None:
    storage = bucket()
    arrive(storage, key)
    assert await reaped(storage) == [found(key, Fate.STORED)]
    assert storage.objects[key.key].body == GOOD
    assert markers(storage) == {key.state_key: State.STORED}
    assert await reaped(storage, after=9 * DAY) == []


@pytest.mark.parametrize("key", [KEY, FORM], ids=["put", "form"])
async def test_an_upload_that_is_not_as_granted_is_rejected(key: ObjectKey) -> None:
    storage = bucket()
    arrive(storage, key, BAD)
    assert await reaped(storage) == [found(key, Fate.REJECTED, Code.CONTENT_MISMATCH)]
    assert key.key not in storage.objects
    assert markers(storage) == {key.state_key: State.REJECTED}


@pytest.mark.parametrize("key", [KEY, FORM], ids=["put", "form"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_came_after_its_grant_had_ended_is_left_to_the_lifecycle(key: ObjectKey, *, dry_run: bool) -> None:
    storage = bucket(NOW + HOUR + 1)
    arrive(storage, key)
    before = everything(storage)
    assert await reaped(storage, dry_run=dry_run) == [found(key, Fate.LATE, age=2 * DAY - HOUR - 1)]
    assert everything(storage) == before


async def test_parts_that_were_joined_in_time_are_stored_whatever_the_time_on_the_object() -> None:
    storage = bucket()
    ticket = await uploads_over(storage).create_multipart(grant_of(KEY), part_size=3)
    upload_id = ticket.divided().upload_id
    parts = [storage.upload_part(KEY.upload_key, upload_id, number, body) for number, body in ((1, b"fir"), (2, b"st"))]
    storage.now = NOW + HOUR + 60
    await storage.complete_upload(KEY.upload_key, upload_id, parts)
    assert [each.fate for each in await reaped(storage, dry_run=True)] == [Fate.WOULD_COMPLETE]
    assert [each.fate for each in await reaped(storage)] == [Fate.STORED]


@pytest.mark.threat(2)
@pytest.mark.parametrize(
    ("key", "metadata"),
    [
        (KEY.upload_key, {"somebody": "else"}),
        (f"{KEY.upload_key}/claim", metadata_of(KEY)),
        ("incoming/index.html", metadata_of(KEY)),
        ("incoming/\x1b[2J/\n", {}),
    ],
    ids=["no grant", "below an upload", "a name of no upload", "a strange name"],
)
async def test_what_the_gateway_did_not_grant_is_listed_and_left_alone(key: str, metadata: Mapping[str, str]) -> None:
    storage = bucket()
    storage.upload(key, GOOD, content_type="text/plain", metadata=metadata)
    before = everything(storage)
    assert await reaped(storage) == [Leftover(Kind.OBJECT, key, 5, 2 * DAY, Fate.FOREIGN)]
    assert everything(storage) == before


@pytest.mark.threat(2)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("key", [KEY, FORM], ids=["put", "form"])
@pytest.mark.parametrize(
    "metadata", [metadata_of(OTHER_KEY), metadata_of(KEY, OTHERS)], ids=["another key's", "another secret's"]
)
async def test_a_grant_that_does_not_open_is_left_to_a_run_that_has_its_secret(
    key: ObjectKey, metadata: Mapping[str, str], *, dry_run: bool
) -> None:
    storage = bucket()
    storage.upload(key.upload_key, GOOD, content_type="text/plain", metadata=metadata)
    before = everything(storage)
    assert await reaped(storage, dry_run=dry_run) == [found(key, Fate.PENDING, Code.NOT_FOUND)]
    assert everything(storage) == before


async def test_what_a_listing_shows_to_be_younger_is_not_asked_for() -> None:
    storage = Watched()
    for key in (KEY, FORM, LFS):
        arrive(storage, key)
    assert (await reaped(storage, after=DAY - 1), storage.most) == ([], 0)
    assert len(await reaped(storage, after=DAY)) == 3
    assert storage.most > 0


@pytest.mark.parametrize("key", [KEY, FORM], ids=["put", "form"])
async def test_what_is_younger_is_neither_touched_nor_listed(key: ObjectKey) -> None:
    storage = bucket()
    arrive(storage, key)
    before = everything(storage)
    assert await reaped(storage, after=DAY - 1) == []
    assert everything(storage) == before
    assert await reaped(storage, after=DAY) == [found(key, Fate.STORED, age=DAY)]


@pytest.mark.parametrize("key", [KEY, FORM, LFS], ids=["put", "form", "content address"])
async def test_what_was_completed_rejected_aborted_or_deleted_is_left_alone(key: ObjectKey) -> None:
    for ending in ("complete", "reject", "abort", "delete"):
        storage = bucket()
        uploads = uploads_over(storage)
        arrive(storage, key, BAD if ending == "reject" else GOOD)
        if ending == "abort":
            await uploads.abort(Ticket(grant_of(key)))
        else:
            await asyncio.gather(uploads.complete(Ticket(grant_of(key))), return_exceptions=True)
        if ending == "delete":
            await uploads.delete(key)
        before = everything(storage)
        assert await reaped(storage) == []
        assert everything(storage) == before


async def test_a_claim_that_nobody_settled_is_settled_and_counted_once_with_the_size_of_its_file() -> None:
    class Dead(MemoryStorage):
        """A bucket whose caller dies once the claim is written."""

        async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
            raise Refusal(Code.STORAGE_UNAVAILABLE, f"{key} {if_match} {size} {first}")

    storage = Dead(NOW)
    arrive(storage, FORM)
    await asyncio.gather(uploads_over(storage).complete(Ticket(grant_of(FORM))), return_exceptions=True)
    assert sorted(storage.objects) == [FORM.upload_key, FORM.state_key, f"{FORM.upload_key}/nonce-0"]
    alive = bucket()
    alive.objects = storage.objects
    assert await reaped(alive, dry_run=True) == [found(FORM, Fate.WOULD_COMPLETE)]
    assert await reaped(alive) == [found(FORM, Fate.STORED)]
    assert alive.objects[FORM.key].body == GOOD


class Unavailable:
    """A scanner that is out."""

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        raise Refusal(Code.SCANNER_UNAVAILABLE, str(blocks))


@pytest.mark.threat(13)
@pytest.mark.parametrize("scanner", [None, Unavailable()], ids=["no scanner", "one that is out"])
async def test_what_cannot_be_scanned_stays_pending(scanner: Unavailable | None) -> None:
    storage = bucket()
    arrive(storage)
    proof = Proof(storage, scans=lambda _: True, scanner=scanner)
    assert await reaped(storage, proof=proof) == [found(KEY, Fate.PENDING, Code.SCANNER_UNAVAILABLE)]
    assert markers(storage) == {}
    assert KEY.key not in storage.objects


async def test_what_fails_keeps_nothing_else_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    class Spotty(MemoryStorage):
        async def head(self, key: str) -> Head | None:
            if key == KEY.upload_key:
                raise Refusal(Code.STORAGE_UNAVAILABLE)
            return await super().head(key)

        async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
            if key == OTHER_KEY.upload_key:
                raise LookupError("a bug")
            return await super().read(key, if_match=if_match, size=size, first=first)

    storage = Spotty(NOW)
    for key in (KEY, OTHER_KEY, LFS):
        arrive(storage, key)
    assert await reaped(storage) == [
        found(LFS, Fate.STORED),
        Leftover(Kind.OBJECT, KEY.upload_key, None, None, Fate.PENDING, "storage-unavailable"),
        Leftover(Kind.OBJECT, OTHER_KEY.upload_key, None, None, Fate.PENDING),
    ]
    assert [(record.message, str(record.exc_info and record.exc_info[1])) for record in caplog.records] == [
        ("an upload cannot be cleaned up", "a bug")
    ]


async def test_a_bucket_that_cannot_be_listed_is_told() -> None:
    class Silent(MemoryStorage):
        async def list(self, prefix: str, *, limit: int, after: str) -> Page:
            raise Refusal(Code.STORAGE_UNAVAILABLE, f"{prefix} {limit} {after}")

    with pytest.raises(Refusal) as refused:
        await reaped(Silent(NOW))
    assert refused.value.code is Code.STORAGE_UNAVAILABLE


async def test_an_upload_that_somebody_aborts_meanwhile_is_theirs() -> None:
    class Aborting(MemoryStorage):
        async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
            front = await super().read(key, if_match=if_match, size=size, first=first)
            await uploads_over(self).abort(Ticket(grant_of(KEY)))
            return front

    storage = Aborting(NOW)
    arrive(storage)
    assert await reaped(storage) == [found(KEY, Fate.ABORTED)]
    assert (list(storage.objects), markers(storage)) == ([KEY.upload_key], {KEY.upload_key: State.ABORTED})


# Parts


async def begun(storage: MemoryStorage, key: str = KEY.upload_key, *bodies: bytes) -> str:
    upload_id = await storage.create_upload(key, content_type="text/plain", metadata=metadata_of(KEY))
    for number, body in enumerate(bodies or (b"fir", b"st"), 1):
        storage.upload_part(key, upload_id, number, body)
    return upload_id


def parts(fate: Fate, age: int, key: str = KEY.upload_key, kind: Kind = Kind.PARTS) -> Leftover:
    return Leftover(kind, key, 5, age, fate)


@pytest.mark.threat(37)
async def test_parts_live_as_long_as_a_ticket_may_and_are_freed_after() -> None:
    storage = bucket()
    await begun(storage)
    for age in (0, DAY, LONGEST, LONGEST + MARGIN):
        assert await reaped(storage, after=age, older_than=0) == [parts(Fate.LIVE, age)]
    assert len(storage.uploads) == 1
    age = LONGEST + MARGIN + 1
    assert await reaped(storage, after=age, older_than=0) == [parts(Fate.ABORTED, age)]
    assert (storage.uploads, storage.objects) == ({}, {})
    assert await reaped(storage, after=age, older_than=0) == []


async def test_parts_are_never_freed_before_they_are_as_old_as_is_asked() -> None:
    storage = bucket()
    await begun(storage)
    await States(storage, lambda: "nonce").mark(OTHER_KEY, Marker(State.ABORTED), None)
    await begun(storage, OTHER_KEY.upload_key)
    age = 8 * DAY
    assert [each.fate for each in await reaped(storage, after=age, older_than=age + 1)] == [Fate.LIVE, Fate.LIVE]
    assert [each.fate for each in await reaped(storage, after=age + 1, older_than=age)] == [Fate.ABORTED, Fate.ABORTED]


@pytest.mark.parametrize("state", [State.ABORTED, State.REJECTED, State.STORED, State.DELETED])
@pytest.mark.parametrize("key", [KEY.upload_key, KEY.key], ids=["parts", "copy"])
async def test_parts_under_a_marker_are_freed_as_soon_as_they_are_old_enough(state: State, key: str) -> None:
    storage = bucket()
    await begun(storage, key)
    await States(storage, lambda: "nonce").mark(KEY, Marker(state), None)
    kind = Kind.PARTS if key == KEY.upload_key else Kind.COPY
    assert await reaped(storage, after=DAY - 1) == [parts(Fate.LIVE, DAY - 1, key, kind)]
    assert await reaped(storage, after=DAY) == [parts(Fate.ABORTED, DAY, key, kind)]
    assert (storage.uploads, list(storage.objects)) == ({}, [KEY.upload_key])


@pytest.mark.parametrize(
    "key", [KEY.key, LFS.key, f"{FORM.upload_key}/nonce-7", "objects/of-nobody"], ids=["put", "lfs", "form", "foreign"]
)
async def test_a_copy_whose_upload_is_gone_is_freed_like_parts(key: str) -> None:
    storage = bucket()
    await begun(storage, key)
    assert await reaped(storage) == [parts(Fate.LIVE, 2 * DAY, key, Kind.COPY)]
    age = LONGEST + MARGIN + 1
    assert await reaped(storage, after=age) == [parts(Fate.ABORTED, age, key, Kind.COPY)]
    assert storage.uploads == {}


async def test_a_copy_that_a_completion_would_take_up_again_is_left_alone_however_old() -> None:
    storage = bucket()
    arrive(storage)
    await begun(storage, KEY.key)
    proof = Proof(storage, scans=lambda _: True)
    for age in (2 * DAY, 300 * DAY):
        assert [each.fate for each in await reaped(storage, after=age, proof=proof)] == [Fate.PENDING, Fate.LIVE]
    assert len(storage.uploads) == 1


async def test_a_copy_that_was_left_half_done_is_taken_up_and_leaves_nothing_behind() -> None:
    storage = bucket()
    arrive(storage)
    copy = await storage.create_upload(KEY.key, content_type="text/plain", metadata={})
    await storage.copy_part(
        KEY.upload_key, KEY.key, copy, 1, if_match=storage.objects[KEY.upload_key].head.etag, first=0, last=1
    )
    assert await reaped(storage, copy_threshold=2) == [found(KEY, Fate.STORED)]
    assert (storage.objects[KEY.key].body, storage.uploads) == (GOOD, {})


async def test_a_part_that_lands_after_the_first_abort_is_freed_too() -> None:
    class Racing(MemoryStorage):
        landing = 2

        async def abort_upload(self, key: str, upload_id: str) -> None:
            self.landing -= 1
            if self.landing < 0:
                await super().abort_upload(key, upload_id)

    storage = Racing(NOW, min_part=1)
    await begun(storage)
    assert [each.fate for each in await reaped(storage, after=30 * DAY)] == [Fate.ABORTED]
    assert storage.uploads == {}
    storage.landing = 1 << 30
    await begun(storage)
    assert [each.fate for each in await reaped(storage, after=30 * DAY)] == [Fate.PENDING]


async def test_parts_that_cannot_be_listed_stay_pending_and_keep_nothing_else_from_being_done() -> None:
    class Spotty(MemoryStorage):
        async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
            if key == KEY.upload_key:
                raise Refusal(Code.STORAGE_UNAVAILABLE)
            return await super().list_parts(key, upload_id)

    storage = Spotty(NOW, min_part=1)
    await begun(storage)
    await begun(storage, OTHER_KEY.upload_key)
    assert await reaped(storage, after=30 * DAY) == [
        Leftover(Kind.PARTS, KEY.upload_key, None, None, Fate.PENDING, "storage-unavailable"),
        parts(Fate.ABORTED, 30 * DAY, OTHER_KEY.upload_key),
    ]


async def test_a_copy_that_takes_longer_than_an_answer_is_waited_for() -> None:
    class Slow(MemoryStorage):
        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            await asyncio.sleep(0.05)
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    storage = Slow(NOW)
    arrive(storage)
    uploads = Uploads(storage, TOKENS, lambda: "nonce", answer_within=0.001)
    leftovers: list[Leftover] = []
    await Reaper(storage, uploads, longest_ticket=LONGEST).sweep(NOW + 2 * DAY, DAY, leftovers.append)
    assert leftovers == [found(KEY, Fate.STORED)]


async def test_an_upload_that_ends_while_it_is_looked_at_is_not_listed() -> None:
    class Ending(MemoryStorage):
        async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
            raise Gone(key, upload_id)

    storage = Ending(NOW)
    await begun(storage)
    assert await reaped(storage, after=30 * DAY) == []


@pytest.mark.parametrize("older_than", [0, DAY])
async def test_a_dry_run_changes_nothing_and_tells_what_a_run_would_do(older_than: int) -> None:
    storage = bucket()
    arrive(storage)
    arrive(storage, OTHER_KEY, BAD)
    await begun(storage, FORM.upload_key)
    before = everything(storage)
    age = 30 * DAY
    assert [
        (each.key, each.fate) for each in await reaped(storage, after=age, older_than=older_than, dry_run=True)
    ] == [
        (KEY.upload_key, Fate.WOULD_COMPLETE),
        (FORM.upload_key, Fate.WOULD_ABORT),
        (OTHER_KEY.upload_key, Fate.WOULD_COMPLETE),
    ]
    assert everything(storage) == before


# Many


class Watched(MemoryStorage):
    """A bucket that counts how many calls for single keys run at once, and how many keys were listed and not asked."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.running = self.most = self.unasked = self.most_unasked = 0

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        page = await super().list(prefix, limit=limit, after=after)
        self.unasked += len(page.keys)
        self.most_unasked = max(self.most_unasked, self.unasked)
        return page

    async def head(self, key: str) -> Head | None:
        self.running += 1
        self.unasked -= 1
        self.most = max(self.most, self.running)
        try:
            return await super().head(key)
        finally:
            self.running -= 1


async def test_many_keys_are_looked_at_a_few_at_once_and_a_page_at_a_time() -> None:
    storage = Watched()
    states = States(storage, lambda: "nonce")
    number = 2 * PAGE + 17
    for each in range(number):
        await states.mark(replace(KEY, name=f"{each:032x}"), Marker(State.STORED), None)
    arrive(storage)
    for each in range(PAGE + 3):
        await storage.create_upload(f"objects/{each}", content_type="text/plain", metadata={})
    reaper = Reaper(storage, uploads_over(storage), longest_ticket=LONGEST)
    leftovers: list[Leftover] = []
    await reaper.sweep(NOW + 2 * DAY, DAY, leftovers.append)
    assert [each for each in leftovers if each.kind is Kind.OBJECT] == [found(KEY, Fate.STORED)]
    assert len(leftovers) == PAGE + 4
    assert reaper.seen == number + 1 + PAGE + 3
    assert storage.most == AT_ONCE
    assert storage.most_unasked <= PAGE + AT_ONCE


async def test_a_sweep_that_is_cancelled_stops_with_all_that_it_had_begun() -> None:
    storage = bucket()
    for each in range(50):
        arrive(storage, replace(KEY, name=f"{each:032x}"))
    reaper = Reaper(storage, uploads_over(storage), longest_ticket=LONGEST)

    def stop(_: Leftover) -> None:
        sweep.cancel()

    sweep = asyncio.create_task(reaper.sweep(NOW + 2 * DAY, DAY, stop))
    with pytest.raises(asyncio.CancelledError):
        await sweep
    assert reaper.seen < 50


# Beside everything else


class Reaped(Races):
    """Races with a reaper among them, which asks for no age at all."""

    @precondition(lambda self: sum(actor.name == "reap" for actor in self.actors) < 2)
    @rule(dry_run=st.booleans())
    def start_reaping(self, *, dry_run: bool) -> None:
        async def sweep(uploads: Uploads) -> None:
            storage = uploads._storage
            assert isinstance(storage, Stepped)
            reaper = Reaper(storage, uploads, longest_ticket=LONGEST, dry_run=dry_run, at_once=1)
            leftovers: list[Leftover] = []
            await reaper.sweep(NOW, 0, leftovers.append)
            assert not {each.fate for each in leftovers} & {Fate.LATE, Fate.FOREIGN}, leftovers

        self.start("reap", sweep)

    @invariant()
    def nothing_under_incoming_is_ever_removed(self) -> None:
        memory = self.store.storage
        assert isinstance(memory, MemoryStorage)
        there = {key for key in memory.objects if key.startswith("incoming/")}
        assert there >= getattr(self, "there_before", set())
        self.there_before = there

    @invariant()
    def parts_that_the_ticket_can_join_are_there(self) -> None:
        memory = self.store.storage
        assert isinstance(memory, MemoryStorage)
        ticket = getattr(self, "ticket", None)
        if ticket is not None and ticket.multipart is not None and ticket.grant.key.upload_key not in memory.objects:
            assert ticket.multipart.upload_id in memory.uploads


@pytest.mark.threat(2, 3, 33, 37)
@pytest.mark.parametrize("way", [ByPut, InParts, ByForm])
def test_a_reaper_beside_completions_aborts_and_deletions_changes_nothing_that_it_may_not(way: type[Races]) -> None:
    machine = type(f"Reaped{way.__name__}", (Reaped, way), {})
    run_state_machine_as_test(
        over(machine, MemoryStore), settings=settings(max_examples=150, stateful_step_count=60, deadline=None)
    )
