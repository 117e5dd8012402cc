"""Proof over a bucket in memory: what is read, in which order judged, and what a scanner is shown."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.content.media_types import MEDIA_TYPES, MediaType
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.tickets import Ticket
from gateway.markers import State
from gateway.proof import BLOCK, Proof, Unscanned
from gateway.s3.storage import Changed, Head
from gateway.uploads import RETRY_AFTER, Outcome, Uploads
from tests.memory_storage import MemoryStorage
from tests.test_uploads import BODY, GRANT, KEY, NOW, STORED, TICKET, TOKENS, arrive, refusal, refused

LONG = b"a line of a text\n" * (3 * BLOCK // 17)
LONG_GRANT = replace(GRANT, size=len(LONG), checksum_sha256=None)
WAITING = Outcome(State.SCANNING, retry_after=RETRY_AFTER)


class Scanner:
    """Says what it is told to say, and keeps what it was shown."""

    def __init__(self, *, clean: bool = True) -> None:
        self.clean = clean
        self.shown: list[bytes] = []

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        self.shown = [block async for block in blocks]
        return self.clean


class Silent(Scanner):
    """Gives no answer."""

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        await super().is_clean(blocks)
        raise Refusal(Code.SCANNER_UNAVAILABLE, retry_after=5)


class Opinion:
    """A second opinion."""

    def __init__(self, *, agrees: bool) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self._agrees = agrees

    async def agrees(self, media_type: MediaType, front: bytes) -> bool:
        self.asked.append((media_type.name, front))
        return self._agrees


def everything(_: ObjectKey) -> bool:
    return True


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage(NOW)
    arrive(storage)
    return storage


async def source(storage: MemoryStorage) -> Head:
    head = await storage.head(KEY.upload_key)
    assert head is not None
    return head


def uploads_of(storage: MemoryStorage, proof: Proof) -> Uploads:
    return Uploads(storage, TOKENS, lambda: "nonce", proof=proof, pause=0)


async def test_the_scanner_is_shown_all_bytes_in_blocks_that_were_read_one_by_one() -> None:
    storage, scanner = MemoryStorage(NOW), Scanner()
    arrive(storage, LONG_GRANT, LONG)
    proof = Proof(storage, scans=everything, scanner=scanner)
    assert await proof.objection(LONG_GRANT, KEY.upload_key, await source(storage)) is None
    assert b"".join(scanner.shown) == LONG
    assert [len(block) for block in scanner.shown] == [BLOCK, BLOCK, len(LONG) - 2 * BLOCK]


@pytest.mark.threat(34)
async def test_bytes_that_change_while_they_are_scanned_are_not_those_that_were_proved() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage, LONG_GRANT, LONG)

    class Meddling(Scanner):
        async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
            await anext(blocks)
            del storage.objects[KEY.upload_key]
            arrive(storage, LONG_GRANT, LONG.upper())
            return await super().is_clean(blocks)

    proof = Proof(storage, scans=everything, scanner=Meddling())
    with pytest.raises(Changed):
        await proof.objection(LONG_GRANT, KEY.upload_key, await source(storage))


@pytest.mark.threat(13)
async def test_what_has_to_be_scanned_waits_where_nobody_scans_and_is_stored_where_somebody_does(
    storage: MemoryStorage,
) -> None:
    api = uploads_of(storage, Proof(storage, scans=everything))
    assert await api.complete(TICKET) == await api.status(TICKET) == WAITING
    assert set(storage.objects) == {KEY.upload_key}
    worker = uploads_of(storage, Proof(storage, scans=everything, scanner=Scanner()))
    assert await worker.status(TICKET) == WAITING
    assert await worker.complete(TICKET) == await api.complete(TICKET) == await api.status(TICKET) == STORED


@pytest.mark.threat(13)
async def test_an_infected_upload_is_rejected_for_everybody(storage: MemoryStorage) -> None:
    worker = uploads_of(storage, Proof(storage, scans=everything, scanner=Scanner(clean=False)))
    assert await refusal(worker.complete(TICKET)) == refused(Code.INFECTED)
    api = uploads_of(storage, Proof(storage, scans=everything))
    assert await refusal(api.complete(TICKET)) == refused(Code.INFECTED)
    assert await api.status(TICKET) == Outcome(State.REJECTED, code=Code.INFECTED)
    assert KEY.key not in storage.objects


@pytest.mark.threat(13)
async def test_a_scanner_that_gives_no_answer_leaves_the_upload_as_it_was(storage: MemoryStorage) -> None:
    before = dict(storage.objects)
    worker = uploads_of(storage, Proof(storage, scans=everything, scanner=Silent()))
    assert await refusal(worker.conclude(TICKET)) == refused(Code.SCANNER_UNAVAILABLE)
    assert storage.objects == before
    assert await worker.status(TICKET) == WAITING


async def test_what_is_not_as_granted_is_not_scanned(storage: MemoryStorage) -> None:
    scanner = Scanner()
    proof = Proof(storage, scans=everything, scanner=scanner)
    head = await source(storage)
    assert await proof.objection(replace(GRANT, size=len(BODY) + 1), KEY.upload_key, head) is Code.SIZE_MISMATCH
    assert await proof.objection(replace(GRANT, content_type="text/csv"), KEY.upload_key, head) is Code.CONTENT_MISMATCH
    assert scanner.shown == []


async def test_only_what_a_policy_says_is_scanned(storage: MemoryStorage) -> None:
    scanner = Scanner(clean=False)
    proof = Proof(storage, scans=lambda key: key.policy == "other", scanner=scanner)
    assert await uploads_of(storage, proof).complete(TICKET) == STORED
    assert scanner.shown == []


@pytest.mark.threat(13)
async def test_what_was_granted_under_a_scan_is_not_stored_without_one_whatever_policies_say_later() -> None:
    storage, grant = MemoryStorage(NOW), replace(GRANT, scan=True)
    arrive(storage, grant)
    api = uploads_of(storage, Proof(storage))
    ticket = await api.granted(KEY)
    assert ticket == Ticket(grant)
    assert await api.complete(ticket) == await api.status(ticket) == WAITING
    worker = uploads_of(storage, Proof(storage, scanner=Scanner()))
    assert await worker.conclude(ticket) == STORED


async def test_a_conclusion_waits_for_a_promotion_and_not_for_a_scanner_that_is_not_there(
    storage: MemoryStorage,
) -> None:
    with pytest.raises(Refusal) as refused:
        await uploads_of(storage, Proof(storage, scans=everything)).conclude(TICKET)
    assert refused.value.code is Code.SCANNER_UNAVAILABLE
    impatient = Uploads(storage, TOKENS, lambda: "nonce", answer_within=0, pause=0)
    assert (await impatient.complete(TICKET)).state is State.PROMOTING
    assert await impatient.conclude(TICKET) == STORED


async def test_nobody_waits_for_a_scan_of_what_has_not_arrived() -> None:
    storage = MemoryStorage(NOW)
    api = uploads_of(storage, Proof(storage, scans=everything))
    assert await api.status(TICKET) == Outcome(State.WAITING)
    assert await refusal(api.complete(TICKET)) == refused(Code.NOT_UPLOADED)


async def test_without_a_scanner_proof_says_that_it_cannot_tell(storage: MemoryStorage) -> None:
    with pytest.raises(Unscanned):
        await Proof(storage, scans=everything).objection(GRANT, KEY.upload_key, await source(storage))


@pytest.mark.threat(12)
@pytest.mark.parametrize(("agrees", "expected"), [(True, None), (False, Code.CONTENT_MISMATCH)])
async def test_a_second_opinion_is_asked_of_what_is_proved(
    storage: MemoryStorage, *, agrees: bool, expected: Code | None
) -> None:
    opinion = Opinion(agrees=agrees)
    proof = Proof(storage, second_opinion=opinion)
    assert await proof.objection(GRANT, KEY.upload_key, await source(storage)) is expected
    assert opinion.asked == [("text/plain", BODY)]
    picture = replace(GRANT, content_type="image/png", checksum_sha256=None)
    head = replace(await source(storage), content_type="image/png")
    at = replace(KEY, extension="png")
    storage.objects[at.upload_key] = storage.objects[KEY.upload_key]
    assert await proof.objection(replace(picture, key=at), at.upload_key, head) is Code.CONTENT_MISMATCH
    assert len(opinion.asked) == 1


async def test_the_ticket_of_an_upload_that_waits_for_its_scan_can_be_aborted(storage: MemoryStorage) -> None:
    api = uploads_of(storage, Proof(storage, scans=everything))
    assert await api.complete(TICKET) == WAITING
    await api.abort(TICKET)
    worker = uploads_of(storage, Proof(storage, scans=everything, scanner=Scanner()))
    assert (await refusal(worker.complete(Ticket(GRANT))))[0] is Code.NOT_UPLOADED
    assert KEY.key not in storage.objects


def test_what_is_proved_by_its_end_too_is_told_by_its_type() -> None:
    assert MEDIA_TYPES["text/plain"].end_bytes == 0
