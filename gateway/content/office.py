"""Office documents and books: ZIPs that hold, by their directory, what such a document has to hold. Pure.

Each function takes front, size and end of an object and how many bytes it may unpack to, as `objection` does.
"""

import re
from collections.abc import Callable

from gateway.content.archives import archive_objection
from gateway.content.zip_directory import DEFLATED, ENCRYPTED, STORED, Directory, read_directory
from gateway.errors import Code, Refusal

_METHODS = frozenset({STORED, DEFLATED})  # ECMA-376-2 annex B; ODF 1.3 part 2, 2; EPUB 3.3 (OCF), 4.2.2
# The main parts, numbered by some writers, of text, spreadsheet and presentation: ECMA-376-1, 8.5
_MAIN = {
    "word": re.compile(rb"\nword/document[0-9]*\.xml\n"),
    "xl": re.compile(rb"\nxl/workbook[0-9]*\.xml\n"),
    "ppt": re.compile(rb"\nppt/presentation[0-9]*\.xml\n"),
}
_OPC = (b"\n[content_types].xml\n", b"\n_rels/.rels\n")  # ECMA-376-2, 7.2.3.2 and 6.5
# Macros of Visual Basic and of Excel 4, ActiveX controls, documents within that hold macros, pages that Word takes in
# (ECMA-376-1, 11.3.1), and what Windows runs or follows
_OOXML_ACTIVE = re.compile(
    rb"[/\n](?:vba(?:project|[^/\n]*+(?<=\.bin|\.xml|\.dat)\n)|macros?\.bin\n|activex/|(?:intl)?macrosheets/)"
    rb"|\.(?:docm|dotm|xlsm|xltm|xlam|xlsb|pptm|potm|ppsm|ppam|sldm|mht|mhtml|htm|html|xht|xhtml"
    rb"|exe|dll|com|scr|pif|cpl|msi|msp|msc|bat|cmd|ps1|vb|vbs|vbe|js|jse|wsf|wsh|wsc|sct|hta|chm|lnk|url|jar|jnlp"
    rb"|iqy|slk|settingcontent-ms|library-ms|search-ms|searchconnector-ms|appref-ms|gadget|reg|inf)\n"
)
_ODF_ACTIVE = re.compile(rb"[\n/](?:basic|dialogs|scripts)/")  # where LibreOffice keeps macros: ODF 1.3 knows no place
# Every chart of a presentation has its sheet in there: ECMA-376-1, 15.2.11.
_EMBEDDED = b"/embeddings/"
_Proof = Callable[[bytes, int, bytes, int | None], Code | None]


def ooxml_objection(main: str) -> _Proof:
    """Return what speaks against an Office Open XML document (ECMA-376) whose parts lie under `main`."""

    def objection(front: bytes, size: int, end: bytes, unpacked_limit: int | None) -> Code | None:
        try:
            package = _read_package(front, size, end)
        except Refusal as refusal:
            return refusal.code
        return _ooxml_flaw(package, main) or archive_objection(package, unpacked_limit, _EMBEDDED)

    return objection


def odf_objection(media_type: str) -> _Proof:
    """Return what speaks against an OpenDocument package (OASIS ODF 1.3 part 2, 3) of that type."""
    return _marked_objection(media_type, b"\nmeta-inf/manifest.xml\n", _ODF_ACTIVE)


def epub_objection() -> _Proof:
    """Return what speaks against a book (EPUB 3.3, 4.2). Whether there is script in its pages is not seen."""
    return _marked_objection("application/epub+zip", b"\nmeta-inf/container.xml\n", None)


def _marked_objection(media_type: str, needed: bytes, active: re.Pattern[bytes] | None) -> _Proof:
    # Stored first, and without an extra field, the type stands where it can be seen without unpacking anything.
    mark = media_type.encode()

    def objection(front: bytes, size: int, end: bytes, unpacked_limit: int | None) -> Code | None:
        try:
            package = _read_package(front, size, end)
        except Refusal as refusal:
            return refusal.code
        return flaw(package, front) or archive_objection(package, unpacked_limit)

    def flaw(package: Directory, front: bytes) -> Code | None:
        first = package.members[0]
        if first.name != b"mimetype" or first.packed != len(mark) or not front.startswith(b"mimetype" + mark, 30):
            return Code.CONTENT_MISMATCH
        if needed not in package.listing:
            return Code.CONTENT_MISMATCH
        return Code.ACTIVE_CONTENT if active is not None and active.search(package.listing) else None

    return objection


def _read_package(front: bytes, size: int, end: bytes) -> Directory:
    """Read the directory of a document; raises what `read_directory` does, and likewise for what it cannot hold."""
    directory = read_directory(front, size, end)
    members = directory.members
    if not members or any(member.method not in _METHODS or member.flags & ENCRYPTED for member in members):
        raise Refusal(Code.CONTENT_MISMATCH)
    return directory


def _ooxml_flaw(directory: Directory, main: str) -> Code | None:
    listing = directory.listing
    if not all(part in listing for part in _OPC):
        return Code.CONTENT_MISMATCH
    if [name for name, pattern in _MAIN.items() if pattern.search(listing)] != [main]:
        return Code.CONTENT_MISMATCH
    # Names of parts are equal whatever their case: ECMA-376-2, 6.2.2.3.
    if len({member.name.lower() for member in directory.members}) != len(directory.members):
        return Code.CONTENT_MISMATCH
    return Code.ACTIVE_CONTENT if _OOXML_ACTIVE.search(listing) else None
