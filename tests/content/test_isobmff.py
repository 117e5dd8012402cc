"""AVIF, HEIC, HEIF, MP4 and MOV: which brands, boxes and lengths prove them, wherever the front ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.isobmff import is_avif, is_heic, is_heif, is_mov, is_mp4
from tests.content import corpus_films, corpus_pictures
from tests.content.corpus_films import PICTURE, film, movie, mp4
from tests.content.corpus_pictures import avif, box, ftyp, full_box, heic
from tests.content.corpus_samples import AVIF, HEIC, HEIF, M4A, MOV, MP4, Sample
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front, patched

PROOFS = {AVIF: is_avif, HEIC: is_heic, HEIF: is_heif, MP4: is_mp4, M4A: is_mp4, MOV: is_mov}
SAMPLES = [sample for sample in corpus_pictures.WELL_FORMED + corpus_films.WELL_FORMED if sample.media_type in PROOFS]
# Data of no stated length lasts to the end of the file, wherever that is.
SMALL = [sample for sample in SAMPLES if len(sample.content) < 4096]
HANDLER = full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_film_or_picture_is_proved_wherever_the_front_ends_behind_its_brands(sample: Sample) -> None:
    assert is_whole(PROOFS[sample.media_type], sample.content)
    assert least_front(PROOFS[sample.media_type], sample.content) <= 32


@pytest.mark.threat(12)
@pytest.mark.parametrize("sample", SMALL, ids=lambda sample: sample.name)
def test_a_film_or_picture_cut_short_is_none(sample: Sample) -> None:
    assert accepted_cuts(PROOFS[sample.media_type], sample.content) == []


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("brands", "kinds"),
    [
        ((b"avif",), {AVIF}),
        ((b"avis", b"msf1"), {AVIF}),
        ((b"mif1", b"avif"), {AVIF}),
        ((b"mif1", b"avif", b"heic"), {AVIF}),
        ((b"heic",), {HEIC, HEIF}),
        ((b"heix", b"mif1"), {HEIC, HEIF}),
        ((b"hevc", b"msf1"), {HEIC, HEIF}),
        ((b"mif1", b"heic"), {HEIC, HEIF}),
        ((b"mif1",), {HEIF}),
        ((b"isom",), {MP4}),
        ((b"iso6", b"dash"), {MP4}),
        ((b"3gp5", b"isom"), {MP4}),
        ((b"M4A ", b"mp42"), {MP4}),
        ((b"mp42", b"qt  "), {MP4, MOV}),
        ((b"qt  ",), {MOV}),
        ((b"qt  ", b"mp42"), {MOV}),
        ((b"avif", b"mp42"), {AVIF}),
        ((b"heic", b"mp42"), {HEIC, HEIF}),
        ((b"isom", b"avif"), {MP4}),
        ((b"isom", b"heic"), {MP4}),
        ((b"isom", b"mif1"), {MP4}),
        ((b"3gp5",), set()),
        ((b"jp2 ",), set()),
    ],
)
def test_brands_tell_what_a_file_is(brands: tuple[bytes, ...], kinds: set[str]) -> None:
    # It is a picture and a film, so that nothing but the brands decides.
    content = ftyp(*brands) + full_box(b"meta", 0, HANDLER) + movie(PICTURE, 0) + box(b"mdat", PICTURE)
    assert {kind for kind in (AVIF, HEIC, HEIF, MP4, MOV) if is_whole(PROOFS[kind], content)} == kinds


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"\0\0\0\x0f"),  # no room for a major brand
        (0, b"\0\0\0\x16"),  # half a brand
        (0, b"\0\0\x10\0"),  # brands beyond the front
        (4, b"fytp"),
        (24, b"\0\0\0\x07"),  # a box shorter than its own header
        (24, b"\0\0\x02\xff"),  # that ends within another
        (24, b"\x7f\0\0\0"),  # beyond the file
        (28, b"mo\0v"),
        (32, b"\0\0\0\x07"),  # within `moov`
        (32, b"\0\0\x10\0"),
        (36, b"mvhx"),
    ],
)
def test_an_mp4_with_one_wrong_field_is_none(at: int, new: bytes) -> None:
    content = mp4()
    assert is_whole(is_mp4, content)
    assert not is_whole(is_mp4, patched(content, at, new))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "header",
    [b"\0\0\0\x07free", b"\0\0\0\x08fr\0e", b"\0\0\0\x08\xffree", b"\x7f\0\0\0free", b"\0\0\0\1free\0\0\0\0\0\0\0\x0f"],
)
def test_a_box_that_cannot_be_is_refused_also_in_a_film_that_goes_on(header: bytes) -> None:
    fine = box(b"free", bytes(8))
    for before, after in ((b"", movie(PICTURE, 0)), (movie(PICTURE, 0), b"")):
        assert is_whole(is_mp4, ftyp(b"isom") + before + fine + after + box(b"mdat", bytes(9000)))
        assert not is_whole(is_mp4, ftyp(b"isom") + before + header + bytes(8) + after + box(b"mdat", bytes(9000)))


@pytest.mark.threat(12)
def test_a_box_within_another_may_not_reach_beyond_it() -> None:
    inner = struct.pack(">I4s", 9, b"trak")
    for outer, is_it, brand in ((b"moov", is_mp4, b"isom"), (b"meta", is_avif, b"avif")):
        head = bytes(4) if outer == b"meta" else b""
        first = HANDLER if outer == b"meta" else box(b"mvhd", bytes(100))
        for content in (first + inner + b"x", first + inner):
            film_or_picture = ftyp(brand) + box(outer, head, content) + box(b"mdat", bytes(9000))
            assert is_whole(is_it, film_or_picture) == content.endswith(b"x")


@pytest.mark.threat(12)
def test_a_picture_says_that_it_handles_pictures() -> None:
    content = heic()
    assert is_whole(is_heic, content)
    assert not is_whole(is_heic, content.replace(b"pict", b"vide"))
    assert not is_whole(is_heic, content.replace(b"hdlr", b"free"))
    assert not is_whole(is_avif, avif().replace(b"pict", b"soun"))


def test_a_picture_may_keep_its_data_within_its_description() -> None:
    described = ftyp(b"avif") + full_box(b"meta", 0, HANDLER, box(b"idat", b"data"))
    assert is_whole(is_avif, described)
    assert not is_whole(is_avif, described.replace(b"idat", b"free"))


def test_a_sequence_of_pictures_may_be_a_movie_alone() -> None:
    assert is_whole(is_avif, ftyp(b"avis", b"msf1") + movie(PICTURE, 0) + box(b"mdat", PICTURE))
    assert not is_whole(is_avif, ftyp(b"avis", b"msf1") + box(b"mdat", PICTURE))


def test_sizes_of_64_bits_are_read_and_have_to_fit() -> None:
    wide = struct.pack(">I4sQ", 1, b"mdat", 16 + 9000) + bytes(9000)
    content = ftyp(b"isom") + wide + movie(PICTURE, 0)
    assert is_whole(is_mp4, content)
    assert least_front(is_mp4, content) == 16
    for length in (15, 9999, 2**63):
        assert not is_whole(is_mp4, content.replace(struct.pack(">Q", 9016), struct.pack(">Q", length))), length


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(ftyp(b"isom") + box(b"mdat", bytes(9000)), id="data alone"),
        pytest.param(ftyp(b"isom") + box(b"mdat", bytes(9000)) + b"moov", id="no room for a movie"),
        pytest.param(ftyp(b"isom") + struct.pack(">I4s", 0, b"mdat") + bytes(9000), id="data to the end"),
        pytest.param(ftyp(b"isom") + box(b"free") * 500 + movie(PICTURE, 0) + box(b"mdat"), id="a thousand pieces"),
        pytest.param(box(b"mdat", bytes(9000)), id="old data alone"),
        pytest.param(box(b"free", bytes(9000)) + b"MZ" + bytes(4), id="old space alone"),
        pytest.param(box(b"evil") + film(), id="old film behind something unknown"),
    ],
)
def test_what_holds_no_movie_and_has_no_room_for_one_is_no_film(content: bytes) -> None:
    assert not is_whole(is_mp4, content)
    assert not is_whole(is_mov, content)


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in SAMPLES]))
def test_no_damage_makes_a_proof_of_films_and_pictures_raise(found: tuple[bytes, int]) -> None:
    assert {type(proof(*found)) for proof in PROOFS.values()} == {bool}


@pytest.mark.threat(12)
@given(
    kind=st.sampled_from([b"ftyp", b"moov", b"mdat", b"wide"]),
    length=st.integers(0, 2**32 - 1) | st.integers(0, 300),
    rest=st.binary(max_size=300),
    more=st.integers(0, 99),
)
def test_no_bytes_behind_a_first_box_make_a_proof_raise(kind: bytes, length: int, rest: bytes, more: int) -> None:
    front = struct.pack(">I4s", length, kind) + rest
    assert {type(proof(front, len(front) + more)) for proof in PROOFS.values()} == {bool}
