"""Markers: small objects that the gateway writes over an upload, so that its key is never free again."""

import json
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import CODES, Code
from gateway.s3.bucket import GRANT_METADATA
from gateway.s3.storage import Head

# An upload's type is signed and comes from the table of media types, so that no client can write a marker.
MARKER_TYPE = "application/vnd.gateway.marker+json"


COPY_METADATA = "copy"  # of a claim on a form's files, and of the marker over it: which copy counts
KEPT_METADATA = (GRANT_METADATA, COPY_METADATA)  # what a marker takes over from what it is written over


class State(StrEnum):
    """Where an upload stands."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    SCANNING = "scanning"
    PROMOTING = "promoting"
    STORED = "stored"
    REJECTED = "rejected"
    ABORTED = "aborted"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Marker:
    """A final state; `code` says why an upload was rejected."""

    state: State
    code: Code | None = None

    def body(self, nonce: str) -> bytes:
        """Return the marker's bytes: never empty and never twice the same, so that its ETag equals no upload's."""
        return json.dumps({"state": self.state, "code": self.code and self.code.code, "nonce": nonce}).encode()

    def metadata(self, grant_token: str | None) -> dict[str, str]:
        """Return the marker's metadata; one HEAD tells the state, and the grant token stays with the key."""
        metadata = {"state": str(self.state)}
        if self.code is not None:
            metadata["code"] = self.code.code
        if grant_token is not None:
            metadata[GRANT_METADATA] = grant_token
        return metadata


def marker_of(head: Head) -> Marker | None:
    """Return the marker that lies under an upload key, or None where an upload lies there."""
    if head.content_type != MARKER_TYPE:
        return None
    return Marker(State(head.metadata["state"]), CODES.get(head.metadata.get("code", "")))
