"""Active content: found in any encoding and any place of a front, and not where nothing would run."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.active_content import holds_active_content
from tests.content.corpus_dressed import MARKUP
from tests.content.corpus_films import element, mkv, mp4, webm
from tests.content.corpus_pictures import avif, bmp, box
from tests.content.corpus_rasters import XMP, gif, jpeg, segment
from tests.content.corpus_sound import flac, flac_block, id3, mp3, wav

SCRIPT = b"<script>alert(1)</script>"
RUN = {
    "element": "<script>alert(1)</script>",
    "cut element": "words <script",
    "drawing": "<svg/onload=alert(1)>",
    "handler": "<a x='>' onpointerenter\n=\talert(1)>",
    "link": "<a href='&#106;ava\tscript:alert(1)'>",
    "namespace": "<x:p xmlns:x='http://www.w3.org/1999/xhtml'>",
    "document type": "<!DOCTYPE\nHTML>",
    "server page": "<?php phpinfo();",
    "prefix of 40 letters": f"<{'a' * 40}:script>alert(1)</{'a' * 40}:script>",
    "prefix beyond ASCII": "<é:script>alert(1)</é:script>",
    "handler and 70 spaces": f"<a onload{' ' * 70}=alert(1)>",
    "long handler": f"<a onload{'d' * 40}=alert(1)>",
    "namespace and 70 spaces": f"<é:p xmlns:é{' ' * 70}= 'http://www.w3.org/2000/svg'>",
    "document type and 70 lines": "<!DOCTYPE" + "\n" * 70 + "HTML>",
    "attribute behind 70 spaces": f"<meta{' ' * 70}http-equiv=refresh content='0;url=//evil.example'>",
    "refresh": "<meta http-equiv=refresh content='0;url=//evil.example'>",
}


@pytest.mark.threat(8)
@pytest.mark.parametrize("text", RUN.values(), ids=RUN)
@pytest.mark.parametrize("before", ["", "words ", "Zoë 漢字 "])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be"]
)
def test_what_a_browser_would_run_is_found_in_every_encoding(encoding: str, before: str, text: str) -> None:
    assert holds_active_content((before + text).encode(encoding))
    assert holds_active_content((before + text.upper().replace("&#106;", "J")).encode(encoding))


@pytest.mark.threat(8)
@pytest.mark.parametrize("noise", [bytes(64), b"\xff\x00\x80" * 30, bytes(range(256)) * 9])
def test_it_is_found_among_any_bytes(noise: bytes) -> None:
    for text in MARKUP.values():
        if b"words" in text and b">" in text:  # the others run as a whole document alone, or at the end
            assert holds_active_content(noise + text.replace(b"words", b"") + noise), text


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "content",
    [
        mp3(2) + SCRIPT,
        id3((b"TXXX", b"\0comment\0" + SCRIPT)) + mp3(),
        id3((b"COMM", b"\x01eng\xff\xfe\0\0\xff\xfe" + SCRIPT.decode().encode("utf-16-le"))) + mp3(),
        wav((b"LIST", b"INFOICMT" + SCRIPT)),
        flac(flac_block(4, SCRIPT)),
        mp4(extra=box(b"udta", box(b"\xa9cmt", SCRIPT))),
        mkv(title=SCRIPT),
        webm(element("1254c367", SCRIPT)),
        avif(extra=box(b"uuid", SCRIPT)),
        bmp(tail=SCRIPT),
    ],
)
def test_markup_in_metadata_is_found(content: bytes) -> None:
    assert holds_active_content(content)


@pytest.mark.parametrize(
    "content",
    [
        jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
        id3((b"PRIV", b"XMP\0" + XMP)) + mp3(),
        wav((b"_PMX", XMP)),
        mp4(extra=box(b"uuid", bytes(16), XMP)),
        mp4(
            extra=box(b"udta", b'<?xml version="1.0"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://x">')
        ),
        mkv(title=b"on stage: a <b>bold</b> word, a < b"),
        wav((b"bext", bytes(600)), (b"iXML", b'<?xml version="1.0"?><BWFXML><PROJECT>x</PROJECT></BWFXML>')),
        avif(extra=box(b"uuid", XMP)),
    ],
)
def test_metadata_that_cameras_and_players_write_is_not_active(content: bytes) -> None:
    assert not holds_active_content(content)


SIGNATURES = {
    "GIF": b"GIF89a",
    "RIFF": b"RIFF",
    "WOFF2": b"wOF2OTTO",
    "MP3": b"\xff\xfb",
    "MP3 without checksum": b"\xff\xf3",
}


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
@pytest.mark.parametrize("opening", [b"/*", b"//", b"=1", b" = ", b"\n/*", b"\t=1"])
def test_a_signature_that_goes_on_as_a_script_is_one(signature: bytes, opening: bytes) -> None:
    assert holds_active_content(signature + opening + b"\0" * 40)


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize("opening", [b"/*", b"//", b"=1", b" ="])
def test_the_size_of_a_bmp_may_not_begin_a_script(opening: bytes) -> None:
    size = int.from_bytes((opening + b"\x20\x01")[:4], "little")
    assert holds_active_content(bmp(size=size))
    assert not holds_active_content(b"BM" + opening + b" is how a line of text may begin as well")


def test_files_whose_sizes_look_like_no_script_are_not_active() -> None:
    for content in (gif(), wav(), mp3(), bmp(), flac(), mp4(), webm()):
        assert not holds_active_content(content)


@pytest.mark.parametrize(
    "text",
    [
        b"if a < b and c > d: print('on load = 3')",
        b"usage: git show <object>... <link> of the page",
        b"see <mailto:me@example.org> or <https://example.org/>",
        b"one=1, only=2, on a < b",
        b'{"a": "<p>a <b>bold</b> <a href=\'https://example.org/\'>word</a>"}',
        b"a description of javascript: a language",
        b"vector<int> bodyguard; x<scripts>; List<Base>",
    ],
)
def test_words_about_markup_are_not_active(text: bytes) -> None:
    assert not holds_active_content(text)


@pytest.mark.threat(8)
@given(
    before=st.binary(max_size=60),
    after=st.binary(max_size=60),
    text=st.sampled_from(sorted(set(RUN.values()) - {RUN["cut element"]})),
)
def test_nothing_around_it_hides_what_runs(before: bytes, after: bytes, text: str) -> None:
    assert holds_active_content(before + b" " + text.encode() + after)


PIECES = [
    b"<",
    b"<a",
    b"<a:",
    b"<\0",
    b"on",
    b" on",
    b" onload",
    b"j",
    b"j\n",
    b"j&#9;",
    b"&#0",
    b"&#106;",
    b"<object x",
    b"<object " + b"x" * 500,
    b"<a" + b"a" * 500,
    b"<a onload" + b" " * 500,
    b"<!doctype" + b" " * 500,
    b"<!doctype ",
    b"xmlns:" + b"a" * 500,
    b"xmlns" + b" " * 500,
    b"xmlns = ",
]


@pytest.mark.threat(12)
@pytest.mark.parametrize("piece", [*PIECES, b"xmlns:a ", b"\xff/", b"<!--", b"<a href=j&tab;"])
@pytest.mark.usefixtures("untraced")
def test_time_grows_no_faster_than_the_front(piece: bytes) -> None:
    """Of 32 times as much: quadratic time would be a thousand times as long, and linear time is 32 times."""
    short, long = ((b"<a " + piece * length)[:length] for length in (2_000, 64_000))
    assert duration(long) < 200 * max(duration(short), 20e-6)


def duration(front: bytes) -> float:
    def once() -> float:
        start = time.perf_counter()
        holds_active_content(front)
        return time.perf_counter() - start

    return min(once() for _ in range(5))
