"""`python -m tests.content.fuzz_proof [SECONDS [TYPE …]]`: climb towards fronts that take long to prove, type by type.

No test: what it finds goes into test_proof_speed.py by name. A front is a beginning and a few pieces that repeat until
it is full; each step changes one of them, and is kept if the proof takes longer.
"""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, OCTETS, MediaType, objection
from tests.content.corpus import BROKEN, POLYGLOTS, WELL_FORMED
from tests.content.corpus_samples import in_view

SIZE = 2**31  # of the object: all that its front promises may be there
STEPS_PER_SEED = 3
KEPT = 8
LENGTHS = (4, 8, 12, 16, 24, 33, 44, 64, 128, 1024)  # of the beginnings of samples, in bytes
# What the parts of the proof look for, and what makes them begin and give up again and again.
PIECES = (
    # Markup
    b"<", b"<a", b"<a ", b"<a on", b"<a:", b"<svg", b"<object ", b"<object x", b"<!doctype ", b"<!--", b"<![",
    b"<?", b">", b"<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"<a onload   ", b" on", b" onload", b"/onclick ", b"\0",
    b"<\0", b"</", b"&", b"j", b"java", b"j\n", b"&#", b"&#x", b"&#00000000", b"j&#9;", b"j&tab;", b"&#x6a;",
    b"&#106", b"&newline;", b":", b"=", b"xmlns", b"xmlns:a   ", b"xmlns = ", b"http://www.w3.org/", b'"', b"'",
    b"attributename = ", b"href=", b"href = '", b"a=", b"a='' ", b"&lt;", b"%", b"#", b"/", b"aaaaaaaa",
    # PDF, JSON and text
    b"/J", b"/JavaScrip", b"/#4a", b"/#4a#61", b"1 0 obj", b"1 ", b"1    11111    ", b"/AA", b"<<", b"[", b"]",
    b"{", b"}", b'{"a":', b"[],", b"1,", b"1e1,", b"9", b'"\\u0041', b"\\", b",", b'"",', b"-", b"0.", b"null,",
    b" ", b"\n", b"\t", b"\xc2\xa0", b"\xc2", b"\xe2\x82\xac", b"\xff", b"a\0", b"\0a", b"\x80",
    # Frames, boxes, chunks, elements, blocks and pages that are as short as they may be
    b"\xff\xfb\x90\xc4", b"\xff\xf1\x50\x80\0\xff\xfc", b"\xff\xfb\x10\xc4", b"ID3\3\0\0\0\0\0\0",
    b"ID3\4\0\0\0\0\0\1", b"\0\0\0\x08free", b"\0\0\0\x09free", b"\0\0\0\x08moov", b"\0\0\0\x10trak\0\0\0\x08tkhd",
    b"\0\0\0\0tEXt\0\0\0\0", b"\xec\x80", b"\xec\x81\0", b"\xec\x01\xff\xff\xff\xff\xff\xff\xff",
    b"\x1f\x43\xb6\x75\x80", b"\xa3\x81\0", b"\x81", b"!\xf9\0", b"!\xf9\1\0", b"\1\0", b",\0\0\0\0\1\0\1\0\0\2\0",
    b"\xff\xe0\0\2", b"\xff\xff", b"JUNK\0\0\0\0", b"OggS\0\0" + bytes(20) + b"\0",
    b"OggS\0\0" + bytes(20) + b"\1\0", b"LIST\1\0\0\0\0\0", b"\4\0\0\0", b"\1\0\0\0", b"PK\1\2", b"PK\3\4",
    b"PK\5\6", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\3\0\0\0\0\0\0\0\0\0", b"\0\0\0\xff\xff",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Front:
    """A beginning, and what repeats behind it."""

    head: bytes
    pieces: tuple[bytes, ...]
    whole: bool = False  # there is no more of the object

    def content(self) -> bytes:
        """Return the front, full."""
        filling = b"".join(self.pieces) or b"a"
        return (self.head + filling * (FRONT_BYTES // len(filling) + 1))[:FRONT_BYTES]


def microseconds(media_type: MediaType, content: bytes, *, whole: bool = False, rounds: int = 3) -> float:
    """Measure the proof: the shortest of so many rounds."""
    front, size, end = in_view(media_type, content)
    if not whole:
        size, end = SIZE, bytes(media_type.end_bytes)
    shortest = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        objection(media_type, front, size, end)
        shortest = min(shortest, time.thread_time() - start)
    return shortest * 1e6


def _measure(media_type: MediaType, front: Front, rounds: int) -> tuple[float, Front]:
    return microseconds(media_type, front.content(), whole=front.whole, rounds=rounds), front


def seeds(media_type: MediaType) -> list[Front]:
    """Begin with nothing, and with each beginning of a file of the type."""
    samples = [s for s in (*WELL_FORMED, *BROKEN, *POLYGLOTS) if s.media_type == media_type.name and s.content]
    heads = {b""} | {sample.content[:length] for sample in samples for length in LENGTHS}
    return [Front(head, (piece,), whole) for head in sorted(heads) for piece in PIECES for whole in (False, True)]


def changed(front: Front, chance: random.Random) -> Front:
    """Change the beginning, or a piece."""
    pieces = list(front.pieces)
    place = chance.randrange(len(pieces))
    match chance.randrange(8):
        case 0 if len(pieces) < 6:
            pieces.insert(place, chance.choice(PIECES))
        case 1 if len(pieces) > 1:
            del pieces[place]
        case 2:
            pieces[place] *= chance.choice((2, 3, 8, 40))
            pieces[place] = pieces[place][:FRONT_BYTES]
        case 3:
            piece = bytearray(pieces[place] or b"a")
            piece[chance.randrange(len(piece))] = chance.randrange(256)
            pieces[place] = bytes(piece)
        case 4:
            content = front.content()
            return replace(front, head=content[: chance.randrange(len(content))])
        case 5:
            head = bytearray(front.head or b"a")
            head[chance.randrange(len(head))] = chance.randrange(256)
            return replace(front, head=bytes(head))
        case 6:
            return replace(front, whole=not front.whole)
        case _:
            pieces[place] = chance.choice(PIECES)
    return replace(front, pieces=tuple(pieces))


def climb(media_type: MediaType, seconds: float, chance: random.Random) -> Sequence[tuple[float, Front]]:
    """Return the slowest fronts that were found, the worst first."""
    best = sorted((_measure(media_type, front, 1) for front in seeds(media_type)), key=_cost)[-KEPT:]
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        front = chance.choice(best)[1]
        for _ in range(chance.randrange(1, STEPS_PER_SEED + 1)):
            front = changed(front, chance)
        if _measure(media_type, front, 3)[0] > best[0][0] and all(front != known for _, known in best):
            found = _measure(media_type, front, 7)  # anything may be slow once
            if found[0] > best[0][0]:
                best = sorted((*best[1:], found), key=_cost)
        elif chance.random() < 0.01:
            best = sorted((_measure(media_type, known, 7) for _, known in best), key=_cost)
    return sorted((_measure(media_type, known, 20) for _, known in best), key=_cost)[::-1]


def _cost(found: tuple[float, Front]) -> float:
    return found[0]


def main(seconds: float, names: Sequence[str]) -> None:
    """Print the slowest front of each type, as it may be written down."""
    for media_type in MEDIA_TYPES.values():
        if media_type.name == OCTETS or (names and media_type.name not in names):
            continue
        took, front = climb(media_type, seconds, random.Random(media_type.name))[0]  # noqa: S311 - not for secrets
        print(f"{took:8.1f} us  {media_type.name}  {front!r}", flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, sys.argv[2:])
