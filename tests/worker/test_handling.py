"""What each event leads to, over a bucket in memory that tells of what appears under incoming/, as S3 does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.claims import CLAIM_TYPE
from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import Marker, State, marker_of
from gateway.proof import Proof
from gateway.s3.storage import ArrivedPart, Changed, Head
from gateway.states import States
from gateway.uploads import Uploads
from gateway.worker.events import Appeared
from gateway.worker.handling import Again, Handled, Handling
from gateway.worker.turns import NoTurn
from gateway.worker.webhooks import Undelivered
from tests.memory_storage import MemoryStorage

NOW = 1_800_000_000
TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
OTHERS = Tokens([b"a-secret-key-of-another-gateway-32-bytes-long"], {})
KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "txt")
FORM = replace(KEY, name=f"{KEY.name}form")
LFS = ObjectKey("default", "photos", "ab" * 32, "txt", upload_name="fedcba9876543210fedcba9876543210")
GOOD, BAD = b"first", b"\x00\x01\x02\x03\x04"


def grant_of(key: ObjectKey) -> Grant:
    return Grant("alice", key, "text/plain", 5, None, Filename("a.txt"), {}, NOW, NOW + 3600, exact=not key.by_form)


class Telling(MemoryStorage):
    """A bucket in memory, and the events of what appeared under incoming/."""

    def __init__(self, now: int = NOW) -> None:
        super().__init__(now, min_part=1)
        self.events: list[Appeared] = []

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        checksum_sha256: str | None = None,
    ) -> None:
        super().upload(key, body, content_type=content_type, metadata=metadata, checksum_sha256=checksum_sha256)
        self._tell(key)

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)
        self._tell(target)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        await super().complete_upload(key, upload_id, parts)
        self._tell(key)

    def _tell(self, key: str) -> None:
        if key.startswith("incoming/"):
            self.events.append(Appeared(key, self.objects[key].head.etag.strip('"')))

    def state(self) -> Mapping[str, bytes]:
        """Return what lies where; what was freed may be freed again, with other bytes."""
        return {
            key: stored.body.partition(b": ")[0] if stored.body.startswith(b'{"freed"') else stored.body
            for key, stored in self.objects.items()
        }

    def marker(self, key: ObjectKey) -> Marker | None:
        stored = self.objects.get(key.state_key)
        return None if stored is None else marker_of(stored.head)


class Announced:
    """An announcer that remembers, or that nobody listens to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.markers: list[tuple[ObjectKey, Head, Marker]] = []
        self.objects: list[ObjectKey] = []
        self.there = False
        self._error = error

    async def announce(self, key: ObjectKey, head: Head, marker: Marker) -> None:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        self.markers.append((key, head, marker))

    async def announce_object(self, key: ObjectKey) -> bool:
        await asyncio.sleep(0)
        self.objects.append(key)
        if self.there and self._error is not None:
            raise self._error
        return self.there

    @property
    def states(self) -> list[State]:
        return [marker.state for _, _, marker in self.markers]


class Case:
    """A bucket, a worker on it, and a browser that comes and goes."""

    def __init__(self, storage: Telling | None = None, error: Exception | None = None) -> None:
        numbers = count()
        self.storage = storage or Telling()
        self.announced = Announced(error)
        self._nonce = lambda: f"nonce-{next(numbers)}"
        self.uploads = Uploads(self.storage, TOKENS, self._nonce, pause=0)
        self.handling = self.worker()

    def worker(self) -> Handling:
        """Return a worker of its own, which shares nothing with others but the bucket."""
        uploads = Uploads(self.storage, TOKENS, self._nonce, pause=0)
        return Handling(States(self.storage, self._nonce), uploads, self.announced)

    def arrive(self, key: ObjectKey = KEY, body: bytes = GOOD, tokens: Tokens = TOKENS) -> None:
        """Do what the client does with what was presigned."""
        if key.by_form:
            self.storage.objects.pop(key.upload_key, None)
        metadata = {"grant": tokens.seal_grant_token(grant_of(key))}
        self.storage.upload(key.upload_key, body, content_type="text/plain", metadata=metadata)

    async def handle_all(self) -> list[str]:
        """Handle every event in its order, those that are told of meanwhile too; return the outcomes."""
        outcomes = []
        for event in self.storage.events:  # it grows
            handled = await self.handling.handle(event)
            assert handled.again is None, handled
            outcomes.append(handled.outcome)
        return outcomes


async def test_an_upload_that_nobody_completed_is_stored_and_announced() -> None:
    case = Case()
    case.arrive()
    assert await case.handle_all() == ["stored", "announced"]
    assert case.storage.objects[KEY.key].body == GOOD
    ((key, head, marker),) = case.announced.markers
    assert (key, marker) == (KEY, Marker(State.STORED))
    assert head == case.storage.objects[KEY.upload_key].head


async def test_what_is_not_as_declared_is_rejected_and_announced() -> None:
    case = Case()
    case.arrive(body=BAD)
    assert await case.handle_all() == ["content-mismatch", "announced"]
    assert [marker for _, _, marker in case.announced.markers] == [Marker(State.REJECTED, Code.CONTENT_MISMATCH)]
    assert KEY.key not in case.storage.objects


async def test_the_event_of_bytes_that_were_completed_meanwhile_leads_to_nothing() -> None:
    case = Case()
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    before = case.storage.state()
    assert await case.handle_all() == ["superseded", "announced"]
    assert case.storage.state() == before
    assert case.announced.states == [State.STORED]


async def test_the_event_of_a_marker_that_was_written_over_is_left_to_the_later_one() -> None:
    case = Case()
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    await case.uploads.delete(KEY)
    assert await case.handle_all() == ["superseded", "superseded", "announced"]
    assert case.announced.states == [State.DELETED]


async def test_a_marker_is_announced_also_where_its_event_names_no_etag() -> None:
    case = Case()
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    assert await case.handling.handle(Appeared(KEY.upload_key, None)) == Handled("announced", KEY)
    assert case.announced.states == [State.STORED]


async def test_a_form_s_marker_is_announced_by_no_event_of_what_was_posted() -> None:
    case = Case()
    case.arrive(FORM)
    await case.uploads.complete(Ticket(grant_of(FORM)))
    assert await case.handling.handle(Appeared(FORM.upload_key, None)) == Handled("superseded", FORM)
    assert await case.handling.handle(Appeared(FORM.state_key, None)) == Handled("announced", FORM)


async def test_an_aborted_upload_s_bytes_are_left_alone() -> None:
    case = Case()
    case.arrive()
    await case.uploads.abort(Ticket(grant_of(KEY)))
    assert await case.handle_all() == ["superseded", "announced"]
    assert case.announced.states == [State.ABORTED]
    assert list(case.storage.objects) == [KEY.upload_key]


async def test_an_event_without_its_object_is_final() -> None:
    case = Case()
    assert await case.handling.handle(Appeared(KEY.upload_key, "1")) == Handled("not-uploaded", KEY)
    assert case.storage.objects == {}


@pytest.mark.parametrize("key", [KEY, FORM])
async def test_an_event_that_came_back_when_the_lifecycle_had_taken_its_marker_is_announced_from_the_object(
    key: ObjectKey,
) -> None:
    case = Case()
    case.announced.there = True
    assert await case.handling.handle(Appeared(key.state_key, "1")) == Handled("announced", key)
    case = Case(error=Undelivered("answered 500"))
    case.announced.there = True
    handled = await case.handling.handle(Appeared(key.state_key, "1"))
    assert handled == Handled("undelivered", key, Again.ANNOUNCEMENT)
    assert (case.announced.objects, case.storage.objects) == ([key], {})


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "incoming/",
        "/claim",
        KEY.key,
        "objects/default/photos/0123456789abcdef0123456789abcdef.txt/claim",
        f"{KEY.upload_key}/claim",
        f"{KEY.upload_key}/nonce",
        f"{FORM.upload_key}/nonce",
        f"{FORM.upload_key}/claim/claim",
        f"{FORM.upload_key}/",
        f"{FORM.upload_key}\n",
        "incoming/default/photos/short.txt",
        "incoming/default/photos/../0123456789abcdef0123456789abcdef.txt",
        "incoming/Default/photos/0123456789abcdef0123456789abcdef.txt",
        "x" * 10_000,
        "\udcff",
    ],
)
async def test_a_key_that_is_no_upload_s_leads_to_nothing(key: str) -> None:
    case = Case()
    case.arrive()
    case.arrive(FORM)
    before = case.storage.state()
    assert await case.handling.handle(Appeared(key, None)) == Handled("foreign")
    assert (case.storage.state(), case.announced.markers) == (before, [])


async def test_a_form_s_upload_is_claimed_stored_and_announced_once() -> None:
    case = Case()
    case.arrive(FORM)
    outcomes = await case.handle_all()
    assert (outcomes[0], outcomes.count("announced"), case.announced.states) == ("stored", 1, [State.STORED])
    assert set(outcomes) == {"stored", "foreign", "superseded", "announced"}
    assert case.storage.objects[FORM.key].body == GOOD
    told = {event.key.removeprefix(FORM.upload_key) for event in case.storage.events}
    assert {"", "/claim"} < told
    assert len(told) == 3  # and the private copy


async def test_the_event_of_a_claim_whose_process_died_goes_on_with_it() -> None:
    case = Case()
    case.arrive(FORM)
    claimed = [Appeared(f"{FORM.upload_key}/claim", None)]
    before = len(case.storage.events)
    assert (await case.handling.handle(claimed[0])).outcome == "stored"
    assert len(case.storage.events) > before
    assert case.storage.marker(FORM) == Marker(State.STORED)


async def test_bytes_that_were_freed_lead_to_nothing() -> None:
    case = Case()
    await case.storage.put(FORM.upload_key, b'{"freed": 1}', content_type=CLAIM_TYPE, metadata={})
    assert await case.handle_all() == ["not-uploaded"]
    assert list(case.storage.objects) == [FORM.upload_key]
    assert case.announced.markers == []


async def test_a_form_posted_again_over_what_is_stored_changes_nothing() -> None:
    case = Case()
    case.arrive(FORM)
    await case.handle_all()
    case.storage.events.clear()
    case.arrive(FORM, body=b"other")
    assert await case.handle_all() == ["superseded"]
    assert case.storage.objects[FORM.key].body == GOOD
    assert case.announced.states == [State.STORED]


async def test_parts_that_were_joined_and_left_are_stored() -> None:
    case = Case()
    ticket = await case.uploads.create_multipart(grant_of(KEY), part_size=3)
    upload_id = ticket.divided().upload_id
    parts = [
        case.storage.upload_part(KEY.upload_key, upload_id, number, GOOD[:3] if number == 1 else GOOD[3:])
        for number in (1, 2)
    ]
    await case.storage.complete_upload(KEY.upload_key, upload_id, parts)
    assert await case.handle_all() == ["stored", "announced"]
    assert case.storage.objects[KEY.key].body == GOOD


async def test_an_upload_under_a_content_s_address_is_stored_there() -> None:
    case = Case()
    digest = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"  # of b"first"
    key = replace(LFS, name=digest)
    case.arrive(key)
    assert await case.handle_all() == ["stored", "announced"]
    assert case.storage.objects[key.key].body == GOOD


async def test_lateness_loses_nothing() -> None:
    case = Case()
    case.arrive()
    case.storage.now += 30 * 86_400
    assert await case.handle_all() == ["stored", "announced"]


async def test_a_grant_that_does_not_open_waits_for_a_worker_that_has_its_secret() -> None:
    case = Case()
    case.arrive(tokens=OTHERS)
    (event,) = case.storage.events
    assert await case.handling.handle(event) == Handled("not-found", KEY, Again.COMPLETION)
    assert list(case.storage.objects) == [KEY.upload_key]


async def test_what_lies_there_without_a_grant_is_final() -> None:
    case = Case()
    case.storage.upload(KEY.upload_key, GOOD, content_type="text/plain", metadata={})
    case.announced.there = True
    assert await case.handle_all() == ["not-uploaded"]
    assert case.announced.objects == []


async def test_a_marker_whose_grant_does_not_open_waits_for_a_worker_that_has_its_secret() -> None:
    case = Case(error=Refusal(Code.NOT_FOUND))
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    handled = await case.handling.handle(case.storage.events[-1])
    assert handled == Handled("not-found", KEY, Again.COMPLETION)


async def test_what_finds_no_turn_is_postponed() -> None:
    case = Case(error=NoTurn("others are under way"))
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    handled = await case.handling.handle(case.storage.events[-1])
    assert handled == Handled("postponed", KEY, Again.TURN)


async def test_a_grant_of_another_key_stores_nothing() -> None:
    case = Case()
    metadata = {"grant": TOKENS.seal_grant_token(grant_of(replace(KEY, tenant="other")))}
    case.storage.upload(KEY.upload_key, GOOD, content_type="text/plain", metadata=metadata)
    assert (await case.handling.handle(case.storage.events[0])).outcome == "not-found"
    assert list(case.storage.objects) == [KEY.upload_key]


class Refusing(Telling):
    """A bucket that refuses to be read."""

    code = Code.STORAGE_UNAVAILABLE

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        await super().read(key, if_match=if_match, size=size, first=first)
        raise Refusal(self.code)


class Changing(Telling):
    """A bucket in which nothing is as it was a moment ago."""

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        await super().read(key, if_match=if_match, size=size, first=first)
        raise Changed


@pytest.mark.parametrize("code", Code)
async def test_only_what_may_be_otherwise_later_comes_again(code: Code) -> None:
    storage = Refusing()
    storage.code = code
    case = Case(storage)
    case.arrive()
    (event,) = storage.events
    retried = {Code.STORAGE_UNAVAILABLE, Code.SCANNER_UNAVAILABLE, Code.CONTENT_CHANGED, Code.NOT_FOUND}
    again = Again.COMPLETION if code in retried else None
    assert await case.handling.handle(event) == Handled(code.code, KEY, again)


async def test_an_upload_that_changes_all_the_time_comes_again() -> None:
    case = Case(Changing())
    case.arrive()
    handled = await case.handling.handle(case.storage.events[0])
    assert handled == Handled("content-changed", KEY, Again.COMPLETION)


async def test_what_nobody_could_be_told_comes_again() -> None:
    case = Case(error=Undelivered("answered 500"))
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    handled = await case.handling.handle(case.storage.events[-1])
    assert handled == Handled("undelivered", KEY, Again.ANNOUNCEMENT)


async def test_a_store_that_is_out_while_an_announcement_is_made_is_asked_again() -> None:
    case = Case(error=Refusal(Code.STORAGE_UNAVAILABLE))
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    handled = await case.handling.handle(case.storage.events[-1])
    assert handled == Handled("storage-unavailable", KEY, Again.COMPLETION)


async def test_a_bug_is_not_taken_for_an_answer() -> None:
    case = Case(error=ZeroDivisionError())
    case.arrive()
    await case.uploads.complete(Ticket(grant_of(KEY)))
    with pytest.raises(ZeroDivisionError):
        await case.handling.handle(case.storage.events[-1])


async def test_a_promotion_that_goes_on_behind_an_answer_is_waited_for() -> None:
    class Slow(Telling):
        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    storage, numbers = Slow(), count()
    uploads = Uploads(storage, TOKENS, lambda: f"nonce-{next(numbers)}", answer_within=0, pause=0)
    handling = Handling(States(storage, str), uploads, Announced())
    case = Case(storage)
    case.arrive()
    assert await handling.handle(storage.events[0]) == Handled("stored", KEY)


async def test_a_worker_without_a_scanner_leaves_what_has_to_be_scanned_for_another() -> None:
    storage, numbers = Telling(), count()
    proof = Proof(storage, scans=lambda _: True)
    uploads = Uploads(storage, TOKENS, lambda: f"nonce-{next(numbers)}", proof=proof, pause=0)
    handling = Handling(States(storage, str), uploads, Announced())
    Case(storage).arrive()
    assert await handling.handle(storage.events[0]) == Handled("scanner-unavailable", KEY, Again.COMPLETION)
    assert list(storage.objects) == [KEY.upload_key]


# What may be under way at once: a worker at any event there was, the browser, the application, and a client that posts.
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["event", "event", "event", "complete", "abort", "delete", "arrive"]),
        st.integers(min_value=0, max_value=30),  # which event, of those there are by then
        st.integers(min_value=0, max_value=40),  # turns of the event loop until it begins
    ),
    max_size=12,
)


@pytest.mark.threat(33)
@pytest.mark.parametrize("key", [KEY, FORM])
@settings(max_examples=150, deadline=None)
@given(moves=MOVES, order=st.randoms(use_true_random=False))
def test_events_twice_and_in_any_order_end_as_one_completion_would(key: ObjectKey, moves, order) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - hypothesis's own
    asyncio.run(_ends_well(key, moves, order))


async def _ends_well(key: ObjectKey, moves: Sequence[tuple[str, int, int]], order) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - as above
    case = Case()
    case.arrive(key)
    did: set[str] = set()
    await asyncio.gather(*(_move(case, key, move, did) for move in moves))
    seen = 0
    while seen < len(case.storage.events):  # what S3 tells, it tells at least once
        told = case.storage.events[seen:]
        seen += len(told)
        for event in order.sample(told * 2, len(told) * 2):
            assert (await case.worker().handle(event)).again is None
    _assert_settled(case, key, did)

    before, announced = case.storage.state(), len(case.announced.markers)
    for event in order.sample(case.storage.events, len(case.storage.events)):
        await case.worker().handle(event)
    assert case.storage.state() == before
    again = case.announced.markers[announced:]
    assert [(marker, head.etag) for _, head, marker in again] == [
        (case.storage.marker(key), case.storage.objects[key.state_key].head.etag)
    ]


async def _move(case: Case, key: ObjectKey, move: tuple[str, int, int], did: set[str]) -> None:
    what, which, turns = move
    for _ in range(turns):
        await asyncio.sleep(0)
    calls: Mapping[str, Callable[[], Awaitable[object]]] = {
        "event": lambda: case.worker().handle(case.storage.events[which % len(case.storage.events)]),
        "complete": lambda: case.uploads.complete(Ticket(grant_of(key))),
        "abort": lambda: case.uploads.abort(Ticket(grant_of(key))),
        "delete": lambda: case.uploads.delete(key),
    }
    if what == "arrive":
        if key.by_form:
            case.arrive(key, b"other")
        return
    try:
        await calls[what]()
    except Refusal as refusal:
        if refusal.code not in {Code.NOT_UPLOADED, Code.ALREADY_STORED}:
            raise
    else:
        did.add(what)


def _assert_settled(case: Case, key: ObjectKey, did: set[str]) -> None:
    marker = case.storage.marker(key)
    assert marker is not None
    expected = State.DELETED if "delete" in did else State.ABORTED if "abort" in did else State.STORED
    assert marker.state is expected
    assert (key.key in case.storage.objects) == (marker.state is State.STORED)
    assert marker in [each for _, _, each in case.announced.markers]
    assert set(case.announced.states) <= {State.STORED, State.ABORTED, State.DELETED}
    assert key.key not in case.storage.objects or case.storage.objects[key.key].body in {GOOD, b"other"}
