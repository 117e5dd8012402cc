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

_PROBED = 512  # bytes of a long stream that are inflated
_INFLATED = 262_144  # bytes they may become, then no more is looked at
_HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0  # flags, RFC 1952, 2.3.1

_BLOCK = 512
_OCTAL = re.compile(rb"[0-7]+").fullmatch
_BARE = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})  # types of links, devices and folders: no bytes follow
_SPARSE = b"S"  # more headers of its own may follow


def gzip_objection(front: bytes, size: int, end: bytes, unpacked_limit: int | None) -> Code | None:
    """Say what speaks against gzip (RFC 1952). Its last four bytes tell what it unpacks to, modulo 2^32, or lie."""
    if not _is_gzip(front, size):
        return Code.CONTENT_MISMATCH
    if holds_active_content(front[: _after_gzip_header(front)]):
        return Code.ACTIVE_CONTENT
    unpacked = int.from_bytes(end[-4:], "little")
    too_large = is_bomb(size, unpacked) or (unpacked_limit is not None and unpacked > unpacked_limit)
    return Code.ARCHIVE_TOO_LARGE if too_large else None


def _is_gzip(front: bytes, size: int) -> bool:
    if len(front) < 18 or front[:3] != b"\x1f\x8b\x08" or front[3] & _RESERVED:
        return False
    whole = size <= len(front)
    start = _after_gzip_header(front)
    if start >= len(front):
        return not whole
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        stream.decompress(front[start:] if whole else front[start : start + _PROBED], _INFLATED)
    except zlib.error:
        return False
    # One that unpacks to more than was inflated goes on, and so may another one behind its end.
    return not whole or bool(stream.unconsumed_tail) or (stream.eof and len(stream.unused_data) >= 8)


def _after_gzip_header(front: bytes) -> int:
    """Return where the deflated bytes begin: RFC 1952, 2.3; beyond the front if the header does not end in it."""
    flags, position = front[3], 10
    if flags & _EXTRA:
        position += 2 + int.from_bytes(front[10:12], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            position = (front.find(b"\0", position) + 1) or len(front)
    return position + (2 if flags & _HEADER_CRC else 0)


def seven_zip_objection(front: bytes, size: int, _end: bytes, _unpacked_limit: int | None) -> Code | None:
    """Say what speaks against 7z (7-Zip, DOC/7zFormat.txt): the header that ends it is told by one that begins it."""
    if len(front) < 32 or front[:7] != b"7z\xbc\xaf\x27\x1c\0":
        return Code.CONTENT_MISMATCH
    checksum, offset, length = struct.unpack_from("<IQQ", front, 8)
    whole = zlib.crc32(front[12:32]) == checksum and 32 + offset + length == size
    return None if whole else Code.CONTENT_MISMATCH


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
    magic, checksum = header[257:263], _tar_number(header[148:156])
    if header[0] == 0 or (magic not in {b"ustar\0", b"ustar "} and any(header[257:])):
        return None
    if checksum != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        return None
    return 0 if header[156:157] in _BARE else _tar_number(header[124:136])


def _tar_number(field: bytes) -> int | None:
    if field[0] == 0x80:  # GNU tar manual, "Extensions to the tar Format": what does not fit into octal digits
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    return int(digits, 8) if _OCTAL(digits) else None
