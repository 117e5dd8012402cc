"""Plain text, CSV and Markdown: which bytes are text, wherever the front ends, and what in Markdown is active."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.text import holds_markdown_action, is_csv, is_json, is_markdown, is_text
from tests.content.corpus_dressed import EXECUTABLES
from tests.content.fronts import damaged, is_whole

PROOFS = (is_text, is_csv, is_markdown)
WORDS = "Zoë, Ωmega, 漢字 \U0001f600\r\n\ta < b\f\n"
MARKS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@pytest.mark.parametrize("encoding", MARKS)
def test_text_is_text_wherever_the_front_ends(encoding: str) -> None:
    content = MARKS[encoding] + WORDS.encode(encoding) * 200
    for proof in PROOFS:
        assert is_whole(proof, content)
        # A mark is of two bytes, and no window ends within it.
        assert all(proof(content[:length], len(content)) for length in range(len(MARKS[encoding]), 500))


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"#!/bin/sh\n", id="script"),
        pytest.param(b"\xff\xfe" + "#!/bin/sh\n".encode("utf-16-le"), id="script in UTF-16"),
        pytest.param(b"a\0b", id="zero"),
        pytest.param(b"a\x1b[2J", id="escape"),
        pytest.param("a\x9bm".encode(), id="control of one byte more"),
        pytest.param(b"\xff\xfea\0\x1b\0", id="escape in UTF-16"),
        pytest.param(b"\xfe\xff\0a\0\x9b", id="control in UTF-16"),
        pytest.param("Zoë".encode("latin-1"), id="Latin 1"),
        pytest.param("Zoë".encode("utf-16-le"), id="UTF-16 without its mark"),
        pytest.param(b"\xff\xfe\0\0a\0\0\0", id="UTF-32"),
        pytest.param(b"\xff\xfea", id="half a character"),
        pytest.param(b"\xff\xfe\x3d\xd8", id="half a pair"),
        pytest.param(b"\xc0\xbcscript>", id="a character written too long"),
    ],
)
def test_what_is_no_text_or_a_script_is_neither_csv_nor_markdown(content: bytes) -> None:
    assert [is_whole(proof, content) for proof in PROOFS] == [False, False, False]


@pytest.mark.threat(12)
@pytest.mark.parametrize("content", EXECUTABLES.values(), ids=EXECUTABLES)
def test_no_executable_is_text(content: bytes) -> None:
    assert [is_whole(proof, content) for proof in (*PROOFS, is_json)] == [False] * 4


@pytest.mark.parametrize(
    "content",
    [
        b"<!-- generated: do not edit -->\n# Title\n",
        b'<p align="center"><img src="logo.png"></p>\n\n# Title\n',
        b"<h1>Title</h1>\n",
        b"\xef\xbb\xbf<div><a href='https://example.org/'>word</a><br></div>",
        b"Press <kbd>Ctrl</kbd> <details>\n\n- on = 1\n\n</details> <https://example.org/>",
        b"| a | b |\n|---|---|\n| `<object>` | usage: git <link> |\n",
        b"\xff\xfe" + "<!-- a note -->\n# Title".encode("utf-16-le"),
    ],
)
def test_markdown_may_hold_and_begin_with_passive_html(content: bytes) -> None:
    assert is_whole(is_markdown, content)
    assert not holds_markdown_action(content)


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "text",
    [
        "# Title\n<script>alert(1)</script>",
        "# Title\n<img src=x onerror=alert(1)>",
        "[a](x) <a href='javascript:alert(1)'>b</a>",
        "# Title\n<iframe src=//evil.example>",
        "<!-- a note --><svg/onload=alert(1)>",
        "<!doctype html><p>a",
        "<html>a",
        "<?xml version='1.0'?><a/>",
        "<?php phpinfo();",
        "<% system %>",
        "<style>a{}</style>",
        "<title>a</title>",
        "<head>",
        "<form action=//evil.example>",
        "<math>",
    ],
)
def test_markdown_that_a_browser_would_run_or_take_for_a_page_is_active(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        assert holds_markdown_action(text.encode(encoding)), encoding


@pytest.mark.threat(12)
@given(found=damaged([mark + WORDS.encode(encoding) for encoding, mark in MARKS.items()]))
def test_no_damage_makes_a_proof_of_text_raise(found: tuple[bytes, int]) -> None:
    assert {type(proof(*found)) for proof in PROOFS} == {bool}
    assert type(holds_markdown_action(found[0])) is bool


@pytest.mark.threat(12)
@given(front=st.binary(max_size=50), more=st.integers(0, 9))
def test_text_is_what_decodes_and_holds_no_controls(front: bytes, more: int) -> None:
    if is_text(front, len(front) + more) and not more:
        text = front.decode("utf-16" if front[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8")
        assert not any(ord(letter) < 32 and letter not in "\t\n\f\r" for letter in text)
