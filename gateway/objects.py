"""What is stored: an object as the gateway describes it, and the metadata that says so in the bucket."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.content.media_types import BY_EXTENSION
from gateway.errors import Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.s3.storage import Head, Storage

HEADS_AT_ONCE = 8  # per listing, so that a few listings of 100 objects leave room in the storage's queue for others
DESCRIPTION = "description"  # the one metadata entry of an object under objects/; only the gateway writes there


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that was proved and promoted. `checksum_sha256` is base64, `stored_at` seconds since the epoch."""

    key: ObjectKey
    size: int
    content_type: str
    filename: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    etag: str
    principal: str
    metadata: Mapping[str, str]
    stored_at: int


def described(grant: Grant, source: Head) -> dict[str, str]:
    """Return the metadata under which the grant's bytes are stored: base64url, since S3 takes only US-ASCII there.

    The checksum is among it: a copy by parts has none of its own, and S3 makes another when it copies a composite one.
    """
    description = {
        "name": grant.filename.text,
        "sub": grant.principal,
        "sha256": grant.checksum_sha256 or source.checksum_sha256,
        "sha256_type": source.checksum_type or "full",
        "meta": dict(grant.metadata),
    }
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"))
    return {DESCRIPTION: base64.urlsafe_b64encode(text.encode()).decode()}


def stored_object(key: ObjectKey, head: Head) -> StoredObject:
    """Read what is stored under a key. An object that the gateway did not promote has a name and no principal."""
    description = _description(head)
    checksum, checksum_type = description.get("sha256"), description.get("sha256_type", "full")
    if checksum is None or (checksum_type == "composite" and head.checksum_type == "full"):
        checksum, checksum_type = head.checksum_sha256, head.checksum_type
    return StoredObject(
        key,
        head.size,
        BY_EXTENSION[key.extension].name if key.extension in BY_EXTENSION else head.content_type,
        description.get("name", f"{key.name}.{key.extension}"),
        checksum,
        checksum_type if checksum else None,
        head.etag,
        description.get("sub", ""),
        description.get("meta", {}),
        head.last_modified,
    )


async def page_of(storage: Storage, prefix: str, *, limit: int, after: str) -> tuple[list[StoredObject], str | None]:
    """Return a page of objects in the order of their keys, and the key after which the next page begins.

    What lies there under a name that is none of ours is passed over.
    """
    page = await storage.list(prefix, limit=limit, after=after)
    keys = [key for key in map(_own_key, page.keys) if key is not None]
    heads: list[Head | None] = []
    for start in range(0, len(keys), HEADS_AT_ONCE):
        some = keys[start : start + HEADS_AT_ONCE]
        heads += await asyncio.gather(*(storage.head(key.key) for key in some))
    objects = [stored_object(key, head) for key, head in zip(keys, heads, strict=True) if head is not None]
    return objects, page.keys[-1] if page.more else None


def _description(head: Head) -> dict[str, Any]:
    """Read the entry that `described` wrote; somebody else's of that name says nothing."""
    try:
        description = json.loads(base64.urlsafe_b64decode(head.metadata.get(DESCRIPTION, "")))
    except (ValueError, RecursionError):
        return {}
    return description if isinstance(description, dict) and _is_ours(description) else {}


def _is_ours(description: Mapping[Any, Any]) -> bool:
    meta = description.get("meta")
    texts = [description.get("name"), description.get("sub"), *(meta.values() if isinstance(meta, dict) else [None])]
    checksums = description.get("sha256", ""), description.get("sha256_type", "full")
    return all(isinstance(text, str) for text in texts) and all(isinstance(text, str | None) for text in checksums)


def _own_key(text: str) -> ObjectKey | None:
    try:
        return ObjectKey.parse_key(text)
    except Refusal:
        return None
