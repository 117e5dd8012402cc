"""ZIP, gzip, 7z and tar files, made from their specifications, and what is wrong with some."""

import gzip
import io
import random
import struct
import tarfile
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from tests.content.corpus_documents import pdf
from tests.content.corpus_rasters import LOSSY, gif, jpeg, png
from tests.content.corpus_samples import (
    ACTIVE,
    BOMB,
    GIF,
    GZIP,
    JPEG,
    MISMATCH,
    PDF,
    PNG,
    SEVEN_ZIP,
    TAR,
    WEBP,
    ZIP,
    Sample,
)

STORED, DEFLATED = 0, 8
_DATE = b"\0\0\x21\0"  # the first of January 1980


def deflate(data: bytes) -> bytes:
    """Raw deflate (RFC 1951), as ZIP holds it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a ZIP (APPNOTE 6.3.10); what is None here is the truth in the file, else what the file says."""

    name: bytes
    data: bytes = b""
    method: int = DEFLATED
    flags: int = 0
    packed: bytes | None = None
    checksum: int | None = None
    packed_size: int | None = None
    size: int | None = None
    local_name: bytes | None = None
    local_extra: bytes = b""
    extra: bytes = b""
    comment: bytes = b""
    attributes: int = 0
    offset: int | None = None
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Pack the data, once."""
        packed = (deflate(self.data) if self.method == DEFLATED else self.data) if self.packed is None else self.packed
        object.__setattr__(self, "body", packed)

    def numbers(self) -> bytes:
        """Flags, method, time, checksum and sizes: the same in both headers."""
        checksum = zlib.crc32(self.data) if self.checksum is None else self.checksum
        packed = len(self.body) if self.packed_size is None else self.packed_size
        size = len(self.data) if self.size is None else self.size
        return struct.pack("<HH4sIII", self.flags, self.method, _DATE, checksum, packed, size)

    def local(self) -> bytes:
        """The local header and the data (4.3.7, 4.3.8), with a data descriptor (4.3.9) if the flags say so."""
        name = self.name if self.local_name is None else self.local_name
        numbers, streamed = self.numbers(), self.flags & 8
        known = numbers[:8] + bytes(12) if streamed else numbers
        head = b"PK\x03\x04\x14\0" + known + struct.pack("<HH", len(name), len(self.local_extra))
        return head + name + self.local_extra + self.body + (b"PK\x07\x08" + numbers[8:] if streamed else b"")

    def entry(self, offset: int) -> bytes:
        """Return the directory's line (4.3.12) for a local header at `offset`."""
        lengths = len(self.name), len(self.extra), len(self.comment), 0, 0
        place = struct.pack("<II", self.attributes, offset if self.offset is None else self.offset)
        head = b"PK\x01\x02\x14\x03\x14\0" + self.numbers() + struct.pack("<HHHHH", *lengths)
        return head + place + self.name + self.extra + self.comment


def zip_end(count: int, size: int, at: int, comment: bytes = b"") -> bytes:
    """The end of central directory record (4.3.16)."""
    return struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, at, len(comment)) + comment


def zip_of(
    *members: Member, comment: bytes = b"", count: int | None = None, gap: bytes = b"", beyond: int = 0
) -> bytes:
    """An archive; `gap` stands before its directory; its end says that it lies `beyond` bytes off, and has `count`."""
    data, directory = b"", b""
    for member in members:
        directory += member.entry(len(data))
        data += member.local()
    data += gap
    said = len(members) if count is None else count
    return data + directory + zip_end(said, len(directory), len(data) + beyond, comment)


def seven_zip(name: str = "a.txt", data: bytes = b"hello", *, beyond: int = 0, checksum: int | None = None) -> bytes:
    """An archive of one stored file (7zFormat.txt); its header lies `beyond` bytes too far."""
    length = b"\xc0" + struct.pack("<H", len(data))  # a number of two bytes more
    folder = b"\x07\x0b\x01\0\x01\x01\0\x0c" + length + b"\x0a\x01" + struct.pack("<I", zlib.crc32(data)) + b"\0"
    streams = b"\x04\x06\0\x01\x09" + length + b"\0" + folder + b"\x08\0\0"
    names = b"\0" + name.encode("utf-16-le") + b"\0\0"
    header = b"\x01" + streams + b"\x05\x01\x11" + bytes([len(names)]) + names + b"\0\0"
    start = struct.pack("<QQI", len(data) + beyond, len(header), zlib.crc32(header))
    said = zlib.crc32(start) if checksum is None else checksum
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", said) + start + data + header


def tar_of(*files: tuple[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these files (POSIX.1, pax: ustar Interchange Format), padded to a record."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def old_tar(
    name: bytes = b"a.txt", data: bytes = b"hello", *, size: bytes = b"", checksum: bytes = b"", devices: bytes = b""
) -> bytes:
    """An archive of the seventh edition of Unix: no magic, and only the checksum tells it."""
    numbers = b"0000644\0" + b"0000000\0" * 2 + (size or b"%011o\0" % len(data)) + b"00000000000\0"
    head, rest = name.ljust(100, b"\0") + numbers, bytes(329 - 156) + devices.ljust(512 - 329, b"\0")
    said = checksum or b"%06o\0 " % sum(head + b" " * 8 + rest)
    return head + said + rest + data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(1024)


def gzip_of(
    data: bytes, *, name: bytes = b"", comment: bytes = b"", extra: bytes = b"", checked: bool = False
) -> bytes:
    """A gzip member (RFC 1952, 2.3) with these optional fields."""
    flags = bool(checked) << 1 | bool(extra) << 2 | bool(name) << 3 | bool(comment) << 4
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\0\xff"
    head += struct.pack("<H", len(extra)) + extra if extra else b""
    head += b"".join(text + b"\0" for text in (name, comment) if text)
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if checked else b""
    return head + deflate(data) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


_PACKER = zlib.compressobj(9, zlib.DEFLATED, -15)
_MIB_OF_ZEROS = _PACKER.compress(bytes(2**20)) + _PACKER.flush(zlib.Z_FULL_FLUSH)
_NO_MORE = b"\x03\0"  # an empty last block (RFC 1951, 3.2.6)


def zeros(name: bytes, mebibytes: int, checksum: int = 0) -> Member:
    """So many MiB of zeros, without deflating so many; the checksum is not worth the time that it takes."""
    return Member(name, packed=_MIB_OF_ZEROS * mebibytes + _NO_MORE, checksum=checksum, size=mebibytes << 20)


CRC_300 = 0x6DFB08C4
ZEROS_300 = zeros(b"media/zeros", 300, CRC_300)


def overlapping(count: int, mebibytes: int) -> bytes:
    """A ZIP whose members all share one kernel of zeros (Fifield, "A better zip bomb", WOOT 2019).

    Each member but the last begins with a stored block of deflate (RFC 1951, 3.2.4), which quotes the next header.
    """
    member = zeros(b"%04d" % (count - 1), mebibytes)
    members = [member]
    for index in reversed(range(count - 1)):
        header = member.local()[:34]
        quoted = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF) + header
        size = (member.size or 0) + len(header)
        member = Member(b"%04d" % index, packed=quoted + member.body, checksum=0, size=size)
        members.append(member)
    data = member.local()
    directory = b"".join(found.entry(39 * index) for index, found in enumerate(reversed(members)))
    return data + directory + zip_end(count, len(directory), len(data))


NOISE = random.Random(9).randbytes(9000)  # noqa: S311 - bytes that no packer makes smaller, and the same each time


_SCRIPT = b"<script>alert(1)</script>"
_PAGE = b"<!DOCTYPE html><html><body>hello</body></html>\n"
_TEXT = Member(b"a.txt", b"hello " * 20)
_WORDS = b"words that come again and again, as words do. " * 400
_LINK = Member(b"a", b"/etc", STORED, attributes=0o120777 << 16)
_SIXTY_FOUR = Member(
    b"a.txt",
    b"hello",
    STORED,
    packed_size=0xFFFFFFFF,
    size=0xFFFFFFFF,
    local_extra=struct.pack("<HHQQ", 1, 16, 5, 5),
    extra=struct.pack("<HHQQ", 1, 16, 5, 5),
)
_TERABYTE = replace(
    _SIXTY_FOUR,
    method=DEFLATED,
    packed=_NO_MORE,
    local_extra=struct.pack("<HHQQ", 1, 16, 2**40, 2),
    extra=struct.pack("<HHQQ", 1, 16, 2**40, 2),
)
_ZEROS_PACKED = gzip_of(b"")[:10] + ZEROS_300.body + struct.pack("<II", CRC_300, 300 << 20)
_INNER = zip_of(Member(b"0.dll", bytes(99_999)))
_MANY = tuple(Member(b"folder/file-%04d.txt" % number, b"x" * 20, STORED) for number in range(1500))
WELL_FORMED = (
    Sample("zip", ZIP, zip_of(_TEXT), None),
    Sample("zip-of-nothing", ZIP, zip_of(), None),
    Sample("zip-stored", ZIP, zip_of(Member(b"a.txt", b"hello", STORED)), None),
    Sample(
        "zip-of-a-folder", ZIP, zip_of(Member(b"a/", method=STORED, attributes=16), Member(b"a/b.txt", b"hello")), None
    ),
    Sample("zip-of-names-in-utf-8", ZIP, zip_of(Member("Zoë.txt".encode(), b"hello", flags=1 << 11)), None),
    Sample(
        "zip-streamed", ZIP, zip_of(Member(b"a.txt", b"hello " * 20, flags=8), Member(b"b.txt", b"more", flags=8)), None
    ),
    Sample("zip-with-64-bit-sizes", ZIP, zip_of(_SIXTY_FOUR), None),
    Sample("zip-with-a-comment", ZIP, zip_of(_TEXT, comment=b"made on a < b"), None),
    Sample("zip-of-many", ZIP, zip_of(*_MANY), None),
    Sample("zip-that-packs-well", ZIP, zip_of(Member(b"a.txt", bytes(400_000))), None),
    Sample("zip-beyond-the-front", ZIP, zip_of(Member(b"a", NOISE, STORED), _TEXT), None),
    Sample("zip-of-a-web-page", ZIP, zip_of(Member(b"index.html", _PAGE, STORED)), None),
    Sample("zip-of-a-script", ZIP, zip_of(Member(b"run.sh", b"#!/bin/sh\necho hello\n", STORED)), None),
    Sample("gzip", GZIP, gzip_of(b"hello"), None),
    Sample("gzip-by-python", GZIP, gzip.compress(_WORDS, mtime=0), None),
    Sample("gzip-with-a-name", GZIP, gzip_of(b"hello", name=b"a.txt"), None),
    Sample(
        "gzip-with-all-fields", GZIP, gzip_of(b"a", name=b"a", comment=b"b", extra=b"xy\x02\0ab", checked=True), None
    ),
    Sample("gzip-of-nothing", GZIP, gzip_of(b""), None),
    Sample("gzip-of-two", GZIP, gzip_of(b"hello") + gzip_of(b"again"), None),
    Sample("gzip-beyond-the-front", GZIP, gzip_of(NOISE), None),
    Sample("gzip-of-a-tar", GZIP, gzip_of(tar_of(("a.txt", b"hello"))), None),
    Sample("7z", SEVEN_ZIP, seven_zip(), None),
    Sample("7z-of-nothing", SEVEN_ZIP, b"7z\xbc\xaf\x27\x1c\0\x04\x8d\x9b\xd5\x0f" + bytes(20), None),
    Sample("7z-beyond-the-front", SEVEN_ZIP, seven_zip(data=NOISE), None),
    Sample("tar", TAR, tar_of(("a.txt", b"hello")), None),
    Sample("tar-by-gnu", TAR, tar_of(("a.txt", b"hello"), form=tarfile.GNU_FORMAT), None),
    Sample("tar-by-pax", TAR, tar_of(("Zoë/" + "long " * 50, b"hello"), form=tarfile.PAX_FORMAT), None),
    Sample("tar-of-old", TAR, old_tar(), None),
    Sample("tar-of-old-by-gnu", TAR, old_tar(devices=b"0000000\0" * 2), None),
    Sample("tar-of-two", TAR, tar_of(("a.txt", b"hello"), ("b.txt", b"more" * 200)), None),
    Sample("tar-beyond-the-front", TAR, tar_of(("a.txt", bytes(9000)), ("b.txt", b"more")), None),
    Sample("tar-of-a-web-page", TAR, tar_of(("index.html", _PAGE)), None),
    Sample("tar-of-a-script", TAR, tar_of(("run.sh", b"#!/bin/sh\necho hello\n")), None),
)


def lying(**lies: Any) -> bytes:  # noqa: ANN401 - as many types as a member has fields
    """An archive of one stored file, with what its headers say instead of the truth."""
    return zip_of(replace(Member(b"a.txt", b"hello", STORED), **lies))


_NAMES = {
    "leads-out": b"../../etc/cron.d/x",
    "leads-out-within": b"a/../../x",
    "absolute": b"/etc/passwd",
    "of-windows": b"..\\..\\x",
    "with-a-drive": b"C:/x",
    "with-nul": b"a.txt\0.exe",
    "empty": b"",
    "with-a-line": b"a\nb",
}
_ZIP = zip_of(_TEXT)
_TWO = zip_of(Member(b"a.txt", b"hello", STORED), Member(b"b.txt", b"again", STORED))
BROKEN = (
    *(Sample(f"zip-name-{kind}", ZIP, zip_of(Member(name, b"x")), MISMATCH) for kind, name in _NAMES.items()),
    Sample("zip-of-one-name-twice", ZIP, zip_of(_TEXT, _TEXT), MISMATCH),
    Sample("zip-through-a-link", ZIP, zip_of(_LINK, Member(b"a/x", b"x")), MISMATCH),
    Sample("zip-without-its-end", ZIP, _ZIP[:-22], MISMATCH),
    Sample("zip-end-cut", ZIP, _ZIP[:-1], MISMATCH),
    Sample("zip-header-alone", ZIP, _ZIP[:30], MISMATCH),
    Sample("zip-end-alone-of-one", ZIP, zip_end(1, 46, 0), MISMATCH),
    Sample("zip-behind-an-executable", ZIP, b"MZ" + bytes(300) + _ZIP, MISMATCH),
    Sample("zip-behind-words", ZIP, b"just some words\n" + _ZIP, MISMATCH),
    Sample("zip-before-words", ZIP, _ZIP + b"just some words", MISMATCH),
    Sample("zip-of-another-count", ZIP, zip_of(_TEXT, count=2), MISMATCH),
    Sample("zip-count-too-low", ZIP, zip_of(_TEXT, Member(b"b", b"x"), count=1), MISMATCH),
    Sample("zip-directory-elsewhere", ZIP, zip_of(_TEXT, beyond=7), MISMATCH),
    Sample("zip-directory-beyond-the-file", ZIP, zip_of(_TEXT, beyond=99_999), MISMATCH),
    Sample("zip-with-a-gap", ZIP, zip_of(_TEXT, gap=bytes(70_000)), MISMATCH),
    Sample("zip-of-two-names", ZIP, lying(local_name=b"b.txt"), MISMATCH),
    Sample("zip-larger-than-it-says", ZIP, lying(size=4), MISMATCH),
    Sample("zip-longer-than-the-file", ZIP, lying(packed_size=99_999, size=99_999), MISMATCH),
    Sample("zip-offset-beyond-the-file", ZIP, lying(offset=99_999), MISMATCH),
    Sample("zip-offset-to-nothing", ZIP, lying(offset=3), MISMATCH),
    Sample("zip-of-one-place-twice", ZIP, zip_of(_TEXT, Member(b"b.txt", b"hello " * 20, offset=0)), MISMATCH),
    Sample("zip-hidden-member", ZIP, _TWO.replace(b"PK\1\2", b"PK\1\3", 1), MISMATCH),
    Sample("zip-of-an-unknown-method", ZIP, lying(method=77), MISMATCH),
    Sample("zip-on-two-disks", ZIP, _ZIP[:-18] + b"\1\0\1\0" + _ZIP[-14:], MISMATCH),
    Sample("zip-with-an-end-in-its-comment", ZIP, zip_of(_TEXT, comment=zip_end(0, 0, 0)), MISMATCH),
    Sample("gzip-header-alone", GZIP, gzip_of(b"hello")[:10], MISMATCH),
    Sample("gzip-cut", GZIP, gzip_of(_WORDS)[:-20], MISMATCH),
    Sample("gzip-of-another-method", GZIP, b"\x1f\x8b\x07" + gzip_of(b"hello")[3:], MISMATCH),
    Sample("gzip-reserved-flags", GZIP, b"\x1f\x8b\x08\xe0" + gzip_of(b"hello")[4:], MISMATCH),
    Sample("gzip-of-words", GZIP, b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"just some words" * 9, MISMATCH),
    Sample("gzip-of-another-length", GZIP, gzip_of(_WORDS)[:-4] + b"\xff\xff\xff\x7f", MISMATCH),
    Sample("gzip-of-another-checksum", GZIP, gzip_of(b"hello")[:-8] + bytes(4) + gzip_of(b"hello")[-4:], MISMATCH),
    # "No additional information before, between, or after" its members: RFC 1952, 2.2
    Sample("gzip-then-words", GZIP, gzip_of(b"hello") + b"just some words", MISMATCH),
    Sample("gzip-second-member-cut", GZIP, gzip_of(b"hello") + gzip_of(b"again")[:-2], MISMATCH),
    Sample("gzip-name-without-end", GZIP, b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"a" * 300, MISMATCH),
    Sample("compress-called-gzip", GZIP, b"\x1f\x9d\x90" + bytes(300), MISMATCH),
    Sample("7z-signature-alone", SEVEN_ZIP, seven_zip()[:6], MISMATCH),
    Sample("7z-header-alone", SEVEN_ZIP, seven_zip()[:32], MISMATCH),
    Sample("7z-cut", SEVEN_ZIP, seven_zip()[:-1], MISMATCH),
    Sample("7z-false-checksum", SEVEN_ZIP, seven_zip(checksum=0), MISMATCH),
    Sample("7z-header-beyond-the-file", SEVEN_ZIP, seven_zip(beyond=99), MISMATCH),
    Sample("7z-of-version-9", SEVEN_ZIP, seven_zip()[:6] + b"\x09" + seven_zip()[7:], MISMATCH),
    Sample("tar-false-checksum", TAR, old_tar(checksum=b"000000\0 "), MISMATCH),
    Sample("tar-of-an-odd-size", TAR, old_tar(size=b"99999999999\0"), MISMATCH),
    Sample("tar-longer-than-the-file", TAR, old_tar(size=b"00077777777\0"), MISMATCH),
    Sample("tar-header-cut", TAR, old_tar()[:500], MISMATCH),
    Sample("tar-of-anything", TAR, b"just some words" * 90, MISMATCH),
    Sample("tar-second-header-false", TAR, old_tar()[:1024] + b"x" * 512 + bytes(1024), MISMATCH),
)  # fmt: skip
BOMBS = (
    Sample("zip-of-300-mib-of-zeros", ZIP, zip_of(ZEROS_300), BOMB),
    Sample("zip-of-many-like-that", ZIP, zip_of(*(zeros(b"%02d" % n, 2) for n in range(40))), BOMB),
    Sample("zip-behind-a-large-member", ZIP, zip_of(zeros(b"a", 150), Member(b"b", _SCRIPT)), BOMB),
    Sample("zip-of-a-terabyte", ZIP, zip_of(_TERABYTE), BOMB),
    Sample("gzip-of-300-mib-of-zeros", GZIP, _ZEROS_PACKED, BOMB),
    Sample("zip-of-zips", ZIP, zip_of(*(Member(b"lib %x.zip" % n, _INNER) for n in range(16))), BOMB),
    Sample("zip-in-a-zip", ZIP, zip_of(Member(b"a.zip", zip_of(_TEXT), STORED)), BOMB),
    Sample("zip-of-a-tar-gz", ZIP, zip_of(Member(b"a.tar.gz", gzip_of(tar_of(("a", b"x"))), STORED)), BOMB),
    Sample("zip-of-overlapping-members", ZIP, overlapping(250, 4), MISMATCH),
    Sample("zip-of-two-overlapping-members", ZIP, overlapping(2, 1), MISMATCH),
)  # fmt: skip
_PICTURES = {PNG: png(), JPEG: jpeg(), GIF: gif(), WEBP: LOSSY}
POLYGLOTS = (
    # What decoders show ends before the ZIP; a WebP tells its length, and ends with its file.
    *(
        Sample("zip-behind-it", kind, picture + _ZIP, MISMATCH if kind == WEBP else None)
        for kind, picture in _PICTURES.items()
    ),
    *(Sample(f"zip-behind-{kind}", ZIP, picture + _ZIP, MISMATCH) for kind, picture in _PICTURES.items()),
    Sample("zip-behind-it", PDF, pdf() + _ZIP, None),
    Sample("zip-behind-pdf", ZIP, pdf() + _ZIP, MISMATCH),
    Sample("pdf-in-a-zip", PDF, zip_of(Member(b"a.pdf", pdf(), STORED)), MISMATCH),
    Sample("zip-page-in-front", ZIP, b"<html><!--" + _ZIP, ACTIVE),
    Sample("zip-comment-svg", ZIP, zip_of(_TEXT, comment=b"<svg onload=alert(1)>"), ACTIVE),
    Sample("zip-name-script", ZIP, zip_of(Member(_SCRIPT.replace(b"/", b""), b"x")), ACTIVE),
    Sample("gzip-tail", GZIP, gzip_of(b"hello") + _SCRIPT, ACTIVE),
    Sample("gzip-name-script", GZIP, gzip_of(b"hello", name=_SCRIPT), ACTIVE),
    Sample("gzip-comment-page", GZIP, gzip_of(b"hello", comment=b"<html>"), ACTIVE),
    Sample("tar-name-script", TAR, old_tar(name=b"<script>alert(1)<"), ACTIVE),
    Sample("7z-tail", SEVEN_ZIP, seven_zip() + _SCRIPT, ACTIVE),
)  # fmt: skip
