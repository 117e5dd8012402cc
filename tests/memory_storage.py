"""A bucket in memory, held to the same contract suite as the real servers: tests/s3/test_storage.py."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import md5

from gateway.s3.storage import Changed, Head, Page


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's bytes and what HEAD says of it."""

    body: bytes
    head: Head


class MemoryStorage:
    """A Storage that keeps what a bucket keeps, and gives way to other tasks wherever a network would.

    `now` (seconds since the epoch) is what LastModified is taken from; `objects` may be looked into and changed.
    """

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self.objects: dict[str, Stored] = {}

    def upload(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        checksum_sha256: str | None = None,
    ) -> None:
        """Do what a client's presigned PUT does: raises Changed where S3 says 412."""
        if key in self.objects:
            raise Changed
        etag = f'"{md5(body, usedforsecurity=False).hexdigest()}"'
        lowered = {name.lower(): value for name, value in metadata.items()}
        head = Head(
            size=len(body),
            etag=etag,
            content_type=content_type,
            checksum_sha256=checksum_sha256,
            checksum_type=None if checksum_sha256 is None else "full",
            metadata=lowered,
            last_modified=self.now,
        )
        self.objects[key] = Stored(body, head)

    async def head(self, key: str) -> Head | None:
        await asyncio.sleep(0)
        stored = self.objects.get(key)
        return None if stored is None else stored.head

    async def read(self, key: str, *, if_match: str, size: int) -> bytes:
        await asyncio.sleep(0)
        return self._matching(key, if_match).body[:size]

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await asyncio.sleep(0)
        stored = self._matching(source, if_match)
        head = replace(stored.head, content_type=content_type, metadata=dict(metadata), last_modified=self.now)
        self.objects[target] = Stored(stored.body, head)

    async def put(  # noqa: PLR0913 - see Storage
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        create: bool = False,
    ) -> None:
        await asyncio.sleep(0)
        if if_match is not None:
            self._matching(key, if_match)
        if not create:
            self.objects.pop(key, None)
        self.upload(key, body, content_type=content_type, metadata=metadata)

    async def delete(self, key: str) -> None:
        await asyncio.sleep(0)
        self.objects.pop(key, None)

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        await asyncio.sleep(0)
        keys = sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode)
        following = [key for key in keys if key.encode() > after.encode()]
        return Page(tuple(following[:limit]), len(following) > limit)

    async def check(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        pass

    def _matching(self, key: str, etag: str) -> Stored:
        stored = self.objects.get(key)
        if stored is None or stored.head.etag != etag:
            raise Changed
        return stored
