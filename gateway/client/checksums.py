"""Checksums of what was downloaded: the SHA-256 of the whole, or of its parts where their size can be told."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.s3.parts import MIB, Plan

PIECE = MIB  # bytes that are read at a time
MOST_DIVISIONS = 16  # ways to divide a file that are tried
_FULL = re.compile(r"[A-Za-z0-9+/]{43}=")
_COMPOSITE = re.compile(r"([A-Za-z0-9+/]{43}=)-([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A SHA-256 in base64: of all bytes, or with `part_count` that of the parts' SHA-256s, one after the other."""

    sha256: str
    part_count: int | None = None

    @classmethod
    def stated(cls, description: Mapping[str, Any]) -> "Checksum | None":
        """Read what the gateway wrote down of an object; None for nothing that can be checked."""
        text = description.get("sha256")
        if not isinstance(text, str):
            return None
        if description.get("sha256_type") == "full":
            return cls(text) if _FULL.fullmatch(text) else None
        match = _COMPOSITE.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None

    def agrees(self, path: Path) -> bool | None:
        """Whether the file has it; None where nobody can tell how it was divided."""
        size = path.stat().st_size
        if self.part_count is None:
            return _digest_of(path, [size]).digest == self.sha256
        divisions = _divisions(size, self.part_count)
        if not divisions:
            return None
        return any(_digest_of(path, _sizes(size, part_size)).composite == self.sha256 for part_size in divisions)


@dataclass(frozen=True, slots=True)
class _Digests:
    parts: Sequence[bytes]

    @property
    def digest(self) -> str:
        return base64.b64encode(self.parts[0]).decode()

    @property
    def composite(self) -> str:
        return base64.b64encode(hashlib.sha256(b"".join(self.parts)).digest()).decode()


def _divisions(size: int, part_count: int) -> Sequence[int]:
    """Return the part sizes that the gateway may have chosen: by the size, or larger ones for a stream of no size.

    Those of a stream are whole MiB, and follow from the policy alone.
    """
    if size == 0 or part_count > Plan.of(size).part_count:
        return ()
    if part_count == 1:
        return (size,)
    smallest = max(Plan.of(size).part_size, -(-size // part_count))
    first, last = -(-smallest // MIB), -(-size // (part_count - 1) // MIB) if part_count > 1 else 0
    fitting = [number * MIB for number in range(first, last + 1) if -(-size // (number * MIB)) == part_count]
    return fitting if len(fitting) <= MOST_DIVISIONS else ()


def _sizes(size: int, part_size: int) -> Iterator[int]:
    plan = Plan(size, part_size)
    return (plan.part(number) for number in range(1, plan.part_count + 1))


def _digest_of(path: Path, sizes: Sequence[int] | Iterator[int]) -> _Digests:
    found: list[bytes] = []
    with path.open("rb", buffering=0) as handle:
        for size in sizes:
            digest, left = hashlib.sha256(), size
            while left and (piece := handle.read(min(PIECE, left))):
                digest.update(piece)
                left -= len(piece)
            found.append(digest.digest())
    return _Digests(found)
