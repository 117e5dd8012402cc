"""Bitmaps: does the front of an object have the structure of TIFF, BMP or ICO? Pure, no decoding.

Each function takes the front and the object's size in bytes, and follows the structure as far as the front goes. An
object that fits into its front has to be whole.
"""
# ruff: noqa: PLR2004 - offsets, lengths and limits are those of the sections that each function cites

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _TiffLayout:
    """How one kind of TIFF writes numbers; its header is two offsets long, and the second leads to a directory."""

    order: str  # as `struct` writes it
    offset: str  # as `struct` writes one, in bytes `width`
    width: int
    count: str  # of a directory's entries

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, number of values, and their place: themselves if they fit, else their offset."""
        return struct.Struct(f"{self.order}HH{self.offset}{self.width}s")


_TIFF_LAYOUTS = {
    b"II\x2a\0": _TiffLayout("<", "I", 4, "H"),
    b"MM\0\x2a": _TiffLayout(">", "I", 4, "H"),
    # BigTIFF Design (AWare Systems, adopted by libtiff 4): version 43, offsets of 8 bytes
    b"II\x2b\0\x08\0\0\0": _TiffLayout("<", "Q", 8, "Q"),
    b"MM\0\x2b\0\x08\0\0": _TiffLayout(">", "Q", 8, "Q"),
}
# Bytes of a value, by its type: TIFF 6.0 section 2, Adobe's supplement 1 (13) and BigTIFF (16-18)
_TIFF_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_NUMBERS = {3: "H", 4: "I", 16: "Q"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_DATA = ((273, 279), (324, 325))  # where strips begin and how long they are, the same of tiles: sections 8 and 15


def is_tiff(front: bytes, size: int) -> bool:
    """Follow TIFF (revision 6.0, section 2; BigTIFF): the header, and the first directory where it is in view."""
    layout = _TIFF_LAYOUTS.get(front[:4]) or _TIFF_LAYOUTS.get(front[:8])
    if layout is None or len(front) < 2 * layout.width:
        return False
    (start,) = struct.unpack_from(layout.order + layout.offset, front, layout.width)
    entries = start + struct.calcsize("=" + layout.count)
    if start < 2 * layout.width or entries + layout.entry.size > size:
        return False
    if entries > len(front):
        return size > len(front)
    (count,) = struct.unpack_from(layout.order + layout.count, front, start)
    end = entries + count * layout.entry.size + layout.width
    if count == 0 or end > size:
        return False
    numbers = _tiff_numbers(layout, front, size, entries, min(count, (len(front) - entries) // layout.entry.size))
    if numbers is None or (end <= len(front) and not {_TIFF_WIDTH, _TIFF_HEIGHT} <= numbers.keys()):
        return False
    places = (zip(numbers.get(begin, ()), numbers.get(length, ()), strict=False) for begin, length in _TIFF_DATA)
    further = int.from_bytes(front[end - layout.width : end], "little" if layout.order == "<" else "big")
    return further < size and all(begin + length <= size for pairs in places for begin, length in pairs)


def _tiff_numbers(
    layout: _TiffLayout, front: bytes, size: int, start: int, count: int
) -> dict[int, tuple[int, ...]] | None:
    """Read those values of `count` entries that are numbers in view; None when a value is malformed or has no room."""
    numbers = {}
    for tag, kind, values, place in layout.entry.iter_unpack(front[start : start + count * layout.entry.size]):
        length = _TIFF_TYPES.get(kind, 0) * values
        data = place
        if length > layout.width:
            (offset,) = struct.unpack(layout.order + layout.offset, place)
            if offset + length > size:
                return None
            data = front[offset : offset + length]
        if length == 0:
            return None
        if kind in _TIFF_NUMBERS and len(data) >= length:
            numbers[tag] = struct.unpack_from(f"{layout.order}{values}{_TIFF_NUMBERS[kind]}", data)
    return numbers


_OS2_HEADER = 12
_BMP_HEADERS = frozenset({_OS2_HEADER, 16, 40, 52, 56, 64, 108, 124})  # OS/2 1 and 2, Windows 3 to 5
_BMP_DEPTHS = frozenset({1, 2, 4, 8, 16, 24, 32})
_BMP_COMPRESSIONS = frozenset(range(7))  # BI_RGB to BI_ALPHABITFIELDS
_BMP_UNCOMPRESSED = frozenset({0, 3, 6})


def is_bmp(front: bytes, size: int) -> bool:
    """Follow BMP (Microsoft, BITMAPFILEHEADER and BITMAPINFOHEADER): both headers, and room for all the pixels."""
    if front[:2] != b"BM" or len(front) < 14 + 12:
        return False
    length, reserved, pixels, header = struct.unpack_from("<IIII", front, 2)
    if length > size or reserved or header not in _BMP_HEADERS or not 14 + header <= pixels < size:
        return False
    if header == _OS2_HEADER:
        width, height, planes, depth = struct.unpack_from("<HHHH", front, 18)
        compression = 0
    elif len(front) < 14 + 16:
        return False
    else:
        width, height, planes, depth = struct.unpack_from("<iiHH", front, 18)
        compression = int.from_bytes(front[30:34], "little") if header > 16 else 0
    if width <= 0 or height == 0 or planes != 1 or depth not in _BMP_DEPTHS or compression not in _BMP_COMPRESSIONS:
        return False
    row = (width * depth + 31) // 32 * 4
    return compression not in _BMP_UNCOMPRESSED or pixels + row * abs(height) <= size


_ICON_ENTRY = struct.Struct("<BBBBHHII")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_ico(front: bytes, size: int) -> bool:
    """Follow ICO (Microsoft, "Icons", ICONDIR): entries with room for their images, each a PNG or a bitmap's header."""
    if len(front) < 6 + _ICON_ENTRY.size or front[:4] != b"\0\0\1\0":
        return False
    (count,) = struct.unpack_from("<H", front, 4)
    images = 6 + count * _ICON_ENTRY.size
    if count == 0 or images >= size:
        return False
    in_view = min(count, (len(front) - 6) // _ICON_ENTRY.size)
    for *_, planes, depth, length, start in _ICON_ENTRY.iter_unpack(front[6 : 6 + in_view * _ICON_ENTRY.size]):
        if planes > 1 or depth > 32 or start < images or start + length > size:
            return False
        if not _icon_image_is_sane(front[start : start + 16], length):
            return False
    return True


def _icon_image_is_sane(image: bytes, length: int) -> bool:
    if length < 40:
        return False
    if len(image) < 16:  # the window ends before or within it
        return True
    if image.startswith(_PNG_SIGNATURE):
        return image.endswith(b"\0\0\0\rIHDR"[:8])
    header, width, height, planes, depth = struct.unpack("<IiiHH", image)
    return header == 40 and width > 0 and height > 0 and planes <= 1 and depth in _BMP_DEPTHS
