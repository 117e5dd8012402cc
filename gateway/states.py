"""States: the one place of an upload where its state lies, and the only writer of markers there."""

from collections.abc import Callable

from gateway.grants.keys import ObjectKey
from gateway.markers import KEPT_METADATA, MARKER_TYPE, Marker, marker_of
from gateway.s3.storage import Head, Storage


class States:
    """Reads and writes the state of uploads. `nonce` gives text that never repeats."""

    def __init__(self, storage: Storage, nonce: Callable[[], str]) -> None:
        """Take what states lie in."""
        self._storage = storage
        self._nonce = nonce

    async def look(self, key: ObjectKey) -> tuple[Head | None, Marker | None]:
        """Return what lies there, which is the upload itself or a claim on it, and the marker if it is one."""
        head = await self._storage.head(key.state_key)
        return head, marker_of(head) if head else None

    async def mark(
        self,
        key: ObjectKey,
        marker: Marker,
        over: Head | None,
        grant_token: str | None = None,
        *,
        whatever_is_there: bool = False,
    ) -> None:
        """Write a marker over exactly what was seen there, or where nothing was; raises Changed.

        The grant token of what was there stays with the key; `grant_token` is for where nothing was.
        """
        kept = {} if over is None else {name: over.metadata[name] for name in KEPT_METADATA if name in over.metadata}
        await self._storage.put(
            key.state_key,
            marker.body(self._nonce()),
            content_type=MARKER_TYPE,
            metadata={**marker.metadata(grant_token), **kept},
            if_match=over.etag if over and not whatever_is_there else None,
            create=over is None and not whatever_is_there,
        )
