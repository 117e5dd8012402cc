"""A bucket in memory, held to the same contract suite as the real servers: tests/s3/test_storage*.py."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import md5, sha256
from itertools import count, pairwise

from gateway.s3.parts import MIN_PART
from gateway.s3.storage import (
    ArrivedPart,
    Changed,
    Gone,
    Head,
    Listed,
    Page,
    UnfinishedPage,
    UnfinishedUpload,
    UnfitParts,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's bytes and what HEAD says of it."""

    body: bytes
    head: Head


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload: what its object will be, when it was begun, and the parts that have arrived, by number."""

    key: str
    content_type: str
    metadata: Mapping[str, str]
    checksums: bool
    begun: int
    parts: dict[int, tuple[ArrivedPart, bytes]] = field(default_factory=dict)


class MemoryStorage:
    """A Storage that keeps what a bucket keeps, and gives way to other tasks wherever a network would.

    `now` (seconds since the epoch) is what LastModified is taken from; `objects` and `uploads`, by their ids and the
    oldest first, may be looked into and changed. All parts but the last need `min_part` bytes.
    """

    def __init__(self, now: int = 0, *, min_part: int = MIN_PART) -> None:
        self.now = now
        self.min_part = min_part
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self._numbers = count(1)

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
        head = Head(
            size=len(body),
            etag=_etag(body),
            content_type=content_type,
            checksum_sha256=checksum_sha256,
            checksum_type=None if checksum_sha256 is None else "full",
            metadata=_lowered(metadata),
            last_modified=self.now,
        )
        self.objects[key] = Stored(body, head)

    def upload_part(
        self, key: str, upload_id: str, number: int, body: bytes, checksum_sha256: str | None = None
    ) -> ArrivedPart:
        """Do what a client's presigned part does: raises Gone, and ValueError where S3 says 400."""
        upload = self._unfinished(key, upload_id)
        if upload.checksums and checksum_sha256 is None:
            raise ValueError("every part of this upload states its SHA-256")
        if checksum_sha256 is not None and b64decode(checksum_sha256) != sha256(body).digest():
            raise ValueError("not the bytes of this SHA-256")
        part = ArrivedPart(number, len(body), _etag(body), checksum_sha256 if upload.checksums else None)
        upload.parts[number] = part, body
        return part

    async def head(self, key: str) -> Head | None:
        await asyncio.sleep(0)
        stored = self.objects.get(key)
        return None if stored is None else stored.head

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        await asyncio.sleep(0)
        return self._matching(key, if_match).body[first : first + size]

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
        heads = [(key, self.objects[key].head) for key in following[:limit]]
        objects = tuple(Listed(key, head.size, head.last_modified) for key, head in heads)
        return Page(objects, len(following) > limit)

    async def create_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str], checksums: bool = False
    ) -> str:
        await asyncio.sleep(0)
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = Upload(key, content_type, _lowered(metadata), checksums, self.now)
        return upload_id

    async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
        await asyncio.sleep(0)
        parts = self._unfinished(key, upload_id).parts
        return [parts[number][0] for number in sorted(parts)]

    async def copy_part(  # noqa: PLR0913 - see Storage
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        await asyncio.sleep(0)
        self._unfinished(target, upload_id)
        body = self._matching(source, if_match).body[first : last + 1]
        if len(body) != last + 1 - first:
            raise ValueError("beyond the end of the source")
        return self.upload_part(target, upload_id, number, body)

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        await asyncio.sleep(0)
        upload = self._unfinished(key, upload_id)
        if key in self.objects:
            raise Changed
        if any(later.number <= earlier.number for earlier, later in pairwise(parts)):
            raise UnfitParts
        if any(part.number not in upload.parts or upload.parts[part.number][0] != part for part in parts):
            raise Changed
        if any(part.size < self.min_part for part in parts[:-1]):
            raise UnfitParts
        body = b"".join(upload.parts[part.number][1] for part in parts)
        self.objects[key] = Stored(body, self._joined(upload, parts))
        del self.uploads[upload_id]

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await asyncio.sleep(0)
        if upload_id in self.uploads and self.uploads[upload_id].key == key:
            del self.uploads[upload_id]

    async def list_uploads(self, key: str) -> Sequence[str]:
        await asyncio.sleep(0)
        return [upload_id for upload_id, upload in self.uploads.items() if upload.key == key]

    async def list_unfinished(
        self, prefix: str, *, limit: int = 1000, after: tuple[str, str] | None = None
    ) -> UnfinishedPage:
        await asyncio.sleep(0)
        found = [UnfinishedUpload(upload.key, upload_id, upload.begun) for upload_id, upload in self.uploads.items()]
        found = sorted((each for each in found if each.key.startswith(prefix)), key=_place)
        following = [each for each in found if after is None or _place(each) > (after[0].encode(), after[1])]
        page = tuple(following[:limit])
        more = len(following) > limit
        return UnfinishedPage(page, (page[-1].key, page[-1].upload_id) if more else None)

    async def check(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        pass

    def _matching(self, key: str, etag: str) -> Stored:
        stored = self.objects.get(key)
        if stored is None or stored.head.etag != etag:
            raise Changed
        return stored

    def _unfinished(self, key: str, upload_id: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Gone
        return upload

    def _joined(self, upload: Upload, parts: Sequence[ArrivedPart]) -> Head:
        """Describe the object of these parts: its ETag and its checksum are those of the parts' own."""
        etags = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        digests = b"".join(b64decode(part.checksum_sha256 or "") for part in parts)
        composite = f"{b64encode(sha256(digests).digest()).decode()}-{len(parts)}"
        return Head(
            size=sum(part.size for part in parts),
            etag=f'"{md5(etags, usedforsecurity=False).hexdigest()}-{len(parts)}"',
            content_type=upload.content_type,
            checksum_sha256=composite if upload.checksums else None,
            checksum_type="composite" if upload.checksums else None,
            metadata=upload.metadata,
            last_modified=self.now,
        )


def _place(upload: UnfinishedUpload) -> tuple[bytes, str]:
    return upload.key.encode(), upload.upload_id


def _etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _lowered(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}
