"""PDF: which names of its actions are found, however they are written, and which are none of an action's."""

import pytest

from gateway.content.documents import holds_pdf_action
from tests.content.corpus_documents import pdf

ACTIVE = (
    *("JavaScript", "JS", "XFA", "Launch", "EmbeddedFile", "EmbeddedFiles", "GoToE", "ImportData", "RichMedia"),
    "Movie",
)
HARMLESS = ("GoTo", "GoToR", "URI", "SubmitForm", "ResetForm", "Named", "AcroForm", "XFAx", "Movies", "JSON")


@pytest.mark.threat(12)
@pytest.mark.parametrize("name", ACTIVE)
def test_an_action_is_found_however_its_name_is_written(name: str) -> None:
    escaped = "".join(f"#{code:02x}" for code in name.encode())
    for written in (name, escaped, escaped.upper(), f"{name[:-1]}{escaped[-3:]}"):
        for after in ("", " ", "/x", "(x)", "<<>>", "\n", "\0"):
            assert holds_pdf_action(pdf(f"/A<</S/{written}{after}>>".encode())), (written, after)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_viewer_asks_for_or_only_shows_is_no_such_action(name: str) -> None:
    assert not holds_pdf_action(pdf(f"/A<</S/{name}>>".encode()))


def test_a_name_that_the_front_cuts_is_taken_for_whole() -> None:
    assert holds_pdf_action(b"%PDF-1.7\n1 0 obj<</XFA")
    assert not holds_pdf_action(b"%PDF-1.7\n1 0 obj<</XF")
