"""Promotion: how bytes get from one key to another inside the bucket, whole or in parallel parts."""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.s3.parts import Plan
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head, Storage

COPY_THRESHOLD = 2**30  # bytes; S3 copies up to 5 GiB in one call, at a speed that leaves large ones without an answer
COPIED_PART = 128 * 2**20  # bytes: a second or so of S3's own copying, and up to 1.2 TiB before parts have to grow
COPIES_AT_ONCE = 8


class Promotion:
    """Copies within the bucket. What one process began, a repeat in any process goes on with."""

    def __init__(self, storage: Storage, threshold: int = COPY_THRESHOLD) -> None:
        """Copy what is larger than `threshold` bytes by parts."""
        self._storage = storage
        self._threshold = threshold

    async def copy(
        self, source: str, head: Head, target: str, *, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy exactly what `head` describes; raises Changed when that is no longer there."""
        if head.size <= self._threshold:
            await self._storage.copy(source, target, if_match=head.etag, content_type=content_type, metadata=metadata)
            return
        upload_id = await self._upload_to(target, content_type, metadata)
        try:
            parts = await self._copied(source, head, target, upload_id)
            await self._storage.complete_upload(target, upload_id, parts)
        except (Changed, Gone):
            # Somebody else was faster, or the source is a marker now: whoever looks sees which.
            if await self._storage.head(target) is None:
                raise Changed from None
        for other in await self._storage.list_uploads(target):
            await self._storage.abort_upload(target, other)

    async def _upload_to(self, target: str, content_type: str, metadata: Mapping[str, str]) -> str:
        """Return the copy that is under way, the oldest of them, or begin one."""
        under_way = await self._storage.list_uploads(target)
        if under_way:
            return under_way[0]
        return await self._storage.create_upload(target, content_type=content_type, metadata=metadata)

    async def _copied(self, source: str, head: Head, target: str, upload_id: str) -> Sequence[ArrivedPart]:
        """Copy the parts that have not arrived yet, and return all of them."""
        plan = Plan.of(head.size, min(self._threshold, COPIED_PART))
        there = {part.number: part for part in await self._storage.list_parts(target, upload_id)}
        slots = asyncio.Semaphore(COPIES_AT_ONCE)

        async def copy(number: int) -> ArrivedPart:
            async with slots:
                first = (number - 1) * plan.part_size
                last = first + plan.part(number) - 1
                return await self._storage.copy_part(
                    source, target, upload_id, number, if_match=head.etag, first=first, last=last
                )

        numbers = range(1, plan.part_count + 1)
        try:
            async with asyncio.TaskGroup() as copies:
                tasks = {number: copies.create_task(copy(number)) for number in numbers if number not in there}
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled, or failed alike
        return [there[number] if number in there else tasks[number].result() for number in numbers]
