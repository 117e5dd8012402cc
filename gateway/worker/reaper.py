"""The reaper: completes whole uploads that nobody completed, and frees the parts of those that nobody can complete.

It is safe beside everything else that goes on. A whole object passes through the very same completion as the API's.
Parts are freed when no ticket can join them any more, or when a marker keeps them from ever being joined. Under
objects/ it removes what a marker says is gone. Nothing under incoming/ is removed: only the lifecycle rule does that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from gateway.assembly import free_parts
from gateway.claims import CLAIM_TYPE
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.tickets import Ticket
from gateway.markers import COPY_METADATA, Marker, State, marker_of
from gateway.s3.storage import Gone, Head, Listed, Storage, UnfinishedUpload
from gateway.uploads import Uploads, came_in_time
from gateway.worker.handling import RETRIED

T = TypeVar("T")
P = TypeVar("P")
INCOMING: Final = "incoming/"
OBJECTS: Final = "objects/"
PAGE = 1000  # keys; S3 lists no more at once
AT_ONCE = 8
MARGIN = 3600  # seconds beyond the last ticket: parts may be joined still, and clocks differ

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What was left."""

    OBJECT = "object"
    PARTS = "parts"  # of an upload
    COPY = "copy"  # parts of one that the gateway began


class Fate(StrEnum):
    """What has become of it."""

    STORED = "stored"
    REJECTED = "rejected"
    ABORTED = "aborted"  # parts are free; of an object: somebody has aborted the upload meanwhile
    DELETED = "deleted"
    LATE = "late"  # it came when its grant had ended
    FOREIGN = "foreign"  # nothing that the gateway granted
    LIVE = "live"  # parts that may still be joined
    PENDING = "pending"  # another run may succeed
    REMOVED = "removed"  # an object that somebody died of removing, or that a late copy brought back
    WOULD_COMPLETE = "would-complete"
    WOULD_ABORT = "would-abort"
    WOULD_REMOVE = "would-remove"


@dataclass(frozen=True, slots=True)
class Leftover:
    """What nobody finished. `size` in bytes and `age` in seconds are None where the store did not tell.

    `code` is that of the refusal behind `rejected` and `pending`, None where a bug is. `not-found`: its grant does not
    open, as when this process lacks a newer secret.
    """

    kind: Kind
    key: str
    size: int | None
    age: int | None
    fate: Fate
    code: str | None = None


class Reaper:
    """Sweeps the bucket. `seen` counts the keys and multipart uploads that it has looked at."""

    def __init__(  # noqa: PLR0913 - what it stands on, and how far it goes
        self,
        storage: Storage,
        uploads: Uploads,
        *,
        longest_ticket: int,
        dry_run: bool = False,
        at_once: int = AT_ONCE,
        close: Callable[[], None] = lambda: None,
        about: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Take what the use cases stand on; no ticket lives longer than `longest_ticket` seconds.

        `close` lets go of what they stand on; `about` names in the log, by its key, what is looked at.
        """
        self._about = about
        self.seen = 0
        self._storage = storage
        self._uploads = uploads
        self._longest_ticket = longest_ticket
        self._dry_run = dry_run
        self._at_once = at_once
        self._close = close

    def close(self) -> None:
        """Let threads and connections go."""
        self._close()

    async def sweep(self, now: int, older_than: int, tell: Callable[[Leftover], None]) -> None:
        """Tell what was left longer ago than `older_than` seconds, and all parts, with what has become of each.

        Raises `storage-unavailable` where the bucket cannot be listed.
        """
        await self._each(self._listed, partial(self._object, now, older_than), tell)
        for prefix in (INCOMING, OBJECTS):
            await self._each(partial(self._unfinished, prefix), partial(self._parts, now, older_than), tell)

    async def _listed(self, after: str | None) -> tuple[Sequence[Listed], str | None]:
        page = await self._storage.list(INCOMING, limit=PAGE, after=after or "")
        return page.objects, page.objects[-1].key if page.more else None

    async def _unfinished(
        self, prefix: str, after: tuple[str, str] | None
    ) -> tuple[Sequence[UnfinishedUpload], tuple[str, str] | None]:
        page = await self._storage.list_unfinished(prefix, after=after)
        return page.uploads, page.following

    async def _each(
        self,
        page_after: Callable[[P | None], Awaitable[tuple[Sequence[T], P | None]]],
        work: Callable[[T], Awaitable[Leftover | None]],
        tell: Callable[[Leftover], None],
    ) -> None:
        """Do the work for each item of all pages, a few at once."""
        slots = asyncio.Semaphore(self._at_once)

        async def attempt(item: T) -> None:
            try:
                leftover = await work(item)
            finally:
                slots.release()
            if leftover is not None:
                tell(leftover)

        try:
            async with asyncio.TaskGroup() as group:
                items, place = await page_after(None)
                while True:
                    for item in items:
                        await slots.acquire()
                        self.seen += 1
                        group.create_task(attempt(item))
                    if place is None:
                        break
                    items, place = await page_after(place)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled, or failed alike

    async def _object(self, now: int, older_than: int, listed: Listed) -> Leftover | None:
        """Look at one object, if it is that old; one that fails keeps no other from being looked at."""
        if now - listed.last_modified < older_than:
            return None
        with self._about(listed.key):
            try:
                return await self._judged_object(now, older_than, listed.key)
            except Exception as error:  # noqa: BLE001 - it is told
                return Leftover(Kind.OBJECT, listed.key, None, None, Fate.PENDING, _code(error))

    async def _judged_object(self, now: int, older_than: int, text: str) -> Leftover | None:
        """Complete the upload of which this is the state, if it has no marker yet."""
        key = _upload_of(text)
        if key is not None and text not in {key.upload_key, key.state_key}:
            return None  # a copy that only a claim names
        head = await self._storage.head(text)
        if head is None or now - head.last_modified < older_than:
            return None
        marker = marker_of(head)
        if marker is not None:
            return None if key is None or text != key.state_key else await self._risen(now, key, head, marker)
        found = Leftover(Kind.OBJECT, text, head.size, now - head.last_modified, Fate.FOREIGN)
        if key is None:
            return found
        if text != key.state_key and (head.content_type == CLAIM_TYPE or await self._storage.head(key.state_key)):
            return None  # freed, or claimed: then the claim stands for it
        size = await self._size(key, head)  # a completion frees what it has copied
        fate, code = await self._completed(key, head)
        return replace(found, key=key.upload_key, size=size, fate=fate, code=code)

    async def _risen(self, now: int, key: ObjectKey, head: Head, marker: Marker) -> Leftover | None:
        """Remove what lies there although its marker says that it was deleted or aborted; next to never does any."""
        if marker.state not in {State.DELETED, State.ABORTED}:
            return None
        target = await self._storage.head(key.key)
        if target is None:
            return None
        if not self._dry_run:
            await self._uploads.make_good(key, head, marker)
        fate = Fate.WOULD_REMOVE if self._dry_run else Fate.REMOVED
        return Leftover(Kind.OBJECT, key.key, target.size, now - head.last_modified, fate)

    async def _size(self, key: ObjectKey, head: Head) -> int:
        """Return the bytes of the upload itself, where `head` describes a claim on it."""
        if COPY_METADATA not in head.metadata:
            return head.size
        copy = await self._storage.head(f"{key.upload_key}/{head.metadata[COPY_METADATA]}")
        return head.size if copy is None else copy.size

    async def _completed(self, key: ObjectKey, head: Head) -> tuple[Fate, str | None]:
        try:
            ticket = await self._uploads.granted(key)
        except Refusal as refusal:
            if refusal.code is Code.NOT_FOUND:  # a grant that does not open: others may have the secret for it
                return Fate.PENDING, refusal.code.code
            return await self._refused(key, refusal, otherwise=Fate.FOREIGN)
        if self._dry_run:
            return Fate.LATE if _is_late(ticket, head) else Fate.WOULD_COMPLETE, None
        try:
            outcome = await self._uploads.conclude(ticket)
        except Refusal as refusal:
            return await self._refused(key, refusal, otherwise=Fate.LATE)
        return Fate(outcome.state), None

    async def _refused(self, key: ObjectKey, refusal: Refusal, *, otherwise: Fate) -> tuple[Fate, str | None]:
        if refusal.code in RETRIED:
            return Fate.PENDING, refusal.code.code
        if refusal.code not in {Code.NOT_UPLOADED, Code.NOT_FOUND}:
            return Fate.REJECTED, refusal.code.code
        state = await self._storage.head(key.state_key)  # somebody else may have decided meanwhile
        marker = None if state is None else marker_of(state)
        return otherwise if marker is None else Fate(marker.state), None

    async def _parts(self, now: int, older_than: int, upload: UnfinishedUpload) -> Leftover | None:
        """Look at one multipart upload; one that fails keeps no other from being looked at."""
        with self._about(upload.key):
            try:
                return await self._judged_parts(now, older_than, upload)
            except Exception as error:  # noqa: BLE001 - it is told
                return Leftover(_kind(upload), upload.key, None, None, Fate.PENDING, _code(error))

    async def _judged_parts(self, now: int, older_than: int, upload: UnfinishedUpload) -> Leftover | None:
        """Free the parts that nobody can join any more."""
        try:
            parts = await self._storage.list_parts(upload.key, upload.upload_id)
        except Gone:  # joined or aborted a moment ago
            return None
        age = now - upload.begun
        found = Leftover(_kind(upload), upload.key, sum(part.size for part in parts), age, Fate.LIVE)
        if age < older_than or not await self._is_over(upload.key, age > max(older_than, self._last_ticket)):
            return found
        if self._dry_run:
            return replace(found, fate=Fate.WOULD_ABORT)
        freed = await free_parts(self._storage, upload.key, upload.upload_id)
        return replace(found, fate=Fate.ABORTED if freed else Fate.PENDING)

    @property
    def _last_ticket(self) -> int:
        return self._longest_ticket + MARGIN

    async def _is_over(self, text: str, ticket_ended: bool) -> bool:  # noqa: FBT001 - both are conditions
        """Whether nobody can join these parts, or needs them: a marker decides, and else the ticket."""
        key = _upload_of(text) or _key_of(text)
        state = None if key is None else await self._storage.head(key.state_key)
        if state is not None and marker_of(state) is not None:
            return True
        # A copy is taken up again by whoever completes the upload, however late.
        return ticket_ended and (state is None or not text.startswith(OBJECTS))


def _code(error: Exception) -> str | None:
    if isinstance(error, Refusal):
        return error.code.code
    log.error("an upload cannot be cleaned up", exc_info=error)
    return None


def _upload_of(text: str) -> ObjectKey | None:
    return _read(ObjectKey.parse_below, text)


def _key_of(text: str) -> ObjectKey | None:
    """Read the key of an object whose upload it names: that of a content was uploaded under another name."""
    key = _read(ObjectKey.parse_key, text)
    return None if key is None or key.content_addressed else key


def _read(parse: Callable[[str], ObjectKey], text: str) -> ObjectKey | None:
    try:
        return parse(text)
    except Refusal:
        return None


def _kind(upload: UnfinishedUpload) -> Kind:
    key = _upload_of(upload.key)
    below = key is not None and key.upload_key != upload.key
    return Kind.COPY if below or upload.key.startswith(OBJECTS) else Kind.PARTS


def _is_late(ticket: Ticket, state: Head) -> bool:
    """Whether a completion would find that the bytes came when their grant had ended."""
    key = ticket.grant.key
    if state.last_modified <= ticket.grant.expires_at:
        return False
    posted = key.by_form and state.content_type != CLAIM_TYPE
    return posted or not came_in_time(key, state)
