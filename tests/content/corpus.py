"""Build files of every type, and of what pretends to be one: each a sample with the verdict that it has to get."""

import base64
import json
import struct
import zlib
from dataclasses import dataclass

from gateway.errors import Code

PNG, JPEG, GIF, WEBP = "image/png", "image/jpeg", "image/gif", "image/webp"
PDF, TEXT, CSV, JSON = "application/pdf", "text/plain", "text/csv", "application/json"
ALL = (PNG, JPEG, GIF, WEBP, PDF, TEXT, CSV, JSON)
ACTIVE, MISMATCH = Code.ACTIVE_CONTENT, Code.CONTENT_MISMATCH

XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"><dc:title><rdf:Alt>'
    b'<rdf:li xml:lang="x-default">On stage: a &lt; b</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A file under a declared type; `verdict` is what objection() has to say."""

    name: str
    media_type: str
    content: bytes
    verdict: Code | None


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its length and CRC."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*extra: bytes, width: int = 1, height: int = 1, depth: int = 8, colour: int = 2, tail: bytes = b"") -> bytes:
    """A PNG that decoders show, with `extra` chunks before its data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0\xff\x80\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"") + tail


def segment(marker: int, data: bytes) -> bytes:
    """One JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


JFIF = segment(0xE0, b"JFIF\0\x01\x02\0\0\x48\0\x48\0\0")
FRAME = segment(0xC0, b"\x08\0\x08\0\x08\x01\x01\x11\0")


def jpeg(*extra: bytes, first: bytes = JFIF, frame: bytes = FRAME, tail: bytes = b"") -> bytes:
    """A grey 8 by 8 baseline JPEG that decoders show, with `extra` segments before its tables."""
    tables = segment(0xDB, b"\0" + b"\x01" * 64)
    tables += segment(0xC4, b"\0\x01" + bytes(15) + b"\0") + segment(0xC4, b"\x10\x01" + bytes(15) + b"\0")
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x3f"
    return b"\xff\xd8" + first + b"".join(extra) + tables + frame + scan + b"\xff\xd9" + tail


def gif(*extra: bytes, version: bytes = b"89a", screen: bytes = b"\x01\0\x01\0", tail: bytes = b"") -> bytes:
    """A GIF of one pixel that decoders show, with `extra` blocks before its image."""
    image = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    return b"GIF" + version + screen + b"\x80\0\0\0\0\0\xff\xff\xff" + b"".join(extra) + image + b"\x3b" + tail


def gif_comment(text: bytes) -> bytes:
    """A comment extension of one sub-block."""
    return b"\x21\xfe" + bytes([len(text)]) + text + b"\0"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks, each padded to an even length."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


LOSSY = base64.b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
LOSSLESS = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


def webp(*extra: tuple[bytes, bytes], flags: int = 0) -> bytes:
    """An extended WebP of one pixel, with `extra` chunks after its image."""
    return riff((b"VP8X", bytes([flags, *bytes(9)])), (b"VP8L", LOSSLESS[20:33]), *extra)


def pdf(*entries: bytes, header: bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n") -> bytes:
    """A PDF of one empty page, with `entries` in its catalogue."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R" + b"".join(entries) + b">>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    ]
    body, offsets = header, []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + table + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


ROWS: list[dict[str, object]] = [
    {"id": number, "name": "Zoë \U0001f600", "ratio": 1.5e-3, "tags": [], "ok": True, "none": None}
    for number in range(99)
]
PROFILE = segment(0xE2, b"ICC_PROFILE\0\x01\x01" + bytes(3000))
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
DELAY = b"\x21\xf9\x04\0\x0a\0\0\0"
WELL_FORMED = (
    Sample("png", PNG, png(), None),
    Sample("png-grey-16-bit", PNG, png(depth=16, colour=0), None),
    Sample("png-huge-dimensions", PNG, png(width=2**31 - 1), None),
    Sample("png-with-text", PNG, png(chunk(b"tEXt", b"Comment\0a < b")), None),
    Sample("png-with-xmp", PNG, png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), None),
    Sample("png-beyond-the-front", PNG, png(chunk(b"eXIf", bytes(9000))), None),
    Sample("png-then-zeros", PNG, png(tail=bytes(16)), None),
    Sample("jpeg", JPEG, jpeg(), None),
    Sample("jpeg-with-metadata", JPEG, jpeg(segment(0xFE, b"a < b"), segment(0xE1, XMP), PROFILE), None),
    Sample("jpeg-exif-first", JPEG, jpeg(first=segment(0xE1, b"Exif\0\0MM\0*" + bytes(9000))), None),
    Sample("jpeg-with-fill-bytes", JPEG, jpeg(b"\xff\xff\xff"), None),
    Sample("jpeg-extended-sequential-frame", JPEG, jpeg(frame=segment(0xC1, b"\x08\0\x08\0\x08\x01\x01\x11\0")), None),
    Sample("gif", GIF, gif(), None),
    Sample("gif-87a", GIF, gif(version=b"87a"), None),
    Sample("gif-animated", GIF, gif(LOOP, DELAY, gif_comment(b"made with < and >")), None),
    Sample("gif-without-trailer", GIF, gif()[:-1], None),
    Sample("gif-beyond-the-front", GIF, gif(gif_comment(bytes(255)) * 20), None),
    Sample("webp-lossy", WEBP, LOSSY, None),
    Sample("webp-lossless", WEBP, LOSSLESS, None),
    Sample("webp-extended-with-xmp", WEBP, webp((b"XMP ", XMP), flags=4), None),
    Sample("webp-beyond-the-front", WEBP, webp((b"EXIF", bytes(9001)), flags=8), None),
    Sample("pdf", PDF, pdf(), None),
    Sample("pdf-2.0", PDF, pdf(header=b"%PDF-2.0\r\n"), None),
    Sample("pdf-that-opens-at-a-page", PDF, pdf(b"/OpenAction[3 0 R/Fit]"), None),
    Sample("pdf-with-a-name-that-begins-like-an-action", PDF, pdf(b"/JSmith 1/Launcher 2"), None),
    Sample("pdf-beyond-the-front", PDF, pdf(b"/Note(" + b"x" * 9000 + b")"), None),
    Sample("text", TEXT, b"if a < b and c > d: print('on load = 3')\r\n\tsee <mailto:me@example.org>\f\n", None),
    Sample("text-empty", TEXT, b"", None),
    Sample("text-one-byte", TEXT, b"a", None),
    Sample("text-utf-8", TEXT, "Zoë, Ωmega, 漢字 \U0001f600".encode(), None),
    Sample("text-utf-8-with-mark", TEXT, "\ufeffZoë".encode(), None),
    Sample("text-utf-16-little", TEXT, b"\xff\xfe" + "Zoë 漢字 \U0001f600\n".encode("utf-16-le"), None),
    Sample("text-utf-16-big", TEXT, b"\xfe\xff" + "Zoë 漢字 \U0001f600\n".encode("utf-16-be"), None),
    Sample("text-that-begins-with-MZ", TEXT, b"MZ is what DOS programs begin with.\n", None),
    Sample("text-about-an-object", TEXT, b"usage: git show <object>... <link> of the page\n", None),
    Sample("text-with-a-cut-character-beyond-the-front", TEXT, b"a" + "é".encode() * 4000, None),
    Sample("text-with-a-cut-pair-beyond-the-front", TEXT, b"\xff\xfe" + "\U0001f600".encode("utf-16-le") * 2000, None),
    Sample("csv", CSV, b'name,note\r\n"Zo\xc3\xab","a < b"\r\n', None),
    Sample("csv-empty", CSV, b"", None),
    Sample("csv-utf-16", CSV, b"\xff\xfe" + "a\tb\r\n".encode("utf-16-le"), None),
    Sample("json-object", JSON, b' {"a": [1, -2.5e+3, "\\u00e9", true, false, null]}\n', None),
    Sample("json-string", JSON, b'"x"', None),
    Sample("json-number", JSON, b"0", None),
    Sample("json-literal", JSON, b"null", None),
    Sample("json-with-markup", JSON, b'{"a": "<p>a <b>bold</b> <a href=\'https://example.org/\'>word</a>"}', None),
    Sample("json-beyond-the-front", JSON, json.dumps(ROWS).encode(), None),
    Sample("json-beyond-the-front-unescaped", JSON, json.dumps(ROWS, ensure_ascii=False, indent=2).encode(), None),
)  # fmt: skip

BROKEN = (
    Sample("png-signature-only", PNG, png()[:8], MISMATCH),
    Sample("png-header-only", PNG, png()[:33], MISMATCH),
    Sample("png-without-its-end", PNG, png()[:-12], MISMATCH),
    Sample("png-without-data", PNG, png()[:33] + chunk(b"IEND", b""), MISMATCH),
    Sample("png-no-width", PNG, png(width=0), MISMATCH),
    Sample("png-too-wide", PNG, png(width=2**31), MISMATCH),
    Sample("png-impossible-depth", PNG, png(depth=4, colour=2), MISMATCH),
    Sample("png-unknown-colour", PNG, png(colour=5), MISMATCH),
    Sample("png-false-crc", PNG, png()[:29] + b"\0\0\0\0" + png()[33:], MISMATCH),
    Sample("png-odd-chunk-name", PNG, png(chunk(b"te\0t", b"")), MISMATCH),
    Sample("png-chunk-longer-than-the-file", PNG, png(struct.pack(">I", 99999) + b"tEXt") + bytes(5000), MISMATCH),
    Sample("png-line-ends-changed", PNG, png().replace(b"\r\n", b"\n", 1), MISMATCH),
    Sample("jpeg-start-only", JPEG, b"\xff\xd8\xff", MISMATCH),
    Sample("jpeg-cut-in-a-table", JPEG, jpeg()[:60], MISMATCH),
    Sample("jpeg-without-its-end", JPEG, jpeg()[:-2], MISMATCH),
    Sample("jpeg-without-frame", JPEG, jpeg(frame=b""), MISMATCH),
    Sample("jpeg-false-frame", JPEG, jpeg(frame=segment(0xC0, b"\x08\0\x08\0\0\x01\x01\x11\0")), MISMATCH),
    Sample("jpeg-frame-cut-short", JPEG, jpeg(frame=segment(0xC0, b"\x08\0")), MISMATCH),
    Sample("jpeg-then-anything", JPEG, b"\xff\xd8\xff\xe0" + b"just some words, not segments", MISMATCH),
    Sample("jpeg-segment-longer-than-the-file", JPEG, b"\xff\xd8\xff\xe1\xff\xff" + bytes(5000), MISMATCH),
    Sample("gif-header-only", GIF, gif()[:6], MISMATCH),
    Sample("gif-screen-only", GIF, gif()[:19], MISMATCH),
    Sample("gif-cut-in-its-image", GIF, gif()[:-4], MISMATCH),
    Sample("gif-of-another-version", GIF, gif(version=b"90a"), MISMATCH),
    Sample("gif-unknown-block", GIF, gif(b"\x99\0"), MISMATCH),
    Sample("gif-false-code-size", GIF, gif().replace(b"\x02\x02\x44", b"\x63\x02\x44"), MISMATCH),
    Sample("gif-without-image", GIF, gif()[:19] + b"\x3b", MISMATCH),
    Sample("webp-cut", WEBP, LOSSY[:-2], MISMATCH),
    Sample("webp-and-more", WEBP, LOSSY + b"PK\x03\x04", MISMATCH),
    Sample("webp-odd-length", WEBP, b"RIFF\x1b\0\0\0" + LOSSLESS[8:] + b"\0", MISMATCH),
    Sample("webp-header-only", WEBP, LOSSY[:12], MISMATCH),
    Sample("webp-no-key-frame", WEBP, LOSSY[:20] + b"\x31" + LOSSY[21:], MISMATCH),
    Sample("webp-false-signature", WEBP, LOSSLESS[:20] + b"\x30" + LOSSLESS[21:], MISMATCH),
    Sample("webp-chunk-longer-than-the-file", WEBP, webp()[:30] + b"VP8L\xff\xff\0\0" + webp()[38:], MISMATCH),
    Sample("wav-as-webp", WEBP, b"RIFF\x24\0\0\0WAVEfmt " + bytes(28), MISMATCH),
    Sample("webp-of-audio", WEBP, riff((b"fmt ", bytes(22))), MISMATCH),
    Sample("pdf-header-only", PDF, b"%PDF-1.7\n", MISMATCH),
    Sample("pdf-cut", PDF, pdf()[:-8], MISMATCH),
    Sample("pdf-after-junk", PDF, b"junk\n" + pdf(), MISMATCH),
    Sample("pdf-unknown-version", PDF, pdf(header=b"%PDF-9.9\n"), MISMATCH),
    Sample("text-latin-1", TEXT, "Zoë".encode("latin-1"), MISMATCH),
    Sample("text-with-nul", TEXT, b"a\0b", MISMATCH),
    Sample("text-with-escape", TEXT, b"\x1b[2J", MISMATCH),
    Sample("text-with-delete", TEXT, b"a\x7f", MISMATCH),
    Sample("text-with-c1-control", TEXT, "a\x9b31m".encode(), MISMATCH),
    Sample("text-cut-character", TEXT, "é".encode()[:1], MISMATCH),
    Sample("text-surrogate", TEXT, b"\xed\xa0\x80", MISMATCH),
    Sample("text-utf-16-cut", TEXT, b"\xff\xfea\0b", MISMATCH),
    Sample("text-utf-16-lone-surrogate", TEXT, b"\xff\xfe\x3d\xd8a\0", MISMATCH),
    Sample("text-utf-16-with-nul", TEXT, b"\xff\xfea\0\0\0", MISMATCH),
    Sample("text-utf-16-without-mark", TEXT, "abc".encode("utf-16-le"), MISMATCH),
    Sample("text-utf-32", TEXT, b"\xff\xfe\0\0a\0\0\0", MISMATCH),
    Sample("csv-binary", CSV, bytes(range(256)), MISMATCH),
    Sample("json-one-byte", JSON, b"{", MISMATCH),
    Sample("json-cut", JSON, b'{"a": [1, 2', MISMATCH),
    Sample("json-with-mark", JSON, b"\xef\xbb\xbf{}", MISMATCH),
    Sample("json-utf-16", JSON, b"\xff\xfe{\0}\0", MISMATCH),
    Sample("json-nan", JSON, b'{"a": NaN}', MISMATCH),
    Sample("json-infinity", JSON, b"[-Infinity]", MISMATCH),
    Sample("json-trailing-comma", JSON, b"[1,]", MISMATCH),
    Sample("json-single-quotes", JSON, b"{'a': 1}", MISMATCH),
    Sample("json-comment", JSON, b"{} // no", MISMATCH),
    Sample("json-two-texts", JSON, b"{}\n{}\n", MISMATCH),
    Sample("json-raw-newline-in-string", JSON, b'"a\nb"', MISMATCH),
    Sample("json-wrong-beyond-the-front", JSON, b'{"a": oops}' + b" " * 9000, MISMATCH),
    Sample("json-key-without-quotes-beyond-the-front", JSON, b"{a: 1}" + b" " * 9000, MISMATCH),
    *(Sample(f"empty-{kind}", kind, b"", MISMATCH) for kind in ALL if kind not in {TEXT, CSV}),
    *(Sample(f"one-byte-{kind}", kind, b"\x89", MISMATCH) for kind in ALL),
)  # fmt: skip

EXECUTABLES = {
    "elf": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0" + bytes(200),
    "pe": b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + bytes(46) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0",
    "mach-o": b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(200),
    "wasm": b"\0asm\x01\0\0\0",
    "shell": b"#!/bin/sh\nrm -rf ~\n",
    "zip": b"PK\x03\x04\x14\0\0\0\0\0" + bytes(50),
    "java": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(50),
}
MARKUP = {
    "html": b"<!DOCTYPE html><html><body>hello</body></html>",
    "html-upper-case": b"<HTML>hello",
    "html-after-comment": b"\xef\xbb\xbf \r\n<!-- <- just a note --><html>",
    "html-fragment": b"  <div>hello</div>",
    "html-without-space": b"words <!doctypehtml>",
    "xhtml": b'words <x:a xmlns:x = "http://www.w3.org/1999/xhtml">',
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg-slash": b"words <sVg/onload=alert(1)>",
    "svg-form-feed": b"words <svg\x0conload=alert(1)>",
    "svg-prefix": b"words <s:svg>",
    "svg-document": b'<?xml version="1.0"?>\n<svg>',
    "script": b"words <script>alert(1)</script>",
    "script-open": b"words <SCRIPT\nsrc=//evil.example>",
    "script-cut-at-the-end": b"words <script",
    "script-with-nul": b"words <scr\0ipt>alert(1)</script>",
    "iframe": b"words <iframe src=//evil.example>",
    "body": b"words <body onload=alert(1)>",
    "object": b"words <object x data=//evil.example>",
    "base": b"words <base/href=//evil.example>",
    "refresh": b'words <meta http-equiv="refresh" content="0;url=//evil.example">',
    "handler": b"words <img src=x onerror=alert(1)>",
    "handler-after-quote": b'words <img src="x"onerror\n=\nalert(1)>',
    "handler-after-greater-than": b'words <img alt=">" OnError=alert(1)>',
    "handler-on-any-element": b"words <x tabindex=1 onfocus=alert(1)>",
    "url": b'words <a href="javascript:alert(1)">',
    "url-broken": b'words <a href=" JaVa\nscr\tipt:alert(1)">',
    "url-references": b"words <a href=&#x6A;&#97vascript&Tab;&colon;alert(1)>",
    "url-form": b"words <form action=javascript:alert(1)>",
    "conditional": b"words <!--[if IE]>",
    "conditional-revealed": b"words <![if IE]>",
    "php": b"words <?php system($_GET[0]); ?>",
    "php-short": b"<?= `id` ?>",
    "asp": b"<%@ page language='java' %>",
    "xslt": b'words <?xml-stylesheet href="x.xsl"?>',
    "utf-16-little": b"\xff\xfe" + "words <script>".encode("utf-16-le"),
    "utf-16-big": b"\xfe\xff" + "words <SVG >".encode("utf-16-be"),
    "utf-16-without-mark": "<html>".encode("utf-16-le"),
    "utf-16-document": b"\xfe\xff" + "\r\n<!-- -->".encode("utf-16-be"),
}
_SCRIPT = b"<script>alert(1)</script>"
POLYGLOTS = (
    Sample("png-text-chunk", PNG, png(chunk(b"tEXt", b"Comment\0" + _SCRIPT)), ACTIVE),
    Sample("png-trailing-html", PNG, png(tail=b"<html>"), ACTIVE),
    Sample("png-with-php", PNG, png(chunk(b"tEXt", b"Comment\0<?php phpinfo();")), ACTIVE),
    Sample("png-beyond-the-front", PNG, png(chunk(b"tEXt", _SCRIPT + bytes(9000))), ACTIVE),
    Sample("jpeg-comment", JPEG, jpeg(segment(0xFE, b'"><img src=x onerror=alert(1)>')), ACTIVE),
    Sample("jpeg-exif-utf-16", JPEG, jpeg(segment(0xE1, b"Exif\0\0" + _SCRIPT.decode().encode("utf-16-le"))), ACTIVE),
    Sample("jpeg-trailing-svg", JPEG, jpeg(tail=b"<svg >"), ACTIVE),
    Sample("jpeg-script", JPEG, jpeg(first=segment(0xE0, b"x" * (0x2F2A - 2))), ACTIVE),
    Sample("gif-comment", GIF, gif(gif_comment(_SCRIPT)), ACTIVE),
    Sample("gif-trailing-script", GIF, gif(tail=_SCRIPT), ACTIVE),
    Sample("gif-script", GIF, gif(screen=b"/*\x01\0", tail=b"*/=1;alert(1)//"), ACTIVE),
    Sample("gif-script-assignment", GIF, b"GIF89a=1;alert(1)/*" + gif()[6:] + b"*/", ACTIVE),
    Sample("webp-xmp", WEBP, webp((b"XMP ", _SCRIPT)), ACTIVE),
    Sample("webp-script", WEBP, b"RIFF/*\0\0WEBPVP8 " + bytes(20) + b"*/=1", ACTIVE),
    Sample("pdf-comment", PDF, pdf(header=b"%PDF-1.7\n%" + _SCRIPT + b"\n"), ACTIVE),
    Sample("pdf-javascript", PDF, pdf(b"/OpenAction<</S/JavaScript/JS(app.alert(1))>>"), ACTIVE),
    Sample("pdf-javascript-escaped", PDF, pdf(b"/OpenAction<</S/J#61vaScript /#4a#53 9 0 R>>"), ACTIVE),
    Sample("pdf-launch", PDF, pdf(b"/OpenAction<</S/Launch/F(cmd.exe)>>"), ACTIVE),
    Sample("pdf-embedded-file", PDF, pdf(b"/Names<</EmbeddedFiles 9 0 R>>"), ACTIVE),
    Sample("json-string", JSON, b'{"a": "' + _SCRIPT + b'"}', ACTIVE),
    Sample("csv-cell", CSV, b'a,"<svg/onload=alert(1)>"\n', ACTIVE),
)  # fmt: skip

CORPUS = (
    *WELL_FORMED,
    *BROKEN,
    *POLYGLOTS,
    *(Sample(f"{name}-as-{kind}", kind, content, ACTIVE) for name, content in MARKUP.items() for kind in ALL),
    *(Sample(f"{name}-as-{kind}", kind, content, MISMATCH) for name, content in EXECUTABLES.items() for kind in ALL),
    *(
        Sample(f"{sample.name}-as-{kind}", kind, sample.content, MISMATCH)
        for sample in (
            Sample("png", PNG, png(), None),
            Sample("jpeg", JPEG, jpeg(), None),
            Sample("gif", GIF, gif(), None),
        )
        for kind in ALL
        if kind != sample.media_type
    ),
)
