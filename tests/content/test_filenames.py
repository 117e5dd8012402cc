"""Filenames: what is kept of a name, and how it is written in a header and in a URL."""

import re
import time
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.filenames import Filename, content_disposition, url_filename
from gateway.errors import Code, Refusal

# RFC 6266 section 4.1, narrowed: one quoted ASCII name that no client reads differently, then RFC 8187's ext-value.
HEADER = re.compile(
    r'(?:inline|attachment); filename="(?P<ascii>[^\x00-\x1f"%/\\\x7f-\U0010ffff]+)"'
    r"(?:; filename\*=UTF-8''(?P<ext>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?"
)


def read_header(header: str) -> str:
    """Read the name as a browser does: `filename*` before `filename`."""
    found = HEADER.fullmatch(header)
    assert found is not None, header
    if found["ext"] is None:
        return found["ascii"]
    octets = re.sub(rb"%(..)", lambda match: bytes.fromhex(match[1].decode()), found["ext"].encode())
    return octets.decode()


def refused(text: str, max_bytes: int = 255) -> bool:
    try:
        Filename.parse(text, max_bytes=max_bytes)
    except Refusal as refusal:
        return refusal.code is Code.INVALID_FILENAME
    return False


@pytest.mark.threat(24, 52, 53)
@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("photo.png", "photo.png"),
        ("Zoe\u0308.png", "Zo\u00eb.png"),
        ("e\u200b\u0301.png", "\u00e9.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200b.png", "a.png"),
        ("\ufeffa\u2066b\u2069.png", "ab.png"),
        ("a\r\nX-Evil: 1", "aX-Evil: 1"),
        ("\n[ERROR] x", "[ERROR] x"),
        ("\x1b[2J\x7f\x9b", "[2J"),
        ("a\0.png", "a.png"),
        ("C:\\fakepath\\a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("a/b\\c.png", "c.png"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("nul .txt", "_nul .txt"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("LPT\u00b9.txt", "_LPT\u00b9.txt"),
        ("aux:stream", "_aux:stream"),
        ("con .txt", "_con .txt"),
        ("CONSOLE.txt", "CONSOLE.txt"),
        ("COM10.txt", "COM10.txt"),
        ("a.png. . ..", "a.png"),
        ("  \u3000a.png\u00a0 ", "a.png"),
        (".profile", ".profile"),
        ("\U0001f600\ufe0f.png", "\U0001f600\ufe0f.png"),
        ('a"; filename="evil.html', 'a"; filename="evil.html'),
    ],
)
def test_a_filename_is_kept_without_what_could_deceive(given_name: str, kept: str) -> None:
    assert Filename.parse(given_name) == Filename(kept)


@pytest.mark.threat(24, 53)
@pytest.mark.parametrize(
    "text", ["", " ", ".", "..", "...", ". .", "a/", "\\", "\u202e", "\r\n", "a\ud800.png", "\udfff"]
)
def test_a_name_of_which_nothing_is_left_is_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.threat(24)
def test_a_filename_has_at_most_max_bytes_of_utf_8_after_normalising() -> None:
    assert not refused("a" * 255)
    assert refused("a" * 256)
    assert not refused("\u00e9" * 127)
    assert refused("\u00e9" * 128)
    assert not refused("e\u0301" * 127)
    assert not refused("x" * 300 + "/a.png")
    assert not refused("\u200b" * 9000 + "a.png")
    assert refused("CON." + "a" * 251)
    assert not refused("\U0001f600" * 300, 1200)
    assert refused("\U0001f600" * 301, 1200)


@pytest.mark.threat(24)
def test_a_name_of_many_combining_marks_is_refused_at_once() -> None:
    start = time.perf_counter()
    assert refused("a" + "\u0301\u0316" * 200_000)
    assert time.perf_counter() - start < 0.5  # normalising it would take minutes


@pytest.mark.threat(24)
@pytest.mark.parametrize("mark", ["\u0301", "\u0f71", "\u0f73", "\u0344"])
def test_a_name_has_at_most_30_combining_marks_in_a_row(mark: str) -> None:
    each = len(unicodedata.normalize("NFD", mark))
    assert not refused("x" + mark * (30 // each) + "x" + mark * (30 // each))
    assert refused("x" + mark * (30 // each + 1))
    assert refused("x" + "\u0301\u200b" * 31), "what is not seen parts no marks"


@pytest.mark.threat(24)
def test_a_batch_of_names_of_nothing_but_marks_holds_nobody_up() -> None:
    start = time.perf_counter()
    for marks in ("\u0316\u0301" * 2400, "\u0f73" * 4800, "\u0344\u0316" * 2400):
        for _ in range(33):  # as many as fit into a body of 1 MiB, all in all
            assert refused(marks, 1200)
    assert time.perf_counter() - start < 0.5  # normalising them takes more than 2 s


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.PNG", "png"), ("a.tar.gz", "gz"), ("a", None), (".profile", "profile"), ("a.b c", "b c")],
)
def test_the_extension_follows_the_last_dot(name: str, extension: str | None) -> None:
    assert Filename.parse(name).extension == extension


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("photo.png", 'attachment; filename="photo.png"'),
        ("my photo (1), v2.png", 'attachment; filename="my photo (1), v2.png"'),
        ("Zo\u00eb.png", "attachment; filename=\"Zoe.png\"; filename*=UTF-8''Zo%C3%AB.png"),
        ("\u20ac rates.csv", "attachment; filename=\"_ rates.csv\"; filename*=UTF-8''%E2%82%AC%20rates.csv"),
        ('a"; x="b.html', "attachment; filename=\"a_; x=_b.html\"; filename*=UTF-8''a%22%3B%20x%3D%22b.html"),
        ("100%41.png", "attachment; filename=\"100_41.png\"; filename*=UTF-8''100%2541.png"),
        ("a'b*c.png", 'attachment; filename="a\'b*c.png"'),
        ("\uff23\uff2f\uff2e", "attachment; filename=\"_CON\"; filename*=UTF-8''%EF%BC%A3%EF%BC%AF%EF%BC%AE"),
        ("\u2026", "attachment; filename=\"_\"; filename*=UTF-8''%E2%80%A6"),
        ("a\uff0fb", "attachment; filename=\"a_b\"; filename*=UTF-8''a%EF%BC%8Fb"),
    ],
)  # fmt: skip
def test_a_disposition_spells_the_name_in_ascii_and_where_that_loses_something_in_utf_8(name: str, header: str) -> None:
    filename = Filename.parse(name)
    assert content_disposition("attachment", filename) == header
    assert content_disposition("inline", filename) == header.replace("attachment", "inline", 1)
    assert read_header(header) == name


@pytest.mark.threat(24)
def test_three_hundred_characters_of_four_bytes_come_back_from_the_header() -> None:
    name = "\U0001f600" * 300
    header = content_disposition("attachment", Filename.parse(name, max_bytes=1200))
    assert read_header(header) == name
    assert f'filename="{"_" * 300}"' in header


@pytest.mark.threat(24, 53)
@pytest.mark.parametrize("plane", range(17))
def test_every_code_point_makes_one_safe_header_that_reads_back(plane: int) -> None:
    for code_point in range(plane << 16, (plane + 1) << 16):
        text = f"a{chr(code_point)}b.png"
        if 0xD800 <= code_point <= 0xDFFF:
            assert refused(text)
            continue
        filename = Filename.parse(text)
        assert read_header(content_disposition("attachment", filename)) == filename.text


@pytest.mark.threat(24, 52, 53)
@given(st.text())
def test_any_name_is_refused_or_safe_in_header_and_url(text: str) -> None:
    if refused(text):
        return
    filename = Filename.parse(text)
    assert Filename.parse(filename.text) == filename
    assert filename.text.isprintable() or not re.search(
        r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e/\\]", filename.text
    )
    assert read_header(content_disposition("inline", filename)) == filename.text
    segment = url_filename(filename)
    assert re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+", segment)
    assert segment not in {".", ".."}
    assert unquote(segment, errors="strict") == filename.text


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a-b_c.~1.png", "a-b_c.~1.png"),
        ("a b+c;d?#.png", "a%20b%2Bc%3Bd%3F%23.png"),
        ("\u00e9", "%C3%A9"),
        ("100%", "100%25"),
    ],
)
def test_a_filename_is_one_segment_of_a_url(name: str, segment: str) -> None:
    assert url_filename(Filename.parse(name)) == segment
