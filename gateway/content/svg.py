"""SVG: is the front of an object the beginning of such a document, and does it hold something to run? Pure."""

import re
from collections.abc import Callable, Iterator
from xml.parsers import expat

from gateway.content.active_content import NAME_ENDS, holds_javascript_url, without_disguise
from gateway.errors import Code

_ROOT = "http://www.w3.org/2000/svg svg"  # as the parser joins namespace and name
# HTML, and style sheets that make it: nothing of them belongs into a drawing.
_FOREIGN = frozenset({"http://www.w3.org/1999/xhtml", "http://www.w3.org/1999/XSL/Transform"})
# Encodings in which every reader finds the same markup: WHATWG Encoding 4.2 knows the last three as one.
_ENCODINGS = frozenset({None, "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1"})
_UTF16_ENCODINGS = frozenset({None, "utf-16"})
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


# Whose document types nobody else can change.
_TRUSTED_TYPES = ("http://www.w3.org/", "https://www.w3.org/")


class _RefusedError(Exception):
    """The document is no SVG."""


class _ActiveError(_RefusedError):
    """It holds what none may."""


def svg_objection(front: bytes, size: int, _end: bytes = b"", _unpacked_limit: int | None = None) -> Code | None:
    """Say what speaks against SVG 2 (W3C, 2.1 and appendix on MIME types): XML in UTF-8 or UTF-16, its root `svg`.

    `active-content` for script, a handler, foreign markup or an entity, and for links to script. Its elements are
    judged as a browser reads them; and all its bytes by what they look like as well, since an element may be cut by
    the front's end, and what is no markup here may be some where it is read as HTML.
    """
    folded = without_disguise(front)
    if any(action.search(folded) for action in _ACTIONS) or holds_javascript_url(folded):
        return Code.ACTIVE_CONTENT
    try:
        return None if _reads(front, size) else Code.CONTENT_MISMATCH
    except _ActiveError:
        return Code.ACTIVE_CONTENT
    except (expat.ExpatError, _RefusedError):
        return Code.CONTENT_MISMATCH


def _reads(front: bytes, size: int) -> bool:
    """Tell whether there was a root. Raises what the checks do, and `ExpatError` for what is no XML."""
    utf16 = front.startswith(_UTF16_MARKS)
    if b"\0" in front and not utf16:  # UTF-16 without its mark, which the parser would guess
        return False
    # Text in UTF-16 begins with its mark, which the parser reads by itself; all else has to be UTF-8.
    parser = expat.ParserCreate(None if utf16 else "utf-8", " ")
    parser.ordered_attributes = True
    parser.XmlDeclHandler = _check_utf16 if utf16 else _check_utf8
    parser.StartDoctypeDeclHandler = _check_document_type
    parser.SkippedEntityHandler = _check_entity
    parser.StartNamespaceDeclHandler = _check_namespace
    parser.ProcessingInstructionHandler = _check_instruction
    elements: set[str] = set()
    parser.StartElementHandler = _element_check(elements)
    parser.Parse(front, size <= len(front))
    return bool(elements)


def _check_utf8(_version: str, encoding: str | None, _standalone: int) -> None:
    if (encoding and encoding.lower()) not in _ENCODINGS:
        raise _RefusedError


def _check_utf16(_version: str, encoding: str | None, _standalone: int) -> None:
    if (encoding and encoding.lower()) not in _UTF16_ENCODINGS:
        raise _RefusedError


def _check_document_type(_name: str, system: str | None, _public: str | None, internal_subset: int) -> None:
    """Let no entity be declared, neither within nor in a document that somebody else keeps."""
    if internal_subset or (system is not None and not system.startswith(_TRUSTED_TYPES)):
        raise _ActiveError


def _check_namespace(_prefix: str | None, uri: str | None) -> None:
    if uri in _FOREIGN:
        raise _ActiveError


def _check_entity(_name: str, _is_parameter: int) -> None:
    raise _RefusedError  # which only a document type elsewhere could declare, and that of SVG does not


# Elements that run script or hold a document that can: SVG 2, 12 and 15; SVG Tiny 1.2, 15; HTML.
_ELEMENTS = (
    "script|handler|listener|foreignobject|html|head|body|iframe|frame|frameset|object|embed|applet|base|meta|link|form"
    "|math|img"
)
_RUNNING = frozenset(_ELEMENTS.split("|"))
# Of pictures within a link, some programs misspell the type or leave it out.
_UNSHOWN_DATA = r"data:(?!(?:image|img)/(?:png|jpe?g|gif|webp|avif|bmp)[;,]|;base64,)"
_UNSHOWN = re.compile(_UNSHOWN_DATA)
_HANDLER = re.compile("on[a-z]{3}")  # SVG 2, 15.9
_ANIMATED = ("href", "on", "src")


def _local(name: str) -> str:
    return name[name.rfind(" ") + 1 :].lower()


def _check_instruction(target: str, _data: str) -> None:
    if target.lower().startswith(("php", "xml-stylesheet")):
        raise _ActiveError


def _element_check(elements: set[str]) -> Callable[[str, list[str]], None]:
    """Return what raises for an active element, and for a root that is not of SVG; it notes their names in `elements`.

    A name is judged once: a front has room for a thousand elements.
    """
    attributes: dict[str, _Judge | None] = {}

    def check_element(element: str, pairs: list[str]) -> None:
        if element not in elements:
            if not elements and element != _ROOT:
                raise _RefusedError
            if _local(element) in _RUNNING:
                raise _ActiveError
            elements.add(element)
        if pairs:
            check_attributes(element, iter(pairs))

    def check_attributes(element: str, pairs: Iterator[str]) -> None:
        for name in pairs:
            value = next(pairs)
            if name not in attributes:
                attributes[name] = _judge(name)
            is_active = attributes[name]
            if is_active is not None and is_active(element, value):
                raise _ActiveError

    return check_element


_Judge = Callable[[str, str], bool]  # of an element and the attribute's value


def _judge(attribute: str) -> _Judge | None:
    """Return what tells by its value whether it runs script, links to a document that may, or puts either in place."""
    local = _local(attribute)
    if _HANDLER.match(local):
        raise _ActiveError
    return {"attributename": _animates, "href": _leads_to_script}.get(local)


def _animates(_element: str, attribute: str) -> bool:  # SVG Animations 2.2
    return attribute.strip().lower().rpartition(":")[2].startswith(_ANIMATED)


def _leads_to_script(element: str, link: str) -> bool:
    if link.startswith("#"):
        return False
    # The URL parser drops tabs and line breaks: WHATWG URL 4.4.
    url = link.replace("\t", "").replace("\n", "").replace("\r", "").strip(" ").lower()
    # `use` copies what it refers to with its handlers (SVG 2, 5.6); those of this very document are met anyway.
    return _UNSHOWN.match(url) is not None or (_local(element) == "use" and url != "" and url[0] != "#")


_SPACE = rb"[\t\n\r ]*+"
_PREFIX = rb"(?:[^\s<>/:!?]++:)?"
_VALUE = _SPACE + b"=" + _SPACE + rb"[\"']" + _SPACE
# The same in bytes, with what goes before the first element. Each begins with a literal, which `re` finds many times
# faster than a choice, and gives back nothing that it took, so that it is done in linear time.
_ACTIONS = tuple(
    map(
        re.compile,
        (
            rb"<(?:"
            + _PREFIX
            + rb"(?:(?!meta\Z)(?:"  # the front may cut `metadata`
            + _ELEMENTS.encode()
            + rb")"
            + NAME_ENDS
            + rb"|use[\t\n\r /](?=[^<]*?href"
            + _VALUE
            + rb"[^#\"']))|\?(?:php|xml-stylesheet)|!entity|xsl:(?:stylesheet|transform|template)|"
            rb"!doctype(?:[\t\n\f\r ]*+html|[^<\[]*+\[)|!(?:--)?\[if[\t\n\f\r (!])",
            rb"on(?<=[\t\n\f\r \"'/]on)[a-z]{3,}+[\t\n\f\r ]*+=",
            rb"attributename" + _VALUE + rb"(?:[^\s<>/:\"'&]++:)?(?:href|on|src|[^\"'>&]*+&)",
            rb"href" + _VALUE + rb"(?:&|" + _UNSHOWN_DATA.encode() + b")",
            rb"xmlns(?::[^\s<>/:=]++)?"
            + _VALUE
            + rb"(?:http://www\.w3\.org/1999/xhtml|http://www\.w3\.org/1999/xsl/transform|[^\"'>&]*+&)",
        ),
    )
)
