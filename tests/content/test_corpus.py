"""What proof says of the corpus, of what is cut from it, damaged in it or made up, and of archives beyond its size."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, OCTETS, MediaType, objection
from gateway.errors import Code
from tests.content.corpus import BOMBS, BROKEN, CORPUS, POLYGLOTS, WELL_FORMED
from tests.content.corpus_archives import NOISE, STORED, Member, zip_end, zip_of
from tests.content.corpus_dressed import DRESSED, EXECUTABLES, MARKUP
from tests.content.corpus_samples import (
    AAC,
    ALL,
    AVIF,
    BOMB,
    CSV,
    FLAC,
    GIF,
    GZIP,
    HEIC,
    HEIF,
    IMAGES,
    JSON,
    M4A,
    MARKDOWN,
    MISMATCH,
    MKV,
    MOV,
    MP3,
    MP4,
    OFFICE,
    PDF,
    SVG,
    TEXT,
    WEBA,
    WEBM,
    ZIP,
    Sample,
    in_view,
    verdict,
)

PLAIN = frozenset({TEXT, CSV, MARKDOWN})
# What a file of one type may truly be called as well.
ALSO = {
    **dict.fromkeys((TEXT, CSV, MARKDOWN, JSON, PDF), PLAIN),
    **dict.fromkeys(OFFICE, frozenset({ZIP})),
    **dict.fromkeys((MP4, M4A), frozenset({MP4, M4A})),
    **dict.fromkeys((WEBM, WEBA), frozenset({WEBM, WEBA})),
    **dict.fromkeys((HEIC, HEIF), frozenset({HEIC, HEIF})),
}
TYPES = st.sampled_from(list(MEDIA_TYPES.values()))
CODES = {None, Code.ACTIVE_CONTENT, Code.CONTENT_MISMATCH, Code.ARCHIVE_TOO_LARGE}


def test_the_corpus_is_of_every_type_and_as_large_as_promised() -> None:
    assert {*ALL, OCTETS} == set(MEDIA_TYPES)
    assert {sample.media_type for sample in WELL_FORMED} == set(ALL)
    assert {sample.media_type for sample in BROKEN if "-cut-to-" in sample.name} == set(ALL) - PLAIN
    assert {(sample.media_type, sample.name) for sample in DRESSED} >= {
        (kind, f"{name}-as-{kind}") for kind in IMAGES for name in (*MARKUP, *EXECUTABLES)
    }
    assert len({(sample.media_type, sample.name) for sample in CORPUS}) == len(CORPUS) > 3000
    assert len({sample.content for sample in CORPUS}) > 600  # the promise was 120
    assert {sample.verdict for sample in CORPUS} == CODES


@pytest.mark.threat(8, 12, 14)
@pytest.mark.parametrize("kind", ALL)
def test_every_sample_of_the_corpus_gets_its_verdict(kind: str) -> None:
    samples = [sample for sample in CORPUS if sample.media_type == kind]
    found = {sample.name: verdict(kind, sample.content) for sample in samples}
    assert found == {sample.name: sample.verdict for sample in samples}


def _box_ends(content: bytes) -> set[int]:
    """Tell where a file of boxes may end (ISO/IEC 14496-12, 4.2)."""
    ends, position = set(), 0
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        position += length if length > 1 else len(content)
        ends.add(position)
    return ends


def _cluster_starts(content: bytes) -> set[int]:
    """Tell where a film may end whose length is not known when it begins (RFC 8794, 6.2): before any cluster."""
    return {content.index(b"\x1f\x43\xb6\x75")} if b"\x18\x53\x80\x67\x01" + b"\xff" * 7 in content else set()


def _last(content: bytes) -> set[int]:
    """A line may go without its end, and a picture without the byte that follows the last one."""
    if content.endswith(b"\n\0"):
        return {len(content) - 2}
    return {len(content) - 1} if content[-1:] in {b"\n", b";"} else set()


def _never(_content: bytes) -> set[int]:
    return set()


# Where a shorter file is whole as well.
ENDS: dict[str, Callable[[bytes], set[int]]] = {
    **dict.fromkeys((AVIF, HEIC, HEIF, MP4, M4A, MOV), _box_ends),
    **dict.fromkeys((WEBM, WEBA, MKV), _cluster_starts),
    **dict.fromkeys((GIF, SVG, PDF, JSON), _last),
    GZIP: lambda content: {content.find(b"\x1f\x8b", 1)},
}
# Of these one frame more or less is as good, or they are larger than what is in view.
CUTTABLE = [
    sample
    for sample in WELL_FORMED
    if sample.media_type not in {*PLAIN, MP3, AAC, FLAC} and len(sample.content) <= FRONT_BYTES
    if sample.name != "png-then-zeros"
]


@pytest.mark.threat(12)
@pytest.mark.parametrize("sample", CUTTABLE, ids=lambda sample: f"{sample.media_type}:{sample.name}")
def test_a_well_formed_file_cut_short_is_no_such_file(sample: Sample) -> None:
    whole = [
        length for length in range(len(sample.content)) if verdict(sample.media_type, sample.content[:length]) is None
    ]
    assert set(whole) <= ENDS.get(sample.media_type, _never)(sample.content)


@pytest.mark.threat(12)
def test_no_file_is_proved_to_be_of_two_types_that_are_not_one_another() -> None:
    wrong = {}
    for sample in (*WELL_FORMED, *BROKEN, *POLYGLOTS, *BOMBS):
        types = {kind for kind in ALL if verdict(kind, sample.content) is None}
        if not any(types <= {kind} | ALSO.get(kind, frozenset()) for kind in types or {ZIP}):
            wrong[sample.media_type, sample.name] = types
    assert wrong == {}


@pytest.mark.threat(8, 12)
def test_octets_are_whatever_they_are_since_nobody_is_ever_shown_them() -> None:
    assert {verdict(OCTETS, sample.content) for sample in CORPUS} == {None}
    assert not MEDIA_TYPES[OCTETS].inline


# WHATWG MIME Sniffing, 7.1: what makes an unknown file a page, behind white space and before a space or a `>`.
SNIFFED = (
    *(b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A"),
    *(b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--"),
)


@pytest.mark.threat(8)
@pytest.mark.parametrize("kind", sorted(set(ALL) - {MARKDOWN, SVG}))
def test_nothing_that_a_browser_would_sniff_for_a_page_is_anything(kind: str) -> None:
    for tag in SNIFFED:
        for page in (tag + b">", tag + b" x>", b"\t\n\x0c\r " + tag.lower() + b">", b"\xef\xbb\xbf" + tag + b" "):
            assert verdict(kind, page + b" hello") is Code.ACTIVE_CONTENT, page
            assert verdict(kind, page + b" hello" * 2000) is Code.ACTIVE_CONTENT, page
    assert verdict(kind, b'<?xml version="1.0"?><a/>') is Code.ACTIVE_CONTENT


@pytest.mark.threat(14)
@pytest.mark.parametrize("sample", BOMBS, ids=lambda sample: sample.name)
def test_a_bomb_is_refused_whatever_may_be_unpacked(sample: Sample) -> None:
    for limit in (None, 1, 2**20, 2**40):
        assert verdict(sample.media_type, sample.content, unpacked_limit=limit) in {BOMB, MISMATCH}


def test_a_harmless_archive_may_unpack_to_as_much_as_is_scanned_and_no_more() -> None:
    archive = zip_of(Member(b"a.txt", bytes(1000)), Member(b"b.txt", bytes(500)))
    found = [verdict(ZIP, archive, unpacked_limit=limit) for limit in (None, 1500, 1499, 0)]
    assert found == [None, None, BOMB, BOMB]


def large_zip(sizes: list[int], packed: int, *, comment: bytes = b"") -> tuple[bytes, int, bytes]:
    """Front, size and end of an archive too large to be made: each member so many bytes packed, beyond any view."""
    directory, offset, front = b"", 0, b""
    for number, size in enumerate(sizes):
        member = Member(b"%06d" % number, packed=NOISE, checksum=0, packed_size=packed, size=size)
        front = front or member.local()[:FRONT_BYTES]
        directory += member.entry(offset)
        offset += 36 + packed
    end = directory + zip_end(len(sizes), len(directory), offset, comment)
    return front, offset + len(directory) + (22 + len(comment)), (NOISE * 30 + end)[-MEDIA_TYPES[ZIP].end_bytes :]


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    ("sizes", "packed", "code"),
    [
        ([2**30] * 3, 2**28, None),
        ([2**30] * 5, 2**28, BOMB),  # 5 GiB in all
        ([2**30] * 3, 2**23, BOMB),  # 128 bytes for one
        ([2**30, 1], 2**22, BOMB),  # one hides behind the other
        ([2**20] * 3000, 2**20, None),
        ([2**10] * 6000, 2**19, BOMB),  # a directory that is not in view
    ],
)
def test_an_archive_of_any_size_is_judged_by_its_directory(sizes: list[int], packed: int, code: Code | None) -> None:
    front, size, end = large_zip(sizes, packed)
    assert objection(MEDIA_TYPES[ZIP], front, size, end) is code


@pytest.mark.threat(14)
def test_what_a_scanner_would_take_for_clean_unseen_is_too_large_to_be_scanned() -> None:
    """Of a member beyond its limit clamd looks at nothing, nor at what comes behind it, and calls all of it clean."""
    front, size, end = large_zip([150 * 2**20, 68], 140 * 2**20)
    assert objection(MEDIA_TYPES[ZIP], front, size, end) is None
    assert objection(MEDIA_TYPES[ZIP], front, size, end, unpacked_limit=100 * 2**20) is BOMB
    encrypted = zip_of(Member(b"a.txt", b"hello", STORED, flags=1, packed=NOISE[:17]))
    assert verdict(ZIP, encrypted) is None
    assert verdict(ZIP, encrypted, unpacked_limit=100 * 2**20) is BOMB


@pytest.mark.threat(12)
@settings(deadline=None)
@given(
    media_type=TYPES,
    front=st.binary(max_size=FRONT_BYTES),
    size=st.integers(min_value=0),
    end=st.binary(max_size=512),
    limit=st.none() | st.integers(min_value=0),
)
def test_no_bytes_make_it_raise(media_type: MediaType, front: bytes, size: int, end: bytes, limit: int | None) -> None:
    assert objection(media_type, front, size, end, unpacked_limit=limit) in CODES


DAMAGED = [sample for sample in (*WELL_FORMED, *BROKEN, *POLYGLOTS, *BOMBS) if sample.content]
NUMBERS = st.integers(0, len(DAMAGED) - 1)  # of them: hypothesis would print the samples themselves


@pytest.mark.threat(12)
@settings(deadline=None)
@given(
    number=NUMBERS,
    other=st.none() | TYPES,
    places=st.lists(st.tuples(st.integers(min_value=0), st.binary(max_size=9)), min_size=1, max_size=4),
    lost=st.integers(min_value=0, max_value=40),
    extra=st.integers(0, 2**40),
)
def test_no_damage_to_a_sample_makes_it_raise(
    number: int, other: MediaType | None, places: list[tuple[int, bytes]], lost: int, extra: int
) -> None:
    sample = DAMAGED[number]
    content = sample.content
    for place, patch in places:
        # Half of them near the end, where archives keep their directory.
        at = place % len(content) if place % 2 else len(content) - place % min(len(content), 300)
        content = content[:at] + patch + content[at + max(0, len(patch) - lost % 3) :]
    media_type = other or MEDIA_TYPES[sample.media_type]
    front, size, end = in_view(media_type, content[: max(1, len(content) - lost)])
    for told in (size, size + extra):
        assert objection(media_type, front, told, end) in CODES


@pytest.mark.threat(12)
@settings(deadline=None)
@given(number=NUMBERS, value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 2**31 - 1, 2**31, 2**32 - 1]))
def test_no_value_in_a_sample_makes_it_raise(number: int, value: int) -> None:
    """Every four bytes of its first hundred, and of its last, become the value, in either order."""
    media_type = MEDIA_TYPES[DAMAGED[number].media_type]
    front, size, end = in_view(media_type, DAMAGED[number].content)
    for patch in (value.to_bytes(4, "little"), value.to_bytes(4, "big")):
        for place in range(min(100, len(front))):
            damaged = front[:place] + patch + front[place + 4 :]
            assert objection(media_type, damaged[: len(front)], size, end) in CODES
        for place in range(max(0, len(end) - 100), len(end)):
            damaged = end[:place] + patch + end[place + 4 :]
            assert objection(media_type, front, size, damaged[: len(end)]) in CODES
