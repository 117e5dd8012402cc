"""Filenames: what a person calls an object. They are shown and sent in Content-Disposition, and never reach a key."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from gateway.errors import Code, Refusal

MAX_BYTES = 255  # UTF-8; the filename travels inside the grant token, and that in 2,000 bytes of metadata
_DECOMPOSED = 4  # code points that NFC composes into one, at most (unicode.org, Normalization FAQ)
# Normalising takes time quadratic in the length of a run of combining marks. No language needs more than 30 of them:
# UAX #15, section 13, Stream-Safe Text Format.
_TOO_MANY_MARKS = re.compile(rb"[^\0]{31}")
_TWO_MARKS = re.compile("[\u0f73\u0f75\u0f81]")  # starters themselves, they decompose into two marks

_DEVICE = r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])"
# Windows opens a device under these names, whatever the extension: Microsoft, "Naming Files, Paths, and Namespaces".
_RESERVED = re.compile(rf"{_DEVICE} *(?:[.:]|$)")
# What most names look like, and what normalising would leave as it is.
_PLAIN = re.compile(rf"(?!{_DEVICE} *(?:\.|$))[A-Za-z0-9_(-][A-Za-z0-9._ (),+-]*(?<![. ])")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")  # RFC 3986 section 2.3
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187 section 3.2.1, beside letters and digits
# A quoted-pair, a percent sign and a slash are each read differently by some browsers: RFC 6266 appendix D.
_QUOTABLE = re.compile(r"[ !#$&-.0-\[\]-~]+")
_UNQUOTABLE = re.compile(r"[^ !#$&-.0-\[\]-~]")
# Control characters and line separators; then Default_Ignorable_Code_Point (Unicode DerivedCoreProperties: bidi marks,
# overrides, zero-width characters, byte order mark, fillers, tags) but for variation selectors, which emoji need.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]",
)


# A dot, and every space that _UNSEEN leaves: Windows drops the dots and the plain spaces at the end of a name.
_TRAILING = ". \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"

Disposition = Literal["inline", "attachment"]


@dataclass(frozen=True, slots=True)
class Filename:
    """A name fit to be shown: NFC, one path segment, nothing invisible in it, no device of Windows."""

    text: str

    @classmethod
    def parse(cls, text: str, *, max_bytes: int = MAX_BYTES) -> "Filename":
        """Normalise `text`, to at most `max_bytes` of UTF-8.

        Raises `invalid-filename` when nothing or too much is left, or more than 30 combining marks in a row.
        """
        if _PLAIN.fullmatch(text) is None:
            text = _normalised(text, max_bytes)
        elif len(text) > max_bytes:
            raise Refusal(Code.INVALID_FILENAME)
        return cls(text)

    @property
    def extension(self) -> str | None:
        """What follows the last dot, in lower case; None when there is no dot."""
        _, dot, extension = self.text.rpartition(".")
        return extension.lower() if dot else None


def content_disposition(kind: Disposition, filename: Filename) -> str:
    """Write the Content-Disposition value (RFC 6266): ASCII, with `filename*` (RFC 8187) where that loses something."""
    text = filename.text
    if _QUOTABLE.fullmatch(text):
        return f'{kind}; filename="{text}"'
    return f"{kind}; filename=\"{_fallback(text)}\"; filename*=UTF-8''{quote(text, safe=_ATTR_CHAR)}"


def url_filename(filename: Filename) -> str:
    """Percent-encode all but RFC 3986's unreserved characters: one path segment, never `.` or `..`."""
    text = filename.text
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def _normalised(text: str, max_bytes: int) -> str:
    text = _UNSEEN.sub("", text).replace("\\", "/").rpartition("/")[2].lstrip().rstrip(_TRAILING)
    # A name that cannot become short enough is not normalised.
    if len(text) > _DECOMPOSED * max_bytes or _has_too_many_marks(text):
        raise Refusal(Code.INVALID_FILENAME)
    text = unicodedata.normalize("NFC", text)
    if _RESERVED.match(text):
        text = f"_{text}"
    if not text or _utf8_length(text) > max_bytes or _has_too_many_marks(text):
        raise Refusal(Code.INVALID_FILENAME)
    return text


def _has_too_many_marks(text: str) -> bool:
    classes = bytes(map(unicodedata.combining, _TWO_MARKS.sub("\u0f71\u0f72", text)))
    return _TOO_MANY_MARKS.search(classes) is not None


def _utf8_length(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate
        raise Refusal(Code.INVALID_FILENAME) from None


def _fallback(text: str) -> str:
    """Spell `text` in ASCII for a client that cannot read `filename*`: accents dropped, `_` for what has no letter."""
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    ascii_text = _UNQUOTABLE.sub("_", letters).strip(" ").rstrip(". ") or "_"
    return f"_{ascii_text}" if _RESERVED.match(ascii_text) else ascii_text
