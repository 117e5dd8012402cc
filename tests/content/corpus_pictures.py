"""AVIF, HEIC, TIFF, BMP, ICO and SVG files, made from their specifications, and what is wrong with some."""

import base64
import gzip
import struct

from tests.content.corpus_rasters import XMP, png
from tests.content.corpus_samples import ACTIVE, AVIF, BMP, HEIC, HEIF, ICO, MISMATCH, MP4, SVG, TIFF, Sample


def box(kind: bytes, *parts: bytes) -> bytes:
    """One box (ISO/IEC 14496-12, 4.2)."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    """One box with a version and no flags."""
    return box(kind, bytes([version, 0, 0, 0]), *parts)


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """The file type box."""
    return box(b"ftyp", major, bytes(4), *compatible)


# A red pixel by libaom: a sequence header and a key frame. And one of 64 by 64 by x265, whose decoder configuration
# goes into the hvcC box.
AV1_PIXEL = base64.b64decode("EgAKCBgABogIaDQgMhwUx4eGZQIIIJ5QAAAASFrZXNYyIDELG14KkTeA")
HEVC_CONFIGURATION = base64.b64decode(
    "AQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4"
    "CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQ=="
)
HEVC_PIXELS = base64.b64decode("AAAAMCgBrxMhZmNA+BD3Z//rvBX/lWs/8zexOc7IR0DA0iCAm0BIk11QCxYQgId2pVbc+A==")


def heif(  # noqa: PLR0913, PLR0917 - what an item is made of
    brands: tuple[bytes, ...], coding: bytes, configuration: bytes, data: bytes, side: int, extra: bytes
) -> bytes:
    """A still image of one square item (ISO/IEC 23008-12, 6.2), with `extra` boxes between its meta and its data."""
    head = ftyp(brands[0], *brands)

    def meta(offset: int) -> bytes:
        return full_box(
            b"meta",
            0,
            full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, b"\0\x01"),
            full_box(b"iloc", 0, b"\x44\0\0\x01\0\x01\0\0\0\x01", struct.pack(">II", offset, len(data))),
            full_box(b"iinf", 0, b"\0\x01", full_box(b"infe", 2, b"\0\x01\0\0", coding, b"\0")),
            box(
                b"iprp",
                box(
                    b"ipco",
                    full_box(b"ispe", 0, struct.pack(">II", side, side)),
                    full_box(b"pixi", 0, b"\x03\x08\x08\x08"),
                    configuration,
                ),
                full_box(b"ipma", 0, b"\0\0\0\x01\0\x01\x03\x01\x02\x83"),
            ),
        )

    offset = len(head) + len(meta(0)) + len(extra) + 8
    return head + meta(offset) + extra + box(b"mdat", data)


def avif(*brands: bytes, extra: bytes = b"") -> bytes:
    """An AVIF of one pixel (AV1 Image File Format, 6), which decoders show."""
    found = brands or (b"avif", b"mif1", b"miaf")
    return heif(found, b"av01", box(b"av1C", b"\x81\0\x0c\0"), AV1_PIXEL, 1, extra)


def heic(*brands: bytes, extra: bytes = b"") -> bytes:
    """A HEIC of one item coded by HEVC."""
    return heif(brands or (b"heic", b"mif1"), b"hvc1", box(b"hvcC", HEVC_CONFIGURATION), HEVC_PIXELS, 64, extra)


def tiff(
    order: str = "<", *, at_end: bool = False, magic: int = 42, data: bytes = b"\x80\0", more: bytes = b""
) -> bytes:
    """Two grey pixels in one strip (TIFF 6.0, sections 2 and 4), its directory before or behind the data and `more`."""
    tags = [(256, 4, 1), (257, 4, 2), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 0), (278, 4, 2), (279, 4, 2)]
    length = 2 + 12 * len(tags) + 4
    directory_at, data_at = (8 + len(data) + len(more), 8) if at_end else (8, 8 + length)
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, value in tags:
        found = data_at if tag == 273 else value
        # A short stands in the first two bytes of the four.
        packed = struct.pack(f"{order}I", found) if kind == 4 else struct.pack(f"{order}HH", found, 0)
        directory += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    directory += bytes(4)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", magic, directory_at)
    return head + (data + more + directory if at_end else directory + data + more)


def bitmap(
    *, header: int = 40, bits: int = 24, palette: bytes = b"", rows: bytes = b"\0\0\xff\0", height: int = 1
) -> bytes:
    """A DIB of one pixel; `header` is the length of its header in bytes (MS-WMF 2.2.2, wingdi.h)."""
    if header == 12:
        return struct.pack("<IHHHH", 12, 1, height, 1, bits) + palette + rows
    known = struct.pack("<IiiHHIIiiII", header, 1, height, 1, bits, 0, len(rows), 2835, 2835, len(palette) // 4, 0)
    return known + bytes(header - 40) + palette + rows


def bmp(dib: bytes | None = None, *, palette: int = 0, size: int | None = None, tail: bytes = b"") -> bytes:
    """A bitmap file; `palette` is the bytes of its colour table, `size` what its header says instead of the truth."""
    dib = dib or bitmap()
    (header,) = struct.unpack_from("<I", dib)
    length = 14 + len(dib)
    said = length if size is None else size
    return struct.pack("<2sIHHI", b"BM", said, 0, 0, 14 + header + palette) + dib + tail


def ico(*images: bytes, kind: int = 1, beyond: int = 0) -> bytes:
    """An icon of these images, each one pixel; `beyond` bytes are what their places lie too far."""
    directory = struct.pack("<HHH", 0, kind, len(images))
    position = 6 + 16 * len(images)
    for image in images:
        directory += struct.pack("<BBBBHHII", 1, 1, 0, 0, 1, 32, len(image), position + beyond)
        position += len(image)
    return directory + b"".join(images)


# The height counts the mask as well.
ICON = bitmap(bits=32, rows=b"\0\0\xff\xff" + bytes(4), height=2)
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">'
_DOCTYPE = (
    b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
)  # fmt: skip


def svg(*inside: bytes, before: bytes = b"", root: bytes = _SVG) -> bytes:
    """A drawing with `inside` its root element, and `before` it what may stand there."""
    return before + root + b'<path d="M0 0h1v1z" fill="#f00"/>' + b"".join(inside) + b"</svg>\n"


_INKSCAPE = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    b"<!-- Created with Inkscape (http://www.inkscape.org/) -->\n\n"
)
_RDF = (
    b'<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cc="http://web.resource.org/cc/">'
    b'<cc:Work rdf:about=""/></rdf:RDF></metadata>'
)
WELL_FORMED = (
    Sample("avif", AVIF, avif(), None),
    Sample("avif-baseline", AVIF, avif(b"avif", b"mif1", b"miaf", b"MA1B"), None),
    Sample("avif-major-mif1", AVIF, avif(b"mif1", b"avif", b"miaf"), None),
    Sample("avif-beyond-the-front", AVIF, avif(extra=box(b"free", bytes(9000))), None),
    Sample("heic", HEIC, heic(), None),
    Sample("heic-major-mif1", HEIC, heic(b"mif1", b"heic"), None),
    Sample("heic-beyond-the-front", HEIC, heic(extra=box(b"free", bytes(9000))), None),
    Sample("heif-of-hevc", HEIF, heic(b"mif1", b"heic"), None),
    Sample("heif", HEIF, heic(b"mif1"), None),
    Sample("tiff-little", TIFF, tiff("<"), None),
    Sample("tiff-big", TIFF, tiff(">"), None),
    Sample("tiff-directory-at-the-end", TIFF, tiff("<", at_end=True), None),
    Sample("tiff-directory-beyond-the-front", TIFF, tiff(">", at_end=True, more=bytes(9000)), None),
    Sample("tiff-data-beyond-the-front", TIFF, tiff("<", more=bytes(9001)), None),
    Sample("bmp", BMP, bmp(), None),
    Sample("bmp-top-down", BMP, bmp(bitmap(height=-1)), None),
    Sample("bmp-core-header", BMP, bmp(bitmap(header=12)), None),
    Sample("bmp-version-4", BMP, bmp(bitmap(header=108)), None),
    Sample("bmp-version-5", BMP, bmp(bitmap(header=124)), None),
    Sample("bmp-two-colours", BMP, bmp(bitmap(bits=1, palette=b"\0\0\0\0\xff\xff\xff\0"), palette=8), None),
    Sample("bmp-beyond-the-front", BMP, bmp(bitmap(rows=b"\0\0\xff\0" * 4000, height=4000)), None),
    Sample("ico-bitmap", ICO, ico(ICON), None),
    Sample("ico-png", ICO, ico(png()), None),
    Sample("ico-of-three", ICO, ico(ICON, ICON, png()), None),
    Sample("ico-beyond-the-front", ICO, ico(ICON + bytes(9000), png()), None),
    Sample("svg", SVG, svg(), None),
    Sample("svg-with-declaration", SVG, svg(before=b'<?xml version="1.0"?>\n'), None),
    Sample("svg-with-mark", SVG, svg(before=b"\xef\xbb\xbf"), None),
    Sample("svg-by-inkscape", SVG, svg(_RDF, before=_INKSCAPE), None),
    Sample("svg-utf-16", SVG, ("\ufeff" + svg().decode()).encode("utf-16-le"), None),
    Sample("svg-with-doctype", SVG, svg(before=b'<?xml version="1.0"?>\n' + _DOCTYPE), None),
    Sample("svg-with-style", SVG, svg(b"<style>path{fill:#00f}</style><title>on a &lt; b</title>"), None),
    Sample("svg-with-an-anchor", SVG, svg(b'<a href="https://example.org/"><path d="M0 0"/></a>'), None),
    Sample("svg-beyond-the-front", SVG, svg(b"<g/>" * 3000), None),
)
_TRUE_BROWSERS_RUN = {
    "script": svg(b"<script>alert(1)</script>"),
    "script-with-prefix": svg(b'<s:script xmlns:s="http://www.w3.org/2000/svg">alert(1)</s:script>'),
    "script-elsewhere": svg(b'<script href="//evil.example/x.js"/>'),
    "handler": svg(root=_SVG[:-1] + b' onload="alert(1)">'),
    "handler-of-an-animation": svg(b'<animate onbegin="alert(1)" attributeName="x" dur="1s"/>'),
    "url": svg(b'<a xlink:href="javascript:alert(1)" xmlns:xlink="http://www.w3.org/1999/xlink"><path/></a>'),
    "url-with-references": svg(b'<a href="&#106;avascript:alert(1)"><path/></a>'),
    "foreign-object": svg(b'<foreignObject><body xmlns="http://www.w3.org/1999/xhtml">x</body></foreignObject>'),
    "frame": svg(b'<iframe xmlns="http://www.w3.org/1999/xhtml" src="//evil.example"/>'),
    "stylesheet": svg(before=b'<?xml-stylesheet href="//evil.example/x.xsl" type="text/xsl"?>'),
    "entities": svg(b"<text>&b;</text>", before=b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'),
    "an-entity-elsewhere": svg(b"<text>&a;</text>", before=b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    "script-of-an-accented-prefix": svg('<é:script xmlns:é="http://www.w3.org/2000/svg">alert(1)</é:script>'.encode()),
    "script-of-a-long-prefix": svg(
        b'<%s:script xmlns:%s="http://www.w3.org/2000/svg">alert(1)</%s:script>' % ((b"a" * 40,) * 3)
    ),
    "handler-and-many-spaces": svg(root=_SVG[:-1] + b" onload" + b" " * 70 + b'="alert(1)">'),
    "handler-and-many-lines": svg(root=_SVG[:-1] + b" onload" + b"\n" * 70 + b'="alert(1)">'),
    "foreign-object-of-an-accented-prefix": svg(
        '<é:foreignObject xmlns:é="http://www.w3.org/2000/svg"><x/></é:foreignObject>'.encode()
    ),
    "use-of-an-accented-prefix": svg(
        '<é:use xmlns:é="http://www.w3.org/2000/svg" href="http://evil.example/x.svg#a"/>'.encode()
    ),
    "use-and-many-spaces": svg(b"<use href" + b" " * 70 + b'="http://evil.example/x.svg#a"/>'),
    "page-in-a-link-and-many-spaces": svg(b"<a href" + b" " * 70 + b'="data:text/html,x"><path/></a>'),
    "animated-link-of-an-accented-prefix": svg(
        '<a xmlns:é="http://www.w3.org/1999/xlink"><set attributeName="é:href" to="data:text/html,x"/></a>'.encode()
    ),
    "a-document-type-elsewhere": svg(before=b'<!DOCTYPE svg SYSTEM "http://evil.example/x.dtd">'),
    "script-of-an-accented-prefix-in-utf-16": svg(
        '<é:script xmlns:é="http://www.w3.org/2000/svg">alert(1)</é:script>'.encode()
    )
    .decode()
    .encode("utf-16"),
    "script-in-utf-16": ("\ufeff" + svg(b"<script>alert(1)</script>").decode()).encode("utf-16-be"),
    "html": b"<!DOCTYPE html><html><body>" + svg() + b"</body></html>",
}
BROKEN = (
    *(Sample(f"svg-with-{name}", SVG, content, ACTIVE) for name, content in _TRUE_BROWSERS_RUN.items()),
    Sample("avif-without-its-brand", AVIF, avif(b"mif1", b"miaf"), MISMATCH),
    Sample("avif-called-heif", HEIF, avif(b"mif1", b"avif"), MISMATCH),
    Sample("avif-called-heic", HEIC, avif(), MISMATCH),
    Sample("heic-called-avif", AVIF, heic(), MISMATCH),
    Sample("avif-called-mp4", MP4, avif(), MISMATCH),
    Sample("avif-ftyp-alone", AVIF, ftyp(b"avif", b"avif", b"mif1"), MISMATCH),
    Sample("avif-ftyp-then-nothing", AVIF, ftyp(b"avif", b"avif", b"mif1") + bytes(5000), MISMATCH),
    Sample("avif-brand-in-a-short-box", AVIF, b"\0\0\0\x0cftypavif" + b"MZ" + bytes(300), MISMATCH),
    Sample("avif-ftyp-not-first", AVIF, box(b"free", b"") + avif(), MISMATCH),
    Sample("heic-box-longer-than-the-file", HEIC, heic()[:24] + b"\0\xff\0\0" + heic()[28:], MISMATCH),
    Sample("heic-box-of-four-bytes", HEIC, heic()[:24] + b"\0\0\0\x04meta" + heic()[32:], MISMATCH),
    Sample("tiff-header-alone", TIFF, tiff()[:8], MISMATCH),
    Sample("tiff-of-another-magic", TIFF, tiff(magic=41), MISMATCH),
    Sample("tiff-orders-mixed", TIFF, b"MM" + tiff("<")[2:], MISMATCH),
    Sample("tiff-directory-beyond-the-file", TIFF, b"II*\0\xff\xff\0\0" + bytes(5000), MISMATCH),
    Sample("tiff-directory-in-its-header", TIFF, b"II*\0\x04\0\0\0" + bytes(500), MISMATCH),
    Sample("tiff-directory-of-none", TIFF, b"II*\0\x08\0\0\0" + bytes(500), MISMATCH),
    Sample("bmp-then-script", BMP, b"BM<script>alert(1)</script>", ACTIVE),
    Sample("bmp-then-words", BMP, b"BMW builds cars, and this is a letter about one of them, not a picture.", MISMATCH),
    Sample("bmp-odd-header", BMP, bmp(struct.pack("<I", 41) + bitmap()[4:]), MISMATCH),
    Sample("bmp-no-width", BMP, bmp(bitmap()[:4] + bytes(4) + bitmap()[8:]), MISMATCH),
    Sample("bmp-two-planes", BMP, bmp(bitmap()[:12] + b"\x02\0" + bitmap()[14:]), MISMATCH),
    Sample("bmp-of-three-bits", BMP, bmp(bitmap(bits=3)), MISMATCH),
    Sample("bmp-data-beyond-the-file", BMP, bmp()[:10] + b"\xff\xff\0\0" + bmp()[14:], MISMATCH),
    Sample("ico-of-none", ICO, ico(), MISMATCH),
    Sample("ico-cursor", ICO, ico(ICON, kind=2), MISMATCH),
    Sample("ico-image-beyond-the-file", ICO, ico(ICON, beyond=999), MISMATCH),
    Sample("ico-of-anything", ICO, ico(b"#!/bin/sh\nrm -rf ~\n" + bytes(40)), MISMATCH),
    Sample("ico-of-an-executable", ICO, ico(b"MZ" + bytes(300)), MISMATCH),
    Sample("ico-zeros", ICO, bytes(100), MISMATCH),
    Sample("svg-words", SVG, b"just words", MISMATCH),
    Sample("svg-packed", SVG, gzip.compress(svg(), mtime=0), MISMATCH),
    Sample("svg-in-utf-7", SVG, svg(before=b'<?xml version="1.0" encoding="utf-7"?>'), MISMATCH),
    Sample("svg-in-latin-1", SVG, svg(b"<desc>Zo\xeb</desc>"), MISMATCH),
    Sample("svg-not-closed", SVG, svg()[:-7], MISMATCH),
    Sample("svg-of-no-namespace", SVG, svg(root=b"<svg>"), MISMATCH),
    Sample("svg-other-xml", SVG, b'<?xml version="1.0"?>\n<note xmlns="urn:x"/>', MISMATCH),
)  # fmt: skip
_SCRIPT = b"<script>alert(1)</script>"
POLYGLOTS = (
    Sample("avif-free-box", AVIF, avif(extra=box(b"free", _SCRIPT)), ACTIVE),
    Sample("heic-xmp", HEIC, heic(extra=box(b"uuid", bytes(16), _SCRIPT)), ACTIVE),
    Sample("heic-with-true-xmp", HEIC, heic(extra=box(b"uuid", bytes(16), XMP)), None),
    Sample("tiff-description", TIFF, tiff(at_end=True, more=_SCRIPT), ACTIVE),
    Sample("bmp-script", BMP, bmp(size=int.from_bytes(b"/*\0\0", "little"), tail=b"*/=1;alert(1)//"), ACTIVE),
    Sample("bmp-script-assignment", BMP, bmp(size=int.from_bytes(b"=1//", "little"), tail=b"\nalert(1)"), ACTIVE),
    Sample("bmp-tail", BMP, bmp(tail=_SCRIPT), ACTIVE),
    Sample("ico-tail", ICO, ico(ICON) + b"<html>", ACTIVE),
)
