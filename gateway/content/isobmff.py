"""The ISO base media file format: does the front of an object have the structure of AVIF, HEIC, MP4 or MOV? Pure.

Each function takes the front and the object's size in bytes, and follows the boxes as far as the front goes. An object
that fits into its front has to be whole.
"""
# ruff: noqa: PLR2004 - offsets and lengths are those of the sections that each function cites

import re
import struct

_KIND = re.compile(rb"[ -~\xa9]{4}")
_MOST_BOXES = 128  # of one level within a front, where the smallest take eight bytes: no writer makes so many
_Box = tuple[bytes, int, int]  # its type, where its content begins, where it ends

# Brands by what they promise: AVIF 1.1 section 6, ISO/IEC 23008-12 annex B and 10.2, ISO/IEC 14496-12 annex E,
# ISO/IEC 14496-14 and the register at mp4ra.org.
_AVIF = frozenset({b"avif", b"avis"})
_HEVC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
_MP4 = frozenset(
    {b"isom", b"mp41", b"mp42", b"mp71", b"avc1", b"M4V ", b"M4VH", b"M4VP", b"M4A ", b"dash", b"cmfc", b"MSNV"}
    | {b"iso" + bytes([digit]) for digit in b"23456789abc"}
)
_QUICKTIME = b"qt  "


def is_avif(front: bytes, size: int) -> bool:
    """Follow AVIF (AOMedia, AV1 Image File Format 1.1, 6): an AVIF brand, then a `meta` box of pictures."""
    brands = _brands(front)
    return _is_major(brands, _AVIF | _HEIF) and not _AVIF.isdisjoint(brands) and _is_image(front, size)


def is_heic(front: bytes, size: int) -> bool:
    """Follow HEIC (ISO/IEC 23008-12, annex B.4): an HEVC image brand, then a `meta` box of pictures."""
    brands = _brands(front)
    return (
        _is_major(brands, _HEVC | _HEIF)
        and not _HEVC.isdisjoint(brands)
        and _AVIF.isdisjoint(brands)
        and _is_image(front, size)
    )


def is_heif(front: bytes, size: int) -> bool:
    """Follow HEIF (ISO/IEC 23008-12, 10.2): a brand of images of any codec but AV1, then a `meta` box of pictures."""
    brands = _brands(front)
    return _is_major(brands, _HEVC | _HEIF) and _AVIF.isdisjoint(brands) and _is_image(front, size)


def is_mp4(front: bytes, size: int) -> bool:
    """Follow MP4 (ISO/IEC 14496-12, 4.3; 14496-14): an MP4 brand, no other first, and a `moov` box."""
    brands = _brands(front)
    return (
        not _MP4.isdisjoint(brands)
        and not _is_major(brands, _AVIF | _HEVC | _HEIF | {_QUICKTIME})
        and _is_movie(_boxes(front, 0, size), front, size)
    )


# What a movie without `ftyp` consists of: QuickTime File Format, "Basic atoms".
_OLD_MOVIE = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"PICT", b"uuid", b"udta"})


def is_mov(front: bytes, size: int) -> bool:
    """Follow MOV (Apple, QuickTime File Format): its brand, or the atoms of the time before brands, and `moov`."""
    boxes = _boxes(front, 0, size)
    if front[4:8] == b"ftyp":
        return _QUICKTIME in _brands(front) and _is_movie(boxes, front, size)
    return {kind for kind, _, _ in boxes} <= _OLD_MOVIE and _is_movie(boxes, front, size)


def _brands(front: bytes) -> list[bytes]:
    """The major brand and then the compatible ones (ISO/IEC 14496-12, 4.3); none where there is no `ftyp` in view."""
    length = int.from_bytes(front[:4], "big")
    if front[4:8] != b"ftyp" or not 16 <= length <= len(front) or length % 4:
        return []
    return [front[8:12], *(front[place : place + 4] for place in range(16, length, 4))]


def _is_major(brands: list[bytes], wanted: frozenset[bytes]) -> bool:
    return not wanted.isdisjoint(brands[:1])


def _is_image(front: bytes, size: int) -> bool:
    boxes = _boxes(front, 0, size)
    # An image sequence is a movie as well, and may be one alone: ISO/IEC 23008-12, 7.
    images = [(body, end) for kind, body, end in boxes if kind == b"meta"]
    if not images:
        return _is_movie(boxes, front, size)
    return all(_handles_pictures(_boxes(front, body + 4, end), front, end) for body, end in images)


def _handles_pictures(children: list[_Box], front: bytes, end: int) -> bool:
    for kind, body, _ in children:
        if kind == b"hdlr":
            return front[body + 8 : body + 12] in {b"pict", b""}
    return bool(children) and end > len(front)


def _is_movie(boxes: list[_Box], front: bytes, size: int) -> bool:
    if not boxes:
        return False
    for kind, body, end in boxes:
        if kind == b"moov":
            children = _boxes(front, body, end)
            header = any(child in {b"mvhd", b"cmov"} for child, _, _ in children)
            return header or (end > len(front) and (bool(children) or body + 16 > len(front)))
    # Nothing found yet: there has to be room for it beyond the last box in view.
    return boxes[-1][2] + 8 <= size and size > len(front)


def _boxes(front: bytes, start: int, end: int) -> list[_Box]:
    """List the boxes between `start` and `end` whose headers are in view; none at all when one has no room there."""
    boxes: list[_Box] = []
    position, view = start, min(len(front), end)
    while position + 8 <= view:
        length, kind = struct.unpack_from(">I4s", front, position)
        body = position + 8
        if length == 1:
            if position + 16 > view:
                break
            (length,) = struct.unpack_from(">Q", front, body)
            body += 8
        elif length == 0:  # up to the end of the file
            length = end - position
        if (
            length < body - position
            or position + length > end
            or _KIND.fullmatch(kind) is None
            or len(boxes) == _MOST_BOXES
        ):
            return []
        position += length
        boxes.append((kind, body, position))
    return boxes if position == end or end > len(front) else []
