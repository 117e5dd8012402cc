"""Fonts: does the front of an object have the structure of WOFF2? Pure, no decompression."""
# ruff: noqa: PLR2004 - offsets and lengths are those of the sections that each function cites

import re
import struct

_HEADER = struct.Struct(">4s4sIHHIIHHIIIII")
_FLAVOURS = frozenset({b"\0\1\0\0", b"OTTO", b"true", b"ttcf"})
_MOST_TABLES = 128  # OpenType 1.9 registers about sixty
_BASE_128 = rb"(?:[\0-\x7f]|[\x81-\xff][\x80-\xff]{0,3}[\0-\x7f])"
# Flags name a known table, or announce its name. `glyf`, `loca`, `hmtx` may be transformed: then there are two lengths.
_TABLE = re.compile(
    rb"(?:[\0-\x09\x0c-\x3e\xca\xcb]|\x3f[ -~]{4})" + _BASE_128 + rb"|[\x0a\x0b\x43]" + _BASE_128 + _BASE_128
)


def is_woff2(front: bytes, size: int) -> bool:
    """Follow WOFF2 (W3C, WOFF File Format 2.0, 4.1 and 4.2): a header that tells the object's size, then its tables."""
    if len(front) < _HEADER.size:
        return False
    signature, flavour, length, tables, reserved, unpacked, packed, _, _, *blocks = _HEADER.unpack_from(front)
    if signature != b"wOF2" or flavour not in _FLAVOURS or length != size or reserved != 0 or unpacked == 0:
        return False
    metadata, metadata_length, _, private, private_length = blocks
    if max(metadata + metadata_length, private + private_length) > size or not 0 < tables <= _MOST_TABLES:
        return False
    position = _HEADER.size
    for _ in range(tables):
        table = _TABLE.match(front, position)
        if table is None:
            return size > len(front) and len(front) - position < 15
        position = table.end()
    return bool(0 < packed <= size - position)
