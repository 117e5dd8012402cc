"""ZIP archives: what their directory has to tell, and what nobody may hide from a reader or from a scanner."""

import io
import random
import struct
import zipfile
import zlib
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.archives import HARMLESS, MAX_RATIO
from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, objection
from gateway.content.zip_directory import END_BYTES
from gateway.errors import Code
from tests.content.judging import judged, zipped

ZIP = "application/zip"
TOO_LARGE, MISMATCH, ACTIVE = Code.ARCHIVE_TOO_LARGE, Code.CONTENT_MISMATCH, Code.ACTIVE_CONTENT
NOISE = random.Random(14).randbytes(700_000)  # noqa: S311 - bytes that no packer makes smaller, and the same each time
PLAIN = zipped({"a.txt": b"hello " * 20, "b/c.txt": b"more"})
LOCAL, CENTRAL = b"PK\3\4", b"PK\1\2"
LOCAL_SIZES, CENTRAL_SIZES = 18, 20  # where the packed and then the unpacked size stand in each header
FLAGS = {LOCAL: 6, CENTRAL: 8}
METHODS = {LOCAL: 8, CENTRAL: 10}


def patched(content: bytes, record: bytes, offset: int, value: bytes, *, number: int = 0) -> bytes:
    """Write `value` at `offset` of the record with that signature, of which it is the one with that number."""
    at = -1
    for _ in range(number + 1):
        at = content.index(record, at + 1)
    at += offset
    return content[:at] + value + content[at + len(value) :]


def packed_zeros(mebibytes: int, tail: bytes = b"") -> tuple[bytes, int]:
    """Return so many MiB of zeros and then the tail, deflated, and how many bytes they are."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return one * mebibytes + packer.compress(tail) + packer.flush(), (mebibytes << 20) + len(tail)


def bomb(mebibytes: int, tail: bytes = b"", name: str = "zeros") -> bytes:
    """An archive of one member of so many MiB of zeros, and then the tail."""
    packed, unpacked = packed_zeros(mebibytes, tail)
    content = zipped({zipfile.ZipInfo(name): packed})  # stored, and then called deflated
    for record, sizes in ((LOCAL, LOCAL_SIZES), (CENTRAL, CENTRAL_SIZES)):
        content = patched(content, record, METHODS[record], struct.pack("<H", 8))
        content = patched(content, record, sizes, struct.pack("<II", len(packed), unpacked))
    return content


@pytest.mark.threat(14)
def test_an_archive_of_three_hundred_mebibytes_of_zeros_is_too_large() -> None:
    content = bomb(300)
    assert len(content) < 400_000
    assert judged(ZIP, content) is TOO_LARGE
    assert judged(ZIP, content, unpacked_limit=2**30) is TOO_LARGE


@pytest.mark.threat(14)
def test_nothing_lies_behind_more_zeros_than_a_scanner_looks_at() -> None:
    """150 MiB of zeros and then malware: clamd cuts the member off at its limit, and calls the rest clean."""
    assert judged(ZIP, bomb(150, b"malware")) is TOO_LARGE
    stored = zipped({"zeros": bytes(600_000), "noise": NOISE}, zipfile.ZIP_STORED)
    assert judged(ZIP, stored, unpacked_limit=1_300_000) is None
    assert judged(ZIP, stored, unpacked_limit=1_299_999) is TOO_LARGE
    assert judged(ZIP, stored) is None


@pytest.mark.threat(14)
def test_a_member_may_be_packed_a_hundredfold_and_what_is_small_as_well_as_it_can() -> None:
    assert judged(ZIP, zipped({"a": bytes(HARMLESS)})) is None
    assert judged(ZIP, zipped({"a": bytes(HARMLESS + 1)})) is TOO_LARGE
    packed = HARMLESS // MAX_RATIO + 1
    content = zipped({"a": NOISE[:packed]}, zipfile.ZIP_STORED)
    for record, sizes in ((LOCAL, LOCAL_SIZES), (CENTRAL, CENTRAL_SIZES)):
        content = patched(content, record, METHODS[record], struct.pack("<H", 8))
        content = patched(content, record, sizes + 4, struct.pack("<I", packed * MAX_RATIO))
    assert judged(ZIP, content) is None
    for record, sizes in ((LOCAL, LOCAL_SIZES), (CENTRAL, CENTRAL_SIZES)):
        content = patched(content, record, sizes + 4, struct.pack("<I", packed * MAX_RATIO + 1))
    assert judged(ZIP, content) is TOO_LARGE


@pytest.mark.threat(14)
def test_many_small_bombs_are_one() -> None:
    assert judged(ZIP, zipped({f"{number}": bytes(2**19) for number in range(2)})) is None
    assert judged(ZIP, zipped({f"{number}": bytes(2**19) for number in range(3)})) is TOO_LARGE


@pytest.mark.threat(14)
def test_one_large_member_does_not_hide_behind_noise() -> None:
    packed, unpacked = packed_zeros(3)
    content = zipped({zipfile.ZipInfo("noise"): NOISE, zipfile.ZipInfo("zeros"): packed})
    for record, sizes in ((LOCAL, LOCAL_SIZES), (CENTRAL, CENTRAL_SIZES)):
        content = patched(content, record, METHODS[record], struct.pack("<H", 8), number=1)
        content = patched(content, record, sizes + 4, struct.pack("<I", unpacked), number=1)
    assert len(content) * MAX_RATIO > unpacked
    assert judged(ZIP, content) is TOO_LARGE


@pytest.mark.threat(14)
def test_fifteen_hundred_files_are_fine_and_a_directory_out_of_view_is_too_large() -> None:
    def files(count: int) -> bytes:
        return zipped({f"folder/file-{number:05}.txt": b"x" * 60 for number in range(count)}, zipfile.ZIP_STORED)

    entry = 46 + len("folder/file-00000.txt")
    fitting = (END_BYTES - 22) // entry
    assert judged(ZIP, files(1500)) is None
    assert judged(ZIP, files(fitting)) is None
    assert judged(ZIP, files(fitting + 1)) is TOO_LARGE


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    "name", ["a.zip", "A.ZIP", "lib/b.jar", "c.7z", "d.tar.gz", "d.tgz", "e.rar", "f.iso", "g.apk", "h.whl", "i.xz"]
)
def test_what_an_archive_within_unpacks_to_is_hidden(name: str) -> None:
    assert judged(ZIP, zipped({"a.txt": b"hello", name: b"whatever it is"})) is TOO_LARGE


@pytest.mark.parametrize("name", ["zip", "a.zip/b.txt", "a.zip.txt", "report.docx", "book.epub", "a.gzip.md", "z/a.b"])
def test_documents_are_put_into_archives_and_so_are_names_that_only_sound_like_one(name: str) -> None:
    assert judged(ZIP, zipped({name: b"hello"})) is None


@pytest.mark.threat(14)
def test_what_a_scanner_cannot_look_into_is_too_large_for_it_alone() -> None:
    """Clamd calls clean what is locked, and what is packed in a way that it does not know."""
    locked = PLAIN
    for record in (LOCAL, CENTRAL):
        locked = patched(locked, record, FLAGS[record], b"\1\0")
    assert judged(ZIP, locked) is None
    assert judged(ZIP, locked, unpacked_limit=10**6) is TOO_LARGE
    for method, code in ((zipfile.ZIP_STORED, None), (zipfile.ZIP_BZIP2, None), (zipfile.ZIP_LZMA, TOO_LARGE)):
        content = zipped({"a.txt": b"hello " * 20}, method)
        assert judged(ZIP, content) is None
        assert judged(ZIP, content, unpacked_limit=10**6) is code


@pytest.mark.threat(13, 14)
def test_zip64_is_too_large_for_a_scanner_alone() -> None:
    """Nothing that is scanned is as large as to need it, and clamd does not unpack what it tells the sizes of."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"hello")
    local = buffer.getvalue()
    info = zipfile.ZipInfo("a.txt")
    info.extra = struct.pack("<HHQQ", 1, 16, 5, 5)
    central = patched(zipped({info: b"hello"}), CENTRAL, CENTRAL_SIZES, b"\xff" * 8)
    info.extra = struct.pack("<HHQ", 1, 8, 0)
    offset = patched(zipped({info: b"hello"}), CENTRAL, 42, b"\xff" * 4)
    directory, end = PLAIN.index(CENTRAL), PLAIN.index(b"PK\5\6")
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, end - directory, directory)
    recorded = PLAIN[:end] + record + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1) + PLAIN[end:]
    for content in (local, central, offset, recorded):
        assert judged(ZIP, content) is None
        assert judged(ZIP, content, unpacked_limit=10**6) is TOO_LARGE


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize("name", ["a.docx", "b/A.XLSX", "deck.pptm", "text.odt", "book.epub", "embeddings/a.docx"])
def test_a_document_within_an_archive_hides_its_directory_from_what_is_read_before_a_scan(name: str) -> None:
    content = zipped({"a.txt": b"hello", name: b"whatever it is"})
    assert judged(ZIP, content) is None
    assert judged(ZIP, content, unpacked_limit=10**6) is TOO_LARGE


@pytest.mark.threat(12, 14)
def test_an_archive_cut_anywhere_is_none() -> None:
    for content in (PLAIN, zipped({"a": b"a"}, comment=b"words")):
        assert judged(ZIP, content) is None
        for length in range(len(content)):
            assert judged(ZIP, content[:length]) is MISMATCH, length


@pytest.mark.threat(12, 14)
@pytest.mark.parametrize("stub", [b"MZ" + bytes(200), b"#!/usr/bin/env python3\n", b"\x89PNG\r\n\x1a\n", b"\0"])
def test_an_archive_behind_something_else_is_none(stub: bytes) -> None:
    """Such as what unpacks itself, whether or not its offsets were adjusted."""
    assert judged(ZIP, stub + PLAIN) is MISMATCH
    buffer = io.BytesIO()
    buffer.write(stub)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("a.txt", b"hello")
    assert judged(ZIP, buffer.getvalue()) is MISMATCH


def test_an_archive_may_be_empty_and_may_have_a_comment() -> None:
    assert judged(ZIP, zipped({})) is None
    assert judged(ZIP, zipped({}, comment=b"nothing")) is None
    assert judged(ZIP, zipped({"a": b"a"}, comment=b"x" * 65_535)) is None
    assert judged(ZIP, zipped({"a": b"a"}, comment=b"x" * 65_535), unpacked_limit=1) is None


@pytest.mark.threat(14)
def test_an_archive_has_one_end() -> None:
    """With two of them one reader takes the first, and another the last."""
    assert judged(ZIP, zipped({"a": b"a"}, comment=b"PK\5\6")) is MISMATCH
    assert judged(ZIP, zipped({"a": b"a"}, comment=zipped({}))) is MISMATCH
    assert judged(ZIP, PLAIN + PLAIN) is MISMATCH


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    ("place", "value"), [(4, b"\1\0"), (6, b"\1\0"), (8, b"\1\0"), (10, b"\1\0"), (12, b"\1\0\0\0"), (16, b"\1\0\0\0")]
)
def test_the_end_tells_the_truth_about_the_directory(place: int, value: bytes) -> None:
    assert judged(ZIP, patched(PLAIN, b"PK\5\6", place, value)) is MISMATCH
    for count in (1, 3):
        assert judged(ZIP, patched(PLAIN, b"PK\5\6", 8, struct.pack("<HH", count, count))) is MISMATCH


@pytest.mark.threat(14)
def test_members_are_packed_in_a_way_that_is_known() -> None:
    for method, code in ((14, None), (93, None), (99, None), (6, MISMATCH), (77, MISMATCH)):
        content = PLAIN
        for record in (LOCAL, CENTRAL):
            content = patched(content, record, METHODS[record], struct.pack("<H", method))
        assert judged(ZIP, content) is code


@pytest.mark.threat(14)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("record", "place", "value"),
    [
        (LOCAL, 6, b"\1\0"),  # locked
        (LOCAL, 8, b"\0\0"),  # another method
        (LOCAL, 14, b"\0\0\0\0"),  # another checksum
        (LOCAL, LOCAL_SIZES, b"\1\0\0\0"),
        (LOCAL, LOCAL_SIZES + 4, b"\1\0\0\0"),
        (LOCAL, 30, b"x"),  # another name
        (LOCAL, 28, b"\1\0"),  # an extra field
        (LOCAL, 0, b"PK\3\5"),
        (CENTRAL, 8, b"\x20\0"),  # patched data
        (CENTRAL, 8, b"\0\x20"),  # a masked header
        (CENTRAL, CENTRAL_SIZES, b"\1\0\0\0"),
        (CENTRAL, CENTRAL_SIZES + 4, b"\1\0\0\0"),
        (CENTRAL, CENTRAL_SIZES, b"\xff\xff\xff\xff"),  # without ZIP64
        (CENTRAL, 28, b"\4\0"),  # a shorter name
        (CENTRAL, 32, b"\1\0"),  # a comment that is not there
        (CENTRAL, 34, b"\1\0"),  # on another disk
        (CENTRAL, 42, b"\1\0\0\0"),  # elsewhere
        (CENTRAL, 42, b"\xff\xff\xff\x7f"),
        (CENTRAL, 0, b"PK\1\3"),
    ],
)
def test_both_headers_of_a_member_tell_the_same(record: bytes, place: int, value: bytes, number: int) -> None:
    assert judged(ZIP, patched(PLAIN, record, place, value, number=number)) is MISMATCH


@pytest.mark.threat(14)
def test_members_lie_one_behind_the_other_without_gaps_and_in_any_order_of_the_directory() -> None:
    first, second = zipped({"a.txt": b"hello"}), zipped({"b.txt": b"again"})
    one, other = first[: first.index(CENTRAL)], second[: second.index(CENTRAL)]
    entries = first[len(one) : -22], second[len(other) : -22]

    def archive(offset: int, gap: bytes = b"", *, swapped: bool = False) -> bytes:
        moved = entries[1][:42] + struct.pack("<I", offset) + entries[1][46:]
        directory = moved + entries[0] if swapped else entries[0] + moved
        data = one + gap + other
        end = struct.pack("<4s4xHHIIH", b"PK\5\6", 2, 2, len(directory), len(data), 0)
        return data + directory + end

    assert judged(ZIP, archive(len(one))) is None
    assert judged(ZIP, archive(len(one), swapped=True)) is None
    assert judged(ZIP, archive(0)) is MISMATCH
    assert judged(ZIP, archive(len(one) - 1)) is MISMATCH
    assert judged(ZIP, archive(len(one) + 3, b"gap")) is MISMATCH
    assert judged(ZIP, archive(len(one), b"gap")) is MISMATCH


@pytest.mark.threat(14)
def test_beyond_the_view_offsets_alone_tell_of_gaps_which_are_no_longer_than_an_extra_field() -> None:
    names = [zipfile.ZipInfo(f"{number}.bin") for number in range(4)]
    names[2].extra = b"\xfe\xca\x0a\0" + bytes(10)
    content = zipped(dict.fromkeys(names, NOISE[:300000]))
    assert judged(ZIP, content) is None
    at = content.index(LOCAL, FRONT_BYTES)
    hidden = content[:at] + bytes(4) + content[at + 4 :]  # which nobody looks at
    assert judged(ZIP, hidden) is None
    shrunk = patched(content, CENTRAL, CENTRAL_SIZES, struct.pack("<II", 200_000, 200_000), number=1)
    assert judged(ZIP, shrunk) is MISMATCH


@pytest.mark.threat(14)
def test_streamed_members_have_their_sizes_behind_them() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    for files in ({"a.txt": b"hello " * 20, "b.txt": b"x"}, {"a.txt": b""}):
        buffer = Pipe()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                with archive.open(name, "w", force_zip64=name == "b.txt") as member:
                    member.write(data)
        content = buffer.getvalue()
        assert content[6] & 8
        assert judged(ZIP, content) is None
        assert judged(ZIP, patched(content, LOCAL, 6, b"\0\0")) is MISMATCH


def test_sizes_and_places_may_have_64_bits() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"hello")
    content = buffer.getvalue()
    assert judged(ZIP, content) is None
    directory, end = content.index(CENTRAL), content.index(b"PK\5\6")

    def with_record(
        offset: int = directory, told: int = 0xFFFFFFFF, place: int = end, length: int = 44, count: int = 1
    ) -> bytes:
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", length, 45, 45, 0, 0, count, count, end - directory, offset)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)
        small = struct.pack("<4sHHHHIIH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 1, 0xFFFFFFFF, told, 0)
        return content[:end] + record + locator + small

    assert judged(ZIP, with_record()) is None
    assert judged(ZIP, with_record(told=directory)) is None
    for lie in (
        with_record(offset=0),
        with_record(told=directory + 1),
        with_record(place=end + 1),
        with_record(place=2**40),
        with_record(length=45),
        with_record(count=2),
    ):
        assert judged(ZIP, lie) is MISMATCH


@pytest.mark.threat(14)
def test_a_member_with_64_bits_has_one_field_that_tells_them() -> None:
    def member(extra: bytes, sizes: bytes = b"\xff" * 8, offset: bytes = bytes(4)) -> bytes:
        info = zipfile.ZipInfo("a.txt")
        info.extra = extra
        content = patched(zipped({info: b"hello"}), LOCAL, LOCAL_SIZES, sizes)
        return patched(patched(content, CENTRAL, CENTRAL_SIZES, sizes), CENTRAL, 42, offset)

    field = struct.pack("<HHQQ", 1, 16, 5, 5)
    assert judged(ZIP, member(field)) is None
    assert judged(ZIP, member(struct.pack("<HHQQQ", 1, 24, 5, 5, 0), offset=b"\xff" * 4)) is None
    assert judged(ZIP, member(struct.pack("<HHQ", 1, 8, 5), b"\5\0\0\0\xff\xff\xff\xff")) is None
    for lie in (
        b"",
        struct.pack("<HHQ", 1, 8, 5),
        struct.pack("<HHQQ", 1, 16, 6, 5),
        struct.pack("<HHQQ", 2, 16, 5, 5),
        field + field,
        struct.pack("<HH", 0xCAFE, 0) * 65 + field,
    ):
        assert judged(ZIP, member(lie)) is MISMATCH, lie
    assert judged(ZIP, member(field, offset=b"\xff" * 4)) is MISMATCH


def test_an_extra_field_may_reach_beyond_the_front() -> None:
    def archive(padding: int) -> bytes:
        info = zipfile.ZipInfo("b.txt")
        info.extra = struct.pack("<HH", 0xCAFE, padding) + bytes(padding)
        return zipped(
            {zipfile.ZipInfo("a.bin"): NOISE[: FRONT_BYTES - 200], info: b"", zipfile.ZipInfo("c.bin"): NOISE}
        )

    content = archive(500)
    assert content.index(LOCAL, 1) < FRONT_BYTES < content.index(LOCAL, 1) + 500
    assert judged(ZIP, content) is None
    assert judged(ZIP, patched(content, LOCAL, 28, b"\0\0", number=1)) is MISMATCH


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../a", "a/../../b", "a/..", "..", "C:/a", "c:a", "..\\a", "a\\b", "a\nb", "a\x1bb", "a\x7f"],
)
def test_no_name_leads_out_of_where_it_is_unpacked(name: str) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    assert judged(ZIP, zipped({"a.txt": b"hello", info: b""})) is MISMATCH


@pytest.mark.threat(14)
def test_a_name_is_not_empty_holds_no_nul_and_is_utf_8_where_it_says_so() -> None:
    content = zipped({"abc": b""})
    assert judged(ZIP, content) is None
    assert judged(ZIP, content.replace(b"abc", b"a\0c")) is MISMATCH
    accents = zipped({"äb": b""})
    assert judged(ZIP, accents) is None
    assert judged(ZIP, accents.replace("äb".encode(), b"\xe4bc")) is MISMATCH
    assert judged(ZIP, content.replace(b"abc", b"\x84bc")) is None  # in the code page of DOS


@pytest.mark.threat(14)
def test_a_second_name_in_an_extra_field_is_a_name_as_well() -> None:
    def named(second: bytes, field: int = 0x7075) -> bytes:
        info = zipfile.ZipInfo("a.txt")
        info.extra = struct.pack("<HHBI", field, 5 + len(second), 1, zlib.crc32(b"a.txt")) + second
        return zipped({info: b"hello"})

    assert judged(ZIP, named("ä.txt".encode())) is None
    assert judged(ZIP, named(b"../a.txt")) is MISMATCH
    assert judged(ZIP, named(b"../a.txt", field=0x9999)) is None
    assert judged(ZIP, named(b"b.tar.gz")) is TOO_LARGE
    assert judged(ZIP, named(b"<script>.txt")) is ACTIVE
    twice = named(b"b.txt")
    other = zipfile.ZipInfo("b.txt")
    first = zipfile.ZipInfo("a.txt")
    first.extra = struct.pack("<HHBI", 0x7075, 10, 1, zlib.crc32(b"a.txt")) + b"b.txt"
    assert judged(ZIP, twice) is None
    assert judged(ZIP, zipped({first: b"hello", other: b"world"})) is MISMATCH
    first.extra += struct.pack("<HHBI", 0x7075, 10, 1, zlib.crc32(b"a.txt")) + b"c.txt"
    assert judged(ZIP, zipped({first: b"hello"})) is MISMATCH


@pytest.mark.threat(14)
def test_nothing_is_there_twice_and_nothing_is_written_through_a_link() -> None:
    link = linked("here")
    assert judged(ZIP, zipped({"b.txt": b"x", link: b"b.txt", "hereabouts/a": b"x"})) is None
    assert judged(ZIP, zipped({link: b"/etc", "here/passwd": b"x"})) is MISMATCH
    assert judged(ZIP, zipped({link: b"/etc", "./Here/passwd": b"x"})) is MISMATCH
    link.create_system = 7  # of Macintosh, which unzip makes links for as well
    assert judged(ZIP, zipped({link: b"/etc", "here/passwd": b"x"})) is MISMATCH
    assert judged(ZIP, zipped({"abc": b"x", "abd": b"y"}).replace(b"abd", b"abc")) is MISMATCH
    assert judged(ZIP, zipped({"Makefile": b"x", "makefile": b"y"})) is None


@pytest.mark.threat(8)
def test_markup_in_names_and_comments_is_active_and_in_files_it_is_what_archives_are_for() -> None:
    assert judged(ZIP, zipped({"index.html": b"<html><script>"}, zipfile.ZIP_STORED)) is None
    assert judged(ZIP, zipped({"a <b>.txt": b""})) is None
    assert judged(ZIP, zipped({"<svg onload=alert(1)>": b""})) is ACTIVE
    assert judged(ZIP, zipped({"a": b""}, comment=b"<script>")) is ACTIVE
    assert judged(ZIP, zipped({f"{number} < {number + 1}": b"" for number in range(1000)})) is ACTIVE
    assert judged(ZIP, b"<html>" + PLAIN) is ACTIVE


def test_no_archive_is_known_without_its_end() -> None:
    assert objection(MEDIA_TYPES[ZIP], PLAIN[:FRONT_BYTES], len(PLAIN)) is MISMATCH


@pytest.mark.threat(14)
@given(
    front=st.binary(max_size=200),
    end=st.binary(max_size=400),
    middle=st.integers(0, 2**40),
    limit=st.none() | st.integers(0),
)
def test_no_bytes_make_it_raise(front: bytes, end: bytes, middle: int, limit: int | None) -> None:
    media_type = MEDIA_TYPES[ZIP]
    for tail in (end, end + PLAIN[-22:], PLAIN[-60:] + end + PLAIN[-22:]):
        size = len(front) + middle + len(tail)
        code = objection(media_type, (front + tail)[:FRONT_BYTES], size, tail, unpacked_limit=limit)
        assert code in {None, TOO_LARGE, MISMATCH, ACTIVE}


SAMPLES = [
    PLAIN,
    zipped({}, comment=b"words"),
    zipped({"a": NOISE[:9000], "b/": b"", "c": bytes(9000)}),
    zipped(dict.fromkeys(("mimetype", "META-INF/manifest.xml", "word/document.xml"), b"hello"), zipfile.ZIP_STORED),
]


@pytest.mark.threat(14)
@given(data=st.data(), sample=st.sampled_from(SAMPLES), limit=st.none() | st.integers(0, 10**5))
def test_no_damage_to_an_archive_makes_it_raise(data: st.DataObject, sample: bytes, limit: int | None) -> None:
    content = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        patch = data.draw(
            st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff\xff\xff\xff", b"PK\6\7", b"PK\5\6"])
        )
        content[at : at + len(patch)] = patch
    for media_type in (ZIP, *(name for name, found in MEDIA_TYPES.items() if found.end_bytes == END_BYTES)):
        assert judged(media_type, bytes(content), unpacked_limit=limit) in {None, TOO_LARGE, MISMATCH, ACTIVE}


@pytest.mark.threat(14)
@pytest.mark.usefixtures("untraced")
def test_the_worst_directory_takes_no_more_than_in_proportion() -> None:
    """5,000 entries took 8 ms where it was measured, and quadratic time would be a hundred times that."""
    hostile = [
        zipped({f"{number:04}": b"" for number in range(5000)}),
        zipped({f"{'a/' * 40}{number:04}": b"" for number in range(1900)}),
        zipped({f"{'<a ' * 25}{number:04}": b"" for number in range(1900)}),
        zipped({"/".join(["a"] * 32_000): b"", "x": b""}),
        zipped({linked(f"{number:04}"): b"x" for number in range(5000)}),
    ]
    for content in hostile:
        duration = min(timed(content) for _ in range(3))
        assert duration < 0.25, duration


def linked(name: str) -> zipfile.ZipInfo:
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    return link


def timed(content: bytes) -> float:
    start = perf_counter()
    judged(ZIP, content)
    return perf_counter() - start
