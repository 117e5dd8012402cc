"""The life of one upload after its ticket: status, completion, abort and deletion.

The bucket is the database. A key under incoming/ goes free → uploaded → marked and never back, and a marker is written
only over exactly the bytes that were judged, so that completions, aborts and deletions may race in any number of
processes: whoever writes the marker has decided.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.assembly import ClaimedPart, Misfit, assemble, free_parts
from gateway.claims import Claims
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import Marker, State, marker_of
from gateway.objects import StoredObject, described, stored_object
from gateway.promotion import COPIED_PART, COPY_THRESHOLD, Promotion
from gateway.proof import Proof, Unscanned
from gateway.s3.bucket import GRANT_METADATA, check_grant_token
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head, Storage
from gateway.states import States

ANSWER_WITHIN = 20.0  # seconds; a slower promotion goes on behind a 202
RETRY_AFTER = 3  # seconds
ATTEMPTS = 5  # in which others may write first: a client that sends again, a completion, an abort, a deletion
PAUSE = 0.05  # seconds before the second attempt, doubled before each other: somebody else is at work

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an upload stands, and what came of it; `parts` are those that have arrived and are not joined yet."""

    state: State
    stored: StoredObject | None = None
    code: Code | None = None
    retry_after: int | None = None
    parts: Sequence[ArrivedPart] = ()


class Uploads:
    """The use cases, free of HTTP. `nonce` gives text that never repeats."""

    def __init__(  # noqa: PLR0913 - what it stands on, and sizes and times that tests make small
        self,
        storage: Storage,
        tokens: Tokens,
        nonce: Callable[[], str],
        *,
        proof: Proof | None = None,
        answer_within: float = ANSWER_WITHIN,
        copy_threshold: int = COPY_THRESHOLD,
        copied_part: int = COPIED_PART,
        pause: float = PAUSE,
    ) -> None:
        """Take what the use cases stand on; times are in seconds, `copy_threshold` and `copied_part` in bytes."""
        self._storage = storage
        self._tokens = tokens
        self._proof = proof or Proof(storage)
        self._answer_within = answer_within
        self._states = States(storage, nonce)
        self._pause = pause
        self._promotion = Promotion(storage, nonce, threshold=copy_threshold, copied_part=copied_part)
        self._claims = Claims(storage, self._promotion, nonce)
        self._running: dict[ObjectKey, asyncio.Task[Outcome]] = {}

    async def create_multipart(self, grant: Grant, *, part_size: int | None, checksums: bool = False) -> Ticket:
        """Begin a multipart upload and return the ticket that spends it; raises `metadata-too-large`.

        With a `part_size` (bytes) the lengths of parts are signed. `checksums` demands a SHA-256 for every part.
        """
        grant_token = self._tokens.seal_grant_token(grant)
        check_grant_token(grant_token)
        upload_id = await self._storage.create_upload(
            grant.key.upload_key,
            content_type=grant.content_type,
            metadata={GRANT_METADATA: grant_token},
            checksums=checksums,
        )
        return Ticket(grant, Multipart(upload_id, part_size, checksums))

    async def status(self, ticket: Ticket) -> Outcome:
        """Tell where the upload stands, without changing anything."""
        key = ticket.grant.key
        state, marker = await self._states.look(key)
        if marker is not None:
            return await self._answer(key, marker)
        if key in self._running and state is not None:
            return Outcome(State.PROMOTING, retry_after=RETRY_AFTER)
        if state is None and ticket.multipart is not None:
            return await self._arriving(ticket.grant, ticket.multipart)
        if state is None and key.by_form:
            state = await self._storage.head(key.upload_key)
        return self._unproved(ticket.grant, state)

    def _unproved(self, grant: Grant, there: Head | None) -> Outcome:
        """Tell of bytes that nobody has judged yet; the worker scans them also where nobody completes the upload."""
        if there is not None and self._proof.scans(grant):
            return Outcome(State.SCANNING, retry_after=RETRY_AFTER)
        return Outcome(State.WAITING if there is None else State.UPLOADED)

    async def find(self, key: ObjectKey) -> StoredObject:
        """Describe what is stored; raises `not-found`, also for what a late copy brought back under a dead key."""
        target, (_, marker) = await asyncio.gather(self._storage.head(key.key), self._states.look(key))
        if target is None or (marker is not None and marker.state in {State.ABORTED, State.DELETED}):
            raise Refusal(Code.NOT_FOUND)
        return stored_object(key, target)

    async def granted(self, key: ObjectKey) -> Ticket:
        """Return the ticket of the grant that lies with the bytes, for clients that never saw one."""
        source = await self._storage.head(key.state_key)
        if source is None and key.by_form:
            source = await self._storage.head(key.upload_key)
        if source is None or GRANT_METADATA not in source.metadata:
            raise Refusal(Code.NOT_UPLOADED)
        grant = self._tokens.open_grant(source.metadata[GRANT_METADATA])
        if grant.key.upload_key != key.upload_key:
            raise Refusal(Code.NOT_FOUND)
        return Ticket(grant)

    async def complete(self, ticket: Ticket, claimed: Sequence[ClaimedPart] | None = None) -> Outcome:
        """Prove what arrived and promote it; a repeat, also in parallel, is answered alike.

        `claimed` are the parts that the client names, in their order; without it all that have arrived are joined.
        Raises `not-uploaded`, `content-changed`, or the refusal for which the upload was rejected.
        """
        key = ticket.grant.key
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._complete(ticket, claimed))
            task.add_done_callback(lambda done: self._forget(key, done))
        await asyncio.wait({task}, timeout=self._answer_within)
        if task.done():
            return task.result()
        task.add_done_callback(_tell)
        return Outcome(State.PROMOTING, retry_after=RETRY_AFTER)

    async def conclude(self, ticket: Ticket) -> Outcome:
        """Complete, however long promotion takes; raises `scanner-unavailable` where nobody here scans."""
        while (outcome := await self.complete(ticket)).state is State.PROMOTING:
            pass  # each answer took its time
        if outcome.state is State.SCANNING:
            raise Refusal(Code.SCANNER_UNAVAILABLE)
        return outcome

    async def make_good(self, key: ObjectKey, state: Head, marker: Marker) -> None:
        """Do once more what a marker, which lies there as `state`, says was done: who wrote it may have died of it."""
        if marker.state is State.DELETED:
            await self._remove(key, state)
        elif marker.state is State.ABORTED:
            await self._revoke(key, state)

    async def abort(self, ticket: Ticket) -> None:
        """Revoke the upload and free its parts; raises `already-stored` once it is stored."""
        key = ticket.grant.key
        for attempt in range(ATTEMPTS):
            await self._give_way(attempt)
            state, marker = await self._states.look(key)
            if state is None and not key.content_addressed and await self._storage.head(key.key) is not None:
                raise Refusal(Code.ALREADY_STORED)  # a lifecycle rule shorter than tickets has removed the marker
            try:
                if marker is None:
                    token = self._tokens.seal_grant_token(ticket.grant)
                    await self._states.mark(key, Marker(State.ABORTED), state, token)
            except Changed:
                continue
            if marker is not None and marker.state is State.STORED:
                raise Refusal(Code.ALREADY_STORED)
            if ticket.multipart is not None:
                await free_parts(self._storage, key.upload_key, ticket.multipart.upload_id)
                # A store that knows no if-none-match there may have joined the parts over the marker.
                if (await self._states.look(key))[1] is None:
                    continue
            if marker is None or marker.state is State.ABORTED:
                await self._revoke(key, state)
            return
        raise Refusal(Code.CONTENT_CHANGED)

    async def delete(self, key: ObjectKey) -> None:
        """Remove a stored object for good: the marker comes first, so that no late completion brings it back.

        Bytes under their own address need no marker: whoever uploads them again means the same.
        """
        state = None if key.content_addressed else await self._mark_deleted(key)
        await self._remove(key, state)

    async def _mark_deleted(self, key: ObjectKey) -> Head | None:
        """Write the marker of a deletion, and return what it was written over."""
        state, deleted = None, Marker(State.DELETED)
        for attempt in range(ATTEMPTS):
            await self._give_way(attempt)
            state, marker = await self._states.look(key)
            try:
                if marker != deleted:
                    await self._states.mark(key, deleted, state, whatever_is_there=attempt == ATTEMPTS - 1)
            except Changed:
                continue
            break
        return state

    async def _arriving(self, grant: Grant, multipart: Multipart) -> Outcome:
        try:
            parts = await self._storage.list_parts(grant.key.upload_key, multipart.upload_id)
        except Gone:  # joined a moment ago, or dropped by a lifecycle rule
            return self._unproved(grant, await self._storage.head(grant.key.upload_key))
        return Outcome(State.UPLOADING if parts else State.WAITING, parts=parts)

    async def _complete(self, ticket: Ticket, claimed: Sequence[ClaimedPart] | None) -> Outcome:
        key = ticket.grant.key
        for attempt in range(ATTEMPTS):
            await self._give_way(attempt)
            try:
                state = await self._storage.head(key.state_key) or await self._arrived(ticket, claimed)
                if state is None:
                    raise Refusal(Code.NOT_UPLOADED)
                marker = marker_of(state) or await self._settle(ticket.grant, state)
            except Changed:
                continue
            except Unscanned:
                return Outcome(State.SCANNING, retry_after=RETRY_AFTER)
            return await self._concluded(key, marker, state)
        raise Refusal(Code.CONTENT_CHANGED)

    async def _arrived(self, ticket: Ticket, claimed: Sequence[ClaimedPart] | None) -> Head | None:
        """Bring about what the state lies on, where the client's bytes are not it yet, and look again."""
        grant = ticket.grant
        if grant.key.by_form:
            await self._claims.claim(grant, self._tokens.seal_grant_token(grant))
        elif ticket.multipart is not None:
            try:
                await assemble(self._storage, ticket, claimed)
            except Misfit as misfit:
                marker = Marker(State.REJECTED, misfit.code)
                await self._states.mark(grant.key, marker, None, self._tokens.seal_grant_token(grant))
                await free_parts(self._storage, grant.key.upload_key, ticket.multipart.upload_id)
        else:
            return None
        return await self._storage.head(grant.key.state_key)

    async def _settle(self, grant: Grant, state: Head) -> Marker:
        """Copy the bytes if they are as granted, and mark them; raises Changed when they are no longer those."""
        key, marker = grant.key, Marker(State.STORED)
        at, source = await self._claims.claimed(grant, state) if key.by_form else (key.upload_key, state)
        if source.last_modified > grant.expires_at and not came_in_time(key, source):
            raise Refusal(Code.NOT_UPLOADED)
        target = await self._storage.head(key.key)
        if target is None or key.content_addressed:  # there, somebody else's upload may be what is stored
            code = await self._proof.objection(grant, at, source)
            marker = Marker(State.STORED) if code is None else Marker(State.REJECTED, code)
        if target is None and marker.state is State.STORED:
            metadata = described(grant, source)
            await self._promotion.copy(at, source, key.key, content_type=grant.content_type, metadata=metadata)
        await self._states.mark(key, marker, state)
        if key.by_form:
            await self._claims.release(key, state)
        await self._promotion.clear_large(key.key, source.size)
        return marker

    async def _concluded(self, key: ObjectKey, marker: Marker, state: Head) -> Outcome:
        if marker.state is State.REJECTED:
            raise Refusal(marker.code or Code.CONTENT_MISMATCH)
        if marker.state in {State.ABORTED, State.DELETED}:
            # The copy of this very call, or of one that died, may have landed after the other's removal.
            await self._revoke(key, state)
            raise Refusal(Code.NOT_UPLOADED, f"The upload was {marker.state}: ask for a new ticket.")
        return await self._answer(key, marker)

    async def _answer(self, key: ObjectKey, marker: Marker) -> Outcome:
        if marker.state is not State.STORED:
            return Outcome(marker.state, code=marker.code)
        target = await self._storage.head(key.key)
        if target is None:
            return Outcome(State.DELETED)
        return Outcome(State.STORED, stored_object(key, target))

    async def _revoke(self, key: ObjectKey, state: Head | None) -> None:
        """Remove what a completion may have copied: nobody was told of it. Others may have stored the same content."""
        if not key.content_addressed:
            await self._remove(key, state)

    async def _remove(self, key: ObjectKey, state: Head | None) -> None:
        """Remove the target, once nothing can become it any more: `state` is what the marker was written over.

        The order counts. A completion that is under way can copy no longer when its source is freed, and can join no
        copied parts when their upload is aborted; what it has copied until then is there to be removed.
        """
        if key.by_form:
            await self._claims.release(key, state)
        try:
            await self._promotion.clear(key.key)
        finally:  # the marker is written: nothing may keep the object from going
            await self._storage.delete(key.key)

    async def _give_way(self, attempt: int) -> None:
        """Wait before each attempt but the first, longer each time."""
        if attempt:
            await asyncio.sleep(self._pause * 2 ** (attempt - 1))

    def _forget(self, key: ObjectKey, task: asyncio.Task[Outcome]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # a refusal nobody waits for any more is not worth a warning


def came_in_time(key: ObjectKey, source: Head) -> bool:
    """Whether something else than LastModified has told so: a form's was judged when it was claimed.

    Parts die with their ticket, and only a live ticket joins them; an ETag with a hyphen is that of joined parts
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
    """
    return key.by_form or "-" in source.etag


def _tell(task: "asyncio.Task[Outcome]") -> None:
    """Log a bug in a completion that nobody waits for any more."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, Refusal):
        log.error("a completion failed behind a 202", exc_info=error)
