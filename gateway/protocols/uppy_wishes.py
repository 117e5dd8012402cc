"""What Uppy asks for, read as a wish: a filename, a type that may be unknown, and metadata that nobody asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from gateway.content.filenames import Filename
from gateway.content.media_types import BY_EXTENSION, OCTETS
from gateway.grants.policies import METADATA_BYTES, METADATA_PAIRS, Policy

_POLICY = "policy"  # the meta field that names one
_OWN_FIELDS = frozenset({"name", "type", _POLICY})  # told already: as filename, as content type, as policy
# Uppy 6 writes what is missing into the query as JavaScript writes it.
_NOTHING = frozenset({"null", "undefined"})
_UNKNOWN_TYPES = frozenset({"", OCTETS})


class _Body(BaseModel):
    """Strict about what counts, and deaf to what another version of Uppy may add."""

    model_config = ConfigDict(strict=True, frozen=True)


class MultipartRequest(_Body):
    """The body that begins a multipart upload."""

    filename: Annotated[str, Field(max_length=4096)]
    type: Annotated[str, Field(max_length=255)] | None = None
    metadata: Any = None

    def asked(self) -> "Asked":
        """Return what it says."""
        pairs = self.metadata if isinstance(self.metadata, dict) else {}
        return Asked(self.filename, self.type or "", {name: text for name, text in pairs.items() if _is_text(text)})


class SentPart(_Body):
    """A part as Uppy says it has sent it, its ETag with quotes or without."""

    number: Annotated[int, Field(alias="PartNumber", ge=1, le=10_000)]
    etag: Annotated[str, Field(alias="ETag", max_length=256)]


class CompleteRequest(_Body):
    """The body that completes a multipart upload."""

    parts: Annotated[list[SentPart], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish as `allow` takes it. Uppy tells no size and no checksum."""

    filename: str
    content_type: str
    metadata: Mapping[str, str]
    size: None = None
    checksum_sha256: None = None
    content_md5: None = None
    on_behalf_of: None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A file as Uppy announces it."""

    filename: str
    type: str
    metadata: Mapping[str, str]

    @classmethod
    def in_query(cls, query_string: bytes) -> "Asked":
        """Read `filename=…&type=…&metadata[name]=…`, as forms are encoded: Uppy 5 writes %20, Uppy 6 writes +."""
        query = QueryParams(query_string)
        pairs = {
            name.removeprefix("metadata[").removesuffix("]"): text
            for name, text in query.items()
            if name.startswith("metadata[") and text not in _NOTHING
        }
        return cls(query.get("filename", ""), query.get("type", ""), pairs)

    @property
    def policy(self) -> str | None:
        """The policy that the page names among its meta fields."""
        return self.metadata.get(_POLICY)

    def wish(self, policy: Policy) -> Wish:
        """Return the wish under a policy."""
        return Wish(self.filename, self._content_type(policy), _fitting(self.metadata))

    def _content_type(self, policy: Policy) -> str:
        """Return the type, by the filename where the browser knew none."""
        if self.type not in _UNKNOWN_TYPES:
            return self.type
        known = BY_EXTENSION.get(Filename.parse(self.filename).extension or "")
        return known.name if known is not None and known.name in policy.media_types else OCTETS


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value not in _NOTHING


def _fitting(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """Return as many of the pairs as fit into a grant: no upload fails for what Uppy sends unasked.

    Their length is that of their JSON, which is how they travel.
    """
    taken: dict[str, str] = {}
    for name, text in pairs.items():
        if name in _OWN_FIELDS or not (name + text).isprintable():
            continue
        more = {**taken, name: text}
        if len(more) <= METADATA_PAIRS and len(json.dumps(more, ensure_ascii=False).encode()) <= METADATA_BYTES:
            taken = more
    return taken
