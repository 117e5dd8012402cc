"""The life of one upload after its ticket: status, completion, abort and deletion.

The bucket is the database. A key under incoming/ goes free → uploaded → marked and never back, and a marker is written
only over exactly the bytes that were judged, so that completions, aborts and deletions may race in any number of
processes: whoever writes the marker has decided.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.content.media_types import BY_EXTENSION, FRONT_BYTES, objection
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tokens import Tokens
from gateway.markers import MARKER_TYPE, Marker, State, marker_of
from gateway.objects import StoredObject, described, stored_object
from gateway.s3.bucket import GRANT_METADATA
from gateway.s3.storage import Changed, Head, Storage

ANSWER_WITHIN = 20.0  # seconds; a slower promotion goes on behind a 202
RETRY_AFTER = 3  # seconds
ATTEMPTS = 5  # a key changes at most twice in its life; more means a store that does not keep its word


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an upload stands, and what came of it."""

    state: State
    stored: StoredObject | None = None
    code: Code | None = None
    retry_after: int | None = None


class Uploads:
    """The use cases, free of HTTP. `nonce` gives text that never repeats."""

    def __init__(
        self, storage: Storage, tokens: Tokens, nonce: Callable[[], str], *, answer_within: float = ANSWER_WITHIN
    ) -> None:
        """Take what the use cases stand on; `answer_within` is in seconds."""
        self._storage = storage
        self._tokens = tokens
        self._nonce = nonce
        self._answer_within = answer_within
        self._running: dict[ObjectKey, asyncio.Task[Outcome]] = {}

    async def status(self, key: ObjectKey) -> Outcome:
        """Tell where the upload stands, without changing anything."""
        source = await self._storage.head(key.upload_key)
        if source is None:
            return Outcome(State.WAITING)
        marker = marker_of(source)
        if marker is None:
            return Outcome(State.PROMOTING if key in self._running else State.UPLOADED)
        return await self._answer(key, marker)

    async def find(self, key: ObjectKey) -> StoredObject:
        """Describe what is stored; raises `not-found`, also for what a late copy brought back under a dead key."""
        target, source = await asyncio.gather(self._storage.head(key.key), self._storage.head(key.upload_key))
        marker = marker_of(source) if source else None
        if target is None or (marker is not None and marker.state in {State.ABORTED, State.DELETED}):
            raise Refusal(Code.NOT_FOUND)
        return stored_object(key, target)

    async def granted(self, key: ObjectKey) -> Grant:
        """Return the grant that lies with the bytes under an upload key, for clients that never saw a ticket."""
        source = await self._storage.head(key.upload_key)
        if source is None or GRANT_METADATA not in source.metadata:
            raise Refusal(Code.NOT_UPLOADED)
        grant = self._tokens.open_grant(source.metadata[GRANT_METADATA])
        if grant.key != key:
            raise Refusal(Code.NOT_FOUND)
        return grant

    async def complete(self, grant: Grant) -> Outcome:
        """Prove what arrived and promote it; a repeat, also in parallel, is answered alike.

        Raises `not-uploaded`, `content-changed`, or the refusal for which the upload was rejected.
        """
        task = self._running.get(grant.key)
        if task is None:
            task = self._running[grant.key] = asyncio.create_task(self._complete(grant))
            task.add_done_callback(lambda done: self._forget(grant.key, done))
        await asyncio.wait({task}, timeout=self._answer_within)
        return task.result() if task.done() else Outcome(State.PROMOTING, retry_after=RETRY_AFTER)

    async def abort(self, grant: Grant) -> None:
        """Revoke the upload; raises `already-stored` once it is."""
        for _ in range(ATTEMPTS):
            source = await self._storage.head(grant.key.upload_key)
            marker = marker_of(source) if source else None
            if source is None and await self._storage.head(grant.key.key) is not None:
                raise Refusal(Code.ALREADY_STORED)  # a lifecycle rule shorter than tickets has removed the marker
            try:
                if marker is None:
                    await self._mark(grant.key, Marker(State.ABORTED), source, self._tokens.seal_grant(grant)[1])
            except Changed:
                continue
            if marker is not None and marker.state is State.STORED:
                raise Refusal(Code.ALREADY_STORED)
            if marker is None or marker.state is State.ABORTED:
                # A completion may have copied just before the marker came; nobody was told of that copy.
                await self._storage.delete(grant.key.key)
            return
        raise Refusal(Code.CONTENT_CHANGED)

    async def delete(self, key: ObjectKey) -> None:
        """Remove a stored object for good: the marker comes first, so that no late completion brings it back."""
        source = await self._storage.head(key.upload_key)
        if source is None or marker_of(source) != Marker(State.DELETED):
            marker = Marker(State.DELETED)
            await self._storage.put(
                key.upload_key,
                marker.body(self._nonce()),
                content_type=MARKER_TYPE,
                metadata=marker.metadata(source.metadata.get(GRANT_METADATA) if source else None),
            )
        await self._storage.delete(key.key)

    async def _complete(self, grant: Grant) -> Outcome:
        for _ in range(ATTEMPTS):
            source = await self._storage.head(grant.key.upload_key)
            if source is None:
                raise Refusal(Code.NOT_UPLOADED)
            try:
                marker = marker_of(source) or await self._settle(grant, source)
            except Changed:
                continue
            return await self._concluded(grant.key, marker)
        raise Refusal(Code.CONTENT_CHANGED)

    async def _settle(self, grant: Grant, source: Head) -> Marker:
        """Copy the bytes if they are as granted, and mark them; raises Changed when they are no longer those."""
        marker = Marker(State.STORED)
        if await self._storage.head(grant.key.key) is None:
            code = await self._objection(grant, source)
            if code is not None:
                marker = Marker(State.REJECTED, code)
            else:
                await self._storage.copy(
                    grant.key.upload_key,
                    grant.key.key,
                    if_match=source.etag,
                    content_type=grant.content_type,
                    metadata=described(grant),
                )
        await self._mark(grant.key, marker, source, source.metadata.get(GRANT_METADATA))
        return marker

    async def _objection(self, grant: Grant, source: Head) -> Code | None:
        """Tell what speaks against the bytes; None when they are proved to be what was granted."""
        if source.last_modified > grant.expires_at:
            raise Refusal(Code.NOT_UPLOADED)
        if source.size != grant.size:
            return Code.SIZE_MISMATCH
        if source.content_type != grant.content_type or grant.checksum_sha256 not in {None, source.checksum_sha256}:
            return Code.CONTENT_MISMATCH
        front = await self._storage.read(grant.key.upload_key, if_match=source.etag, size=min(FRONT_BYTES, source.size))
        return objection(BY_EXTENSION[grant.key.extension], front, source.size)

    async def _mark(self, key: ObjectKey, marker: Marker, source: Head | None, grant_token: str | None) -> None:
        await self._storage.put(
            key.upload_key,
            marker.body(self._nonce()),
            content_type=MARKER_TYPE,
            metadata=marker.metadata(grant_token),
            if_match=source.etag if source else None,
            create=source is None,
        )

    async def _concluded(self, key: ObjectKey, marker: Marker) -> Outcome:
        if marker.state is State.REJECTED:
            raise Refusal(marker.code or Code.CONTENT_MISMATCH)
        if marker.state in {State.ABORTED, State.DELETED}:
            # The copy of this very call, or of one that died, may have landed after the other's removal.
            await self._storage.delete(key.key)
            raise Refusal(Code.NOT_UPLOADED, f"The upload was {marker.state}: ask for a new ticket.")
        return await self._answer(key, marker)

    async def _answer(self, key: ObjectKey, marker: Marker) -> Outcome:
        if marker.state is not State.STORED:
            return Outcome(marker.state, code=marker.code)
        target = await self._storage.head(key.key)
        if target is None:
            return Outcome(State.DELETED)
        return Outcome(State.STORED, stored_object(key, target))

    def _forget(self, key: ObjectKey, task: asyncio.Task[Outcome]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # a refusal nobody waits for any more is not worth a warning
