"""WebM and MKV: which elements prove them, wherever the front ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.matroska import is_mkv, is_webm
from tests.content.corpus_films import UNKNOWN, WELL_FORMED, ebml, element, matroska, number, webm
from tests.content.corpus_samples import MKV, WEBA, WEBM, Sample
from tests.content.fronts import accepted_cuts, damaged, is_whole, least_front

PROOFS = {MKV: is_mkv, WEBM: is_webm, WEBA: is_webm}
SAMPLES = [sample for sample in WELL_FORMED if sample.media_type in PROOFS]
INFO, TRACKS, CLUSTER = element("1549a966", b"\xec\x80"), element("1654ae6b", b"\xec\x80"), element("1f43b675")


def segment(*parts: bytes, size: bytes | None = None) -> bytes:
    return ebml(b"webm") + element("18538067", *parts, size=size)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_film_is_proved_wherever_the_front_ends_behind_the_head_of_its_first_element(sample: Sample) -> None:
    proof = PROOFS[sample.media_type]
    assert is_whole(proof, sample.content)
    assert least_front(proof, sample.content) == len(ebml(b"webm" if proof is is_webm else b"matroska")) + 12 + 5


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if len(sample.content) < 4096], ids=lambda sample: sample.name
)
def test_a_film_cut_short_is_none(sample: Sample) -> None:
    assert accepted_cuts(PROOFS[sample.media_type], sample.content) == []


@pytest.mark.threat(12)
@pytest.mark.parametrize("kind", [b"", b"web", b"webm2", b"WEBM", b"matroska", b"ebml"])
def test_the_document_type_decides(kind: bytes) -> None:
    assert is_whole(is_mkv, matroska(kind)) == (kind == b"matroska")
    assert not is_whole(is_webm, matroska(kind))


@pytest.mark.parametrize("name", ["114d9b74", "1c53bb6b", "1941a469", "1043a770", "1254c367", "ec", "bf"])
def test_a_segment_may_hold_what_matroska_defines(name: str) -> None:
    assert is_whole(is_webm, segment(INFO, element(name, b"any"), TRACKS, CLUSTER))


@pytest.mark.parametrize("name", ["4281", "ec", "bf"])
def test_a_header_may_hold_what_ebml_defines(name: str) -> None:
    assert is_whole(is_webm, ebml(b"webm", before=element(name, b"any")) + webm()[36:])


def test_a_document_type_may_end_in_zeros() -> None:
    assert is_whole(is_webm, matroska(b"webm\0\0"))  # RFC 8794, 7.4


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(webm()[1:], id="another first byte"),
        pytest.param(b"\x15\x49\xa9\x66" + webm()[4:], id="another first element"),
        pytest.param(ebml(b"webm") + b"\x15\x49\xa9\x66" + webm()[40:], id="another second element"),
        pytest.param(element("1a45dfa3", element("4282", b"webm"), size=number(0)) + webm()[36:], id="empty header"),
        pytest.param(element("1a45dfa3", element("4282", b"webm"), size=UNKNOWN) + webm()[36:], id="endless header"),
        pytest.param(element("1a45dfa3", element("4286", b"\x01")) + segment(INFO)[36:], id="no document type"),
        pytest.param(ebml(b"webm", before=element("4282", b"webm")) + webm()[36:], id="two document types"),
        pytest.param(ebml(b"webm", before=element("e7", b"")) + webm()[36:], id="something else in the header"),
        pytest.param(ebml(b"webm") + element("1549a966", INFO), id="no segment"),
        pytest.param(segment(INFO, TRACKS), id="no cluster"),
        pytest.param(segment(INFO, CLUSTER), id="no tracks"),
        pytest.param(segment(TRACKS, CLUSTER), id="no information"),
        pytest.param(segment(INFO, TRACKS, CLUSTER, element("e7", b"x")), id="something else in the segment"),
        pytest.param(segment(INFO, TRACKS, CLUSTER) + b"MZ", id="something behind the segment"),
        pytest.param(segment(INFO, element("1654ae6b", size=UNKNOWN), CLUSTER), id="endless tracks"),
        pytest.param(segment(INFO, element("1654ae6b", size=number(999)), CLUSTER), id="tracks beyond the segment"),
        pytest.param(segment(INFO, TRACKS, CLUSTER, size=number(999, 4)), id="segment beyond the file"),
        pytest.param(segment(INFO, TRACKS, bytes(9000)), id="zeros in view of a segment that goes on"),
        pytest.param(segment(INFO, TRACKS, b"\xec\0" + bytes(9000)), id="a length of more than eight bytes"),
        pytest.param(segment(INFO, b"\xec\x80" * 300, TRACKS, CLUSTER), id="more elements than any writer makes"),
    ],
)
def test_a_file_with_one_wrong_element_is_no_film(content: bytes) -> None:
    assert is_whole(is_webm, segment(INFO, TRACKS, CLUSTER))
    assert not is_whole(is_webm, content)


def test_a_live_stream_knows_the_length_of_neither_segment_nor_clusters() -> None:
    cluster = element("1f43b675", element("e7", b"\0"), size=UNKNOWN)
    content = segment(INFO, TRACKS, cluster * 3, size=UNKNOWN)
    assert is_whole(is_webm, content)
    assert is_whole(is_webm, content + bytes(9000))


@pytest.mark.threat(12)
@given(found=damaged([sample.content for sample in SAMPLES]))
def test_no_damage_makes_a_proof_of_films_raise(found: tuple[bytes, int]) -> None:
    assert {type(proof(*found)) for proof in PROOFS.values()} == {bool}


@pytest.mark.threat(12)
@given(
    head=st.sampled_from([b"", b"\x1a\x45\xdf\xa3", ebml(b"webm"), ebml(b"webm") + b"\x18\x53\x80\x67"]),
    rest=st.binary(max_size=300),
    more=st.integers(0, 99),
)
def test_no_bytes_behind_a_head_make_a_proof_raise(head: bytes, rest: bytes, more: int) -> None:
    front = head + rest
    assert {type(proof(front, len(front) + more)) for proof in PROOFS.values()} == {bool}
