"""MP4, QuickTime, WebM and Matroska files, made from their specifications, and what is wrong with some."""

import struct

from tests.content.corpus_pictures import box, ftyp, full_box
from tests.content.corpus_rasters import LOSSY, jpeg
from tests.content.corpus_samples import ACTIVE, M4A, MISMATCH, MKV, MOV, MP4, WEBA, WEBM, Sample

PICTURE = jpeg()
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def movie(frame: bytes, offset: int) -> bytes:
    """The boxes of one track with one sample at `offset` (ISO/IEC 14496-12, 8)."""
    entry = bytes(6) + b"\0\x01" + bytes(16) + b"\0\x01\0\x01\0\x48\0\0\0\x48\0\0" + bytes(4) + b"\0\x01"
    entry += bytes(32) + b"\0\x18\xff\xff"
    samples = box(
        b"stbl",
        full_box(b"stsd", 0, struct.pack(">I", 1), box(b"jpeg", entry)),
        full_box(b"stts", 0, struct.pack(">III", 1, 1, 1000)),
        full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, 1, 1)),
        full_box(b"stsz", 0, struct.pack(">II", len(frame), 1)),
        full_box(b"stco", 0, struct.pack(">II", 1, offset)),
    )
    references = box(b"dinf", full_box(b"dref", 0, struct.pack(">I", 1), box(b"url ", b"\0\0\0\x01")))
    media = box(
        b"mdia",
        full_box(b"mdhd", 0, struct.pack(">IIIIHH", 0, 0, 1000, 1000, 0x55C4, 0)),
        full_box(b"hdlr", 0, bytes(4), b"vide", bytes(13)),
        box(b"minf", box(b"vmhd", b"\0\0\0\x01", bytes(8)), references, samples),
    )
    header = (
        struct.pack(">IIIII", 0, 0, 1, 0, 1000) + bytes(8) + bytes(8) + _MATRIX + struct.pack(">II", 1 << 16, 1 << 16)
    )
    track = box(b"trak", box(b"tkhd", b"\0\0\0\x03", header), media)
    general = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 0x10000, 0x100) + bytes(10) + _MATRIX + bytes(24) + b"\0\0\0\x02"
    return box(b"moov", full_box(b"mvhd", 0, general), track)


def film(*brands: bytes, extra: bytes = b"", frame: bytes = PICTURE, data_first: bool = False) -> bytes:
    """A film of one frame; the first of its brands is the major one, and with none it has no file type box."""
    head = (ftyp(brands[0], *brands) if brands else b"") + extra
    if data_first:
        return head + box(b"mdat", frame) + movie(frame, len(head) + 8)
    return head + movie(frame, len(head) + len(movie(frame, 0)) + 8) + box(b"mdat", frame)


def mp4(*brands: bytes, extra: bytes = b"", frame: bytes = PICTURE, data_first: bool = False) -> bytes:
    """An MP4 (ISO/IEC 14496-14)."""
    return film(*(brands or (b"isom", b"mp41")), extra=extra, frame=frame, data_first=data_first)


def number(value: int, length: int = 8) -> bytes:
    """The size of an EBML element in `length` bytes (RFC 8794, 4)."""
    return (value | 1 << 7 * length).to_bytes(length, "big")


UNKNOWN = b"\x01" + b"\xff" * 7  # a size that is not known when it is written: RFC 8794, 6.2


def element(name: str, *parts: bytes, size: bytes | None = None, length: int = 1) -> bytes:
    """One EBML element; `name` is its ID in hexadecimal digits, `length` the bytes of its size."""
    body = b"".join(parts)
    length = max(length, 1 if len(body) < 127 else 2 if len(body) < 16383 else 8)
    return bytes.fromhex(name) + (number(len(body), length) if size is None else size) + body


def ebml(kind: bytes, *, version: int = 1, before: bytes = b"") -> bytes:
    """The header of an EBML document of this DocType (RFC 8794, 11.2), with `before` it what should not be there."""
    return element(
        "1a45dfa3",
        before,
        element("4286", bytes([version])),
        element("42f7", b"\x01"),
        element("42f2", b"\x04"),
        element("42f3", b"\x08"),
        element("4282", kind),
        element("4287", b"\x04"),
        element("4285", b"\x02"),
    )


def matroska(kind: bytes, *extra: bytes, size: bytes | None = None, title: bytes = b"", clusters: int = 1) -> bytes:
    """A film of one frame a cluster (RFC 9559, 5), with `extra` elements before its clusters."""
    information = element(
        "1549a966", element("2ad7b1", b"\x0f\x42\x40"), element("4d80", b"test"), element("5741", b"t")
    )
    if title:
        information = element("1549a966", element("2ad7b1", b"\x0f\x42\x40"), element("7ba9", title))
    video = element("e0", element("b0", b"\x01"), element("ba", b"\x01"))
    track = element(
        "ae", element("d7", b"\x01"), element("73c5", b"\x01"), element("83", b"\x01"), element("86", b"V_VP8"), video
    )
    cluster = element("1f43b675", element("e7", b"\0"), element("a3", b"\x81\0\0\x80" + LOSSY[20:]))
    body = information, element("1654ae6b", track), *extra, cluster * clusters
    return ebml(kind) + element("18538067", *body, size=size, length=8)


def webm(*extra: bytes, size: bytes | None = None, title: bytes = b"", clusters: int = 1) -> bytes:
    """A WebM file."""
    return matroska(b"webm", *extra, size=size, title=title, clusters=clusters)


def mkv(*extra: bytes, size: bytes | None = None, title: bytes = b"", clusters: int = 1) -> bytes:
    """A Matroska file."""
    return matroska(b"matroska", *extra, size=size, title=title, clusters=clusters)


_FRAGMENTED = (
    ftyp(b"iso5", b"iso5", b"dash")
    + movie(PICTURE, 0)
    + box(b"moof", full_box(b"mfhd", 0, bytes(4)))
    + box(b"mdat", b"x")
)
_SCRIPT = b"<script>alert(1)</script>"
WELL_FORMED = (
    Sample("mp4", MP4, mp4(), None),
    Sample("mp4-brand-mp42", MP4, mp4(b"mp42", b"isom"), None),
    Sample("mp4-by-a-telephone", MP4, mp4(b"mp42", b"isom", b"mp42", data_first=True), None),
    Sample("mp4-with-free-space", MP4, mp4(extra=box(b"free", bytes(99))), None),
    Sample("mp4-fragmented", MP4, _FRAGMENTED, None),
    Sample("mp4-data-first", MP4, mp4(frame=PICTURE + bytes(9000), data_first=True), None),
    Sample("mp4-of-unbounded-data", MP4, mp4()[: -len(box(b"mdat", PICTURE))] + b"\0\0\0\0mdat" + bytes(5000), None),
    Sample("mp4-of-64-bit-sizes", MP4, mp4(extra=b"\0\0\0\x01free\0\0\0\0\0\0\0\x20" + bytes(16)), None),
    Sample("m4a", M4A, mp4(b"M4A ", b"isom", b"mp42"), None),
    Sample("weba", WEBA, webm(), None),
    Sample("mov", MOV, film(b"qt  "), None),
    Sample("mov-with-wide", MOV, film(b"qt  ", extra=box(b"wide")), None),
    Sample("mov-without-a-file-type", MOV, film(), None),
    Sample("mov-of-old-with-wide", MOV, film(extra=box(b"wide"), frame=PICTURE + bytes(9000), data_first=True), None),
    Sample("mov-data-first", MOV, film(b"qt  ", frame=PICTURE + bytes(9000), data_first=True), None),
    Sample("webm", WEBM, webm(), None),
    Sample("webm-of-unknown-size", WEBM, webm(size=UNKNOWN), None),
    Sample("webm-with-void", WEBM, webm(element("ec", bytes(99))), None),
    Sample("webm-beyond-the-front", WEBM, webm(clusters=400), None),
    Sample("mkv", MKV, mkv(), None),
    Sample("mkv-of-unknown-size", MKV, mkv(size=UNKNOWN), None),
    Sample("mkv-with-a-title", MKV, mkv(title=b"on a < b"), None),
    Sample("mkv-beyond-the-front", MKV, mkv(element("ec", bytes(9000))), None),
)  # fmt: skip
_OVERFLOWING = ebml(b"matroska") + element("18538067", b"\x15\x49\xa9\x66\x7f\0" + bytes(9))
BROKEN = (
    Sample("mp4-ftyp-alone", MP4, ftyp(b"isom", b"isom"), MISMATCH),
    Sample("mp4-ftyp-then-nothing", MP4, ftyp(b"isom", b"isom") + bytes(5000), MISMATCH),
    Sample("mp4-ftyp-then-words", MP4, ftyp(b"isom", b"isom") + b"just some words" * 9, MISMATCH),
    Sample("mp4-unknown-brands", MP4, mp4(b"evil", b"xxxx"), MISMATCH),
    Sample("mp4-box-longer-than-the-file", MP4, mp4()[:24] + b"\0\xff\0\0" + mp4()[28:], MISMATCH),
    Sample("mp4-ftyp-of-an-odd-length", MP4, b"\0\0\0\x13ftypisom" + bytes(7) + movie(PICTURE, 0), MISMATCH),
    Sample("mp4-box-of-four-bytes", MP4, ftyp(b"isom", b"isom") + b"\0\0\0\x04free" + movie(PICTURE, 0), MISMATCH),
    Sample("mp4-without-movie", MP4, ftyp(b"isom", b"isom") + box(b"mdat", b"x" * 99), MISMATCH),
    Sample("mov-called-mp4", MP4, film(b"qt  "), MISMATCH),
    Sample("mp4-called-mov", MOV, mp4(), MISMATCH),
    Sample("mov-of-anything", MOV, box(b"wide") + b"just some words" * 9, MISMATCH),
    Sample("mov-of-free-space", MOV, box(b"free", bytes(99)), MISMATCH),
    Sample("webm-header-alone", WEBM, ebml(b"webm"), MISMATCH),
    Sample("webm-header-then-words", WEBM, ebml(b"webm") + b"just some words" * 9, MISMATCH),
    Sample("webm-called-mkv", MKV, webm(), MISMATCH),
    Sample("mkv-called-webm", WEBM, mkv(), MISMATCH),
    Sample("ebml-of-another-kind", MKV, matroska(b"matroska-like"), MISMATCH),
    Sample("mkv-of-ebml-9", MKV, ebml(b"matroska", version=9)[:-3] + b"\x42\x85\x81\x09" + mkv()[40:], MISMATCH),
    Sample("mkv-segment-longer-than-the-file", MKV, mkv(size=number(99_999)), MISMATCH),
    Sample("mkv-element-longer-than-its-segment", MKV, _OVERFLOWING, MISMATCH),
    Sample("mkv-segment-of-words", MKV, ebml(b"matroska") + element("18538067", b"just some words" * 9), MISMATCH),
    Sample("mkv-empty-segment", MKV, ebml(b"matroska") + element("18538067"), MISMATCH),
)  # fmt: skip
POLYGLOTS = (
    Sample("mp4-free-box", MP4, mp4(extra=box(b"free", _SCRIPT)), ACTIVE),
    Sample("mp4-user-data", MP4, mp4(extra=box(b"udta", box(b"\xa9cmt", b"<html>"))), ACTIVE),
    Sample("mov-free-box", MOV, film(b"qt  ", extra=box(b"free", b"<svg onload=alert(1)>")), ACTIVE),
    Sample("webm-void", WEBM, webm(element("ec", _SCRIPT)), ACTIVE),
    Sample("mkv-title", MKV, mkv(title=_SCRIPT), ACTIVE),
    Sample("mkv-page-in-its-header", MKV, ebml(b"matroska", before=element("ec", b"<html>")) + mkv()[40:], ACTIVE),
)  # fmt: skip
