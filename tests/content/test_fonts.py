"""WOFF2: what proves a font, each field by itself, wherever the front ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.fonts import is_woff2
from tests.content.corpus_documents import WELL_FORMED, woff2
from tests.content.corpus_samples import WOFF2, Sample
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front, patched

FONTS = [sample for sample in WELL_FORMED if sample.media_type == WOFF2]


def font(*tables: bytes, compressed: bytes = b"data") -> bytes:
    """A font of a directory as given (W3C WOFF 2.0, 4.1)."""
    directory = b"".join(tables)
    length = 48 + len(directory) + len(compressed)
    fields = length, len(tables), 0, 999, len(compressed), 1, 0, 0, 0, 0, 0, 0
    return struct.pack(">4s4sIHHIIHHIIIII", b"wOF2", b"OTTO", *fields) + directory + compressed


@pytest.mark.parametrize("sample", FONTS, ids=lambda sample: sample.name)
def test_a_font_is_proved_wherever_the_front_ends_behind_its_header(sample: Sample) -> None:
    assert is_whole(is_woff2, sample.content)
    assert least_front(is_woff2, sample.content) == 48


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "sample", [sample for sample in FONTS if len(sample.content) < 4096], ids=lambda sample: sample.name
)
def test_a_font_cut_short_is_none(sample: Sample) -> None:
    assert accepted_cuts(is_woff2, sample.content) == []


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"wOFF"),
        (4, b"true"[::-1]),
        (8, struct.pack(">I", 999)),  # the length of another file
        (12, struct.pack(">H", 0)),
        (12, struct.pack(">H", 129)),
        (14, b"\0\x01"),  # reserved
        (16, struct.pack(">I", 0)),  # a font of no length
        (20, struct.pack(">I", 0)),  # packed into nothing
        (20, struct.pack(">I", 999)),  # or into more than there is
        (28, struct.pack(">II", 40, 999)),  # metadata beyond the file
        (40, struct.pack(">II", 999, 0)),  # private data as well
        (48, b"\xff"),  # a transformation that is none
    ],
)
def test_a_font_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = woff2()
    assert is_whole(is_woff2, content)
    assert not is_whole(is_woff2, patched(content, at, new))


@pytest.mark.parametrize(
    "table",
    [
        b"\x00\x05",  # cmap
        b"\x3e\x81\x00",  # the last of the known tags, 128 bytes
        b"\x3fABCD\x05",  # a tag of its own
        b"\x0a\x05\x04",  # glyf, transformed
        b"\xca\x05",  # glyf, as it is
        b"\x43\x05\x04",  # hmtx, transformed
        b"\x00\x8f\xff\xff\xff\x7f",  # the greatest length
    ],
)
def test_a_table_is_described_as_its_tag_demands(table: bytes) -> None:
    assert is_whole(is_woff2, font(table))
    assert is_whole(is_woff2, font(b"\x01\x05", table, b"\x02\x05"))


def test_a_font_has_as_many_tables_as_there_may_be_and_data_behind_them() -> None:
    assert is_whole(is_woff2, font(*[b"\x01\x05"] * 128, compressed=b"x"))
    assert not is_whole(is_woff2, font(*[b"\x01\x05"] * 129, compressed=b"x"))
    # Metadata and private data may reach to the end of the file.
    assert is_whole(is_woff2, patched(woff2(), 28, struct.pack(">II", len(woff2()) - 4, 4)))
    assert not is_whole(is_woff2, patched(woff2(), 28, struct.pack(">II", len(woff2()) - 4, 5)))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "table",
    [
        b"\x40\x05",  # cmap, transformed as only others are
        b"\x3f\0\0\0\0\x05",  # a tag of no letters
        b"\x00\x80\x05",  # a length that begins with zeros
        b"\x00\xff\xff\xff\xff\xff\x01",  # of more than five bytes
        b"\x00",  # of none
    ],
)
def test_a_table_that_breaks_its_form_makes_no_font(table: bytes) -> None:
    assert not is_whole(is_woff2, font(table, compressed=b"\xff" * 9))


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in FONTS]) | st.tuples(st.binary(), st.integers(0, 400)))
def test_no_bytes_make_the_proof_of_a_font_raise(found: tuple[bytes, int]) -> None:
    assert type(is_woff2(*found)) is bool
