"""Tickets: a grant, and where it is spent in parts, S3's upload id. Whoever holds one holds no more than that."""

from dataclasses import dataclass

from gateway.errors import Code, Refusal
from gateway.grants.policies import Grant
from gateway.s3.parts import MAX_PARTS, MIN_PART, Plan


@dataclass(frozen=True, slots=True)
class Multipart:
    """How an upload is divided: `part_size` in bytes, None where the client divides as it likes and signs no lengths.

    With `checksums` S3 takes no part without a SHA-256, else none with one: that is settled when the upload is created
    (aws/aws-sdk-js-v3#6922, apache/arrow-rs#6793).
    """

    upload_id: str
    part_size: int | None
    checksums: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """What spends a grant: sign, list, complete, abort."""

    grant: Grant
    multipart: Multipart | None = None

    def divided(self) -> Multipart:
        """Return how the upload is divided; raises `invalid-request` for one that is not."""
        if self.multipart is None:
            raise Refusal(Code.INVALID_REQUEST, "This upload is a single request and has no parts.")
        return self.multipart

    def part_size(self, number: int, stated: int | None) -> int | None:
        """Return the length that part `number` has to have; None where the client divides as it likes.

        A stream, whose whole nobody has counted, may state that a part is shorter: its last one is. Raises
        `invalid-request` beyond the plan.
        """
        part_size = self.divided().part_size
        plan = Plan(self.grant.size, part_size or MIN_PART)  # however a client divides, all but the last have 5 MiB
        most = min(plan.part_count, MAX_PARTS)
        if not 1 <= number <= most:
            raise Refusal(Code.INVALID_REQUEST, f"This upload has parts 1 to {most}.")
        if part_size is None:
            return None
        if stated is None or stated == plan.part(number):
            return plan.part(number)
        if self.grant.exact or not 1 <= stated <= plan.part(number):
            raise Refusal(Code.INVALID_REQUEST, f"Part {number} of this upload has {plan.part(number)} bytes.")
        return stated
