"""Packed files: have the front and the end of an object the structure of gzip, 7z or tar? Pure.

What they unpack to is told by nothing that can be seen without unpacking it; of gzip, by four bytes that may lie.
"""
# ruff: noqa: PLR2004 - offsets and lengths are those of the sections that each function cites

import re
import struct
import zlib

from gateway.content.active_content import holds_active_content
from gateway.content.archives import is_bomb
from gateway.errors import Code

GZIP_END_BYTES = 4  # of the object's end, likewise below
TAR_END_BYTES = 1024  # two blocks of zeros

_LEAST = 18  # bytes of a header and a trailer without anything between them
_GZIP = zlib.MAX_WBITS | 16  # how zlib is told to expect it
_PROBED = 512  # bytes of a long stream that are inflated
_INFLATED = 262_144  # bytes they may become, then no more is looked at; likewise the members
_MEMBERS = 16
_HEADER_CRC, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # flags, RFC 1952, 2.3.1

_BLOCK = 512
_TAR_MAGIC = frozenset({b"ustar\0", b"ustar ", bytes(6)})  # POSIX, GNU, and the seventh edition of Unix
_OCTAL = re.compile(rb"[0-7]+").fullmatch
_BARE = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})  # types of links, devices and folders: no bytes follow
_SPARSE = b"S"  # more headers of its own may follow


def gzip_objection(front: bytes, size: int, end: bytes, unpacked_limit: int | None) -> Code | None:
    """Say what speaks against gzip (RFC 1952). Its last four bytes tell what it unpacks to, modulo 2^32, or lie."""
    if len(front) < _LEAST or not front.startswith(b"\x1f\x8b\x08"):
        return Code.CONTENT_MISMATCH
    start = _after_gzip_header(front)
    if start >= len(front) or not (_members_inflate(front) if size <= len(front) else _begins_to_inflate(front, start)):
        return Code.CONTENT_MISMATCH
    if holds_active_content(front[:start]):
        return Code.ACTIVE_CONTENT
    unpacked = int.from_bytes(end, "little")
    too_large = is_bomb(size, unpacked) or (unpacked_limit is not None and unpacked > unpacked_limit)
    return Code.ARCHIVE_TOO_LARGE if too_large else None


def _begins_to_inflate(front: bytes, start: int) -> bool:
    try:
        zlib.decompressobj(_GZIP).decompress(front[: start + _PROBED], _INFLATED)
    except zlib.error:
        return False
    return True


def _members_inflate(rest: bytes) -> bool:
    """Tell whether all of these bytes are members, with true checksums (RFC 1952, 2.2), as far as is worth the time."""
    room = _INFLATED
    for _ in range(_MEMBERS):
        stream = zlib.decompressobj(_GZIP)
        try:
            room -= len(stream.decompress(rest, room))
        except zlib.error:
            return False
        rest = stream.unused_data
        if room == 0 or not rest.strip(b"\0"):  # tape drives fill up their blocks
            return room == 0 or stream.eof
    return True


def _after_gzip_header(front: bytes) -> int:
    """Return where the deflated bytes begin: RFC 1952, 2.3; beyond the front if the header does not end in it."""
    flags, position = front[3], 10
    if flags & _EXTRA:
        position += 2 + int.from_bytes(front[10:12], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            position = (front.find(b"\0", position) + 1) or len(front)
    return position + (2 if flags & _HEADER_CRC else 0)


def seven_zip_objection(front: bytes, size: int, _end: bytes, unpacked_limit: int | None) -> Code | None:
    """Say what speaks against 7z (7-Zip, DOC/7zFormat.txt): the header that ends it is told by one that begins it.

    None is to be scanned: clamd 1.4 calls one clean that is packed by what it does not unpack (BZip2, Deflate), and one
    whose checksum is not that of the malware within, which no header tells.
    """
    if len(front) < 32 or front[:7] != b"7z\xbc\xaf\x27\x1c\0":
        return Code.CONTENT_MISMATCH
    checksum, offset, length = struct.unpack_from("<IQQ", front, 8)
    whole = zlib.crc32(front[12:32]) == checksum and 32 + offset + length == size
    if not whole:
        return Code.CONTENT_MISMATCH
    return None if unpacked_limit is None else Code.ARCHIVE_TOO_LARGE


def tar_objection(front: bytes, size: int, end: bytes, _unpacked_limit: int | None) -> Code | None:
    """Say what speaks against tar (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").

    It unpacks to no more than it has bytes, but for sparse files. `active-content` when its first bytes, which are a
    name, are such that a browser could take it for markup.
    """
    if holds_active_content(front[:_BLOCK]):
        return Code.ACTIVE_CONTENT
    stop = size - TAR_END_BYTES
    if size % _BLOCK or end != bytes(TAR_END_BYTES):
        return Code.CONTENT_MISMATCH
    position = 0
    while position < stop and position + _BLOCK <= len(front):
        header = front[position : position + _BLOCK]
        length = _tar_length(header)
        if length is None or position + _BLOCK + length > stop:
            # Many writers fill up the last record with zeros.
            return Code.CONTENT_MISMATCH if position == 0 or any(header) else None
        if header[156:157] == _SPARSE:
            return None
        position += _BLOCK + length + -length % _BLOCK
    return None if position else Code.CONTENT_MISMATCH


def _tar_length(header: bytes) -> int | None:
    """Return how many bytes follow the header, or None if it is none: its checksum counts itself as spaces."""
    if header[0] == 0 or header[257:263] not in _TAR_MAGIC:
        return None
    if _tar_number(header[148:156]) != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        return None
    return 0 if header[156:157] in _BARE else _tar_number(header[124:136])


def _tar_number(field: bytes) -> int | None:
    if field[0] == 0x80:  # GNU tar manual, "Extensions to the tar Format": what does not fit into octal digits
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    return int(digits, 8) if _OCTAL(digits) else None
