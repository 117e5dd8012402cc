"""Text: is the front of an object plain text, CSV, Markdown or JSON? Pure, in linear time."""

import codecs
import json
import re

from gateway.content.active_content import NAME_ENDS, holds_active_markup, without_disguise

_ALLOWED_CONTROLS = b"\t\n\f\r"
_CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if code not in _ALLOWED_CONTROLS)
_C1_CONTROL = re.compile(rb"\xc2[\x80-\x84\x86-\x9f]")  # all but NEL, in UTF-8
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_text(front: bytes, size: int) -> bool:
    """UTF-8, or UTF-16 with its byte order mark, free of control characters, no `#!` script. Zero bytes are text."""
    whole = size <= len(front)
    try:
        if front.startswith(_UTF16_MARKS):
            front = codecs.utf_16_decode(front, "strict", whole)[0].encode()
        elif not front.isascii():
            codecs.utf_8_decode(front, "strict", whole)
    except UnicodeError:
        return False
    return not front.startswith(b"#!") and not _holds_controls(front)


def is_csv(front: bytes, size: int) -> bool:
    """Text: RFC 4180's grammar is broken by most files called CSV, and no more is asked of them."""
    return is_text(front, size)


def is_markdown(front: bytes, size: int) -> bool:
    """Text (RFC 7763, 1.1: there is no such thing as "invalid" Markdown)."""
    return is_text(front, size)


# What begins a page, a server page or XML, and no README (of what WHATWG MIME Sniffing 7.1 takes for HTML).
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\t-\r ]*<(?:!doctype|!\[|\?|%|(?:head|style|title|form|math)"
    + NAME_ENDS
    + rb")"
)


def holds_markdown_action(front: bytes) -> bool:
    """Tell whether Markdown holds what a browser would run. Many a README begins with a comment, heading or picture."""
    folded = without_disguise(front)
    return _PAGE.match(folded) is not None or holds_active_markup(folded)


def _holds_controls(utf8: bytes) -> bool:
    return len(utf8.translate(None, _CONTROLS)) != len(utf8) or (
        not utf8.isascii() and _C1_CONTROL.search(utf8) is not None
    )


# What may stand between the place where the parser stops and the window's end, when the text goes on beyond it.
_CUT_TOKEN = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+(?:\\(?:u[0-9a-fA-F]{0,3})?)?'  # string
    r"|(?<=\\)u[0-9a-fA-F]{0,4}"  # where the parser points at the escape, not at the string
    r"|-|(?<=[0-9])(?:\.|[eE][+-]?)"  # number
    r"|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|",
)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


# NaN and the infinities are no JSON: RFC 8259 section 6.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def is_json(front: bytes, size: int) -> bool:
    """A JSON text (RFC 8259) in UTF-8 without byte order mark, or the beginning of one that goes on."""
    whole = size <= len(front)
    try:
        text = codecs.utf_8_decode(front, "strict", whole)[0]
        _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return not whole and _CUT_TOKEN.fullmatch(text, error.pos) is not None
    except (ValueError, RecursionError):  # a parser may limit the depth: RFC 8259 section 9
        return False
    return True
