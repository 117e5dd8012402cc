"""Office documents and books: known by their parts, never one for another, and without macros."""

import struct
import zipfile
from collections.abc import Mapping

import pytest

from gateway.errors import Code
from tests.content.judging import judged, zipped

OPENXML, ODF = "application/vnd.openxmlformats-officedocument", "application/vnd.oasis.opendocument"
DOCX, XLSX = f"{OPENXML}.wordprocessingml.document", f"{OPENXML}.spreadsheetml.sheet"
PPTX, ODT, ODS, ODP = (
    f"{OPENXML}.presentationml.presentation",
    f"{ODF}.text",
    f"{ODF}.spreadsheet",
    f"{ODF}.presentation",
)
EPUB, ZIP = "application/epub+zip", "application/zip"
TOO_LARGE, MISMATCH, ACTIVE = Code.ARCHIVE_TOO_LARGE, Code.CONTENT_MISMATCH, Code.ACTIVE_CONTENT
Files = Mapping[str | zipfile.ZipInfo, bytes]
OPC: Files = {"[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<Relationships/>"}
MAIN = {DOCX: "word/document.xml", XLSX: "xl/workbook.xml", PPTX: "ppt/presentation.xml"}


def ooxml(kind: str, more: Files | None = None) -> bytes:
    """A document of Office with the parts that it cannot do without, and some more."""
    return zipped({**OPC, MAIN[kind]: b"<document/>", **(more or {})})


def marked(
    kind: str, more: Files, mark: str = "mimetype", method: int = zipfile.ZIP_STORED, extra: bytes = b""
) -> bytes:
    """A package that begins with its type."""
    first = zipfile.ZipInfo(mark)
    first.compress_type, first.extra = method, extra
    return zipped({first: kind.encode(), **more})


def odf(kind: str, more: Files | None = None) -> bytes:
    """A document of LibreOffice, and some more in it."""
    return marked(kind, {"content.xml": b"<a/>", **(more or {}), "META-INF/manifest.xml": b"<manifest/>"})


def epub(more: Files | None = None) -> bytes:
    """A book, and some more in it."""
    return marked(EPUB, {"META-INF/container.xml": b"<container/>", "a.xhtml": b"<html/>", **(more or {})})


GOOD = {
    **{kind: ooxml(kind) for kind in MAIN},
    **{kind: odf(kind) for kind in (ODT, ODS, ODP)},
    EPUB: epub(),
    ZIP: zipped({"a.txt": b"hello"}),
}


@pytest.mark.threat(12)
@pytest.mark.parametrize("declared", GOOD)
@pytest.mark.parametrize("kind", GOOD)
def test_no_document_passes_as_another_but_each_of_them_is_a_zip(kind: str, declared: str) -> None:
    assert judged(declared, GOOD[kind]) is (None if declared in {kind, ZIP} else MISMATCH)


@pytest.mark.parametrize(
    ("kind", "name"), [(DOCX, "word/document2.xml"), (XLSX, "XL/Workbook.xml"), (PPTX, "ppt/presentation1.xml")]
)
def test_some_writers_number_the_main_part_or_write_it_in_capitals(kind: str, name: str) -> None:
    assert judged(kind, zipped({name: b"<document/>", **OPC})) is None


@pytest.mark.threat(12)
@pytest.mark.parametrize("missing", ["[Content_Types].xml", "_rels/.rels", "word/document.xml"])
def test_an_office_document_has_its_parts(missing: str) -> None:
    files = {**OPC, "word/document.xml": b"<document/>"}
    assert judged(DOCX, zipped(files)) is None
    del files[missing]
    assert judged(DOCX, zipped(files)) is MISMATCH
    assert judged(DOCX, zipped({**files, f"x/{missing}": b""})) is MISMATCH


@pytest.mark.threat(12)
def test_an_office_document_is_of_one_kind_and_no_part_is_there_twice() -> None:
    assert judged(DOCX, ooxml(DOCX, {"xl/workbook.xml": b"<workbook/>"})) is MISMATCH
    assert judged(DOCX, ooxml(DOCX, {"Word/Document.xml": b"<document/>"})) is MISMATCH


@pytest.mark.threat(12)
@pytest.mark.parametrize(
    "name",
    [
        "word/vbaProject.bin",
        "word/vbaData.xml",
        "word/vbaProject.dat",
        "word/macros.bin",
        "vbaProject.bin",
        "WORD/VBAPROJECT.BIN",
        "word/afchunk.mht",
        "word/afchunk1.html",
        "word/embeddings/a.iqy",
        "word/embeddings/a.SettingContent-ms",
        "word/embeddings/a.jnlp",
        "word/embeddings/A.LNK",
        "word/vbaProjectSignature.bin",
        "Word/VBAPROJECT.BIN",
        "word/activeX/activeX1.xml",
        "word/activeX/activeX1.bin",
        "xl/macrosheets/sheet1.xml",
        "xl/intlMacrosheets/sheet1.xml",
        "word/embeddings/a.docm",
        "ppt/embeddings/a.xlsb",
        "word/embeddings/setup.exe",
        "word/media/a.js",
    ],
)
def test_macros_controls_and_programs_in_an_office_document_are_active(name: str) -> None:
    for kind in MAIN:
        assert judged(kind, ooxml(kind, {name: b"x"})) is ACTIVE
    assert judged(ZIP, ooxml(DOCX, {name: b"x"})) is None


@pytest.mark.parametrize(
    "name",
    [
        "word/embeddings/Microsoft_Excel_Sheet1.xlsx",
        "ppt/embeddings/oleObject1.bin",
        "word/media/image1.emf",
        "word/fonts/font1.odttf",
        "customXml/item1.xml",
        "docProps/vba.txt",
    ],
)
def test_what_office_documents_commonly_hold_is_fine(name: str) -> None:
    for kind in MAIN:
        assert judged(kind, ooxml(kind, {name: b"x"})) is None


@pytest.mark.threat(12)
@pytest.mark.parametrize("name", ["Basic/Standard/Module1.xml", "Scripts/python/a.py", "Object 1/Basic/script-lc.xml"])
def test_macros_in_an_opendocument_are_active(name: str) -> None:
    assert judged(ODT, odf(ODT, {name: b"<module/>"})) is ACTIVE
    assert judged(ODS, odf(ODS, {name.lower(): b"<module/>"})) is ACTIVE
    assert judged(ODP, odf(ODP, {f"Pictures/{name.replace('/', '-')}": b"x"})) is None


@pytest.mark.threat(12)
@pytest.mark.parametrize(("kind", "needed"), [(ODT, "META-INF/manifest.xml"), (EPUB, "META-INF/container.xml")])
def test_a_package_begins_with_its_type_as_it_is(kind: str, needed: str) -> None:
    files: Files = {needed: b"<x/>"}
    assert judged(kind, marked(kind, files)) is None
    assert judged(kind, marked(kind, files, method=zipfile.ZIP_DEFLATED)) is MISMATCH
    assert judged(kind, marked(kind, files, mark="Mimetype")) is MISMATCH
    assert judged(kind, marked(kind, files, extra=struct.pack("<HH", 0xCAFE, 0))) is MISMATCH
    assert judged(kind, marked(f"{kind}\n", files)) is MISMATCH
    assert judged(kind, marked(f"{kind}-template", files)) is MISMATCH
    assert judged(kind, marked(kind[:-1], files)) is MISMATCH
    assert judged(kind, zipped({**files, "mimetype": kind.encode()}, zipfile.ZIP_STORED)) is MISMATCH
    assert judged(kind, marked(kind, {"a": b"x"})) is MISMATCH


@pytest.mark.threat(14)
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (DOCX, ooxml(DOCX, {"a": bytes(3 << 20)})),
        (ODT, odf(ODT, {"a": bytes(3 << 20)})),
        (EPUB, epub({"a": bytes(3 << 20)})),
    ],
)
def test_a_document_is_no_bomb(kind: str, content: bytes) -> None:
    assert judged(kind, content) is TOO_LARGE


@pytest.mark.threat(14)
@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind != ZIP])
def test_a_document_holds_no_archives_nothing_locked_and_no_more_than_is_scanned(kind: str) -> None:
    make = {**dict.fromkeys(MAIN, ooxml), **dict.fromkeys((ODT, ODS, ODP), odf)}
    content = make[kind](kind, {"x/a.zip": b"x"}) if kind in make else epub({"x/a.zip": b"x"})
    assert judged(kind, content) is TOO_LARGE
    assert judged(kind, GOOD[kind], unpacked_limit=1000) is None
    assert judged(kind, GOOD[kind], unpacked_limit=10) is TOO_LARGE
    locked = (
        GOOD[kind]
        .replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0")
        .replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")
    )
    assert locked != GOOD[kind]
    assert judged(kind, locked) is MISMATCH
    assert judged(kind, zipped({"mimetype": b"x"}, zipfile.ZIP_BZIP2)) is MISMATCH


@pytest.mark.threat(12)
@pytest.mark.parametrize("kind", GOOD)
def test_a_document_cut_anywhere_is_none(kind: str) -> None:
    for length in range(len(GOOD[kind])):
        assert judged(kind, GOOD[kind][:length]) is MISMATCH, length


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize("kind", GOOD)
def test_what_is_scanned_holds_documents_only_where_office_embeds_them(kind: str) -> None:
    make = {**dict.fromkeys(MAIN, ooxml), **dict.fromkeys((ODT, ODS, ODP), odf), EPUB: lambda _, more: epub(more)}
    for name, code in (("x/embeddings/a.xlsx", None if kind in MAIN else TOO_LARGE), ("x/media/a.docx", TOO_LARGE)):
        content = make[kind](kind, {name: b"x"}) if kind in make else zipped({name: b"x"})
        assert judged(kind, content) is None
        assert judged(kind, content, unpacked_limit=1000) is code
