"""Proof: whether the bytes that arrived are what was granted, by what the store says of them and by their front."""

from gateway.content.media_types import BY_EXTENSION, FRONT_BYTES, objection
from gateway.errors import Code
from gateway.grants.policies import Grant
from gateway.s3.storage import Head, Storage


async def objection_to(storage: Storage, grant: Grant, at: str, source: Head) -> Code | None:
    """Tell what speaks against the bytes under the key `at`; None when they are proved. Raises Changed."""
    if source.size > grant.size or (grant.exact and source.size != grant.size):
        return Code.SIZE_MISMATCH
    if source.content_type != grant.content_type or grant.checksum_sha256 not in {None, source.checksum_sha256}:
        return Code.CONTENT_MISMATCH
    front = await storage.read(at, if_match=source.etag, size=min(FRONT_BYTES, source.size))
    return objection(BY_EXTENSION[grant.key.extension], front, source.size)
