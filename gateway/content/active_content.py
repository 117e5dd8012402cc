"""Active content: does the front of a file hold script or markup that some browser would run? Pure, in linear time."""

import re

# Where the HTML tokeniser ends a tag's name (WHATWG HTML 13.2.5.8), or the window ends.
NAME_ENDS = rb"(?:[\t\n\f\r />]|\Z)"
_TAG = re.compile(
    # These run script, or hold a document that does, by themselves; a namespace prefix does not change that in XML.
    rb"<(?:(?:[^\s<>/:!?]++:)?(?:script|svg|html|body|iframe|frameset|foreignobject)" + NAME_ENDS +
    # These do with an attribute; without one they are how manuals write a placeholder.
    rb"|(?:object|embed|applet|base|meta|link)[\t\n\f\r /][^<>=]*+="
    # Document types, conditional comments, PHP and XSLT.
    rb"|!doctype[\t\n\f\r ]*+(?:html|svg)|!(?:--)?\[if[\t\n\f\r (!]"
    rb"|\?php|\?xml-stylesheet|xsl:(?:stylesheet|transform|template))"
)  # fmt: skip
# What makes a browser that sniffs take a file for HTML or XML (WHATWG MIME Sniffing 7.1), and server pages.
_DOCUMENT = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\t-\r ]*"
    rb"<(?:!--|!doctype|!\[|\?|%|(?:head|h1|div|font|table|a|style|title|b|br|p|form|math|img)" + NAME_ENDS + rb")"
)  # fmt: skip
# A JavaScript engine reads these first bytes of an image, font or MP3 as a name and then a comment or an assignment.
_SCRIPT_IN_BINARY = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]/[*/]"
    rb"|(?:GIF8[79]a|RIFF|BM(?=(?s:.{4})\0{4})|wOF2(?:OTTO|true|ttcf)|\xff[\xe0-\xfd])[\t-\r ]*(?:/[*/]|=[\t-\r -~])"
)
_MARKUP = re.compile(rb"<[a-z_\x80-\xff]")  # in XML names begin with any letter
_NAMESPACE = re.compile(rb"xmlns(?::[^\s<>/:=]++)?\s*+=\s*+[\"']?http://www\.w3\.org/(?:1999/xhtml|2000/svg)")
# Event handlers by the beginnings of their names: WHATWG HTML 8.1.8.2, SVG 2, Pointer Events, CSS animations, WebKit.
_HANDLER = re.compile(
    rb"on(?<=[\t\n\f\r /\"']on)(?:abort|after|animation|auxclick|before|begin|blur|cancel|canplay|c?change|click|close|"
    rb"command|contentvis|context|copy|cue|cut|dblclick|drag|drop|duration|emptied|end|error|focus|form|fullscreen|gesture|got|"
    rb"hashchange|input|invalid|key|languagechange|load|lost|message|mouse|mozfullscreen|page|paste|pause|play|pointer|"
    rb"popstate|progress|ratechange|repeat|reset|resize|scroll|search|security|seek|select|show|slotchange|stalled|start|"
    rb"storage|submit|suspend|time|toggle|touch|transition|unhandled|unload|volumechange|waiting|webkit|wheel|zoom)"
    rb"[a-z]*+[\t\n\f\r ]*+="
)


def _reference(character: str) -> bytes:
    """Match a numeric character reference in lower case, with or without its semicolon (WHATWG HTML 13.2.5.80)."""
    return b"&#(?:0*+%d(?![0-9])|x0*+%x(?![0-9a-f]));?" % (ord(character), ord(character))


def _letter(character: str) -> bytes:
    return b"(?:%s|%s)" % (character.encode(), _reference(character))


# The URL parser drops tabs and line breaks wherever they stand (WHATWG URL 4.4), also as references.
_DROPPED = b"(?:[\t\n\r]|&tab;?|&newline;?|" + b"|".join(map(_reference, "\t\n\r")) + b")*+"
_AVASCRIPT = (
    b"".join(_DROPPED + _letter(letter) for letter in "avascript") + _DROPPED + rb"(?:&colon;|" + _letter(":") + rb")"
)
# Two patterns, since each begins with a literal, which `re` finds many times faster than a choice.
_JAVASCRIPT_URLS = tuple(re.compile(first + _AVASCRIPT) for first in (b"j", _reference("j")))


def holds_active_content(front: bytes) -> bool:
    """Tell whether a browser could run something in `front`, whatever type it is declared to be."""
    if _SCRIPT_IN_BINARY.match(front):
        return True
    if b"<" not in front:
        return False
    folded = without_disguise(front)
    return _DOCUMENT.match(folded) is not None or holds_active_markup(folded)


def without_disguise(front: bytes) -> bytes:
    """Drop NULs, so that UTF-16 of either byte order reads as ASCII, like a tag that they break up; lower case."""
    return front.replace(b"\0", b"").lower()


def holds_javascript_url(folded: bytes) -> bool:
    """Tell whether `javascript:` stands anywhere in it, however its characters are written."""
    return any(url.search(folded) for url in _JAVASCRIPT_URLS)


def holds_active_markup(folded: bytes) -> bool:
    """Tell whether markup that a browser would run stands anywhere in it, even if it does not begin as documents do."""
    if _TAG.search(folded):
        return True
    markup = _MARKUP.search(folded)
    return markup is not None and _markup_runs(folded[markup.start() :])


def _markup_runs(folded: bytes) -> bool:
    return _HANDLER.search(folded) is not None or holds_javascript_url(folded) or _NAMESPACE.search(folded) is not None
