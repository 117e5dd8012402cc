"""Claims: which of the files that were posted by one form counts.

A form has no if-none-match, so its key can be written again as long as it lives. Completion therefore copies what lies
there to a key of its own that no client is ever told, and a small object, written only where there is none, names the
one copy that is proved and promoted. Copies that lose are freed.
"""

import json
from collections.abc import Callable

from gateway.errors import Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.markers import COPY_METADATA
from gateway.promotion import Promotion
from gateway.s3.bucket import GRANT_METADATA
from gateway.s3.storage import Changed, Head, Storage

CLAIM_TYPE = "application/vnd.gateway.claim+json"  # no media type that a client can be granted


class Claims:
    """Finds the copy that counts, and makes it where there is none."""

    def __init__(self, storage: Storage, promotion: Promotion, nonce: Callable[[], str]) -> None:
        """Take what claims stand on; `nonce` gives text that never repeats."""
        self._storage = storage
        self._promotion = promotion
        self._nonce = nonce

    async def claim(self, grant: Grant, grant_token: str) -> None:
        """Claim what was posted in time, if anything was; somebody else may be faster. Raises Changed."""
        key = grant.key
        posted = await self._storage.head(key.upload_key)
        if posted is None or posted.content_type == CLAIM_TYPE or posted.last_modified > grant.expires_at:
            return
        nonce = self._nonce()
        copy = f"{key.upload_key}/{nonce}"
        metadata = {GRANT_METADATA: grant_token}
        try:
            await self._promotion.copy(
                key.upload_key, posted, copy, content_type=posted.content_type, metadata=metadata
            )
        except (Changed, Refusal):
            await self._promotion.clear_large(copy, posted.size)  # nobody else knows its name
            raise
        try:
            await self._storage.put(
                key.state_key,
                json.dumps({"copy": nonce}).encode(),
                content_type=CLAIM_TYPE,
                metadata={COPY_METADATA: nonce, **metadata},
                create=True,
            )
        except Changed:
            # After a lost reply this may be our own claim, met again.
            claim = await self._storage.head(key.state_key)
            if claim is None or claim.metadata.get(COPY_METADATA) != nonce:
                await self.free(copy)

    async def claimed(self, grant: Grant, claim: Head) -> tuple[str, Head]:
        """Return the key of the copy that the claim names, and what lies there."""
        copy = f"{grant.key.upload_key}/{claim.metadata[COPY_METADATA]}"
        head = await self._storage.head(copy)
        if head is None:
            raise Changed
        return copy, head

    async def release(self, key: ObjectKey, state: Head | None) -> None:
        """Free what was posted and the copy that a claim, or the marker over it, names: none of it is copied then."""
        await self.free(key.upload_key)
        if state is not None and COPY_METADATA in state.metadata:
            await self.free(f"{key.upload_key}/{state.metadata[COPY_METADATA]}")

    async def free(self, key: str) -> None:
        """Write a few bytes over what nobody needs any more: nothing is ever removed under incoming/."""
        body = json.dumps({"freed": self._nonce()}).encode()
        await self._storage.put(key, body, content_type=CLAIM_TYPE, metadata={})
