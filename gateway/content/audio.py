"""Audio: does the front of an object have the structure of MP3, AAC, WAV, FLAC or Ogg? Pure, no decoding.

Each function takes the front and the object's size in bytes, and follows the structure as far as the front goes. An
object that fits into its front has to be whole.
"""
# ruff: noqa: PLR2004 - offsets, lengths and limits are those of the sections that each function cites

import re
import struct
import zlib
from collections.abc import Callable

# Of the frame at a position: what has to be alike in all frames of a stream, and its length in bytes.
_Frame = Callable[[bytes, int], tuple[int, int] | None]
_FOUR_CC = re.compile(rb"[ -~]{4}")
_ID3_FRAME = re.compile(rb"[A-Z][A-Z0-9]{2,3} ?|\0{3}")
_MP3_RATES = (44100, 48000, 32000)  # Hz of MPEG-1; half in MPEG-2, a quarter in 2.5
_MP3_BITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s of layer III
_MP3_BITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_ENOUGH_FRAMES = 16  # one behind the other, each with a plausible header: no other content looks so by accident
_MOST_TAGS = 8  # at the beginning: a second one is rare
# What may follow the last frame, and how long it is at least: ID3v1, APEv2, Lyrics3, ID3v2.
_TRAILERS = {b"TAG": 128, b"APETAGEX": 32, b"LYRICSBEGIN": 26, b"ID3": 10}


def is_mp3(front: bytes, size: int) -> bool:
    """Follow MP3 (ISO/IEC 11172-3, 2.4.2.3; 13818-3): ID3v2 tags, then frames of layer III, each where one ends."""
    tagged = _after_id3(front, size)
    if tagged is None or tagged + 4 > size:
        return False
    # Some writers leave room behind the tag. One that takes up the front is all that can be seen.
    position = max(tagged, len(front) - len(front[tagged:].lstrip(b"\0"))) if tagged else 0
    frames = _count_frames(front, size, position, _mp3_frame)
    return frames is not None and (frames > 1 or (bool(tagged) if size > len(front) else frames == 1))


def is_aac(front: bytes, size: int) -> bool:
    """Follow AAC in ADTS (ISO/IEC 14496-3, 1.A.2): ID3v2 tags, then frames, each where one ends."""
    tagged = _after_id3(front, size)
    frames = None if tagged is None else _count_frames(front, size, tagged, _adts_frame)
    return frames is not None and (frames > 1 or (frames == 1 and size <= len(front)))


def _after_id3(front: bytes, size: int) -> int | None:
    """Where the ID3v2 tags (id3.org, ID3v2.4.0 section 3.1) at the beginning end; None when one is malformed."""
    position, tags = 0, 0
    while front.startswith(b"ID3", position) and tags < _MOST_TAGS:
        tags += 1
        if position + 14 > len(front):
            return None if size <= len(front) or position == 0 else position
        version, revision, flags, *length = front[position + 3 : position + 10]
        if not 2 <= version <= 4 or revision == 0xFF or flags & 0x0F or max(length) > 0x7F:
            return None
        # An extended header, and unsynchronisation of all of a tag, move the first frame.
        if not flags & 0xC0 and _ID3_FRAME.match(front, position + 10) is None:
            return None
        first, second, third, fourth = length
        position += 10 + (first << 21 | second << 14 | third << 7 | fourth) + (10 if flags & 0x10 else 0)
        if position > size:
            return None
    return position


def _count_frames(front: bytes, size: int, position: int, frame: _Frame) -> int | None:
    """Count the frames in view that stand one behind the other; None when something else stands among them."""
    kind, count, enough = None, 0, _ENOUGH_FRAMES if size > len(front) else len(front)
    while position + 7 <= len(front) and count < enough:
        found = frame(front, position)
        if found is None or found[0] != (kind or found[0]):
            return count if count > 1 and _trailer_follows(front, size, position) else None
        kind, length = found
        count += 1
        position += length
        if position > size:
            return None
    return count if position == size or size > len(front) else None


def _trailer_follows(front: bytes, size: int, position: int) -> bool:
    return any(
        front.startswith(trailer, position) and position + length <= size for trailer, length in _TRAILERS.items()
    )


def _mp3_frame(front: bytes, position: int) -> tuple[int, int] | None:
    (header,) = struct.unpack_from(">I", front, position)
    version, layer, bits, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bits in {0, 15} or rate == 3 or header & 3 == 2:
        return None
    if version == 3:
        length = 144_000 * _MP3_BITS_1[bits] // _MP3_RATES[rate]
    else:
        length = 72_000 * _MP3_BITS_2[bits] // (_MP3_RATES[rate] // (2 if version == 2 else 4))
    return header >> 17 << 2 | rate, length + (header >> 9 & 1)


def _adts_frame(front: bytes, position: int) -> tuple[int, int] | None:
    first, last = struct.unpack_from(">IH", front, position)
    length = (first & 3) << 11 | last >> 5
    if first >> 20 != 0xFFF or first >> 17 & 3 or first >> 10 & 15 > 12 or length < (7 if first >> 16 & 1 else 9):
        return None
    return first >> 4, length


def is_wav(front: bytes, size: int) -> bool:
    """Follow WAV (IBM and Microsoft, Multimedia Programming Interface 1.0; EBU Tech 3306): `fmt `, then `data`."""
    if len(front) < 20 or front[8:12] != b"WAVE":
        return False
    (riff,) = struct.unpack_from("<I", front, 4)
    streamed = riff in {0, 0xFFFFFFFF}  # written before the length was known
    if front[:4] == b"RF64":
        if not streamed or front[12:16] != b"ds64":
            return False
    elif front[:4] != b"RIFF" or not (streamed or riff + 8 <= size + 1):
        return False
    return _wave_chunks_are_sane(front, size)


def _wave_chunks_are_sane(front: bytes, size: int) -> bool:
    position, format_seen = 12, False
    while position + 8 <= len(front):
        kind, length = struct.unpack_from("<4sI", front, position)
        if kind == b"data":
            return format_seen and (position + 8 + length <= size or length == 0xFFFFFFFF)
        if _FOUR_CC.fullmatch(kind) is None or position + 8 + length > size:
            return False
        if kind == b"fmt ":
            format_seen = _wave_format_is_sane(front[position + 8 : position + 24], length)
            if not format_seen:
                return False
        position += 8 + length + length % 2
    return position + 8 <= size  # there has to be room for the data


def _wave_format_is_sane(form: bytes, length: int) -> bool:
    if len(form) < 14:  # the window ends within it
        return length >= 14
    tag, channels, rate, _, block = struct.unpack_from("<HHIIH", form)
    return length >= 14 and tag > 0 and 0 < channels <= 256 and rate > 0 and block > 0


_MOST_BLOCKS = 64  # of metadata within a front: each may be 16 MiB long, and most kinds may stand only once


def is_flac(front: bytes, size: int) -> bool:
    """Follow FLAC (RFC 9639, 8 and 9.1): STREAMINFO, the other metadata blocks, then a frame."""
    if front[:4] != b"fLaC" or len(front) < 42 or front[4] & 0x7F != 0 or front[5:8] != b"\0\0\x22":
        return False
    smallest, largest, rate = *struct.unpack_from(">HH", front, 8), int.from_bytes(front[18:21], "big") >> 4
    position, blocks, last = 42, 1, bool(front[4] & 0x80)
    if not 16 <= smallest <= largest or rate == 0:
        return False
    while not last:
        if position + 4 > len(front):
            return size > len(front) and position + 4 < size
        last, kind = bool(front[position] & 0x80), front[position] & 0x7F
        position += 4 + int.from_bytes(front[position + 1 : position + 4], "big")
        blocks += 1
        if kind in {0, 127} or position >= size or blocks > _MOST_BLOCKS:
            return False
    sync = front[position : position + 2]
    return sync in {b"\xff\xf8", b"\xff\xf9"} or (size > len(front) and sync in {b"", b"\xff"})


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_BOS, _EOS = 2, 4
# What the first packet of each codec begins with: Vorbis I 4.2.1, RFC 7845 5.1, RFC 9639 10.1, Speex and Skeleton
_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC\x01", b"Speex   ", b"fishead\0")


def is_ogg(front: bytes, size: int) -> bool:
    """Follow Ogg audio (RFC 3533, 6; RFC 5334): pages with true checksums, the first naming a codec of audio."""
    position, flags = 0, 0
    while position + 27 <= len(front):
        end = _after_page(front, position, size)
        if end is None:
            return False
        flags = front[position + 5]
        if position == 0 and (flags != _BOS or not front.startswith(_OGG_CODECS, 27 + front[26])):
            return False
        position = end
    return position > 0 and (size > len(front) or (position == size and bool(flags & _EOS)))


def _after_page(front: bytes, position: int, size: int) -> int | None:
    """Where the page at `position` ends; None when there is none, or no room for it, or its checksum is false."""
    body = position + 27 + front[position + 26]
    end = body + sum(front[position + 27 : body])
    if not front.startswith(b"OggS\0", position) or front[position + 5] > 7 or end > size:
        return None
    if end > len(front):
        return end
    page = front[position : position + 22] + bytes(4) + front[position + 26 : end]
    # RFC 3533's checksum takes the bits of each byte the other way round than zlib's, and inverts nothing.
    checksum = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return end if checksum.to_bytes(4, "big").translate(_REVERSED) == front[position + 22 : position + 26] else None
