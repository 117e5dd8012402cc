"""The bucket as the use cases need it: a small Protocol, and what it speaks of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class Changed(Exception):  # noqa: N818 - an answer that callers go on from, not a fault
    """A precondition (If-Match, If-None-Match) did not hold, or the source is gone."""


class Gone(Exception):  # noqa: N818 - as above
    """There is no such multipart upload: it was completed or aborted, or never was."""


class UnfitParts(Exception):  # noqa: N818 - as above
    """The store makes no object of these parts, because one before the last is below 5 MiB."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the store says of an object: `size` in bytes, `etag` with its quotes, `last_modified` in seconds (UTC)."""

    size: int
    etag: str
    content_type: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    metadata: Mapping[str, str]
    last_modified: int


@dataclass(frozen=True, slots=True)
class ArrivedPart:
    """A part that lies in the bucket: `size` in bytes, `etag` with its quotes, `checksum_sha256` in base64."""

    number: int
    size: int
    etag: str
    checksum_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of an object: `size` in bytes, `last_modified` in seconds (UTC)."""

    key: str
    size: int
    last_modified: int


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in the order of their keys' UTF-8 bytes; `more` when others follow."""

    objects: tuple[Listed, ...]
    more: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """Their keys."""
        return tuple(each.key for each in self.objects)


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """A multipart upload that is neither joined nor aborted; `begun` is in seconds (UTC)."""

    key: str
    upload_id: str
    begun: int


@dataclass(frozen=True, slots=True)
class UnfinishedPage:
    """Uploads in the order of their keys' UTF-8 bytes; `following` is where the next page begins, if there is one."""

    uploads: tuple[UnfinishedUpload, ...]
    following: tuple[str, str] | None


class Storage(Protocol):
    """The bucket as the use cases need it. Every call raises `storage-unavailable` when the store does not answer."""

    async def head(self, key: str) -> Head | None:
        """Describe an object; None when there is none."""

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        """Return `size` bytes from byte `first` on, fewer where the object ends before.

        `first` is 0, or lies within what `if_match` names. Raises Changed.
        """

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy an object's bytes and checksum; nothing else that its uploader said survives. Raises Changed."""

    async def put(  # noqa: PLR0913 - one object and its condition
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        create: bool = False,
    ) -> None:
        """Write an object: over exactly `if_match`, only where there is none (`create`), or whatever is there.

        Raises Changed. After a lost reply a repeat inside this very call can meet its own first try and raise Changed
        too: look what is there.
        """

    async def delete(self, key: str) -> None:
        """Remove an object, if there is one."""

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        """Return at most `limit` (1 … 1,000) objects whose keys begin with `prefix` and come after `after` ("")."""

    async def create_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str], checksums: bool = False
    ) -> str:
        """Begin a multipart upload and return its id; with `checksums` every part has to state its SHA-256."""

    async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
        """Return all parts that have arrived, in the order of their numbers; raises Gone."""

    async def copy_part(  # noqa: PLR0913 - a range of one object, and the part it becomes
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        """Copy bytes `first` to `last`, both included, as part `number`. Raises Changed, and Gone for the upload."""

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        """Make the object of these parts, only where there is none. Raises Changed, Gone and UnfitParts.

        Changed means that an object is there, or that a part is no longer as it is named.
        After a lost reply a repeat inside this very call can raise Changed or Gone too: look what is there.
        """

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Free what has arrived, also when the upload is gone already."""

    async def list_uploads(self, key: str) -> Sequence[str]:
        """Return the ids of the unfinished multipart uploads to exactly this key, the oldest first."""

    async def list_unfinished(
        self, prefix: str, *, limit: int = 1000, after: tuple[str, str] | None = None
    ) -> UnfinishedPage:
        """Return at most `limit` (1 … 1,000) unfinished multipart uploads to keys that begin with `prefix`.

        `after` is the `following` of the page before. Where the last upload of that page has ended since, others to
        the same key may be left out.
        """

    async def check(self) -> None:
        """Return when the bucket can be reached and lies in the region we sign for."""

    def close(self) -> None:
        """Let threads and connections go."""
