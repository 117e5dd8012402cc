"""Documents: does the front of an object have the structure of a PDF, and does it name something to run? Pure."""

import re

_PDF_HEADER = re.compile(rb"%PDF-(?:1\.[0-7]|2\.0)[\0\t\n\f\r ]")
_PDF_OBJECT = re.compile(rb"[0-9][\0\t\n\f\r ]{1,4}[0-9]{1,5}[\0\t\n\f\r ]{1,4}obj")


def is_pdf(front: bytes, size: int) -> bool:
    """Follow PDF (ISO 32000-2, 7.5): header at byte 0, an object, and the end-of-file mark where it is in view."""
    if _PDF_HEADER.match(front) is None or _PDF_OBJECT.search(front) is None:
        return False
    return size > len(front) or b"%%EOF" in front


def _name(text: str) -> bytes:
    """Match a PDF name, each character also as `#xx` (ISO 32000-2, 7.3.5)."""
    return b"".join(b"(?:%c|#(?i:%02x))" % (code, code) for code in text.encode())


# JavaScript, programs to launch, files within and what leads into them, and players: ISO 32000-2, 12.6.4.17, 12.6.4.6,
# 7.11.4, 12.6.4.4 and 13.7. Forms of XFA, which hold script, data that a form takes from elsewhere, and films:
# ISO 32000-1, 12.7.8, 12.7.5.4 and 13.4. Not what sends a form (SubmitForm): forms are for that, and viewers ask first.
_ACTIONS = (
    *("JavaScript", "JS", "XFA", "Launch", "EmbeddedFile", "EmbeddedFiles", "GoToE", "ImportData"),
    *("RichMedia", "Movie"),
)
_ACTION = re.compile(rb"/(?:" + b"|".join(map(_name, _ACTIONS)) + rb")(?:[\0\t\n\f\r ()<>\[\]{}/%]|\Z)")


def holds_pdf_action(front: bytes) -> bool:
    """Tell whether the front of a PDF names something that a viewer would run, launch or unpack."""
    return _ACTION.search(front) is not None
