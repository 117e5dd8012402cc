"""Announcements: from a marker in the bucket to what the application is told of it.

An announcement is made of what lies in the bucket alone, so that it is the same, id and bytes, whoever makes it and
however often.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tokens import Tokens
from gateway.http import bodies
from gateway.http.schemas import rfc3339
from gateway.markers import Marker, State
from gateway.objects import StoredObject, stored_object
from gateway.s3.bucket import GRANT_METADATA
from gateway.s3.storage import Head, Storage

TYPES = {State.STORED: "upload.stored", State.REJECTED: "upload.rejected", State.DELETED: "object.deleted"}
ID_DIGITS = 32  # hexadecimal: 128 bits of the hash, as many as name the object


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an application is told: `timestamp` is when it happened (seconds, UTC), `body` the JSON that says so."""

    id: str
    type: str
    timestamp: int
    body: bytes


class Delivery(Protocol):
    """What brings an announcement to a tenant's application."""

    def hears(self, tenant: str) -> bool:
        """Whether the tenant wants to be told."""

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        """Return when the application has it, or never wants it; raises Undelivered."""


class Announcer:
    """Tells applications of their markers."""

    def __init__(self, storage: Storage, tokens: Tokens, delivery: Delivery) -> None:
        """Take where objects are described, what opens grant tokens and seals receipts, and what delivers."""
        self._storage = storage
        self._tokens = tokens
        self._delivery = delivery

    async def announce(self, key: ObjectKey, head: Head, marker: Marker) -> None:
        """Announce a marker, whose own head is `head`, to the key's tenant if it listens.

        Raises Undelivered, `storage-unavailable`, and `not-found` where the grant that lies there does not open: the
        API may have a newer secret than this worker.
        """
        if marker.state in TYPES and self._delivery.hears(key.tenant):
            announcement = await self._announcement(key, head, marker)
            if announcement is not None:
                await self._delivery.deliver(key.tenant, announcement)

    async def announce_object(self, key: ObjectKey) -> bool:
        """Announce as stored what lies under the key, its marker being gone; tell whether anything does.

        Raises Undelivered, and `storage-unavailable`.
        """
        found = await self._found(key)
        if found is None:
            return False
        if self._delivery.hears(key.tenant):
            told = {**_identity(key, None), **self._stored(found)}
            await self._delivery.deliver(key.tenant, _announcement(TYPES[State.STORED], key, found.stored_at, told))
        return True

    async def _announcement(self, key: ObjectKey, head: Head, marker: Marker) -> Announcement | None:
        """Describe what happened; None where a stored object is gone already, which its deletion announces."""
        grant = self._grant(key, head)
        key = key if grant is None else grant.key
        told = _identity(key, grant)
        if marker.state is State.STORED:
            stored = await self._found(key)
            if stored is None:
                return None
            told |= self._stored(stored)
        elif marker.state is State.REJECTED:
            told |= _rejected(grant, marker.code or Code.CONTENT_MISMATCH)
        return _announcement(TYPES[marker.state], key, head.last_modified, told)

    def _grant(self, key: ObjectKey, head: Head) -> Grant | None:
        """Open the grant that lies with the marker: a deletion's may have none. Raises `not-found`."""
        if GRANT_METADATA not in head.metadata:
            return None
        grant = self._tokens.open_grant(head.metadata[GRANT_METADATA])
        if grant.key.upload_key != key.upload_key:
            raise Refusal(Code.NOT_FOUND)
        return grant

    async def _found(self, key: ObjectKey) -> StoredObject | None:
        target = await self._storage.head(key.key)
        return None if target is None else stored_object(key, target)

    def _stored(self, found: StoredObject) -> dict[str, object]:
        return {**bodies.stored(found), "receipt": bodies.receipt(self._tokens, found, found.stored_at)}


def announcement_id(kind: str, key: ObjectKey) -> str:
    """Return the id of what is announced once in the life of an upload.

    It is the upload's key that counts: several uploads of one content lead to one object.
    """
    return f"msg_{sha256(f'{kind} {key.upload_key}'.encode()).hexdigest()[:ID_DIGITS]}"


def _announcement(kind: str, key: ObjectKey, timestamp: int, data: Mapping[str, object]) -> Announcement:
    message = {"type": kind, "timestamp": rfc3339(timestamp), "data": data}
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return Announcement(announcement_id(kind, key), kind, timestamp, body)


def _identity(key: ObjectKey, grant: Grant | None) -> dict[str, object]:
    return {
        "tenant": key.tenant,
        "policy": key.policy,
        "key": key.key,
        "upload_key": key.upload_key,
        "filename": None if grant is None else grant.filename.text,
        "principal": None if grant is None else grant.principal,
        "metadata": None if grant is None else grant.metadata,
    }


def _rejected(grant: Grant | None, code: Code) -> dict[str, object]:
    return {
        "content_type": None if grant is None else grant.content_type,
        "size": grant.size if grant is not None and grant.exact else None,
        "problem": {"code": code.code, "detail": code.sentence},
    }
