"""MP3, WAV, FLAC, Ogg and AAC files, made from their specifications, and what is wrong with some."""

import struct

from tests.content.corpus_rasters import png
from tests.content.corpus_samples import AAC, ACTIVE, FLAC, MISMATCH, MP3, OGG, WAV, Sample


def mp3(frames: int = 4, header: bytes = b"\xff\xfb\x90\xc4", length: int = 417) -> bytes:
    """Silent frames (ISO/IEC 11172-3, 2.4.1): MPEG-1 layer III, 128 kbit/s at 44.1 kHz unless the header says else."""
    return (header + bytes(length - 4)) * frames


def synchsafe(number: int) -> bytes:
    """Four bytes of seven bits (ID3v2.4, 6.2)."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(*frames: tuple[bytes, bytes], version: int = 3, padding: int = 0, size: int | None = None) -> bytes:
    """A tag of these frames (ID3v2.3 3.1, ID3v2.4 3.1); `size` is what it says of its length instead of the truth."""
    body = b""
    for kind, data in frames:
        length = synchsafe(len(data)) if version == 4 else struct.pack(">I", len(data))
        body += kind + (length[1:] if version == 2 else length + b"\0\0") + data
    body += bytes(padding)
    return b"ID3" + bytes([version, 0, 0]) + synchsafe(len(body) if size is None else size) + body


def riff(form: bytes, *chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    """A RIFF file of these chunks, each padded to an even length (Multimedia Programming Interface 1.0, chapter 2)."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + form + body


PCM = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
EXTENSIBLE = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 48000, 288000, 6, 24, 22, 24, 3) + bytes.fromhex(
    "0100000000001000800000aa00389b71"
)


def wav(*extra: tuple[bytes, bytes], form: bytes = PCM, samples: int = 100, size: int | None = None) -> bytes:
    """Silence, with `extra` chunks between its format and its data."""
    return riff(b"WAVE", (b"fmt ", form), *extra, (b"data", bytes(samples * 2)), size=size)


def remainder(data: bytes, polynomial: int, bits: int) -> int:
    """A cyclic redundancy check, most significant bit first, from zero."""
    register, top = 0, 1 << (bits - 1)
    for byte in data:
        register ^= byte << (bits - 8)
        for _ in range(8):
            register = (register << 1 ^ (polynomial if register & top else 0)) & ((top << 1) - 1)
    return register


def flac_block(kind: int, data: bytes, *, last: bool = False) -> bytes:
    """A metadata block (RFC 9639, 8.1)."""
    return bytes([kind | (0x80 if last else 0)]) + struct.pack(">I", len(data))[1:] + data


PICTURE = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">6I", 0, 1, 1, 24, 0, len(png())) + png()
VENDOR = struct.pack("<I", 4) + b"test" + bytes(4)


def flac(*blocks: bytes, information: bytes = b"", frames: int = 2) -> bytes:
    """Silence in blocks of 192 samples, 16 bits, mono, 44.1 kHz (RFC 9639, 8 and 9), with more `blocks`."""
    rate = (44100 << 44 | 0 << 41 | 15 << 36 | 192 * frames).to_bytes(8, "big")
    information = information or struct.pack(">HH", 192, 192) + bytes(6) + rate + bytes(16)
    data = b"fLaC" + flac_block(0, information) + b"".join(blocks) + flac_block(4, VENDOR, last=True)
    for number in range(frames):
        frame = b"\xff\xf8\x10\0" + chr(number).encode()
        frame += bytes([remainder(frame, 0x07, 8)]) + b"\0\0\0"
        data += frame + struct.pack(">H", remainder(frame, 0x8005, 16))
    return data


def ogg_page(number: int, packet: bytes, *, flags: int = 0, granule: int = 0, version: int = 0) -> bytes:
    """A page of one packet (RFC 3533, 6)."""
    lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
    head = b"OggS" + struct.pack("<BBqII", version, flags, granule, 1, number)
    segments = bytes([len(lacing)]) + lacing
    checksum = remainder(head + bytes(4) + segments + packet, 0x04C11DB7, 32)
    return head + struct.pack("<I", checksum) + segments + packet


OPUS_HEAD = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 312, 48000, 0, 0)
VORBIS_HEAD = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 44100, 0, 80000, 0, 0xB8, 1)
FLAC_HEAD = b"\x7fFLAC\x01\0\0\x01" + flac()[:42]


def ogg(head: bytes = OPUS_HEAD, comment: bytes = b"OpusTags" + VENDOR, *, data: bytes = b"\xf8\xff\xfe") -> bytes:
    """A stream of three pages: identification, comments, data (RFC 7845, 3). Silence in Opus, unless told else."""
    pages = ogg_page(0, head, flags=2), ogg_page(1, comment), ogg_page(2, data, flags=4, granule=960)
    return b"".join(pages)


STEREO, MONO = bytes.fromhex("211004608c1c"), bytes.fromhex("01182007")  # silence, as FFmpeg codes it


def adts(frames: int = 4, *, header: bytes = b"\xff\xf1\x50\x80", data: bytes = STEREO, length: int = 0) -> bytes:
    """Frames of AAC-LC at 44.1 kHz in stereo (ISO/IEC 13818-7, 6.2); `length` is what they say of theirs."""
    first = int.from_bytes(header, "big") << 24 | (length or 7 + len(data)) << 13 | 0x7FF << 2
    return (first.to_bytes(7, "big") + data) * frames


_TITLE = (b"TIT2", b"\0on a < b")
_COVER = (b"APIC", b"\0image/jpeg\0\x03\0" + b"\xff\xd8\xff\xe0" + bytes(9000))
WELL_FORMED = (
    Sample("mp3", MP3, mp3(), None),
    Sample("mp3-with-id3-2.3", MP3, id3(_TITLE) + mp3(), None),
    Sample("mp3-with-id3-2.4", MP3, id3(_TITLE, version=4, padding=100) + mp3(), None),
    Sample("mp3-with-id3-2.2", MP3, id3((b"TT2", b"\0title"), version=2) + mp3(), None),
    Sample("mp3-with-a-cover", MP3, id3(_TITLE, _COVER) + mp3(), None),
    Sample("mp3-with-id3-1", MP3, mp3() + b"TAG" + bytes(125), None),
    Sample("mp3-of-mpeg-2", MP3, mp3(header=b"\xff\xf3\x80\xc4", length=208), None),
    Sample("mp3-beyond-the-front", MP3, mp3(40), None),
    Sample("wav", WAV, wav(), None),
    Sample("wav-of-24-bits", WAV, wav(form=EXTENSIBLE, samples=300), None),
    Sample("wav-with-list", WAV, wav((b"LIST", b"INFOISFT\x06\0\0\0Lavf9\0")), None),
    Sample("wav-with-a-fact", WAV, wav((b"fact", b"\x64\0\0\0"), form=PCM + b"\0\0"), None),
    Sample("wav-odd-chunk", WAV, wav((b"note", b"odd")), None),
    Sample("wav-junk-first", WAV, riff(b"WAVE", (b"JUNK", bytes(28)), (b"fmt ", PCM), (b"data", bytes(20))), None),
    Sample("wav-beyond-the-front", WAV, wav(samples=9000), None),
    Sample("flac", FLAC, flac(), None),
    Sample("flac-with-padding", FLAC, flac(flac_block(1, bytes(8000))), None),
    Sample("flac-with-picture", FLAC, flac(flac_block(6, PICTURE)), None),
    Sample("flac-beyond-the-front", FLAC, flac(frames=700), None),
    Sample("ogg-opus", OGG, ogg(), None),
    Sample(
        "ogg-vorbis", OGG, ogg(VORBIS_HEAD, b"\x03vorbis" + VENDOR + b"\x01", data=b"\x05vorbis" + bytes(300)), None
    ),
    Sample("ogg-flac", OGG, ogg(FLAC_HEAD, flac_block(4, VENDOR, last=True), data=flac()[-11:]), None),
    Sample("ogg-beyond-the-front", OGG, ogg(comment=b"OpusTags" + VENDOR + bytes(9000)), None),
    Sample("aac", AAC, adts(), None),
    Sample("aac-of-mpeg-2", AAC, adts(header=b"\xff\xf9\x50\x80"), None),
    Sample("aac-mono-8-khz", AAC, adts(header=b"\xff\xf1\x6c\x40", data=MONO), None),
    Sample("aac-beyond-the-front", AAC, adts(40, data=STEREO + bytes(390)), None),
)
_SCRIPT = b"<script>alert(1)</script>"
BROKEN = (
    Sample("mp3-sync-alone", MP3, b"\xff\xfb\x90\xc4", MISMATCH),
    Sample("mp3-one-frame-then-anything", MP3, mp3(1) + b"just some words" * 30, MISMATCH),
    Sample("mp3-reserved-version", MP3, mp3(header=b"\xff\xeb\x90\xc4"), MISMATCH),
    Sample("mp3-reserved-layer", MP3, mp3(header=b"\xff\xf9\x90\xc4"), MISMATCH),
    Sample("mp3-bad-bitrate", MP3, mp3(header=b"\xff\xfb\xf0\xc4"), MISMATCH),
    Sample("mp3-reserved-rate", MP3, mp3(header=b"\xff\xfb\x9c\xc4"), MISMATCH),
    Sample("mp3-tag-alone", MP3, id3(_TITLE), MISMATCH),
    Sample("mp3-tag-then-an-executable", MP3, id3(_TITLE) + b"\x7fELF\x02\x01\x01" + bytes(300), MISMATCH),
    Sample("mp3-tag-then-words", MP3, id3(_TITLE) + b"just some words" * 40, MISMATCH),
    Sample("mp3-tag-longer-than-the-file", MP3, id3(_TITLE, size=99_999) + mp3(), MISMATCH),
    Sample("mp3-tag-of-an-odd-size", MP3, b"ID3\x03\0\0\0\0\xff\0" + bytes(300) + mp3(), MISMATCH),
    Sample("mp3-tag-of-version-255", MP3, b"ID3\xff\xff\0\0\0\0\x10" + bytes(16) + mp3(), MISMATCH),
    Sample("flac-behind-id3-called-mp3", MP3, id3(_TITLE) + flac(), MISMATCH),
    Sample("aac-called-mp3", MP3, adts(), MISMATCH),
    Sample("mp3-called-aac", AAC, mp3(), MISMATCH),
    Sample("wav-longer-than-the-file", WAV, wav(size=99_999), MISMATCH),
    Sample("wav-without-format", WAV, riff(b"WAVE", (b"data", bytes(200))), MISMATCH),
    Sample("wav-without-data", WAV, riff(b"WAVE", (b"fmt ", PCM)), MISMATCH),
    Sample("wav-format-too-short", WAV, wav(form=PCM[:10]), MISMATCH),
    Sample("wav-of-no-channels", WAV, wav(form=PCM[:2] + b"\0\0" + PCM[4:]), MISMATCH),
    Sample("avi-called-wav", WAV, riff(b"AVI ", (b"LIST", b"hdrl" + bytes(200))), MISMATCH),
    Sample("wav-header-alone", WAV, wav()[:12], MISMATCH),
    Sample("wav-data-longer-than-the-file", WAV, wav()[:40] + b"\xff\xff\xff\x0f" + wav()[44:], MISMATCH),
    Sample("flac-marker-alone", FLAC, b"fLaC", MISMATCH),
    Sample("flac-without-information", FLAC, b"fLaC" + flac_block(4, VENDOR, last=True) + flac()[-22:], MISMATCH),
    Sample("flac-information-too-short", FLAC, flac(information=bytes(30)), MISMATCH),
    Sample("flac-rate-of-nought", FLAC, flac(information=struct.pack(">HH", 192, 192) + bytes(30)), MISMATCH),
    Sample("flac-blocks-of-nought", FLAC, flac(information=bytes(4) + flac()[12:42]), MISMATCH),
    Sample("flac-then-words", FLAC, flac(frames=0) + b"just some words" * 9, MISMATCH),
    Sample("flac-block-longer-than-the-file", FLAC, flac()[:42] + b"\x04\xff\xff\xff" + flac()[46:], MISMATCH),
    Sample("flac-without-a-frame", FLAC, flac(frames=0), MISMATCH),
    Sample("ogg-capture-alone", OGG, b"OggS", MISMATCH),
    Sample("ogg-of-version-1", OGG, ogg_page(0, OPUS_HEAD, flags=2, version=1) + ogg()[47:], MISMATCH),
    Sample("ogg-that-does-not-begin", OGG, ogg()[47:], MISMATCH),
    Sample("ogg-of-anything", OGG, ogg(b"just some words about nothing", b"and more of them"), MISMATCH),
    Sample("ogg-film", OGG, ogg(b"\x80theora\x03\x02\x01" + bytes(32)), MISMATCH),
    Sample("ogg-false-checksum", OGG, ogg()[:22] + b"\0\0\0\0" + ogg()[26:], MISMATCH),
    Sample("ogg-page-longer-than-the-file", OGG, ogg()[:-3], MISMATCH),
    Sample("ogg-then-words", OGG, ogg_page(0, OPUS_HEAD, flags=2) + b"just some words" * 9, MISMATCH),
    Sample("aac-one-frame-then-anything", AAC, adts(1) + b"just some words", MISMATCH),
    Sample("aac-sync-alone", AAC, b"\xff\xf1\x50\x80", MISMATCH),
    Sample("aac-reserved-rate", AAC, adts(header=b"\xff\xf1\x7c\x80"), MISMATCH),
    Sample("aac-of-another-layer", AAC, adts(header=b"\xff\xf3\x50\x80"), MISMATCH),
    Sample("aac-frame-shorter-than-its-header", AAC, adts(20, data=b"", length=5), MISMATCH),
)  # fmt: skip
POLYGLOTS = (
    Sample("mp3-comment", MP3, id3((b"COMM", b"\0eng\0" + _SCRIPT)) + mp3(), ACTIVE),
    Sample("mp3-padding", MP3, mp3(1)[:100] + _SCRIPT + mp3(1)[125:] + mp3(3), ACTIVE),
    Sample("mp3-comment-utf-16", MP3, id3((b"COMM", b"\x01eng" + "\ufeff<html>".encode("utf-16-le"))) + mp3(), ACTIVE),
    Sample("mp3-page-in-front", MP3, b"<html><!--" + mp3(), ACTIVE),
    Sample("wav-info", WAV, wav((b"LIST", b"INFOICMT" + struct.pack("<I", len(_SCRIPT)) + _SCRIPT)), ACTIVE),
    Sample("wav-script", WAV, b"RIFF/*\0\0" + wav()[8:] + b"*/=1;alert(1)//", ACTIVE),
    Sample("flac-comment", FLAC, flac(flac_block(2, b"test" + _SCRIPT)), ACTIVE),
    Sample("ogg-comment", OGG, ogg(comment=b"OpusTags" + VENDOR + _SCRIPT), ACTIVE),
    Sample("aac-tail", AAC, adts() + b"<html>", ACTIVE),
    Sample("mp3-with-a-zip-behind-it", MP3, mp3() + b"PK\x05\x06" + bytes(18), MISMATCH),
)  # fmt: skip
