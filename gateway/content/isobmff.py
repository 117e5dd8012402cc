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
    return boxes is not None and {kind for kind, _, _ in boxes} <= _OLD_MOVIE and _is_movie(boxes, front, size)


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
    if not boxes or all(kind != b"meta" for kind, _, _ in boxes):
        return _is_movie(boxes, front, size)  # an image sequence is a movie as well, and may be one alone: 23008-12, 7
    data_seen = not _is_all_in_view(boxes, size)
    for kind, body, end in boxes:
        data_seen = data_seen or kind == b"mdat"
        if kind == b"meta":
            children = _boxes(front, body + 4, end)
            if children is None or not _handles_pictures(children, front, end):
                return False
            data_seen = data_seen or end > len(front) or any(child == b"idat" for child, _, _ in children)
    return data_seen


def _handles_pictures(children: list[_Box], front: bytes, end: int) -> bool:
    for kind, body, _ in children:
        if kind == b"hdlr":
            return b"pict".startswith(front[body + 8 : body + 12])
    return end > len(front)


def _is_movie(boxes: list[_Box] | None, front: bytes, size: int) -> bool:
    if not boxes or (_is_all_in_view(boxes, size) and not {b"moov", b"mdat"} <= {kind for kind, _, _ in boxes}):
        return False
    return all(_holds_movie_header(front, body, end) for kind, body, end in boxes if kind == b"moov")


def _holds_movie_header(front: bytes, body: int, end: int) -> bool:
    children = _boxes(front, body, end)
    return children is not None and (
        end > len(front) or any(kind in {b"mvhd", b"cmov"} for kind, _, _ in children)  # the latter is compressed
    )


def _is_all_in_view(boxes: list[_Box], size: int) -> bool:
    """Tell whether no further box has room behind these."""
    return boxes[-1][2] + 8 > size


def _boxes(front: bytes, start: int, end: int) -> list[_Box] | None:
    """List the boxes between `start` and `end` whose headers are in view; None when one is malformed or has no room."""
    boxes: list[_Box] = []
    position, view = start, min(len(front), end)
    while position + 8 <= view and len(boxes) < _MOST_BOXES:
        length, kind = struct.unpack_from(">I4s", front, position)
        body = position + 8
        if length == 1:
            if position + 16 > view:
                return boxes if end > len(front) else None
            (length,) = struct.unpack_from(">Q", front, body)
            body += 8
        elif length == 0:  # up to the end of the file
            length = end - position
        if length < body - position or position + length > end or _KIND.fullmatch(kind) is None:
            return None
        position += length
        boxes.append((kind, body, position))
    # Behind the last there is no room for a header, or no view.
    return boxes if position == end or position + 8 > len(front) < end else None
