"""The arithmetic of multipart uploads. Pure: how many parts of which size, within S3's limits.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, "Amazon S3 multipart upload limits".
"""

from dataclasses import dataclass

MIB = 2**20
MIN_PART = 5 * MIB  # bytes; the last part may be smaller
MAX_PART = 5 * 2**30  # bytes
MAX_PARTS = 10_000
MAX_OBJECT = MAX_PARTS * MAX_PART  # bytes: the 48.8 TiB that the page states
USUAL_PART = 8 * MIB  # bytes: a few seconds of a slow line, and up to 78 GiB before parts have to grow


@dataclass(frozen=True, slots=True)
class Plan:
    """`size` bytes in parts of `part_size`, all of them alike but the last: Cloudflare R2 takes no others."""

    size: int
    part_size: int

    @classmethod
    def of(cls, size: int, usual: int = USUAL_PART) -> "Plan":
        """Divide 1 … MAX_OBJECT bytes into parts of the usual size, or as much larger as MAX_PARTS asks for."""
        if not 1 <= size <= MAX_OBJECT:
            raise ValueError(f"a multipart upload has 1 to {MAX_OBJECT} bytes, not {size}")
        least = -(-size // MAX_PARTS)
        return cls(size, usual if least <= usual else min(-(-least // MIB) * MIB, MAX_PART))

    @property
    def part_count(self) -> int:
        """How many parts there are: 1 … 10,000."""
        return -(-self.size // self.part_size)

    def part(self, number: int) -> int:
        """Return the size of part `number`, which counts from 1; raises ValueError beyond the last."""
        if not 1 <= number <= self.part_count:
            raise ValueError(f"parts are numbered 1 to {self.part_count}, not {number}")
        return min(self.part_size, self.size - (number - 1) * self.part_size)
