"""Raster images: does the front of an object have the structure of PNG, JPEG, GIF or WebP? Pure, no decoding.

Each function takes the front and the object's size in bytes, and follows the structure as far as the front goes. An
object that fits into its front has to be whole.
"""
# ruff: noqa: PLR2004 - offsets, lengths and limits are those of the sections that each function cites

import re
import struct
import zlib

_CHUNK_TYPE = re.compile(rb"[A-Za-z]{4}")
_FOUR_CC = re.compile(rb"[ -~]{4}")
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_MAX = 2**31 - 1  # lengths and dimensions, PNG specification (W3C, third edition) 5.3 and 7.1
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type, 11.2.1


def is_png(front: bytes, size: int) -> bool:
    """Follow PNG (W3C, third edition, 5): signature, IHDR with a true CRC, then chunks that the object has room for."""
    if not front.startswith(_PNG_START) or len(front) < 33 or not _ihdr_is_sane(front):
        return False
    position, data_seen = 33, False
    while position + 8 <= len(front):
        (length,) = struct.unpack_from(">I", front, position)
        chunk = front[position + 4 : position + 8]
        position += 12 + length
        if length > _PNG_MAX or position > size or _CHUNK_TYPE.fullmatch(chunk) is None:
            return False
        if chunk == b"IEND":
            return length == 0 and data_seen
        data_seen = data_seen or chunk == b"IDAT"
    return size > len(front)


def _ihdr_is_sane(front: bytes) -> bool:
    width, height, depth, colour, compression, filtering, interlace, crc = struct.unpack_from(">IIBBBBBI", front, 16)
    return (
        0 < width <= _PNG_MAX
        and 0 < height <= _PNG_MAX
        and depth in _PNG_DEPTHS.get(colour, ())
        and compression == filtering == 0
        and interlace in {0, 1}
        and zlib.crc32(front[12:29]) == crc
    )


_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1: all of C0-CF but DHT, JPG and DAC
_BARE = frozenset(range(0xD0, 0xDA))  # RSTn, SOI and EOI stand alone, and none of them before the first scan


def is_jpeg(front: bytes, size: int) -> bool:
    """Follow JPEG (ITU-T T.81, annex B): SOI, then marker segments up to the first scan, a frame header among them."""
    if front[:2] != _SOI:
        return False
    position, frame_seen = 2, False
    while position + 4 <= len(front):
        lead, marker, length = struct.unpack_from(">BBH", front, position)
        if lead == marker == 0xFF:  # fill bytes, B.1.1.2
            position = len(front) - len(front[position:].lstrip(b"\xff")) - 1
            continue
        if lead != 0xFF or marker < 0xC0 or marker in _BARE or length < 2 or position + 2 + length > size:
            return False
        if marker in _SOF:
            frame_seen = _frame_is_sane(front[position + 4 : position + 2 + length], length)
            if not frame_seen:
                return False
        if marker == _SOS:
            return frame_seen and (size > len(front) or front.find(_EOI, position + 2 + length) > 0)
        position += 2 + length
    return size > len(front)


def _frame_is_sane(frame: bytes, length: int) -> bool:
    if len(frame) < 6:  # the window ends within it
        return length >= 8 + 3
    precision, _height, width, components = struct.unpack_from(">BHHB", frame)
    # The height may be 0 until a DNL segment gives it: B.2.5.
    return precision in {8, 12, 16} and width > 0 and 0 < components <= 4 and length == 8 + 3 * components


_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B


def is_gif(front: bytes, size: int) -> bool:
    """Follow GIF (CompuServe GIF89a, 17-27): header, logical screen, then extensions and images up to the trailer."""
    if front[:6] not in {b"GIF87a", b"GIF89a"} or len(front) < 13:
        return False
    position, image_seen = 13 + _colour_table(front[10]), False
    while position < len(front):
        introducer = front[position]
        if introducer == _GIF_TRAILER:
            return image_seen
        if introducer == _GIF_IMAGE and position + 10 <= len(front):
            image_seen = True
            position += 10 + _colour_table(front[position + 9])
            if position < len(front) and not 1 <= front[position] <= 11:  # LZW minimum code size, appendix F
                return False
            position = _after_sub_blocks(front, position + 1)
        elif introducer == _GIF_EXTENSION:
            position = _after_sub_blocks(front, position + 2)
        else:
            return introducer == _GIF_IMAGE and size > len(front)
    # Some encoders leave the trailer out, and every decoder shows their images.
    return position <= size and (image_seen or size > len(front))


def _colour_table(packed: int) -> int:
    """Bytes of the colour table that the packed field announces: 3 * 2^(n+1), sections 18 and 20."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _after_sub_blocks(front: bytes, position: int) -> int:
    while position < len(front):
        length = front[position]
        position += 1 + length
        if length == 0:
            return position
    return position + 1  # the terminator is still to come


def is_webp(front: bytes, size: int) -> bool:
    """Follow WebP (RFC 9649): a RIFF form as long as the object, and in it an image chunk before any other."""
    if len(front) < 30 or front[:4] != b"RIFF" or front[8:12] != b"WEBP":
        return False
    (riff,) = struct.unpack_from("<I", front, 4)
    if riff % 2 or riff + 8 != size or not _webp_image_is_sane(front):
        return False
    position = 12
    while position + 8 <= len(front):
        chunk, length = struct.unpack_from("<4sI", front, position)
        position += 8 + length + length % 2
        if _FOUR_CC.fullmatch(chunk) is None or position > size:
            return False
    return size > len(front) or position == size


def _webp_image_is_sane(front: bytes) -> bool:
    chunk: bytes
    length: int
    chunk, length = struct.unpack_from("<4sI", front, 12)
    if chunk == b"VP8 ":  # RFC 6386 section 9.1: a key frame, its start code, 14 bits each of width and height
        width, height = struct.unpack_from("<HH", front, 26)
        return (
            length >= 10
            and not front[20] & 1
            and front[23:26] == b"\x9d\x01\x2a"
            and bool(width & 0x3FFF and height & 0x3FFF)
        )
    if chunk == b"VP8L":  # RFC 9649 section 3.4: the signature, and version 0 in the top three bits
        return length >= 5 and front[20] == 0x2F and front[24] >> 5 == 0
    return chunk == b"VP8X" and length == 10  # RFC 9649 section 2.7
