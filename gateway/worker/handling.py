"""Handling: what one event of the bucket leads to: a completion, an announcement, or nothing.

Everything is decided by what lies in the bucket now. An event only says where to look, so that events that come twice,
late or out of order change nothing: an upload is completed as long as it has no marker, and a marker is announced by
the event of its own writing.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.markers import Marker
from gateway.s3.storage import Head
from gateway.states import States
from gateway.uploads import Uploads
from gateway.worker.events import Appeared
from gateway.worker.turns import NoTurn
from gateway.worker.webhooks import Undelivered

FOREIGN: Final = "foreign"  # no upload of ours, or a copy that only a claim names
SUPERSEDED: Final = "superseded"  # something else lies there by now, and has an event of its own
ANNOUNCED: Final = "announced"
UNDELIVERED: Final = "undelivered"
POSTPONED: Final = "postponed"


class Again(Enum):
    """What has to be tried again, and after how many seconds at most."""

    COMPLETION = 900
    ANNOUNCEMENT = 21_600
    TURN = 36_000


# A store or scanner that is out, and bytes that changed five times while they were proved. All else is final.
RETRIED = {Code.STORAGE_UNAVAILABLE, Code.SCANNER_UNAVAILABLE, Code.CONTENT_CHANGED}


class Announcing(Protocol):
    """Tells applications of markers."""

    async def announce(self, key: ObjectKey, head: Head, marker: Marker) -> None:
        """Announce the marker that lies under the key's state as `head`; raises Undelivered, and refusals."""

    async def announce_object(self, key: ObjectKey) -> bool:
        """Announce as stored what lies under the key, its marker being gone; tell whether anything does."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What came of an event, in one word: a state, a refusal's code, or one of the words above.

    Without `again` it is final.
    """

    outcome: str
    key: ObjectKey | None = None
    again: Again | None = None


class Handling:
    """Handles events, any number at once, in any number of processes."""

    def __init__(self, states: States, uploads: Uploads, announcer: Announcing) -> None:
        """Take where states lie, and what is done about them."""
        self._states = states
        self._uploads = uploads
        self._announcer = announcer

    async def handle(self, event: Appeared) -> Handled:
        """Do what the event calls for; raises nothing but bugs."""
        key = _upload_of(event.key)
        if key is None:
            return Handled(FOREIGN)
        try:
            return Handled(await self._outcome(key, event), key)
        except NoTurn:
            return Handled(POSTPONED, key, Again.TURN)
        except Undelivered:
            return Handled(UNDELIVERED, key, Again.ANNOUNCEMENT)
        except Refusal as refusal:
            # A grant that does not open: the API may have a newer secret than this worker.
            again = refusal.code in RETRIED or refusal.code is Code.NOT_FOUND
            return Handled(refusal.code.code, key, Again.COMPLETION if again else None)

    async def _outcome(self, key: ObjectKey, event: Appeared) -> str:
        head, marker = await self._states.look(key)
        if head is None or marker is None:
            return await self._complete(key, gone=head is None)
        if event.key != key.state_key or event.etag not in {None, head.etag.strip('"')}:
            return SUPERSEDED
        await self._uploads.make_good(key, head, marker)
        await self._announcer.announce(key, head, marker)
        return ANNOUNCED

    async def _complete(self, key: ObjectKey, *, gone: bool) -> str:
        try:
            ticket = await self._uploads.granted(key)
        except Refusal as refusal:
            # The lifecycle rule has emptied the key, and this event lay among the dead letters meanwhile.
            if gone and refusal.code is Code.NOT_UPLOADED and await self._announcer.announce_object(key):
                return ANNOUNCED
            raise
        return (await self._uploads.conclude(ticket)).state


def _upload_of(text: str) -> ObjectKey | None:
    """Read the key of an upload or of its state, None for anything else."""
    try:
        key = ObjectKey.parse_below(text)
    except Refusal:
        return None
    return key if text in {key.upload_key, key.state_key} else None
