"""What a front of text proves, and the table of types."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.filenames import Filename
from gateway.content.media_names import ALIASES
from gateway.content.media_types import (
    BY_EXTENSION,
    FRONT_BYTES,
    MEDIA_TYPES,
    OCTETS,
    check_extension,
    objection,
    parse_media_type,
)
from gateway.errors import Code, Refusal
from tests.content.corpus_documents import ROWS
from tests.content.corpus_samples import verdict


@pytest.mark.threat(12)
@pytest.mark.parametrize("document", [json.dumps(ROWS[:3]), json.dumps(ROWS[:3], ensure_ascii=False, indent=1)])
def test_json_may_be_cut_anywhere_at_the_end_of_the_front_but_nowhere_else(document: str) -> None:
    content = document.encode()
    for length in range(1, len(content)):
        assert objection(MEDIA_TYPES["application/json"], content[:length], len(content)) is None, content[:length]
        assert objection(MEDIA_TYPES["application/json"], content[:length], length) is Code.CONTENT_MISMATCH


@pytest.mark.threat(12)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_json_too_deep_for_the_interpreter_is_refused_not_raised(opening: bytes) -> None:
    # How deep that is depends on the interpreter, and RFC 8259 section 9 leaves it to the parser.
    assert verdict("application/json", opening * 100_000) in {None, Code.CONTENT_MISMATCH}
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"a:')[::-1]
    assert verdict("application/json", opening * 50 + b"1" + closing * 50) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=JSON_VALUES, ascii_only=st.booleans(), cut=st.integers(min_value=1))
def test_any_json_text_is_json_wherever_the_front_ends(value: object, ascii_only: bool, cut: int) -> None:  # noqa: FBT001 - hypothesis passes by name
    # A text that quotes markup is refused for that: the promise here is about the grammar.
    content = json.dumps(value, ensure_ascii=ascii_only).replace("<", "").encode(errors="replace")
    media_type = MEDIA_TYPES["application/json"]
    assert objection(media_type, content, len(content)) is None
    assert objection(media_type, content[: 1 + cut % len(content)], len(content) + 1) is None


@given(
    text=st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<"), min_size=1),
    cut=st.integers(min_value=1),
)
@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", b""), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])
def test_any_text_is_text_wherever_the_front_ends(encoding: str, mark: bytes, text: str, cut: int) -> None:
    content = mark + text.replace("#!", "").encode(encoding)
    for media_type in (MEDIA_TYPES["text/plain"], MEDIA_TYPES["text/csv"]):
        assert objection(media_type, content, len(content)) is None
        assert objection(media_type, content[: len(mark) + cut % (len(content) or 1)], len(content) + 1) is None


def test_the_table_lists_exactly_these_types() -> None:
    assert [(found.name, found.extensions, found.inline) for found in MEDIA_TYPES.values()] == [
        ("image/png", ("png",), True),
        ("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), True),
        ("image/gif", ("gif",), True),
        ("image/webp", ("webp",), True),
        ("image/avif", ("avif",), True),
        ("image/heic", ("heic",), True),
        ("image/heif", ("heif", "hif"), True),
        ("image/tiff", ("tif", "tiff"), True),
        ("image/bmp", ("bmp", "dib"), True),
        ("image/vnd.microsoft.icon", ("ico",), True),
        ("image/svg+xml", ("svg",), False),
        ("application/pdf", ("pdf",), False),
        ("video/mp4", ("mp4", "m4v"), True),
        ("audio/mp4", ("m4a",), True),
        ("video/quicktime", ("mov", "qt"), True),
        ("video/webm", ("webm",), True),
        ("audio/webm", ("weba",), True),
        ("video/matroska", ("mkv",), True),
        ("audio/mpeg", ("mp3",), True),
        ("audio/wav", ("wav", "wave"), True),
        ("audio/flac", ("flac",), True),
        ("audio/ogg", ("ogg", "oga", "opus"), True),
        ("audio/aac", ("aac",), True),
        ("application/zip", ("zip",), False),
        ("application/gzip", ("gz", "tgz"), False),
        ("application/x-7z-compressed", ("7z",), False),
        ("application/x-tar", ("tar",), False),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ("docx",), False),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ("xlsx",), False),
        ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ("pptx",), False),
        ("application/vnd.oasis.opendocument.text", ("odt",), False),
        ("application/vnd.oasis.opendocument.spreadsheet", ("ods",), False),
        ("application/vnd.oasis.opendocument.presentation", ("odp",), False),
        ("application/epub+zip", ("epub",), False),
        ("text/plain", ("txt", "text", "log"), False),
        ("text/csv", ("csv",), False),
        ("text/markdown", ("md", "markdown"), False),
        ("application/json", ("json",), False),
        ("font/woff2", ("woff2",), False),
        ("application/octet-stream", ("bin",), False),
    ]


@given(front=st.binary(max_size=FRONT_BYTES), size=st.integers(min_value=0))
def test_any_front_of_any_size_is_octets_and_so_is_nothing_at_all(front: bytes, size: int) -> None:
    assert objection(MEDIA_TYPES[OCTETS], front, size) is None
    assert objection(MEDIA_TYPES[OCTETS], b"", 0) is None


@pytest.mark.parametrize("name", ["a", "a.bin", "a.png", "a.tar.zst", "a.html", ".gitignore"])
def test_octets_may_be_called_anything(name: str) -> None:
    check_extension(MEDIA_TYPES[OCTETS], Filename.parse(name))
    assert MEDIA_TYPES[OCTETS].extensions[0] == "bin"  # which is what stands in the key, whatever the name


def test_no_two_types_share_an_extension() -> None:
    extensions = [extension for found in MEDIA_TYPES.values() for extension in found.extensions]
    assert list(BY_EXTENSION) == extensions
    assert all(extension in BY_EXTENSION[extension].extensions for extension in extensions)


@pytest.mark.parametrize("text", ["image/png", "IMAGE/PNG", " image/png ; charset=utf-8", 'Image/Png;a="b;c"'])
def test_a_media_type_is_read_without_case_and_parameters(text: str) -> None:
    assert parse_media_type(text) is MEDIA_TYPES["image/png"]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("application/x-zip-compressed", "application/zip"),  # Windows
        ("application/vnd.ms-excel", "text/csv"),  # Windows with Excel
        ("Audio/X-M4A; codecs=alac", "audio/mp4"),
        ("video/x-matroska", "video/matroska"),
        ("image/x-icon", "image/vnd.microsoft.icon"),
    ],
)
def test_what_browsers_call_a_type_names_it_too(told: str, meant: str) -> None:
    assert parse_media_type(told) is MEDIA_TYPES[meant]


def test_no_name_stands_for_two_types() -> None:
    assert ALIASES.keys().isdisjoint(MEDIA_TYPES)
    assert all(alias == alias.lower() and parse_media_type(alias).name == name for alias, name in ALIASES.items())


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "image/",
        "image/*",
        "application/xhtml+xml",
        "text/html",
        "image/png,text/html",
        "\u0130mage/png",
        "image/\ud800",
    ],
)
def test_any_other_media_type_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_media_type(text)
    assert caught.value.code is Code.TYPE_NOT_ALLOWED


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    ("name", "fits"), [("a.jpg", True), ("a.JPEG", True), ("a", True), ("a.png", False), ("a.jpg.exe", False)]
)
def test_a_filename_has_an_extension_of_its_type_or_none(name: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    def check() -> None:
        check_extension(MEDIA_TYPES["image/jpeg"], Filename.parse(name))

    if fits:
        check()
        return
    with pytest.raises(Refusal) as caught:
        check()
    assert caught.value.code is Code.EXTENSION_MISMATCH
