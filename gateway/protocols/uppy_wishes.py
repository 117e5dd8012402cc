"""What Uppy asks for, read as a wish: a filename, a type that may be unknown, and metadata that nobody asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from gateway.grants.policies import Policy
from gateway.protocols.wishes import Wish, content_type_of, fitting

_POLICY = "policy"  # the meta field that names one
_OWN_FIELDS = frozenset({"name", "type", _POLICY})  # told already: as filename, as content type, as policy
# Uppy 6 writes what is missing into the query as JavaScript writes it.
_NOTHING = frozenset({"null", "undefined"})


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
        more = {name: text for name, text in self.metadata.items() if name not in _OWN_FIELDS}
        return Wish(self.filename, content_type_of(self.filename, self.type, policy), fitting(more))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value not in _NOTHING
