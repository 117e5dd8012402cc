"""Assembly: the parts that arrived become the upload. What was granted decides which parts are enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.errors import Code, Refusal
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.parts import Plan
from gateway.s3.storage import ArrivedPart, Gone, Storage, UnfitParts

ABORTS = 5  # of one multipart upload


@dataclass(frozen=True, slots=True)
class ClaimedPart:
    """A part as a client says it has sent it; Uppy sends ETags with their quotes and without."""

    number: int
    etag: str
    checksum_sha256: str | None = None

    def fits(self, part: ArrivedPart | None) -> bool:
        """Whether that is what has arrived."""
        if part is None or part.etag.strip('"') != self.etag.strip('"'):
            return False
        return self.checksum_sha256 is None or part.checksum_sha256 in {None, self.checksum_sha256}


class Misfit(Exception):  # noqa: N818 - a verdict, not a fault
    """The parts are not what was granted, and never will be; `code` says in what."""

    def __init__(self, code: Code) -> None:
        """Keep the code of the refusal that fits."""
        super().__init__(code.code)
        self.code = code


async def assemble(storage: Storage, ticket: Ticket, claimed: Sequence[ClaimedPart] | None) -> None:
    """Make the upload of its parts: those that the client names, else all that have arrived.

    Returns also when somebody else has done it, or when its reply was lost: the key tells. Raises Changed where looking
    again helps, Misfit, and `not-uploaded` or `invalid-request` for parts that can still become right.
    """
    multipart, key = ticket.divided(), ticket.grant.key.upload_key
    try:
        arrived = await storage.list_parts(key, multipart.upload_id)
        parts = arrived if claimed is None else _named(arrived, claimed)
        _weigh(ticket, multipart, parts, named=claimed is not None)
        await storage.complete_upload(key, multipart.upload_id, parts)
    except Gone:
        return
    except UnfitParts:
        raise Refusal(
            Code.INVALID_REQUEST, "The storage does not join these parts: all but the last have at least 5 MiB."
        ) from None


async def free_parts(storage: Storage, key: str, upload_id: str) -> bool:
    """Abort until nothing is left: a part on its way may land after the first time (AWS, AbortMultipartUpload).

    Tells whether nothing is.
    """
    for _ in range(ABORTS):
        await storage.abort_upload(key, upload_id)
        try:
            await storage.list_parts(key, upload_id)
        except Gone:
            return True
    return False


def _named(arrived: Sequence[ArrivedPart], claimed: Sequence[ClaimedPart]) -> Sequence[ArrivedPart]:
    """Return the parts that the client names, as they arrived."""
    numbers = [part.number for part in claimed]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Refusal(Code.INVALID_REQUEST, "Name each part once, in the order of their numbers.")
    there = {part.number: part for part in arrived}
    parts = [there.get(part.number) for part in claimed]
    for part, claim in zip(parts, claimed, strict=True):
        if not claim.fits(part):
            raise Refusal(Code.NOT_UPLOADED, f"Part {claim.number} has not arrived as it is named: upload it again.")
    return [part for part in parts if part is not None]


def _weigh(ticket: Ticket, multipart: Multipart, parts: Sequence[ArrivedPart], *, named: bool) -> None:
    """Hold the parts and their sum against the grant."""
    grant, size = ticket.grant, sum(part.size for part in parts)
    if not parts:
        raise Refusal(Code.NOT_UPLOADED, "No part of this upload has arrived yet.")
    if grant.exact and multipart.part_size is not None:
        missing = Plan(grant.size, multipart.part_size).part_count - len(parts)
        if missing > 0:
            raise Refusal(Code.NOT_UPLOADED, f"{missing} parts of this upload have not arrived yet.")
    if size > grant.size or (grant.exact and size != grant.size):
        raise Misfit(Code.SIZE_MISMATCH)
    if multipart.checksums and not all(part.checksum_sha256 for part in parts):
        raise Misfit(Code.CONTENT_MISMATCH)  # a store that keeps no checksums has verified none (Ceph 16)
    if _has_gap(multipart, parts, named=named):
        raise Refusal(Code.NOT_UPLOADED, "A part before the last has not arrived yet, or not whole.")
    if size < grant.at_least:
        raise Refusal(Code.NOT_UPLOADED, f"This policy takes files of at least {grant.at_least} bytes.")


def _has_gap(multipart: Multipart, parts: Sequence[ArrivedPart], *, named: bool) -> bool:
    """Whether bytes would be lost in the middle. Who divides as it likes and names its parts knows what it does."""
    if multipart.part_size is None:
        return not named and parts[-1].number != len(parts)
    return parts[-1].number != len(parts) or any(part.size != multipart.part_size for part in parts[:-1])
