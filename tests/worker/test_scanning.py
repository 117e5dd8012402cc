"""`scan = true` as the use cases have it: what a real clamd does not call clean is never stored, whoever completes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.markers import Marker, State
from gateway.proof import BLOCK, Proof, Scanner
from gateway.states import States
from gateway.uploads import RETRY_AFTER, Outcome, Uploads
from gateway.worker.clamd import Clamd
from tests.content.strange_zips import FULL, STORED, File, in_the_middle, long_field
from tests.memory_storage import MemoryStorage
from tests.servers.clamd import EICAR, MARKER, ClamdServer
from tests.test_upload_races import TOKENS, MemoryStore, RealStore, Store
from tests.worker.infected import behind_zeros

CLEAN = b"A text that nobody has to fear, however long it is looked at.\n"
INFECTED = b"A text with " + MARKER + b" in it.\n"
SCANNING = Outcome(State.SCANNING, retry_after=RETRY_AFTER)
LIMIT = 25 * 2**20
ZIP64: Mapping[str, int | bytes] = {"packed": FULL, "unpacked": FULL, "extra": long_field(File())}
LONG = 120.0  # seconds that nothing here needs

Way = Callable[[Store, Uploads, bytes], Awaitable[Ticket]]


def uploads_of(store: Store, scanner: Scanner | None = None, *, scans: bool = True) -> Uploads:
    """Return the use cases as the API has them, or as the worker, with a scanner."""
    proof = Proof(store.storage, scans=lambda _: scans, scan_limit=LIMIT, scanner=scanner)
    return Uploads(store.storage, TOKENS, iter_nonce(), proof=proof, pause=0)


def iter_nonce() -> Callable[[], str]:
    numbers = iter(range(1 << 30))
    return lambda: f"nonce-{next(numbers)}"


def granted(store: Store, body: bytes, **key: str) -> Grant:
    grant = store.grant()
    return replace(grant, size=len(body), key=replace(grant.key, **key))


async def by_put(store: Store, _uploads: Uploads, body: bytes) -> Ticket:
    grant = granted(store, body)
    await store.put(grant, body)
    return Ticket(grant)


async def in_parts(store: Store, uploads: Uploads, body: bytes) -> Ticket:
    half = (len(body) + 1) // 2
    ticket = await uploads.create_multipart(granted(store, body), part_size=half)
    await store.put_part(ticket, 1, body[:half])
    await store.put_part(ticket, 2, body[half:])
    return ticket


async def by_form(store: Store, _uploads: Uploads, body: bytes) -> Ticket:
    grant = granted(store, body)
    grant = replace(grant, key=replace(grant.key, name=f"{grant.key.name}form"), exact=False)
    await store.post(grant, body)
    return Ticket(grant)


async def by_address(store: Store, _uploads: Uploads, body: bytes) -> Ticket:
    """Upload under an address of the content, which these bytes need not have: that is S3's to verify."""
    key = store.grant().key
    grant = granted(store, body, name=2 * key.name, upload_name=key.name)
    await store.put(grant, body)
    return Ticket(grant)


WAYS: Mapping[str, Way] = {"PUT": by_put, "parts": in_parts, "form": by_form, "address": by_address}


@pytest.fixture(params=["memory", "ministack"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Give a bucket in memory, and a real one."""
    if request.param == "memory":
        yield MemoryStore()
        return
    real = RealStore(request.getfixturevalue("ministack"))
    yield real
    real.close()


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def upload(request: pytest.FixtureRequest) -> Way:
    """Give each way in which bytes come."""
    way: Way = request.param
    return way


@pytest.fixture
def scanner(clamd: ClamdServer) -> Scanner:
    return Clamd(clamd.socket, LONG)


async def work(store: Store, scanner: Scanner, ticket: Ticket) -> Outcome:
    """Do what the worker does of an event: all it knows is the key."""
    uploads = uploads_of(store, scanner)
    key = ObjectKey.parse_upload_key(ticket.grant.key.upload_key)
    return await uploads.complete(await uploads.granted(key))


async def refused(awaitable: Awaitable[object]) -> Code:
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value.code


async def assert_pending(store: Store, api: Uploads, ticket: Ticket) -> None:
    """Nothing is promoted, and nothing decided."""
    assert await api.complete(ticket) == await api.complete(ticket) == await api.status(ticket) == SCANNING
    assert await store.content(ticket.grant.key.key) is None
    assert await refused(api.find(ticket.grant.key)) is Code.NOT_FOUND
    assert (await States(store.storage, iter_nonce()).look(ticket.grant.key))[1] is None


@pytest.mark.threat(13, 33)
async def test_what_is_clean_is_stored_by_whoever_has_a_scanner_and_by_nobody_else(
    store: Store, upload: Way, scanner: Scanner
) -> None:
    api = uploads_of(store)
    ticket = await upload(store, api, CLEAN)
    await assert_pending(store, api, ticket)
    outcome = await work(store, scanner, ticket)
    assert outcome.state is State.STORED
    assert await api.complete(ticket) == await api.status(ticket) == outcome
    assert await work(store, scanner, ticket) == outcome
    assert await store.content(ticket.grant.key.key) == CLEAN


@pytest.mark.threat(13)
async def test_what_is_infected_is_rejected_and_never_stored(store: Store, upload: Way, scanner: Scanner) -> None:
    api = uploads_of(store)
    ticket = await upload(store, api, INFECTED)
    await assert_pending(store, api, ticket)
    for _ in range(2):
        assert await refused(work(store, scanner, ticket)) is Code.INFECTED
        assert await refused(api.complete(ticket)) is Code.INFECTED
    assert await api.status(ticket) == Outcome(State.REJECTED, code=Code.INFECTED)
    assert await store.content(ticket.grant.key.key) is None
    assert await refused(api.find(ticket.grant.key)) is Code.NOT_FOUND


@pytest.mark.threat(13)
async def test_without_a_scanner_that_answers_an_upload_waits_and_is_stored_later(
    store: Store, upload: Way, scanner: Scanner, tmp_path: Path
) -> None:
    api = uploads_of(store)
    ticket = await upload(store, api, CLEAN)
    for _ in range(2):
        await assert_pending(store, api, ticket)
        assert await refused(work(store, Clamd(tmp_path / "nobody", LONG), ticket)) is Code.SCANNER_UNAVAILABLE
    await assert_pending(store, api, ticket)
    assert (await work(store, scanner, ticket)).state is State.STORED


async def test_parts_are_joined_before_anything_is_scanned() -> None:
    """So that the bucket tells the worker of them, also where nobody asks again."""
    store = MemoryStore()
    api = uploads_of(store)
    ticket = await in_parts(store, api, CLEAN)
    assert (await api.status(ticket)).state is State.UPLOADING
    await api.complete(ticket)
    assert await store.content(ticket.grant.key.upload_key) == CLEAN
    assert await api.status(ticket) == SCANNING


async def test_an_upload_that_has_not_arrived_is_not_waiting_for_a_scan() -> None:
    store = MemoryStore()
    api, ticket = uploads_of(store), Ticket(granted(store, CLEAN))
    assert await refused(api.complete(ticket)) is Code.NOT_UPLOADED
    assert (await api.status(ticket)).state is State.WAITING


@dataclass(slots=True)
class Watching:
    """A scanner that says what it was given, holds until it is let go, and finds what clamd would."""

    begun: asyncio.Event
    free: asyncio.Event
    given: list[bytes]

    @classmethod
    def now(cls) -> "Watching":
        return cls(asyncio.Event(), asyncio.Event(), [])

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        self.given = [block async for block in blocks]
        self.begun.set()
        await self.free.wait()
        return MARKER not in b"".join(self.given)


async def test_the_scanner_is_given_the_whole_object_in_blocks() -> None:
    store, watching = MemoryStore(), Watching.now()
    body = CLEAN * (5 * BLOCK // 2 // len(CLEAN))
    ticket = await by_put(store, uploads_of(store), body)
    watching.free.set()
    assert (await work(store, watching, ticket)).state is State.STORED
    assert b"".join(watching.given) == body
    assert [len(block) for block in watching.given] == [BLOCK, BLOCK, len(body) - 2 * BLOCK]


async def test_nothing_is_scanned_where_the_policy_does_not_say_so() -> None:
    store, watching = MemoryStore(), Watching.now()
    ticket = await by_put(store, uploads_of(store), INFECTED)
    assert (await uploads_of(store, watching, scans=False).complete(ticket)).state is State.STORED
    assert not watching.begun.is_set()


async def test_what_is_refused_anyway_is_refused_at_once_and_not_scanned() -> None:
    store, watching = MemoryStore(), Watching.now()
    for body, code in ((b"\0\1\2", Code.CONTENT_MISMATCH), (b"<script>", Code.ACTIVE_CONTENT)):
        ticket = await by_put(store, uploads_of(store), body)
        assert await refused(uploads_of(store).complete(ticket)) is code
        assert await refused(work(store, watching, ticket)) is code
    assert not watching.begun.is_set()


@pytest.mark.threat(14)
async def test_an_archive_that_hides_its_content_from_the_scanner_is_rejected_before_it_is_asked() -> None:
    """150 MiB of zeros before EICAR in one member: clamd calls it clean (tests/worker/test_clamd.py)."""
    store, watching, hole = MemoryStore(), Watching.now(), behind_zeros()
    grant = granted(store, hole, extension="zip")
    grant = replace(grant, content_type="application/zip")
    await store.put(grant, hole)
    assert await refused(uploads_of(store).complete(Ticket(grant))) is Code.ARCHIVE_TOO_LARGE
    assert await refused(work(store, watching, Ticket(grant))) is Code.ARCHIVE_TOO_LARGE
    assert not watching.begun.is_set()


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([File()], Code.INFECTED),
        ([File(local=ZIP64)], Code.ARCHIVE_TOO_LARGE),
        ([File(local={"method": STORED})], Code.CONTENT_MISMATCH),
        ([File(local={"method": STORED}), File(b"b.bin")], Code.INFECTED),
    ],
    ids=["infected", "unseen by clamd", "lying", "lying and infected"],
)
async def test_a_header_in_the_middle_that_only_the_scan_comes_by_is_looked_at(
    scanner: Scanner, files: list[File], code: Code
) -> None:
    """Clamd has seen all bytes nevertheless, and what it finds is what is said."""
    store, body = MemoryStore(), in_the_middle(*files)
    grant = replace(granted(store, body, extension="zip"), content_type="application/zip")
    await store.put(grant, body)
    assert await uploads_of(store).complete(Ticket(grant)) == SCANNING
    assert await refused(work(store, scanner, Ticket(grant))) is code
    assert await uploads_of(store).status(Ticket(grant)) == Outcome(State.REJECTED, code=code)
    assert await store.content(grant.key.key) is None


async def test_an_archive_with_a_harmless_middle_is_stored(scanner: Scanner) -> None:
    store, body = MemoryStore(), in_the_middle(File(body=CLEAN))
    grant = replace(granted(store, body, extension="zip"), content_type="application/zip")
    await store.put(grant, body)
    assert (await work(store, scanner, Ticket(grant))).state is State.STORED


async def test_an_abort_during_a_scan_wins(upload: Way) -> None:
    store, watching = MemoryStore(), Watching.now()
    api = uploads_of(store)
    ticket = await upload(store, api, CLEAN)
    await api.complete(ticket)
    scan = asyncio.create_task(work(store, watching, ticket))
    await watching.begun.wait()
    await api.abort(ticket)
    watching.free.set()
    assert await refused(scan) is Code.NOT_UPLOADED
    assert (await api.status(ticket)).state is State.ABORTED
    assert await store.content(ticket.grant.key.key) is None


async def test_two_workers_that_scan_the_same_answer_alike(upload: Way) -> None:
    store = MemoryStore()
    ticket = await upload(store, uploads_of(store), CLEAN)
    await uploads_of(store).complete(ticket)  # a worker, too, joins only what a ticket says
    both = Watching.now(), Watching.now()
    scans = [asyncio.create_task(work(store, watching, ticket)) for watching in both]
    for watching in both:
        await watching.begun.wait()
        watching.free.set()
    first, second = [await scan for scan in scans]
    assert first == second
    assert first.state is State.STORED


@pytest.mark.threat(34)
async def test_bytes_that_are_swapped_during_a_scan_are_scanned_again(scanner: Scanner) -> None:
    """Only a store that does not enforce if-none-match lets a client do so."""
    store, watching = MemoryStore(), Watching.now()
    ticket = await by_put(store, uploads_of(store), CLEAN)
    scan = asyncio.create_task(work(store, watching, ticket))
    await watching.begun.wait()
    swapped = INFECTED + CLEAN[len(INFECTED) :]
    assert isinstance(store.storage, MemoryStorage)
    del store.storage.objects[ticket.grant.key.upload_key]
    await store.put(ticket.grant, swapped)
    watching.free.set()
    assert await refused(scan) is Code.INFECTED
    assert watching.given == [swapped]
    assert await store.content(ticket.grant.key.key) is None
    assert await refused(work(store, scanner, ticket)) is Code.INFECTED


@pytest.mark.threat(34)
async def test_bytes_that_are_swapped_between_two_blocks_are_never_taken_together(scanner: Scanner) -> None:
    store = MemoryStore()
    body = CLEAN * (3 * BLOCK // len(CLEAN))
    ticket = await by_put(store, uploads_of(store), body)
    swapped = body[: -len(INFECTED)] + INFECTED
    reading = store.storage.read
    storage = store.storage

    async def read(key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        block = await reading(key, if_match=if_match, size=size, first=first)
        if size == BLOCK and storage.objects[key].body == body:
            del storage.objects[key]
            await store.put(ticket.grant, swapped)
        return block

    storage.read = read  # type: ignore[method-assign]
    assert await refused(work(store, scanner, ticket)) is Code.INFECTED
    assert await store.content(ticket.grant.key.key) is None


async def test_a_file_that_is_posted_over_the_one_that_is_scanned_changes_nothing() -> None:
    store, watching = MemoryStore(), Watching.now()
    ticket = await by_form(store, uploads_of(store), CLEAN)
    scan = asyncio.create_task(work(store, watching, ticket))
    await watching.begun.wait()
    await store.post(ticket.grant, INFECTED)
    watching.free.set()
    assert (await scan).state is State.STORED
    assert await store.content(ticket.grant.key.key) == CLEAN


async def test_a_marker_of_a_scan_says_what_it_found(scanner: Scanner) -> None:
    store = MemoryStore()
    ticket = await by_put(store, uploads_of(store), EICAR)
    assert await refused(work(store, scanner, ticket)) is Code.INFECTED
    marker = (await States(store.storage, iter_nonce()).look(ticket.grant.key))[1]
    assert marker == Marker(State.REJECTED, Code.INFECTED)
    assert EICAR not in store.storage.objects[ticket.grant.key.upload_key].body
