"""PDF, text, CSV, JSON, Markdown and WOFF2 files, made from their specifications, and what is wrong with some."""

import json
import struct

from tests.content.corpus_rasters import jpeg, segment
from tests.content.corpus_samples import ACTIVE, CSV, JSON, MARKDOWN, MISMATCH, PDF, TEXT, WOFF2, Sample


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


def brotli(data: bytes) -> bytes:
    """Brotli's format without its compression (RFC 7932, 9): one meta-block as it is, and an empty last one."""
    head = (len(data) - 1) << 4 | 1 << 20  # a window of 64 KiB, four nibbles of length, uncompressed
    return head.to_bytes(3, "little") + data + b"\x03"


def base_128(number: int) -> bytes:
    """A number as WOFF2 writes it (W3C WOFF 2.0, 4.1): seven bits in a byte, the highest first."""
    more = number >> 7
    return (bytes(0x80 | byte for byte in base_128(more)) if more else b"") + bytes([number & 0x7F])


def woff2(*sizes: int, flavor: bytes = b"OTTO", length: int | None = None, tables: int | None = None) -> bytes:
    """A font file of tables of these sizes (W3C WOFF 2.0, 3); `length` and `tables` are what its header says."""
    sizes = sizes or (4, 54)
    directory = b"".join(bytes([number]) + base_128(size) for number, size in enumerate(sizes))
    data = brotli(bytes(sum(sizes)))
    whole = 48 + len(directory) + len(data)
    padding = bytes(-whole % 4)
    sfnt = 12 + sum(16 + size + -size % 4 for size in sizes)
    count = len(sizes) if tables is None else tables
    said = whole + len(padding) if length is None else length
    header = struct.pack(">4s4sIHHIIHHIIIII", b"wOF2", flavor, said, count, 0, sfnt, len(data), 1, 0, 0, 0, 0, 0, 0)
    return header + directory + data + padding


ROWS: list[dict[str, object]] = [
    {"id": number, "name": "Zoë \U0001f600", "ratio": 1.5e-3, "tags": [], "ok": True, "none": None}
    for number in range(99)
]
WELL_FORMED = (
    Sample("pdf", PDF, pdf(), None),
    Sample("pdf-2.0", PDF, pdf(header=b"%PDF-2.0\r\n"), None),
    Sample("pdf-that-opens-at-a-page", PDF, pdf(b"/OpenAction[3 0 R/Fit]"), None),
    Sample("pdf-with-a-name-that-begins-like-an-action", PDF, pdf(b"/JSmith 1/Launcher 2"), None),
    Sample("pdf-form", PDF, pdf(b"/AcroForm<</Fields[]>>/A<</S/SubmitForm/F(https://example.org/)>>"), None),
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
    Sample("text-that-is-a-script", TEXT, b"function f() { return 1 }\nalert(f())\n", None),
    Sample("markdown", MARKDOWN, b"# Title\n\n* a < b\n* [link](https://example.org/)\n<https://example.org/>\n", None),
    Sample("markdown-empty", MARKDOWN, b"", None),
    Sample("markdown-of-code", MARKDOWN, b"Use it so:\n\n```js\nif (a < b) run()\n```\n", None),
    Sample("markdown-with-marks", MARKDOWN, b"Press <kbd>Ctrl</kbd>.<br>\n\n<details>\n\nmore\n\n</details>\n", None),
    Sample("markdown-picture-first", MARKDOWN, b'<p align="center"><img src="logo.png"></p>\n\n# Title\n', None),
    Sample("markdown-that-begins-with-a-note", MARKDOWN, b"<!-- generated: do not edit -->\n# Title\n", None),
    Sample("markdown-utf-16", MARKDOWN, b"\xff\xfe" + "# Zoë\n".encode("utf-16-le"), None),
    Sample("markdown-beyond-the-front", MARKDOWN, b"# Title\n" + b"word " * 4000, None),
    Sample("csv-beyond-the-front", CSV, b"a,b,c\r\n" * 4000, None),
    Sample("woff2", WOFF2, woff2(), None),
    Sample("woff2-truetype", WOFF2, woff2(flavor=b"\0\x01\0\0"), None),
    Sample("woff2-collection-like-sizes", WOFF2, woff2(4, 54, 36, 300, 6, 700), None),
    Sample("woff2-beyond-the-front", WOFF2, woff2(4, 54, 36, 9000), None),
)  # fmt: skip
BROKEN = (
    Sample("markdown-with-nul", MARKDOWN, b"# a\0", MISMATCH),
    Sample("markdown-script", MARKDOWN, b"# Title\n\n<script>alert(1)</script>\n", ACTIVE),
    Sample("markdown-handler", MARKDOWN, b"# Title\n\n<img src=x onerror=alert(1)>\n", ACTIVE),
    Sample("markdown-url-of-html", MARKDOWN, b'# Title\n\n<a href="javascript:alert(1)">x</a>\n', ACTIVE),
    Sample("markdown-frame", MARKDOWN, b"# Title\n\n<iframe src=//evil.example></iframe>\n", ACTIVE),
    Sample("markdown-page", MARKDOWN, b"<!DOCTYPE html><html><body>hello</body></html>", ACTIVE),
    Sample("woff2-header-alone", WOFF2, woff2()[:48], MISMATCH),
    Sample("woff2-of-version-1", WOFF2, b"wOFF" + woff2()[4:], MISMATCH),
    Sample("woff2-of-another-length", WOFF2, woff2(length=9999), MISMATCH),
    Sample("woff2-of-no-tables", WOFF2, woff2(tables=0), MISMATCH),
    Sample("woff2-data-beyond-the-file", WOFF2, woff2()[:20] + b"\0\xff\0\0" + woff2()[24:], MISMATCH),
    Sample("woff2-reserved", WOFF2, woff2()[:14] + b"\0\x01" + woff2()[16:], MISMATCH),
    Sample("woff2-of-anything", WOFF2, b"wOF2" + b"just words, and no font at all " * 3, MISMATCH),
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
    Sample("json-behind-a-guard", JSON, b")]}',\n{}", MISMATCH),
    Sample("json-called-back", JSON, b"f({})", MISMATCH),
    Sample("json-nan", JSON, b'{"a": NaN}', MISMATCH),
    Sample("json-infinity", JSON, b"[-Infinity]", MISMATCH),
    Sample("json-trailing-comma", JSON, b"[1,]", MISMATCH),
    Sample("json-single-quotes", JSON, b"{'a': 1}", MISMATCH),
    Sample("json-comment", JSON, b"{} // no", MISMATCH),
    Sample("json-two-texts", JSON, b"{}\n{}\n", MISMATCH),
    Sample("json-raw-newline-in-string", JSON, b'"a\nb"', MISMATCH),
    Sample("json-wrong-beyond-the-front", JSON, b'{"a": oops}' + b" " * 9000, MISMATCH),
    Sample("json-key-without-quotes-beyond-the-front", JSON, b"{a: 1}" + b" " * 9000, MISMATCH),
)  # fmt: skip
_SCRIPT = b"<script>alert(1)</script>"
POLYGLOTS = (
    Sample("jpeg-with-a-pdf-within", PDF, jpeg(segment(0xFE, pdf())), MISMATCH),
    Sample("pdf-comment", PDF, pdf(header=b"%PDF-1.7\n%" + _SCRIPT + b"\n"), ACTIVE),
    Sample("pdf-javascript", PDF, pdf(b"/OpenAction<</S/JavaScript/JS(app.alert(1))>>"), ACTIVE),
    Sample("pdf-javascript-escaped", PDF, pdf(b"/OpenAction<</S/J#61vaScript /#4a#53 9 0 R>>"), ACTIVE),
    Sample("pdf-launch", PDF, pdf(b"/OpenAction<</S/Launch/F(cmd.exe)>>"), ACTIVE),
    Sample("pdf-xfa", PDF, pdf(b"/AcroForm<</XFA 9 0 R>>"), ACTIVE),
    Sample("pdf-into-an-embedded-file", PDF, pdf(b"/OpenAction<</S/GoToE/T<</R/C/N(a)>>>>"), ACTIVE),
    Sample("pdf-data-from-elsewhere", PDF, pdf(b"/OpenAction<</S/ImportData/F(x)>>"), ACTIVE),
    Sample("pdf-film", PDF, pdf(b"/OpenAction<</S/M#6fvie>>"), ACTIVE),
    Sample("pdf-embedded-file", PDF, pdf(b"/Names<</EmbeddedFiles 9 0 R>>"), ACTIVE),
    Sample("woff2-tail", WOFF2, woff2(4, 54) + _SCRIPT, ACTIVE),
    Sample("json-string-with-script", JSON, b'{"a": "' + _SCRIPT + b'"}', ACTIVE),
    Sample("csv-cell", CSV, b'a,"<svg/onload=alert(1)>"\n', ACTIVE),
)  # fmt: skip
