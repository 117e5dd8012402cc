"""Local headers: whatever stands in the middle of an archive is held against its directory while it passes."""

import struct
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.media_types import MEDIA_TYPES, local_headers
from gateway.content.zip_directory import END_BYTES
from gateway.errors import Code
from tests.content.judging import judged, zipped
from tests.content.strange_zips import (
    DEFLATED,
    ENCRYPTED,
    FULL,
    MASKED,
    NOISE,
    STORED,
    STREAMED,
    File,
    archive,
    descriptor,
    in_the_middle,
    long_field,
    packed,
)

ZIP = "application/zip"
LIMIT = 25 * 2**20
TOO_LARGE, MISMATCH = Code.ARCHIVE_TOO_LARGE, Code.CONTENT_MISMATCH
FILE = File()
PACKED, UNPACKED = len(packed(FILE.body, DEFLATED)), len(FILE.body)
NOTHING = {"checksum": 0, "packed": 0, "unpacked": 0}
LONG: dict[str, int | bytes] = {"packed": FULL, "unpacked": FULL, "extra": long_field(FILE)}
STREAM = {"flags": STREAMED}


def passed(content: bytes, size: int = 2**20, *, of: bytes | None = None) -> Code | None:
    """Return what is said of the bytes when they have passed in blocks, by their directory alone or another one."""
    told = content if of is None else of
    (directory,) = struct.unpack("<I", told[-6:-2])
    headers = local_headers(MEDIA_TYPES[ZIP], len(told), told[directory:])
    assert headers is not None
    for first in range(0, len(content), size):
        headers.feed(content[first : first + size])
    return headers.objection()


TRUE = {
    "deflated": FILE,
    "stored": File(method=STORED),
    "empty": File(body=b"", method=STORED),
    "an extra field": File(both={"extra": struct.pack("<HH", 0xCAFE, 9) + bytes(9)}),
    "an extra field of its own": File(local={"extra": struct.pack("<HH", 0xCAFE, 60_000) + bytes(60_000)}),
    "a field of ZIP64 that tells nothing": File(both={"extra": struct.pack("<HHQQ", 1, 16, UNPACKED, PACKED)}),
    **{
        f"streamed {form}": File(both=STREAM, local=NOTHING, after=descriptor(FILE, form))
        for form in ("<4sIII", "<III", "<4sIQQ", "<IQQ")
    },
    "streamed, and told before": File(both=STREAM, after=descriptor(FILE)),
    "streamed with an extra field": File(
        both=STREAM, local={**NOTHING, "extra": struct.pack("<HH", 0xCAFE, 20) + bytes(20)}, after=descriptor(FILE)
    ),
}
LIES = {
    "ZIP64": (File(local=LONG), TOO_LARGE),
    "ZIP64 of the packed size": (
        File(local={"packed": FULL, "extra": struct.pack("<HHQ", 1, 8, PACKED)}),
        TOO_LARGE,
    ),
    "ZIP64, streamed": (
        File(
            both=STREAM,
            local={**LONG, "checksum": 0, "extra": struct.pack("<HHQQ", 1, 16, 0, 0)},
            after=descriptor(FILE),
        ),
        TOO_LARGE,
    ),
    "ZIP64 that is not there": (File(local={"packed": FULL, "unpacked": FULL}), MISMATCH),
    "no header": (File(local={"signature": bytes(4)}), MISMATCH),
    "another name": (File(local={"name": b"b.bin"}), MISMATCH),
    "a longer name": (File(local={"name": b"longer.bin"}), MISMATCH),
    "another method": (File(local={"method": STORED}), MISMATCH),
    "an unknown method": (File(local={"method": 99}), MISMATCH),
    "locked": (File(local={"flags": ENCRYPTED}), MISMATCH),
    "masked": (File(local={"flags": MASKED}), MISMATCH),
    "another checksum": (File(local={"checksum": 1}), MISMATCH),
    "packed to less": (File(local={"packed": 1}), MISMATCH),
    "packed to more": (File(local={"packed": 10**6}), MISMATCH),
    "unpacks to less": (File(local={"unpacked": 1}), MISMATCH),
    "no sizes": (File(local=NOTHING), MISMATCH),
    "no sizes, and a descriptor that nobody announced": (File(local=NOTHING, after=descriptor(FILE)), MISMATCH),
    "announced, and no descriptor": (File(both=STREAM, local=NOTHING), MISMATCH),
    "the descriptor of another": (File(both=STREAM, local=NOTHING, after=descriptor(File(body=b"x"))), MISMATCH),
    "a descriptor with another signature": (
        File(both=STREAM, local=NOTHING, after=b"PK\7\7" + descriptor(FILE)[4:]),
        MISMATCH,
    ),
    "bytes of nobody": (File(after=b"gap"), MISMATCH),
}


@pytest.mark.parametrize("file", TRUE.values(), ids=TRUE)
def test_what_agrees_with_the_directory_may_pass(file: File) -> None:
    assert passed(in_the_middle(file)) is None
    assert judged(ZIP, archive(file), unpacked_limit=LIMIT) is None
    for size in (1, 7, 64, 5000):
        assert passed(archive(file), size) is None


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize(("file", "code"), LIES.values(), ids=LIES)
def test_what_lies_in_the_middle_lies_as_it_would_in_front(file: File, code: Code) -> None:
    """The first half is what the front and the end alone can tell: nothing."""
    assert judged(ZIP, in_the_middle(file), unpacked_limit=LIMIT) is None
    assert passed(in_the_middle(file)) is code
    assert passed(in_the_middle(File(b"a"), file, File(b"b"))) is code
    seen = judged(ZIP, archive(file), unpacked_limit=LIMIT)
    assert seen is code or (seen is None and passed(archive(file)) is code)  # of descriptors only the length is in view


@pytest.mark.threat(14)
@pytest.mark.parametrize("size", [1, 3, 29, 30, 31, 4096])
def test_it_does_not_matter_where_blocks_end(size: int) -> None:
    several = [File(b"%d" % number, b"x" * number) for number in range(9)]
    true = archive(*several, *TRUE_UNDER_OTHER_NAMES)
    assert passed(true, size) is None
    for file, code in LIES.values():
        assert passed(in_small(file), size) is code


def in_small(file: File) -> bytes:
    """Put it where an archive of a few hundred bytes has its middle."""
    return archive(File(b"0.bin", NOISE[:100], STORED), file, File(b"z.bin", NOISE[:100], STORED))


TRUE_UNDER_OTHER_NAMES = [
    File(b"%d.bin" % number, file.body, file.method, file.both, file.local, file.central, after=file.after)
    for number, file in enumerate(TRUE.values())
]


@pytest.mark.threat(14)
def test_bytes_that_did_not_pass_prove_nothing() -> None:
    content = in_the_middle(FILE)
    assert passed(b"", of=content) is MISMATCH
    assert passed(content[: len(content) // 2], of=content) is MISMATCH
    assert passed(content[1:], of=content) is MISMATCH
    assert passed(zipped({})) is None


def test_only_zips_have_local_headers() -> None:
    looked_at = {name for name, found in MEDIA_TYPES.items() if found.end_bytes == END_BYTES}
    assert {"application/zip", "application/epub+zip"} < looked_at
    for name, found in MEDIA_TYPES.items():
        headers = local_headers(found, len(archive(FILE)), archive(FILE))
        assert (headers is None) is (name not in looked_at)


@pytest.mark.threat(14)
@given(data=st.data(), size=st.integers(1, 200))
def test_no_damage_makes_it_raise_and_no_cut_changes_its_mind(data: st.DataObject, size: int) -> None:
    true = archive(*TRUE_UNDER_OTHER_NAMES[:3], *TRUE_UNDER_OTHER_NAMES[6:])
    content, stop = bytearray(true), true.index(b"PK\1\2")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, stop - 1))
        patch = data.draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff\xff\xff\xff", b"PK\3\4"]))
        content[at : min(at + len(patch), stop)] = patch[: stop - at]
    found = passed(bytes(content), size)
    assert found in {None, TOO_LARGE, MISMATCH}
    assert passed(bytes(content)) is found


@pytest.mark.threat(14)
@pytest.mark.usefixtures("untraced")
def test_many_members_in_many_blocks_take_time_in_proportion() -> None:
    """Each of them takes some 20 ms, and members times blocks would be a hundred times that."""
    small = archive(*(File(b"%04d" % number, b"", STORED) for number in range(5000)))
    long = {"extra": struct.pack("<HH", 0xCAFE, 65_000) + bytes(65_000)}
    large = archive(*(File(b"%04d" % number, b"", STORED, local=long) for number in range(100)))
    for content, size in ((small, 64), (large, 4096), (archive(File(body=bytes(2**24), method=STORED)), 4096)):
        start = perf_counter()
        assert passed(content, size) is None
        assert perf_counter() - start < 1.5
