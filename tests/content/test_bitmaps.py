"""TIFF, BMP and ICO: what proves them, each field by itself, wherever the front ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.bitmaps import is_bmp, is_ico, is_tiff
from tests.content.corpus_pictures import ICON, WELL_FORMED, bitmap, bmp, ico, tiff
from tests.content.corpus_rasters import png
from tests.content.corpus_samples import BMP, ICO, TIFF, Sample
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front, patched

PROOFS = {TIFF: is_tiff, BMP: is_bmp, ICO: is_ico}
BITMAPS = [sample for sample in WELL_FORMED if sample.media_type in PROOFS]


def big_tiff(order: str = "<", *, offset_bytes: int = 8) -> bytes:
    """Two grey pixels in one strip (BigTIFF Design, "BigTIFF File Layout")."""
    tags = [(256, 4, 1), (257, 4, 2), (258, 3, 8), (262, 3, 1), (273, 16, 16), (279, 16, 2)]
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HHHQ", 43, offset_bytes, 0, 18)
    directory = struct.pack(f"{order}Q", len(tags))
    for tag, kind, value in tags:
        packed = struct.pack({3: f"{order}H6x", 4: f"{order}I4x", 16: f"{order}Q"}[kind], value)
        directory += struct.pack(f"{order}HHQ", tag, kind, 1) + packed
    return head + b"\x80\0" + directory + bytes(8)


@pytest.mark.parametrize("sample", BITMAPS, ids=lambda sample: sample.name)
def test_a_bitmap_is_proved_wherever_the_front_ends_behind_its_header(sample: Sample) -> None:
    assert is_whole(PROOFS[sample.media_type], sample.content)
    assert least_front(PROOFS[sample.media_type], sample.content) <= 30


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "sample", [sample for sample in BITMAPS if len(sample.content) < 4096], ids=lambda sample: sample.name
)
def test_a_bitmap_cut_short_is_none(sample: Sample) -> None:
    assert accepted_cuts(PROOFS[sample.media_type], sample.content) == []


@pytest.mark.threat(12)
@pytest.mark.parametrize("sample", BITMAPS, ids=lambda sample: sample.name)
def test_no_bitmap_passes_for_one_of_another_kind(sample: Sample) -> None:
    assert [kind for kind, proof in PROOFS.items() if is_whole(proof, sample.content)] == [sample.media_type]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_may_have_offsets_of_64_bits(order: str) -> None:
    content = big_tiff(order)
    assert is_whole(is_tiff, content)
    assert least_front(is_tiff, content) == 16
    assert accepted_cuts(is_tiff, content) == []
    assert not is_whole(is_tiff, big_tiff(order, offset_bytes=4))


WIDTH, HEIGHT, STRIPS, STRIP_LENGTHS = 10, 22, 70, 94  # where these entries stand in `tiff()`


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (2, b"\x2c\0"),  # neither version
        (4, struct.pack("<I", 7)),  # the directory within the header
        (4, struct.pack("<I", 999)),  # the directory beyond the file
        (8, struct.pack("<H", 0)),  # of no entries
        (8, struct.pack("<H", 900)),  # of more entries than there is room for
        (WIDTH, struct.pack("<H", 300)),
        (HEIGHT, struct.pack("<H", 300)),
        (WIDTH + 2, struct.pack("<H", 0)),  # a type that is none
        (WIDTH + 2, struct.pack("<H", 99)),
        (WIDTH + 4, struct.pack("<I", 0)),  # no value
        (WIDTH + 4, struct.pack("<I", 2**32 - 1)),  # values beyond the file
        (STRIPS + 8, struct.pack("<I", 111)),  # a strip beyond the file
        (STRIP_LENGTHS + 8, struct.pack("<I", 3)),
        (106, struct.pack("<I", 112)),  # a further directory beyond the file
    ],
)
def test_a_tiff_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = tiff()
    assert is_whole(is_tiff, content)
    assert not is_whole(is_tiff, patched(content, at, new))


def tiff_of(*tags: tuple[int, int, int, bytes]) -> bytes:
    """A TIFF of one pixel and these entries, the last of which has its values at the end of the file."""
    entries = [(256, 3, 1, b"\1\0\0\0"), (257, 3, 1, b"\1\0\0\0"), *tags]
    directory = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + directory + bytes(4)


# TIFF 6.0 section 2, Adobe's supplement 1, BigTIFF
LENGTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@pytest.mark.threat(12)
@pytest.mark.parametrize(("kind", "length"), LENGTHS.items())
def test_values_are_as_long_as_their_type_and_have_to_be_within_the_file(kind: int, length: int) -> None:
    content = tiff_of((700, kind, 9, struct.pack("<I", 50)))
    assert is_whole(is_tiff, content + bytes(9 * length))
    assert not is_whole(is_tiff, content + bytes(9 * length - 1))
    assert is_tiff(content, 50 + 9 * length)
    assert not is_tiff(content, 50 + 9 * length - 1)


@pytest.mark.threat(12)
@pytest.mark.parametrize(("begin", "length"), [(273, 279), (324, 325)], ids=["strips", "tiles"])
def test_strips_and_tiles_have_to_be_within_the_file(begin: int, length: int) -> None:
    content = tiff_of((begin, 4, 2, struct.pack("<I", 62)), (length, 3, 2, struct.pack("<HH", 5, 7)))
    assert len(content) == 62
    assert is_whole(is_tiff, content + struct.pack("<II", 70, 75) + bytes(12))
    assert not is_whole(is_tiff, content + struct.pack("<II", 70, 75) + bytes(11))
    assert not is_whole(is_tiff, content + struct.pack("<II", 78, 70) + bytes(12))


@pytest.mark.threat(12)
def test_a_tiff_is_a_picture_whose_dimensions_stand_where_they_are_in_view() -> None:
    whole = tiff_of((700, 1, 1, bytes(4)))
    bare = b"II*\0\x08\0\0\0" + struct.pack("<HHHI4s", 1, 700, 1, 1, bytes(4)) + bytes(4)
    assert is_whole(is_tiff, whole)
    assert not is_whole(is_tiff, bare)
    assert not is_whole(is_tiff, bare + bytes(9000))


def test_a_tiff_may_name_a_further_directory_within_the_file() -> None:
    assert is_whole(is_tiff, patched(tiff(), 106, struct.pack("<I", 8)))


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"BA"),  # an array of bitmaps
        (2, struct.pack("<I", 59)),  # longer than the file
        (6, b"\x01"),  # reserved
        (10, struct.pack("<I", 53)),  # pixels within the headers
        (10, struct.pack("<I", 58)),  # pixels beyond the file
        (14, struct.pack("<I", 39)),  # no known header
        (18, struct.pack("<i", 0)),
        (18, struct.pack("<i", -1)),
        (18, struct.pack("<i", 2)),  # a row of more pixels than there are
        (22, struct.pack("<i", 0)),
        (22, struct.pack("<i", 2)),
        (22, struct.pack("<i", -2)),
        (26, struct.pack("<H", 0)),  # planes
        (28, struct.pack("<H", 7)),  # bits of a pixel
        (28, struct.pack("<H", 64)),
        (30, struct.pack("<I", 7)),  # compression
    ],
)
def test_a_bmp_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = bmp()
    assert is_whole(is_bmp, content)
    assert not is_whole(is_bmp, patched(content, at, new))


@pytest.mark.parametrize("header", [40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize(("bits", "row"), [(1, 4), (2, 4), (4, 4), (8, 4), (16, 4), (24, 4), (32, 4)])
def test_a_bmp_may_have_any_header_and_depth_that_there_is(header: int, bits: int, row: int) -> None:
    assert is_whole(is_bmp, bmp(bitmap(header=header, bits=bits, rows=bytes(row))))
    assert not is_whole(is_bmp, bmp(bitmap(header=header, bits=bits, rows=bytes(row - 1))))


def test_a_bmp_may_have_the_short_headers_of_os_2() -> None:
    for header in (struct.pack("<IHHHH", 12, 1, 1, 1, 24), struct.pack("<IiiHH", 16, 1, 1, 1, 24)):
        content = struct.pack("<2sIII", b"BM", 0, 0, 14 + len(header)) + header + bytes(4)
        assert is_whole(is_bmp, content)
        assert least_front(is_bmp, content) == 14 + len(header)
        assert not is_whole(is_bmp, content[:-1])


@pytest.mark.parametrize(
    ("width", "bits", "row"), [(1, 1, 4), (32, 1, 4), (33, 1, 8), (5, 24, 16), (8, 4, 4), (9, 4, 8)]
)
def test_rows_of_a_bmp_are_padded_to_four_bytes(width: int, bits: int, row: int) -> None:
    content = patched(bmp(bitmap(bits=bits, rows=bytes(row * 3)), size=0), 18, struct.pack("<ii", width, 3))
    assert is_whole(is_bmp, content)
    assert not is_whole(is_bmp, content[:-1])


@pytest.mark.parametrize("compression", range(7))
def test_pixels_have_a_known_size_only_without_compression(compression: int) -> None:
    content = patched(bmp(), 30, struct.pack("<I", compression))
    assert is_whole(is_bmp, content)
    assert is_whole(is_bmp, patched(content, 22, struct.pack("<i", 99))) == (compression in {1, 2, 4, 5})


@pytest.mark.threat(8)
def test_two_letters_make_no_bmp() -> None:
    assert not is_whole(is_bmp, b"BM<script>alert(1)</script>" + bytes(5000))


def test_a_bmp_needs_not_tell_its_size_and_compressed_pixels_have_no_size_to_hold_it_against() -> None:
    assert is_whole(is_bmp, bmp(size=0))
    rows = patched(
        bmp(bitmap(bits=8, palette=bytes(4), rows=b"\x63\0\0\x01"), palette=4), 18, struct.pack("<ii", 99, 9)
    )
    assert not is_whole(is_bmp, rows)
    assert is_whole(is_bmp, patched(rows, 30, struct.pack("<I", 1)))  # run lengths


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"\x01"),  # reserved
        (2, b"\x02"),  # a cursor
        (4, struct.pack("<H", 0)),
        (4, struct.pack("<H", 9)),  # entries beyond the file
        (10, struct.pack("<H", 2)),  # planes
        (12, struct.pack("<H", 33)),  # bits of a pixel
        (14, struct.pack("<I", 39)),  # shorter than a header
        (14, struct.pack("<I", 49)),  # longer than the file
        (18, struct.pack("<I", 21)),  # within the directory
        (18, struct.pack("<I", 23)),  # beyond the file
        (22, struct.pack("<I", 12)),  # another header
        (26, struct.pack("<i", 0)),
        (30, struct.pack("<i", -2)),
        (34, struct.pack("<H", 2)),
        (36, struct.pack("<H", 5)),
    ],
)
def test_an_ico_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = ico(ICON)
    assert is_whole(is_ico, content)
    assert not is_whole(is_ico, patched(content, at, new))


@pytest.mark.threat(12)
def test_an_ico_of_a_png_needs_the_beginning_of_one() -> None:
    assert is_whole(is_ico, ico(png()))
    assert not is_whole(is_ico, ico(patched(png(), 12, b"IDAT")))


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in BITMAPS] + [big_tiff()]))
def test_no_damage_makes_a_proof_of_bitmaps_raise(found: tuple[bytes, int]) -> None:
    assert {type(proof(*found)) for proof in PROOFS.values()} == {bool}


@pytest.mark.threat(12)
@given(
    head=st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"BM", b"\0\0\1\0"]),
    rest=st.binary(max_size=200),
    more=st.integers(0, 99),
)
def test_no_bytes_behind_a_signature_make_a_proof_of_bitmaps_raise(head: bytes, rest: bytes, more: int) -> None:
    front = head + rest
    assert {type(proof(front, len(front) + more)) for proof in PROOFS.values()} == {bool}
