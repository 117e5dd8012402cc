"""The bucket by boto3, in threads of its own: nobody waits longer for a call than its deadline.

The permissions that the calls need are in gateway/s3/documents.py.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from gateway.errors import Code, Refusal
from gateway.s3.answers import report
from gateway.s3.clients import Clients, Patience, Place
from gateway.s3.multipart_calls import MultipartCalls
from gateway.s3.object_calls import ObjectCalls
from gateway.s3.storage import ArrivedPart, Head, Page, UnfinishedPage
from gateway.s3.threads import Busy, Threads

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds


class S3Storage:
    """A bucket behind S3's API."""

    def __init__(self, session: boto3.Session, place: Place, patience: Patience | None = None) -> None:
        """Connect to nothing yet."""
        self._place = place
        self._patience = patience = patience or Patience()
        self._clients = clients = Clients(session, place, patience)
        self._objects = ObjectCalls(clients, place.bucket)
        self._multipart = MultipartCalls(clients, place.bucket)
        self._threads = Threads(patience.threads, "storage")
        self._copiers = Threads(patience.threads, "copies")  # of their own: each is taken for up to minutes
        self._checking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let idle threads and connections go."""
        self._threads.close()
        self._copiers.close()
        self._clients.close()

    async def head(self, key: str) -> Head | None:
        """See Storage."""
        return await self._call(partial(self._objects.head, key))

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        """See Storage."""
        return await self._call(partial(self._objects.read, key, if_match, size, first))

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """See Storage."""
        await self._call_patiently(partial(self._objects.copy, source, target, if_match, content_type, metadata))

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
        """See Storage."""
        await self._call(
            partial(self._objects.put, key, body, content_type, metadata, if_match=if_match, create=create)
        )

    async def delete(self, key: str) -> None:
        """See Storage."""
        await self._call(partial(self._objects.delete, key))

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        """See Storage."""
        return await self._call(partial(self._objects.list, prefix, limit, after))

    async def create_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str], checksums: bool = False
    ) -> str:
        """See Storage."""
        return await self._call(partial(self._multipart.create, key, content_type, metadata, checksums=checksums))

    async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
        """See Storage."""
        return await self._call(partial(self._multipart.parts, key, upload_id))

    async def copy_part(  # noqa: PLR0913 - see Storage
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        """See Storage."""
        work = partial(
            self._multipart.copy_part, source, target, upload_id, number, if_match=if_match, first=first, last=last
        )
        return await self._call_patiently(work)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        """See Storage. S3 takes minutes to join the parts of a large object."""
        await self._call_patiently(partial(self._multipart.complete, key, upload_id, parts))

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """See Storage."""
        await self._call(partial(self._multipart.abort, key, upload_id))

    async def list_uploads(self, key: str) -> Sequence[str]:
        """See Storage."""
        return await self._call(partial(self._multipart.uploads, key))

    async def list_unfinished(
        self, prefix: str, *, limit: int = 1000, after: tuple[str, str] | None = None
    ) -> UnfinishedPage:
        """See Storage."""
        return await self._call(partial(self._multipart.unfinished, prefix, limit, after))

    async def check(self) -> None:
        """See Storage. Checks at the same time are one: anybody may ask /readyz, and as often as they like."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
        await asyncio.shield(self._checking)

    async def _check(self) -> None:
        region = await self._call(self._objects.region)
        if region in {None, self._place.region}:
            return
        log.error("the bucket lies in region %s, but requests are signed for %s", region, self._place.region)
        if self._place.endpoint is None:  # other stores call their one region by several names
            raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER)

    async def _call(self, work: Callable[[], T]) -> T:
        return await _answered(self._threads, work, self._patience.deadline)

    async def _call_patiently(self, work: Callable[[], T]) -> T:
        return await _answered(self._copiers, work, self._patience.copy_deadline)


async def _answered(threads: Threads, work: Callable[[], T], deadline: float) -> T:
    try:
        return await threads.run(work, deadline)
    except (BotoCoreError, ClientError, ResponseParserError, TimeoutError, Busy) as error:
        if not isinstance(error, Busy) or error.first:  # a full queue refuses thousands a second, and is told once
            report(error)
        raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER) from error
