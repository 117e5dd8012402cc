"""Assembly: the parts that arrived become the upload. What was granted decides which parts are enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.errors import Code, Refusal
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.parts import Plan
from gateway.s3.storage import ArrivedPart, Gone, Storage, UnfitParts


@dataclass(frozen=True, slots=True)
class ClaimedPart:
    """A part as a client says it has sent it; Uppy sends ETags with their quotes and without."""

    number: int
    etag: str


class Misfit(Exception):  # noqa: N818 - a verdict, not a fault
    """The parts are not what was granted, and never will be."""


async def assemble(storage: Storage, ticket: Ticket, claimed: Sequence[ClaimedPart] | None) -> None:
    """Make the upload of its parts: those that the client names, else all that have arrived.

    Returns also when somebody else has done it, or when its reply was lost: the key tells. Raises Changed where looking
    again helps, Misfit, and `not-uploaded` or `invalid-request` for parts that can still become right.
    """
    multipart, key = ticket.divided(), ticket.grant.key.upload_key
    try:
        arrived = await storage.list_parts(key, multipart.upload_id)
        parts = arrived if claimed is None else _named(arrived, claimed)
        _weigh(ticket, multipart, parts)
        await storage.complete_upload(key, multipart.upload_id, parts)
    except Gone:
        return
    except UnfitParts:
        raise Refusal(
            Code.INVALID_REQUEST, "The storage does not join these parts: all but the last have at least 5 MiB."
        ) from None


def _named(arrived: Sequence[ArrivedPart], claimed: Sequence[ClaimedPart]) -> Sequence[ArrivedPart]:
    """Return the parts that the client names, as they arrived."""
    numbers = [part.number for part in claimed]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Refusal(Code.INVALID_REQUEST, "Name each part once, in the order of their numbers.")
    there = {part.number: part for part in arrived}
    parts = [there.get(part.number) for part in claimed]
    for part, claim in zip(parts, claimed, strict=True):
        if part is None or part.etag.strip('"') != claim.etag.strip('"'):
            raise Refusal(Code.NOT_UPLOADED, f"Part {claim.number} has not arrived as it is named: upload it again.")
    return [part for part in parts if part is not None]


def _weigh(ticket: Ticket, multipart: Multipart, parts: Sequence[ArrivedPart]) -> None:
    """Hold the sum of the parts against the grant."""
    granted, size = ticket.grant.size, sum(part.size for part in parts)
    if not parts:
        raise Refusal(Code.NOT_UPLOADED, "No part of this upload has arrived yet.")
    if ticket.grant.exact and multipart.part_size is not None:
        missing = Plan(granted, multipart.part_size).part_count - len(parts)
        if missing > 0:
            raise Refusal(Code.NOT_UPLOADED, f"{missing} parts of this upload have not arrived yet.")
    if size > granted or (ticket.grant.exact and size != granted):
        raise Misfit
