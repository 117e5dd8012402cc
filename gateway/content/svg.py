"""SVG: is the front of an object the beginning of such a document, and does it hold something to run? Pure."""

import re
from xml.parsers import expat

from gateway.content.active_content import NAME_ENDS, holds_javascript_url, without_disguise

_NAMESPACE = "http://www.w3.org/2000/svg"
_XHTML = "http://www.w3.org/1999/xhtml"
# Encodings in which every reader finds the same markup: WHATWG Encoding 4.2 knows the last three as one.
_ENCODINGS = frozenset({None, "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1"})
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _RefusedError(Exception):
    """The document is no SVG, or holds what none may."""


def is_svg(front: bytes, size: int) -> bool:
    """Follow SVG 2 (W3C, 2.1 and appendix on MIME types): well-formed XML in UTF-8 or UTF-16, its root `svg`.

    A document type may be named, but no entity may be declared, and nothing be of the namespace of XHTML.
    """
    utf16 = front.startswith(_UTF16_MARKS)
    if b"\0" in front and not utf16:  # UTF-16 without its mark, which the parser would guess
        return False
    reading = _Reading(utf16=utf16)
    try:
        reading.parser.Parse(front, size <= len(front))
    except (expat.ExpatError, _RefusedError):
        return False
    return reading.root_seen


class _Reading:
    """What a parser has met so far."""

    __slots__ = ("parser", "root_seen", "utf16")

    def __init__(self, *, utf16: bool) -> None:
        self.root_seen = False
        self.utf16 = utf16
        # Text in UTF-16 begins with its mark, which the parser reads by itself; all else has to be UTF-8.
        self.parser = expat.ParserCreate(None if utf16 else "utf-8", " ")
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._document_type
        self.parser.StartNamespaceDeclHandler = self._namespace
        self.parser.StartElementHandler = self._root

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        name = encoding and encoding.lower()
        if name not in (_ENCODINGS if not self.utf16 else {None, "utf-16"}):
            raise _RefusedError

    def _document_type(self, _name: str, _system: str | None, _public: str | None, internal_subset: int) -> None:
        if internal_subset:
            raise _RefusedError

    def _namespace(self, _prefix: str | None, uri: str | None) -> None:
        if uri == _XHTML:
            raise _RefusedError

    def _root(self, name: str, _attributes: object) -> None:
        if name != f"{_NAMESPACE} svg":
            raise _RefusedError
        self.root_seen = True
        self.parser.StartElementHandler = None  # the rest is none of ours, and is read many times faster so


_VALUE = rb"[\t\n\r ]{0,64}=[\t\n\r ]{0,64}[\"'][\t\n\r ]{0,64}"
# Each begins with a literal, which `re` finds many times faster than a choice.
_ACTIONS = tuple(
    map(
        re.compile,
        (
            # Elements that run script or hold a document that can: SVG 2, 12 and 15; SVG Tiny 1.2, 15; HTML. And `use`
            # of another document, which it copies with its handlers: SVG 2, 5.6. Those of this one are met anyway.
            rb"<(?:(?:[a-z_][a-z0-9_.-]{0,31}:)?(?:(?:script|handler|listener|foreignobject|html|head|body|iframe|frame|"
            rb"frameset|object|embed|applet|base|meta|link|form|math|img)" + NAME_ENDS + rb"|use[\t\n\r /]"
            rb"(?=[^<]*?href"
            + _VALUE
            + rb"[^#\"']))|\?(?:php|xml-stylesheet)|!entity|xsl:(?:stylesheet|transform|template)|"
            rb"!doctype(?:[\t\n\f\r ]{0,64}html|[^<\[]{0,512}\[)|!(?:--)?\[if[\t\n\f\r (!])",
            # Event handlers: SVG 2, 15.9
            rb"on(?<=[\t\n\f\r \"'/]on)[a-z]{3,32}[\t\n\f\r ]{0,64}=",
            # Animations that put a handler or a link in place: SVG Animations 2.2
            rb"attributename" + _VALUE + rb"(?:[a-z0-9_.-]{1,32}:)?(?:href|on|src|[^\"'>]{0,64}&)",
            # Links to documents within the link itself; of pictures, some programs misspell the type or leave it out
            rb"href" + _VALUE + rb"(?:&|data:(?!(?:image|img)/(?:png|jpe?g|gif|webp|avif|bmp)[;,]|;base64,))",
            rb"xmlns(?::[a-z0-9_.-]{1,32})?" + _VALUE + rb"(?:http://www\.w3\.org/1999/xhtml|[^\"'>]{0,64}&)",
        ),
    )
)


def holds_svg_action(front: bytes) -> bool:
    """Tell whether the front of an SVG holds script, a handler, foreign markup or an entity, or links to script."""
    folded = without_disguise(front)
    return any(action.search(folded) for action in _ACTIONS) or holds_javascript_url(folded)
