"""Executables, scripts and pages that are called something else, under every type; and files cut short."""

from tests.content import (
    corpus_archives,
    corpus_documents,
    corpus_films,
    corpus_office,
    corpus_pictures,
    corpus_rasters,
    corpus_sound,
)
from tests.content.corpus_samples import (
    AAC,
    ACTIVE,
    ALL,
    CSV,
    FLAC,
    MARKDOWN,
    MISMATCH,
    MP3,
    OGG,
    SVG,
    TAR,
    TEXT,
    Sample,
)

EXECUTABLES = {
    "perl": b"#!/usr/bin/perl\nunlink glob '*';\n",
    "dalvik": b"dex\n035\0" + bytes(200),
    "windows-shortcut": b"L\0\0\0\x01\x14\x02\0" + bytes(200),
    "old-office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "debian-package": b"!<arch>\ndebian-binary   1410122664  0     0     100644  4         `\n2.0\n" + bytes(60),
    "llvm": b"BC\xc0\xde" + bytes(200),
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
    "utf-16-big-without-mark": "<script>alert(1)</script>".encode("utf-16-be"),
    "utf-16-handler": b"\xff\xfe" + "words <img src=x onerror=alert(1)>".encode("utf-16-le"),
    "utf-16-document": b"\xfe\xff" + "\r\n<!-- -->".encode("utf-16-be"),
}
# Scripts that are text, and nothing else.
SCRIPTS = {
    "javascript": b"alert(document.cookie)\n",
    "batch": b"@echo off\r\ndel /q *.*\r\n",
    "visual-basic": b'CreateObject("WScript.Shell").Run "calc"\r\n',
}
# What reads as XML without anything that runs: true of no type, but for the reason that it is not that type.
_PASSIVE_IN_SVG = {
    "html-fragment",
    "svg-document",
    "svg-prefix",
    "php-short",
    "asp",
    "utf-16-big",
    "utf-16-document",
}
_PASSIVE = {SVG: _PASSIVE_IN_SVG, MARKDOWN: {"html-fragment", "utf-16-document"}}
_PLAIN = (TEXT, CSV, MARKDOWN)  # whatever is text, nothing at all included
_FIRST = {
    sample.media_type: sample
    for module in (
        corpus_office,
        corpus_archives,
        corpus_documents,
        corpus_sound,
        corpus_films,
        corpus_pictures,
        corpus_rasters,
    )
    for sample in reversed(module.WELL_FORMED)
}
# Of these a shorter one is whole as well, if it is cut between two frames or members: so it is cut within the first.
_CUTS = {MP3: (8,), AAC: (8,), FLAC: (8, 2), OGG: (8, 2), TAR: (32,)}
CUT = tuple(
    Sample(f"{sample.name}-cut-to-one-in-{part}", kind, sample.content[: len(sample.content) // part], MISMATCH)
    for kind, sample in _FIRST.items() if kind not in _PLAIN
    for part in _CUTS.get(kind, (8, 4, 2))
)  # fmt: skip
DRESSED = (
    *(
        Sample(f"{name}-as-{kind}", kind, content, MISMATCH if name in _PASSIVE.get(kind, ()) else ACTIVE)
        for name, content in MARKUP.items() for kind in ALL
        if not (kind == MARKDOWN and name in _PASSIVE[MARKDOWN])
    ),
    *(Sample(f"{name}-as-{kind}", kind, content, MISMATCH) for name, content in EXECUTABLES.items() for kind in ALL),
    *(
        Sample(f"{name}-as-{kind}", kind, content, None if kind in _PLAIN else MISMATCH)
        for name, content in SCRIPTS.items() for kind in ALL
    ),
    *(Sample(f"empty-as-{kind}", kind, b"", None if kind in _PLAIN else MISMATCH) for kind in ALL),
    *(Sample(f"one-byte-as-{kind}", kind, b"\x89", MISMATCH) for kind in ALL),
    *(Sample(f"one-letter-as-{kind}", kind, b"a", None if kind in _PLAIN else MISMATCH) for kind in ALL),
    *(Sample(f"zeros-as-{kind}", kind, bytes(5000), MISMATCH) for kind in ALL),
    *(Sample(f"noise-as-{kind}", kind, corpus_archives.NOISE, MISMATCH) for kind in ALL),
)  # fmt: skip
