"""What is read out of Uppy's questions: types that browsers do not know, and metadata that nobody asked for."""

import pytest

from gateway.content.media_types import MEDIA_TYPES
from gateway.grants.policies import METADATA_BYTES, Policy
from gateway.protocols.uppy_wishes import Asked, MultipartRequest

OCTETS = "application/octet-stream"


def policy(*names: str) -> Policy:
    return Policy("default", {name: MEDIA_TYPES[name] for name in names}, 1000)


@pytest.mark.parametrize("unknown", ["", OCTETS])
def test_a_type_that_the_browser_does_not_know_is_told_by_the_filename(unknown: str) -> None:
    wide = policy("text/csv", "image/jpeg", OCTETS)
    for filename, content_type in {
        "table.csv": "text/csv",
        "IMG_1.JPEG": "image/jpeg",
        "disk.img": OCTETS,
        "README": OCTETS,
        "a.png": OCTETS,
    }.items():
        assert Asked(filename, unknown, {}).wish(wide).content_type == content_type


def test_a_type_that_the_browser_knows_stays() -> None:
    assert Asked("table.csv", "text/plain", {}).wish(policy("text/csv")).content_type == "text/plain"


def test_spaces_come_as_plus_and_as_percent_20() -> None:
    for query in (b"filename=my+notes%2B.txt&type=text%2Fplain", b"filename=my%20notes%2B.txt&type=text/plain"):
        assert Asked.in_query(query) == Asked("my notes+.txt", "text/plain", {})


def test_metadata_is_what_stands_in_brackets() -> None:
    query = b"filename=a.txt&metadata%5Balbum%5D=a+b&metadata[owner]=ann&other=1&metadata%5BrelativePath%5D=null"
    assert Asked.in_query(query).metadata == {"album": "a b", "owner": "ann"}


@pytest.mark.parametrize(
    ("metadata", "taken"),
    [
        (None, {}),
        (["a"], {}),
        ("text", {}),
        ({"name": "a.txt", "type": "text/plain", "policy": "default"}, {}),
        ({"relativePath": None, "n": 1, "deep": {"er": "x"}, "album": "x"}, {"album": "x"}),
        ({"line": "a\nb", "bidi": "\u202eevil", "album": "Zoë"}, {"album": "Zoë"}),
        ({"long": "x" * METADATA_BYTES, "album": "x"}, {"album": "x"}),
        ({str(number): "x" for number in range(12)}, {str(number): "x" for number in range(10)}),
    ],
    ids=["none", "a list", "text", "told already", "no text", "unprintable", "too long", "too many"],
)
def test_metadata_is_taken_as_far_as_it_is_text_and_fits(metadata: object, taken: dict[str, str]) -> None:
    request = MultipartRequest(filename="a.txt", type="text/plain", metadata=metadata)
    assert request.asked().wish(policy("text/plain")).metadata == taken


def test_the_policy_is_named_among_the_meta_fields() -> None:
    assert MultipartRequest(filename="a", metadata={"policy": "photos"}).asked().policy == "photos"
    assert MultipartRequest(filename="a", metadata={"policy": 7}).asked().policy is None
    assert Asked.in_query(b"metadata[policy]=photos").policy == "photos"
