"""Proof: whether the bytes that arrived are what was granted: by what the store says of them, their form, a scan."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from gateway.content.local_headers import LocalHeaders
from gateway.content.media_types import BY_EXTENSION, FRONT_BYTES, MediaType, local_headers, objection
from gateway.errors import Code
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.s3.parts import MIB
from gateway.s3.storage import Head, Storage

BLOCK = MIB  # bytes of a read for the scanner: each has a deadline of its own


class Unscanned(Exception):  # noqa: N818 - an answer that callers go on from, not a fault
    """The bytes have to be scanned, and this process has no scanner."""


class Scanner(Protocol):
    """Looks for malware."""

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        """Tell whether all these bytes were scanned and nothing was found; raises `scanner-unavailable`."""


class SecondOpinion(Protocol):
    """Somebody else's judgement of a type."""

    async def agrees(self, media_type: MediaType, front: bytes) -> bool:
        """Tell whether the front may be of that type; raises `scanner-unavailable`."""


class Proof:
    """Judges what lies in the bucket. `scans` tells for which uploads the policies of now ask the scanner."""

    def __init__(
        self,
        storage: Storage,
        *,
        scans: Callable[[ObjectKey], bool] = lambda _: False,
        scan_limit: int | None = None,
        scanner: Scanner | None = None,
        second_opinion: SecondOpinion | None = None,
    ) -> None:
        """Take what proof stands on; `scan_limit` (bytes) is how much the scanner looks at."""
        self._storage = storage
        self._scan_limit = scan_limit
        self._scanner = scanner
        self._second_opinion = second_opinion
        self._policy_scans = scans

    def scans(self, grant: Grant) -> bool:
        """Whether the scanner is asked: as it was granted, or as it is demanded by now."""
        return grant.scan or self._policy_scans(grant.key)

    async def objection(self, grant: Grant, at: str, source: Head) -> Code | None:
        """Tell what speaks against the bytes under the key `at`; None when they are proved.

        Raises Changed, Unscanned and `scanner-unavailable`.
        """
        if source.size > grant.size or (grant.exact and source.size != grant.size):
            return Code.SIZE_MISMATCH
        if source.content_type != grant.content_type or grant.checksum_sha256 not in {None, source.checksum_sha256}:
            return Code.CONTENT_MISMATCH
        media_type = BY_EXTENSION[grant.key.extension]
        front, end = await self._views(media_type, at, source)
        code = await self._content_objection(grant, source.size, front, end)
        if code is not None or not self.scans(grant):
            return code
        if self._scanner is None:
            raise Unscanned
        headers = local_headers(media_type, source.size, end)
        if not await self._scanner.is_clean(self._blocks(at, source, headers)):
            return Code.INFECTED
        return None if headers is None else headers.objection()

    async def _views(self, media_type: MediaType, at: str, source: Head) -> tuple[bytes, bytes]:
        """Read the front and the end."""
        front, end = await asyncio.gather(
            self._storage.read(at, if_match=source.etag, size=min(FRONT_BYTES, source.size)),
            self._end(at, source, min(media_type.end_bytes, source.size)),
        )
        return front, end

    async def _content_objection(self, grant: Grant, size: int, front: bytes, end: bytes) -> Code | None:
        media_type = BY_EXTENSION[grant.key.extension]
        limit = self._scan_limit if self.scans(grant) else None
        code = objection(media_type, front, size, end, unpacked_limit=limit)
        if (
            code is None
            and self._second_opinion is not None
            and not await self._second_opinion.agrees(media_type, front)
        ):
            return Code.CONTENT_MISMATCH
        return code

    async def _end(self, at: str, source: Head, size: int) -> bytes:
        if not size:
            return b""
        return await self._storage.read(at, if_match=source.etag, size=size, first=source.size - size)

    async def _blocks(self, at: str, source: Head, headers: LocalHeaders | None) -> AsyncIterator[bytes]:
        for first in range(0, source.size, BLOCK):
            block = await self._storage.read(
                at, if_match=source.etag, size=min(BLOCK, source.size - first), first=first
            )
            if headers is not None:
                headers.feed(block)
            yield block
