"""Office documents and e-books: ZIPs of XML by OOXML, OpenDocument and EPUB, and what is wrong with some."""

from dataclasses import replace

from tests.content.corpus_archives import STORED, ZEROS_300, Member, zip_of
from tests.content.corpus_samples import ACTIVE, BOMB, DOCX, EPUB, MISMATCH, ODP, ODS, ODT, PPTX, XLSX, ZIP, Sample

_XML = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = b"http://schemas.openxmlformats.org/package/2006"
_FORMATS = b"application/vnd.openxmlformats-officedocument."
# ECMA-376: part 1, 11.3.10, 12.3.23 and 13.3.6, for the types of the main parts.
_MAIN = {
    DOCX: (b"word/document.xml", b"wordprocessingml.document"),
    XLSX: (b"xl/workbook.xml", b"spreadsheetml.sheet"),
    PPTX: (b"ppt/presentation.xml", b"presentationml.presentation"),
}


def types(kind: str, content_type: bytes = b"") -> Member:
    """The part that tells the types of all others (ECMA-376 part 2, 10.1.2)."""
    path, name = _MAIN[kind]
    main = content_type or _FORMATS + name + b".main+xml"
    body = b'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    body += b'<Default Extension="xml" ContentType="application/xml"/><Override PartName="/%s" ContentType="%s"/>' % (
        path,
        main,
    )
    return Member(b"[Content_Types].xml", _XML + b'<Types xmlns="%s/content-types">%s</Types>' % (_PACKAGE, body))


def relations(kind: str) -> Member:
    """The part that tells which one is the main part (ECMA-376 part 2, 9.3)."""
    target = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    body = b'<Relationship Id="rId1" Type="%s" Target="%s"/>' % (target, _MAIN[kind][0])
    return Member(
        b"_rels/.rels", _XML + b'<Relationships xmlns="%s/relationships">%s</Relationships>' % (_PACKAGE, body)
    )


def main_part(kind: str) -> Member:
    """The document itself, as short as it may be."""
    word = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return Member(_MAIN[kind][0], _XML + b'<w:document xmlns:w="%s"><w:body/></w:document>' % word)


def ooxml(kind: str, *more: Member, content_type: bytes = b"") -> bytes:
    """A document of Office, with `more` parts at its end."""
    return zip_of(types(kind, content_type), relations(kind), main_part(kind), *more)


def mimetype(kind: str) -> Member:
    """What comes first, as it is: OpenDocument 1.3 part 2, 3.3, and EPUB 3.3, 4.2.6.2."""
    return Member(b"mimetype", kind.encode(), STORED)


def manifest(kind: str) -> Member:
    """The list of all that is in a document (OpenDocument 1.3 part 2, 4)."""
    namespace = b"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    entry = b'<manifest:file-entry manifest:full-path="/" manifest:media-type="%s"/>' % kind.encode()
    body = b'<manifest:manifest xmlns:manifest="%s" manifest:version="1.3">%s</manifest:manifest>' % (namespace, entry)
    return Member(b"META-INF/manifest.xml", _XML + body)


_CONTENT = Member(
    b"content.xml", _XML + b'<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>'
)


def odf(kind: str, *more: Member, first: Member | None = None) -> bytes:
    """An OpenDocument, with `more` files at its end."""
    return zip_of(first or mimetype(kind), _CONTENT, *more, manifest(kind))


_CONTAINER = Member(
    b"META-INF/container.xml",
    _XML + b'<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    b'<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
)
_OPF = Member(b"a.opf", _XML + b'<package xmlns="http://www.idpf.org/2007/opf" version="3.0"/>')
CHAPTER = Member(b"a.xhtml", _XML + b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Call me</p></body></html>')


def epub(*more: Member, first: Member | None = None) -> bytes:
    """A book of one chapter, with `more` files at its end."""
    return zip_of(first or mimetype(EPUB), _CONTAINER, _OPF, CHAPTER, *more)


_PICTURE = Member(b"media/a.png", bytes(range(256)) * 40, STORED)
_MACROS = Member(b"word/vbaProject.bin", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900))
_MACRO_TYPE = b"application/vnd.ms-word.document.macroEnabled.main+xml"
_TYPES = {"docx": DOCX, "xlsx": XLSX, "pptx": PPTX, "odt": ODT, "ods": ODS, "odp": ODP, "epub": EPUB}
_SHEET = types(XLSX), relations(XLSX), main_part(XLSX)
_ENDED_LINE = Member(b"mimetype", ODT.encode() + b"\n", STORED)
WELL_FORMED = (
    *(Sample(kind, _TYPES[kind], ooxml(_TYPES[kind]), None) for kind in ("docx", "xlsx", "pptx")),
    *(Sample(kind, _TYPES[kind], odf(_TYPES[kind]), None) for kind in ("odt", "ods", "odp")),
    Sample("docx-beyond-the-front", DOCX, ooxml(DOCX, _PICTURE), None),
    Sample("docx-relations-first", DOCX, zip_of(relations(DOCX), types(DOCX), main_part(DOCX)), None),
    Sample("docx-main-part-first", DOCX, zip_of(main_part(DOCX), types(DOCX), relations(DOCX)), None),
    Sample("xlsx-streamed", XLSX, zip_of(*(replace(part, flags=8) for part in _SHEET)), None),
    Sample("odt-with-pictures", ODT, odf(ODT, _PICTURE), None),
    Sample("epub", EPUB, epub(), None),
    Sample("epub-stored", EPUB, epub(Member(b"b.xhtml", CHAPTER.data, STORED)), None),
    Sample("epub-beyond-the-front", EPUB, epub(_PICTURE), None),
    *(Sample(f"{kind}-called-zip", ZIP, content, None) for kind, content in (("docx", ooxml(DOCX)), ("epub", epub()))),
)  # fmt: skip
BROKEN = (
    *(
        Sample(f"{one}-called-{other}", _TYPES[other], ooxml(_TYPES[one]), MISMATCH)
        for one in ("docx", "xlsx", "pptx") for other in _TYPES if one != other
    ),
    *(
        Sample(f"{one}-called-{other}", _TYPES[other], odf(_TYPES[one]), MISMATCH)
        for one in ("odt", "ods", "odp") for other in _TYPES if one != other
    ),
    Sample("zip-called-docx", DOCX, zip_of(Member(b"a.txt", b"hello")), MISMATCH),
    Sample("zip-called-epub", EPUB, zip_of(Member(b"a.txt", b"hello")), MISMATCH),
    Sample("zip-of-nothing-called-xlsx", XLSX, zip_of(), MISMATCH),
    Sample("docx-without-its-types", DOCX, zip_of(relations(DOCX), main_part(DOCX)), MISMATCH),
    Sample("docx-without-its-main-part", DOCX, zip_of(types(DOCX), relations(DOCX)), MISMATCH),
    Sample("docx-with-macros", DOCX, ooxml(DOCX, _MACROS, content_type=_MACRO_TYPE), ACTIVE),
    Sample("docx-with-macros-that-it-does-not-tell", DOCX, ooxml(DOCX, _MACROS), ACTIVE),
    *(
        Sample(f"docx-with-{name}", DOCX, ooxml(DOCX, Member(b"word/" + name.encode(), b"x")), ACTIVE)
        for name in ("a.iqy", "a.SettingContent-ms", "a.jnlp", "afchunk.mht", "macros.bin", "vbaProject.dat", "A.EXE")
    ),
    Sample("odt-with-macros", ODT, odf(ODT, Member(b"Basic/Standard/Module1.xml", b"<x/>")), ACTIVE),
    Sample("odt-packed-mimetype", ODT, odf(ODT, first=Member(b"mimetype", ODT.encode())), MISMATCH),
    Sample("odt-mimetype-with-a-line-end", ODT, odf(ODT, first=_ENDED_LINE), MISMATCH),
    Sample("odt-mimetype-last", ODT, zip_of(_CONTENT, manifest(ODT), mimetype(ODT)), MISMATCH),
    Sample("odt-without-a-manifest", ODT, zip_of(mimetype(ODT)), MISMATCH),
    Sample("odt-template", ODT, odf(ODT, first=mimetype(ODT + "-template")), MISMATCH),
    Sample("epub-packed-mimetype", EPUB, epub(first=Member(b"mimetype", EPUB.encode())), MISMATCH),
    Sample("epub-without-a-container", EPUB, zip_of(mimetype(EPUB), CHAPTER), MISMATCH),
    Sample("docx-cut", DOCX, ooxml(DOCX)[:-30], MISMATCH),
)  # fmt: skip
BOMBS = (
    Sample("docx-of-zeros", DOCX, ooxml(DOCX, ZEROS_300), BOMB),
    Sample("xlsx-of-zeros", XLSX, ooxml(XLSX, ZEROS_300), BOMB),
    Sample("odt-of-zeros", ODT, odf(ODT, ZEROS_300), BOMB),
    Sample("epub-of-zeros", EPUB, epub(ZEROS_300), BOMB),
    Sample("docx-of-a-zip", DOCX, ooxml(DOCX, Member(b"word/a.zip", zip_of(Member(b"a", b"x")))), BOMB),
)  # fmt: skip
