"""A ZIP's directory, read from the object's end and held against what else is in view. Pure, and nothing is unpacked.

The layout is that of PKWARE's APPNOTE.TXT 6.3.10, whose sections are cited. Readers of ZIP disagree about what is laid
out otherwise, and what one of them unpacks another never sees: so only what has a single reading is taken.
"""
# ruff: noqa: PLR2004 - offsets and lengths are those of the sections that are cited

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from gateway.errors import Code, Refusal

END_BYTES = 262_144  # of the object's end: room for the directory of some 2,500 files, with names of 50 bytes

STORED, DEFLATED = 0, 8  # 4.4.5
ENCRYPTED, _STREAMED, _PATCHED, _UTF_8, _MASKED = 1, 1 << 3, 1 << 5, 1 << 11, 1 << 13  # flags, 4.4.4
_END = struct.Struct("<4sHHHHIIH")  # 4.3.16
_END_64 = struct.Struct("<4sQ4xIIQQQQ")  # 4.3.14
_LOCATOR = struct.Struct("<4sIQI")  # 4.3.15
_ENTRY = struct.Struct("<4sH2xHH4xIIIHHHH2xII")  # 4.3.12
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")  # 4.3.7
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF  # "too small, see the ZIP64 record": 4.4.1.4
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075  # extra fields: 4.5.3 and 4.6.9
_MOST_FIELDS = 16  # of one member: writers make a handful, and each takes time
_DESCRIPTORS = frozenset({12, 16, 20, 24})  # bytes behind a member that was streamed: 4.3.9
_MAX_GAP = _FULL_16 + max(_DESCRIPTORS)  # an extra field of the local header that is out of view, and a descriptor
_UNICODE_PATH_ID = _UNICODE_PATH.to_bytes(2, "little")
_LINK = 0xA  # S_IFLNK >> 12, of the mode in the upper half of the external attributes
_CONTROLS = bytes((*range(0x20), ord("\\"), 0x7F))
_DRIVE = re.compile(rb"\n[A-Za-z]:")


class Member(NamedTuple):
    """One file of an archive, as the directory tells of it; `packed` and `unpacked` in bytes."""

    offset: int  # of its local header from the beginning of the archive
    name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    unpacked: int
    is_link: bool
    zip64: bool  # whether a ZIP64 field has to tell its sizes or its offset
    path: bytes  # its name for readers that know the field of Unicode paths: 4.6.9


@dataclass(frozen=True, slots=True)
class Directory:
    """The members in the order of their bytes, and `listing`: all names in lower case, with a newline around each.

    `comment` is what the archive says of itself, `offset` where the directory begins, and `zip64` whether ZIP64
    tells any of what is in view.
    """

    members: tuple[Member, ...]
    listing: bytes
    comment: bytes
    offset: int
    zip64: bool


def read_directory(front: bytes, size: int, end: bytes) -> Directory:
    """Read the directory of a ZIP of `size` bytes, of which `front` and `end` are in view.

    Raises `content-mismatch` for what is no ZIP or has two readings, and `archive-too-large` for a directory that does
    not fit into `end`.
    """
    first = size - len(end)
    count, offset, stop, comment = _place(end, first)
    long_end = stop + 22 + len(comment) != size
    if offset < first:
        raise Refusal(Code.ARCHIVE_TOO_LARGE)
    members = sorted(_entries(end, offset - first, stop - first))
    if len(members) != count:
        _mismatch()
    names = [member.name for member in members]
    paths = [member.path for member in members if member.path != member.name]
    _check_utf_8(members)
    _check_names(names + paths)
    _check_links(members, names)
    if paths:  # some readers go by the one, and some by the other
        _check_links(members, [member.path for member in members])
    zip64 = _check_tiling(members, offset, front, end, first)
    zip64 = zip64 or long_end or any(member.zip64 for member in members)
    return Directory(tuple(members), b"\n%b\n" % b"\n".join(names + paths).lower(), comment, offset, zip64)


def _mismatch() -> NoReturn:
    raise Refusal(Code.CONTENT_MISMATCH)


def _place(end: bytes, first: int) -> tuple[int, int, int, bytes]:
    """Return how many entries the directory has, where it begins and ends in the object, and the archive's comment."""
    at = end.rfind(b"PK\5\6")  # with another one in its comment, readers find the one or the other
    if at < 0 or at + 22 > len(end):
        _mismatch()
    small = _END.unpack_from(end, at)
    if at + 22 + small[7] != len(end):
        _mismatch()
    stop = first + at
    disk, directory_disk, here, count, length, offset = small[1:7]
    if at >= 20 and end.startswith(b"PK\6\7", at - 20):
        stop, large = _zip64(end, at - 20, first)
        for told, full, found in zip(small[1:7], (_FULL_16,) * 4 + (_FULL_32,) * 2, large, strict=True):
            if told not in {full, found}:
                _mismatch()
        disk, directory_disk, here, count, length, offset = large
    if disk or directory_disk or here != count or offset + length != stop:
        _mismatch()
    return count, offset, stop, end[at + 22 :]


def _zip64(end: bytes, locator: int, first: int) -> tuple[int, tuple[int, ...]]:
    """Return where the ZIP64 record begins in the object, and the six fields that both records have."""
    _, disk, place, disks = _LOCATOR.unpack_from(end, locator)
    at = place - first
    if disk or disks > 1 or not 0 <= at <= locator - 56:
        _mismatch()
    signature, length, *fields = _END_64.unpack_from(end, at)
    if signature != b"PK\6\6" or at + 12 + length != locator:
        _mismatch()
    return place, tuple(fields)


def _entries(end: bytes, position: int, stop: int) -> Iterator[Member]:
    while position < stop:
        if position + 46 > stop:
            _mismatch()
        fields = _ENTRY.unpack_from(end, position)
        _made_by, flags, method, checksum, packed, unpacked, name_length, extra_length, comment_length = fields[1:10]
        disk, external, offset = fields[10:]
        name_end = position + 46 + name_length
        name, extra = end[position + 46 : name_end], end[name_end : name_end + extra_length]
        position = name_end + extra_length + comment_length
        if fields[0] != b"PK\1\2" or position > stop or flags & (_PATCHED | _MASKED):
            _mismatch()
        zip64 = bool(disk) or _FULL_32 in (packed, unpacked, offset)
        if zip64:
            unpacked, packed, offset, disk = _long_fields(extra, unpacked, packed, offset, disk)
        if disk or (method == STORED and packed != unpacked and not flags & ENCRYPTED):
            _mismatch()
        path = _path(name, extra) if extra_length and _UNICODE_PATH_ID in extra else name
        is_link = external >> 28 == _LINK  # unzip asks for the mode alone, whatever system made it
        yield Member(offset, name, flags, method, checksum, packed, unpacked, is_link, zip64, path)


def _path(name: bytes, extra: bytes) -> bytes:
    """Return the member's name in UTF-8, which stands in a field of its own where the other one is in another code."""
    paths = {path[5:] for kind, path in _extra_fields(extra) if kind == _UNICODE_PATH}
    if len(paths) > 1:
        _mismatch()
    return paths.pop() if paths else name


def _long_fields(extra: bytes, *told: int) -> Iterator[int]:
    """Yield the sizes, the offset and the number of the disk, from the ZIP64 field where it has to be asked."""
    fields = [data for kind, data in _extra_fields(extra) if kind == _ZIP64]
    if len(fields) != 1:
        _mismatch()
    (long,) = fields
    for number, (value, full) in enumerate(zip(told, (_FULL_32, _FULL_32, _FULL_32, _FULL_16), strict=False)):
        width = 4 if number == 3 else 8
        if value != full:
            yield value
            continue
        if len(long) < width:
            _mismatch()
        yield int.from_bytes(long[:width], "little")
        long = long[width:]


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    position = number = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        yield kind, extra[position + 4 : position + 4 + length]
        position += 4 + length
        number += 1
        if number > _MOST_FIELDS:
            _mismatch()


def _check_utf_8(members: list[Member]) -> None:
    try:
        b"\n".join(member.name for member in members if member.flags & _UTF_8).decode()
    except UnicodeDecodeError:
        _mismatch()


def _check_names(names: list[bytes]) -> None:
    """Refuse names that lead out of the folder they are unpacked in, or that are none: 4.4.17."""
    joined = b"".join(names)
    lines = b"\n%b\n" % b"\n".join(names)
    if (
        not all(names)
        or len(joined.translate(None, _CONTROLS)) != len(joined)
        or b"\n/" in lines
        or b"/../" in lines.replace(b"\n", b"/")
        or _DRIVE.search(lines)
    ):
        _mismatch()


def _check_links(members: list[Member], names: list[bytes]) -> None:
    """Refuse what is there twice, and what would be written through a symbolic link."""
    if len(set(names)) != len(names):
        _mismatch()
    links = [_folded(name) for member, name in zip(members, names, strict=True) if member.is_link]
    ordered = sorted(map(_folded, names)) if links else []
    for link in links:
        at = bisect_right(ordered, link)
        if at < len(ordered) and ordered[at].startswith(link):
            _mismatch()


def _folded(name: bytes) -> bytes:
    """Spell a name as a folder that tells no cases apart, and ends in a slash."""
    return b"/".join([part for part in name.lower().split(b"/") if part not in {b"", b"."}]) + b"/"


def _check_tiling(members: list[Member], stop: int, front: bytes, end: bytes, first: int) -> bool:
    """Refuse bytes that belong to no member or to two, from the first byte to the directory at `stop`.

    How long the extra field of a local header is, only the header tells: one out of view may have the longest.
    Return whether ZIP64 tells the sizes in one that is in view.
    """
    zip64 = False
    starts = [member.offset for member in members]
    if (starts or [stop])[0] or (starts and starts[-1] >= stop):
        _mismatch()
    for member, following in zip(members, [*starts[1:], stop], strict=bool(members)):
        fixed = 30 + len(member.name)
        gap = following - member.offset - fixed - member.packed
        if not 0 <= gap <= _MAX_GAP:
            _mismatch()
        if member.offset + fixed <= len(front):
            zip64 |= check_local_header(member, front, member.offset, gap)
        elif member.offset >= first:
            zip64 |= check_local_header(member, end, member.offset - first, gap)
    return zip64


def check_local_header(member: Member, view: bytes, at: int, gap: int) -> bool:
    """Hold a local header against the directory; `gap` bytes are its extra field and the descriptor behind the data.

    `view` has its fixed part and the name's length. Return whether ZIP64 tells its sizes; raises `content-mismatch`.
    """
    signature, flags, method, *told, name_length, extra_length = _LOCAL.unpack_from(view, at)
    name_end = at + 30 + name_length
    if signature != b"PK\3\4" or method != member.method or view[at + 30 : name_end] != member.name:
        _mismatch()
    streamed = flags & _STREAMED
    if (flags ^ member.flags) & (ENCRYPTED | _MASKED):
        _mismatch()
    if gap != extra_length if not streamed else gap - extra_length not in _DESCRIPTORS:
        _mismatch()
    checksum, packed, unpacked = told
    if name_end + extra_length > len(view):  # out of view from here on
        return False
    zip64 = _FULL_32 in (packed, unpacked)
    if zip64:
        unpacked, packed = _long_fields(view[name_end : name_end + extra_length], unpacked, packed)
    found = (checksum, packed, unpacked)
    if found != (member.checksum, member.packed, member.unpacked) and not (streamed and not any(found)):
        _mismatch()
    return zip64
