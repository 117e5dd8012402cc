"""Wishes as other people's clients make them: with a type that may be unknown, and metadata that nobody asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.content.filenames import Filename
from gateway.content.media_types import BY_EXTENSION, OCTETS
from gateway.grants.policies import METADATA_BYTES, METADATA_PAIRS, Policy

_UNKNOWN_TYPES = frozenset({"", OCTETS})


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish as `allow` takes it; what a protocol does not tell is None."""

    filename: str
    content_type: str
    metadata: Mapping[str, str] | None = None
    size: int | None = None
    checksum_sha256: str | None = None
    content_md5: str | None = None
    on_behalf_of: None = None


def content_type_of(filename: str, told: str, policy: Policy) -> str:
    """Return the type that a browser told, or where it knew none, the one of the policy that the filename tells."""
    if told not in _UNKNOWN_TYPES:
        return told
    known = BY_EXTENSION.get(Filename.parse(filename).extension or "")
    return known.name if known is not None and known.name in policy.media_types else OCTETS


def fitting(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """Return as many of the pairs as fit into a grant: no upload fails for what a client sends unasked.

    Their length is that of their JSON, which is how they travel.
    """
    taken: dict[str, str] = {}
    for name, text in pairs.items():
        if not (name + text).isprintable():
            continue
        more = {**taken, name: text}
        if len(more) <= METADATA_PAIRS and len(json.dumps(more, ensure_ascii=False).encode()) <= METADATA_BYTES:
            taken = more
    return taken
