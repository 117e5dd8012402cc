"""Packed files: gzip, 7z and tar, as far as front and end tell."""

import gzip
import io
import random
import struct
import tarfile
import zlib
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, objection
from gateway.errors import Code
from tests.content.judging import judged

GZIP, SEVEN_ZIP, TAR = "application/gzip", "application/x-7z-compressed", "application/x-tar"
TOO_LARGE, MISMATCH, ACTIVE = Code.ARCHIVE_TOO_LARGE, Code.CONTENT_MISMATCH, Code.ACTIVE_CONTENT
NOISE = random.Random(15).randbytes(9000)  # noqa: S311 - bytes that no packer makes smaller, and the same each time
HELLO = gzip.compress(b"hello " * 50, mtime=0)


def with_fields(flags: int, fields: bytes) -> bytes:
    """Put optional fields into a gzip header."""
    return HELLO[:3] + bytes([flags]) + HELLO[4:10] + fields + HELLO[10:]


def checked(content: bytes, length: int) -> bytes:
    """Write the checksum of a gzip header of that length behind it."""
    return content[:length] + struct.pack("<H", zlib.crc32(content[:length]) & 0xFFFF) + content[length:]


@pytest.mark.parametrize(
    "content",
    [
        HELLO,
        gzip.compress(b""),
        gzip.compress(NOISE),
        gzip.compress(bytes(1_000_000)),
        HELLO + HELLO,
        HELLO + bytes(300),
        with_fields(1, b""),
        with_fields(4, b"\4\0ab\0\0"),
        with_fields(8, b"a.txt\0"),
        with_fields(16, b"words\0"),
        with_fields(28, b"\0\0a.txt\0words\0"),
        checked(with_fields(10, b"a.txt\0"), 16),
    ],
    ids=range(12),
)
def test_gzip_has_a_header_with_some_fields_and_then_deflated_bytes(content: bytes) -> None:
    assert judged(GZIP, content) is None


@pytest.mark.threat(12)
def test_gzip_cut_anywhere_is_none_as_long_as_it_is_in_view() -> None:
    for content in (HELLO, with_fields(28, b"\0\0a.txt\0words\0")):
        for length in range(len(content)):
            assert judged(GZIP, content[:length]) is MISMATCH, length


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8b\x07" + HELLO[3:],
        with_fields(0x20, b""),
        with_fields(8, b"a" * 5000),  # a name without an end
        with_fields(4, b"\xff\xff" + bytes(0xFFFF)),  # a field that ends out of view
        checked(with_fields(10, b"a.txt\0"), 15),
        HELLO[:10] + b"\7" + NOISE,  # a reserved kind of block
        HELLO[:-8] + bytes(4) + HELLO[-4:],  # another checksum
        HELLO[:-1] + b"\1",  # another length
        HELLO + b"words",
        HELLO + HELLO[:-1],
        b"just some words " * 9,
    ],
    ids=range(11),
)
def test_what_does_not_unpack_is_no_gzip(content: bytes) -> None:
    assert judged(GZIP, content) is MISMATCH


@pytest.mark.threat(14)
def test_gzip_tells_at_its_end_what_it_unpacks_to() -> None:
    assert judged(GZIP, gzip.compress(bytes(2**20))) is None
    assert judged(GZIP, gzip.compress(bytes(2**20 + 1))) is TOO_LARGE
    content = gzip.compress(NOISE)
    assert judged(GZIP, content, unpacked_limit=9000) is None
    assert judged(GZIP, content, unpacked_limit=8999) is TOO_LARGE
    assert judged(GZIP, content[:-4] + b"\xff\xff\xff\xff") is TOO_LARGE


@pytest.mark.threat(8)
def test_markup_in_the_header_of_gzip_is_active_and_behind_it_it_is_packed() -> None:
    assert judged(GZIP, with_fields(8, b"<svg onload=alert(1)>\0")) is ACTIVE
    assert judged(GZIP, with_fields(16, b"<script>\0")) is ACTIVE
    assert judged(GZIP, b"<html>" + HELLO) is ACTIVE
    assert judged(GZIP, gzip.compress(b"<html><script>", 0)) is None


def seven_zip(header: bytes = b"\x01\0", data: bytes = b"data", extra: bytes = b"") -> bytes:
    """What begins and ends like 7z."""
    start = struct.pack("<QQI", len(data), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + data + header + extra


@pytest.mark.threat(12)
def test_7z_begins_with_a_true_checksum_and_ends_with_its_header() -> None:
    assert judged(SEVEN_ZIP, seven_zip()) is None
    assert judged(SEVEN_ZIP, seven_zip(data=NOISE)) is None
    for length in range(len(seven_zip())):
        assert judged(SEVEN_ZIP, seven_zip()[:length]) is MISMATCH, length
    for place in range(32):
        damaged = bytearray(seven_zip())
        damaged[place] ^= 0x80
        # The minor version is anything, and so is the start of what the checksum does not cover.
        assert judged(SEVEN_ZIP, bytes(damaged)) is (None if place == 7 else MISMATCH), place
    assert judged(SEVEN_ZIP, seven_zip(extra=b"x")) is MISMATCH
    assert judged(SEVEN_ZIP, seven_zip(extra=b"<script>")) is ACTIVE


@pytest.mark.threat(14)
def test_no_7z_is_scanned_since_clamd_cannot_look_into_each() -> None:
    for content in (seven_zip(), seven_zip(data=NOISE)):
        assert judged(SEVEN_ZIP, content, unpacked_limit=2**40) is TOO_LARGE
    assert judged(SEVEN_ZIP, seven_zip(extra=b"x"), unpacked_limit=2**40) is MISMATCH


def tarred(*files: tuple[str, bytes], form: int = tarfile.PAX_FORMAT, kind: bytes = tarfile.REGTYPE) -> bytes:
    """An archive of these files as Python's tarfile writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


PLAIN = tarred(("a.txt", b"hello"), ("b.txt", b"again"))


def summed(content: bytes, at: int = 0) -> bytes:
    """Make the checksum of a header true again."""
    blank = content[at : at + 148] + b" " * 8 + content[at + 156 : at + 512]
    return content[:at] + blank[:148] + b"%06o\0 " % sum(blank) + blank[156:] + content[at + 512 :]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        tarred(("a.txt", b"hello"), form=tarfile.USTAR_FORMAT),
        tarred(("a.txt", b"hello"), ("b" * 200, b"long name"), form=tarfile.GNU_FORMAT),
        tarred(("ä" * 200, b"long name")),
        tarred(("a.txt", b""), ("b.txt", b"x" * 512), ("c.txt", b"x" * 513)),
        tarred(("a.bin", NOISE), ("b.txt", b"out of view")),
        tarred(("a", b""), form=tarfile.GNU_FORMAT, kind=tarfile.DIRTYPE),
        summed(PLAIN[:257] + bytes(255) + PLAIN[512:]),  # of the seventh edition of Unix
        summed(PLAIN[:124] + b"\x80" + bytes(10) + b"\5" + PLAIN[136:]),  # a length in binary
        summed(PLAIN[:124] + b"         5 \0" + PLAIN[136:]),
        PLAIN[:2048] + bytes(1024),  # not filled up
        summed(PLAIN[:156] + b"S" + PLAIN[157:512]) + b"a map of the holes".ljust(512) + PLAIN[1024:],
    ],
    ids=range(12),
)
def test_tar_is_headers_with_true_checksums_in_whole_blocks_and_two_of_zeros(content: bytes) -> None:
    assert judged(TAR, content) is None
    assert judged(TAR, content, unpacked_limit=1) is None  # no more than its own bytes


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(10_240),
        PLAIN[:2048],
        PLAIN[:2048] + bytes(512),
        PLAIN + b"\0",
        PLAIN[:-1] + b"x",
        b"x" + PLAIN[1:],
        PLAIN[:148] + bytes(8) + PLAIN[156:],
        PLAIN[:1024] + b"x" + PLAIN[1025:],
        summed(PLAIN[:257] + b"USTAR\0" + PLAIN[263:]),
        summed(PLAIN[:124] + b"99999999999\0" + PLAIN[136:]),
        summed(PLAIN[:124] + b"00000077777\0" + PLAIN[136:]),
        summed(PLAIN[:124] + b"\x80" + b"\xff" * 11 + PLAIN[136:]),
        b"just some words " * 640,
    ],
    ids=range(14),
)
def test_anything_else_is_no_tar(content: bytes) -> None:
    assert judged(TAR, content) is MISMATCH


@pytest.mark.threat(12)
def test_a_tar_cut_anywhere_is_none() -> None:
    content = PLAIN[:2048] + bytes(1024)
    for length in range(len(content)):
        assert judged(TAR, content[:length]) is MISMATCH, length


@pytest.mark.threat(8)
def test_a_name_does_not_make_markup_of_a_tar() -> None:
    assert judged(TAR, tarred(("<html>", b"hello"), form=tarfile.USTAR_FORMAT)) is ACTIVE
    assert judged(TAR, tarred(("<script>alert(1)", b"hello"), form=tarfile.USTAR_FORMAT)) is ACTIVE
    assert judged(TAR, tarred(("index.html", b"<html><script>"))) is None


@pytest.mark.threat(14)
@given(
    media_type=st.sampled_from([GZIP, SEVEN_ZIP, TAR]),
    content=st.sampled_from([HELLO, with_fields(28, b"\0\0a\0b\0"), seven_zip(), PLAIN[:2048] + bytes(1024)]),
    at=st.integers(min_value=0),
    patch=st.binary(max_size=16),
    extra=st.integers(0, 2**40),
    limit=st.none() | st.integers(0),
)
def test_no_damage_makes_it_raise(  # noqa: PLR0913, PLR0917 - hypothesis passes by name
    media_type: str, content: bytes, at: int, patch: bytes, extra: int, limit: int | None
) -> None:
    at %= len(content)
    damaged = content[:at] + patch + content[at + len(patch) :]
    front, end = damaged[:FRONT_BYTES], damaged[-MEDIA_TYPES[media_type].end_bytes or len(damaged) :]
    for size in (len(damaged), len(damaged) + extra):
        code = objection(MEDIA_TYPES[media_type], front, size, end, unpacked_limit=limit)
        assert code in {None, MISMATCH, TOO_LARGE, ACTIVE}


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (GZIP, gzip.compress(bytes(3_900_000))),
        (GZIP, gzip.compress(b"") * 200),
        (GZIP, gzip.compress(bytes(4_000_000)) * 2),
        (TAR, tarred(*((f"{number}", b"") for number in range(9)), form=tarfile.USTAR_FORMAT)),
    ],
)
@pytest.mark.usefixtures("untraced")
def test_nothing_takes_long(media_type: str, content: bytes) -> None:
    """The worst of these took 0.15 ms where it was measured; unpacking all of it would be twenty times that."""
    assert min(timed(media_type, content) for _ in range(5)) < 0.005


def timed(media_type: str, content: bytes) -> float:
    start = perf_counter()
    judged(media_type, content)
    return perf_counter() - start
