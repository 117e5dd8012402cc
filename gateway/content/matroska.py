"""Matroska: does the front of an object have the structure of WebM or of MKV? Pure.

Each function takes the front and the object's size in bytes, and follows the elements as far as the front goes. An
object that fits into its front has to be whole.
"""

_EBML, _DOCTYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_VOID, _CRC = 0xEC, 0xBF
# RFC 8794, 11.2 and 11.3: what stands within an EBML header
_HEADER = frozenset({0x4286, 0x42F7, 0x42F2, 0x42F3, _DOCTYPE, 0x4287, 0x4285, 0x4281, _VOID, _CRC})
_INFO, _TRACKS, _CLUSTER = 0x1549A966, 0x1654AE6B, 0x1F43B675
# RFC 9559, 5.1: what stands within a Segment
_LEVEL_1 = frozenset(
    {0x114D9B74, _INFO, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _VOID, _CRC}
)
_LONGEST_HEAD = 12  # bytes of an identifier and a length, by the defaults of RFC 8794, 11.2.4 and 11.2.5
_MOST_ELEMENTS = 256  # of one level within a front: the smallest take two bytes, and no writer makes so many
_Element = tuple[int, int, int | None]  # its identifier, where its content begins, where it ends if it says so


def is_webm(front: bytes, size: int) -> bool:
    """Follow WebM (webmproject.org, container guidelines; RFC 8794): an EBML header of DocType `webm`, a Segment."""
    return _is_segment(front, size, b"webm")


def is_mkv(front: bytes, size: int) -> bool:
    """Follow Matroska (RFC 9559; RFC 8794): an EBML header of DocType `matroska`, then a Segment."""
    return _is_segment(front, size, b"matroska")


def _is_segment(front: bytes, size: int, doctype: bytes) -> bool:
    header = _element(front, 0)
    if header is None or header[0] != _EBML or header[2] is None or header[2] > len(front):
        return False
    elements = _elements(front, header[1], header[2], _HEADER)
    found = [front[start:end].rstrip(b"\0") for kind, start, end in elements or () if kind == _DOCTYPE]
    segment = _element(front, header[2])
    if found != [doctype] or segment is None or segment[0] != _SEGMENT:
        return False
    end = size if segment[2] is None else segment[2]
    children = _elements(front, segment[1], end, _LEVEL_1)
    if end > size or not children:
        return False
    return size > len(front) or (end == size and {_INFO, _TRACKS, _CLUSTER} <= {kind for kind, _, _ in children})


def _elements(front: bytes, position: int, end: int, allowed: frozenset[int]) -> list[_Element] | None:
    """List the elements up to `end` that begin in view; None when one is not allowed there or has no room."""
    elements: list[_Element] = []
    while position < min(end, len(front)):
        element = _element(front, position)
        if element is None:
            return elements if end > len(front) and len(front) - position < _LONGEST_HEAD else None
        kind, _, stop = element
        if kind not in allowed or len(elements) == _MOST_ELEMENTS:
            return None
        elements.append(element)
        if stop is None:  # of a live stream: it lasts until another begins
            return elements if kind == _CLUSTER else None
        if stop > end:
            return None
        position = stop
    return elements


def _element(front: bytes, position: int) -> _Element | None:
    """Read an identifier of up to 4 bytes and a length of up to 8 (RFC 8794, 5 and 6); None where there is none."""
    width = 9 - front[position].bit_length() if position < len(front) else 9
    start = position + width
    if width > 4 or start >= len(front):  # noqa: PLR2004 - EBMLMaxIDLength
        return None
    digits = 9 - front[start].bit_length()
    if digits > 8 or start + digits > len(front):  # noqa: PLR2004 - EBMLMaxSizeLength
        return None
    unknown = (1 << 7 * digits) - 1
    length = int.from_bytes(front[start : start + digits], "big") & unknown
    content = start + digits
    return int.from_bytes(front[position:start], "big"), content, None if length == unknown else content + length
