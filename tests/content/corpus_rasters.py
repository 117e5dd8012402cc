"""PNG, JPEG, GIF and WebP files, made from their specifications, and what is wrong with some."""

import base64
import struct
import zlib

from tests.content.corpus_samples import ACTIVE, GIF, JPEG, MISMATCH, PNG, WEBP, Sample

XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"><dc:title><rdf:Alt>'
    b'<rdf:li xml:lang="x-default">On stage: a &lt; b</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)


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


PROFILE = segment(0xE2, b"ICC_PROFILE\0\x01\x01" + bytes(3000))
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
DELAY = b"\x21\xf9\x04\0\x0a\0\0\0"
_SCRIPT = b"<script>alert(1)</script>"
_FRAME_CONTROL = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0)
_FOUR = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
_PROGRESSIVE = jpeg(frame=segment(0xC2, FRAME[4:])).replace(b"\x01\x01\0\0\x3f\0", b"\x01\x01\0\0\0\0")
_ANIMATED = riff((b"VP8X", b"\x02" + bytes(9)), (b"ANIM", bytes(6)), (b"ANMF", bytes(16) + LOSSLESS[12:]))
WELL_FORMED = (
    Sample("png", PNG, png(), None),
    Sample("png-grey-16-bit", PNG, png(depth=16, colour=0), None),
    Sample("png-huge-dimensions", PNG, png(width=2**31 - 1), None),
    Sample("png-with-text", PNG, png(chunk(b"tEXt", b"Comment\0a < b")), None),
    Sample("png-with-xmp", PNG, png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), None),
    Sample("png-beyond-the-front", PNG, png(chunk(b"eXIf", bytes(9000))), None),
    Sample("png-then-zeros", PNG, png(tail=bytes(16)), None),
    Sample("png-of-a-palette", PNG, png(chunk(b"PLTE", bytes(6)), depth=1, colour=3), None),
    Sample("png-animated", PNG, png(chunk(b"acTL", b"\0\0\0\x01\0\0\0\0"), chunk(b"fcTL", _FRAME_CONTROL)), None),
    Sample("png-with-packed-text", PNG, png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(_SCRIPT))), None),
    Sample("jpeg", JPEG, jpeg(), None),
    Sample("jpeg-progressive", JPEG, _PROGRESSIVE, None),
    Sample("jpeg-of-four-colours", JPEG, jpeg(frame=segment(0xC0, b"\x08\0\x08\0\x08\x04" + _FOUR)), None),
    Sample("jpeg-with-a-pdf-within", JPEG, jpeg(segment(0xFE, b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF")), None),
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
    Sample("webp-animated", WEBP, _ANIMATED, None),
    Sample("webp-beyond-the-front", WEBP, webp((b"EXIF", bytes(9001)), flags=8), None),
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
)  # fmt: skip
POLYGLOTS = (
    Sample("png-text-chunk", PNG, png(chunk(b"tEXt", b"Comment\0" + _SCRIPT)), ACTIVE),
    Sample("png-trailing-html", PNG, png(tail=b"<html>"), ACTIVE),
    Sample("png-with-php", PNG, png(chunk(b"tEXt", b"Comment\0<?php phpinfo();")), ACTIVE),
    Sample("png-script-and-more-beyond-the-front", PNG, png(chunk(b"tEXt", _SCRIPT + bytes(9000))), ACTIVE),
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
)  # fmt: skip
