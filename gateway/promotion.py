"""Promotion: how bytes get from one key to another inside the bucket, whole or in parallel parts."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

from gateway.s3.parts import MIB, Plan
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head, Storage, UnfitParts

COPY_THRESHOLD = 2**30  # bytes; S3 copies up to 5 GiB in one call, at a speed that leaves large ones without an answer
# Bytes. It depends on nothing but the size of what is copied: processes with other settings go on with one another's
# copies, and up to 156 GiB parts need not grow.
COPIED_PART = 16 * MIB
COPIES_AT_ONCE = 8
COPIES_BETWEEN_LOOKS = 64  # parts; then what other processes have copied meanwhile is left out


class Promotion:
    """Copies within the bucket. What one process began, a repeat in any process goes on with."""

    def __init__(
        self,
        storage: Storage,
        nonce: Callable[[], str],
        *,
        threshold: int = COPY_THRESHOLD,
        copied_part: int = COPIED_PART,
    ) -> None:
        """Copy what is larger than `threshold` bytes by parts of `copied_part`; `nonce` gives text at random."""
        self._storage = storage
        self._nonce = nonce
        self._threshold = threshold
        self._copied_part = copied_part

    async def copy(
        self, source: str, head: Head, target: str, *, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy exactly what `head` describes; raises Changed when that is no longer there, or to look again."""
        if head.size <= self._threshold:
            await self._storage.copy(source, target, if_match=head.etag, content_type=content_type, metadata=metadata)
            return
        plan = Plan.of(head.size, self._copied_part)
        upload_id = await self._upload_to(target, plan, content_type, metadata)
        try:
            parts = await self._copied(source, head.etag, target, upload_id, plan)
            await self._storage.complete_upload(target, upload_id, parts)
        except UnfitParts:
            await self._storage.abort_upload(target, upload_id)
            raise Changed from None
        except (Changed, Gone):
            # Somebody else was faster, or the source is a marker now: whoever looks sees which.
            if await self._storage.head(target) is None:
                raise Changed from None

    async def clear(self, target: str) -> None:
        """Drop the copies that nobody needs any more, those of other processes and of dead ones."""
        for upload_id in await self._storage.list_uploads(target):
            await self._storage.abort_upload(target, upload_id)

    async def clear_large(self, target: str, size: int) -> None:
        """Do so where `size` bytes were copied by parts."""
        if size > self._threshold:
            await self.clear(target)

    async def _upload_to(self, target: str, plan: Plan, content_type: str, metadata: Mapping[str, str]) -> str:
        """Return the copy that is under way, the oldest that is divided as ours would be, or begin one."""
        for upload_id in await self._storage.list_uploads(target):
            if await self._is_divided(target, upload_id, plan):
                return upload_id
            await self._storage.abort_upload(target, upload_id)
        begun = await self._storage.create_upload(target, content_type=content_type, metadata=metadata)
        oldest = next(iter(await self._storage.list_uploads(target)), begun)
        if oldest != begun:  # processes that began at the same time go on with one
            await self._storage.abort_upload(target, begun)
        return oldest

    async def _is_divided(self, target: str, upload_id: str, plan: Plan) -> bool:
        try:
            return _fit(await self._storage.list_parts(target, upload_id), plan)
        except Gone:
            return False

    async def _copied(self, source: str, etag: str, target: str, upload_id: str, plan: Plan) -> Sequence[ArrivedPart]:
        """Copy the parts that have not arrived yet, and return all of them; raises UnfitParts.

        Each process begins somewhere else, so that several that were asked do not do the same work.
        """
        start = crc32(self._nonce().encode())
        missing_before: list[int] = []
        while True:
            there = await self._storage.list_parts(target, upload_id)
            if not _fit(there, plan):
                raise UnfitParts
            arrived = {part.number for part in there}
            missing = [number for number in range(1, plan.part_count + 1) if number not in arrived]
            if not missing:
                return there
            if missing == missing_before:
                raise Changed
            first, missing_before = start % len(missing), missing
            await self._copy(source, etag, target, upload_id, plan, missing[first:] + missing[:first])

    async def _copy(  # noqa: PLR0913, PLR0917 - one object, its copy, and which parts of it
        self, source: str, etag: str, target: str, upload_id: str, plan: Plan, numbers: Sequence[int]
    ) -> None:
        slots = asyncio.Semaphore(COPIES_AT_ONCE)

        async def copy(number: int) -> None:
            async with slots:
                first = (number - 1) * plan.part_size
                last = first + plan.part(number) - 1
                await self._storage.copy_part(source, target, upload_id, number, if_match=etag, first=first, last=last)

        try:
            async with asyncio.TaskGroup() as copies:
                for number in numbers[:COPIES_BETWEEN_LOOKS]:
                    copies.create_task(copy(number))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled, or failed alike


def _fit(parts: Sequence[ArrivedPart], plan: Plan) -> bool:
    return all(part.number <= plan.part_count and part.size == plan.part(part.number) for part in parts)
