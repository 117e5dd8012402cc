"""ZIPs that are laid out as no writer does, with EICAR in them: what one reader finds there, another passes over."""

import bz2
import lzma
import random
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.clamd import EICAR

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
ENCRYPTED, STREAMED, MASKED = 1, 1 << 3, 1 << 13
FULL = 0xFFFFFFFF
NOISE = random.Random(13).randbytes(300_000)  # noqa: S311 - bytes that no packer makes smaller, and the same each time


@dataclass(frozen=True, slots=True)
class File:
    """One file: how it is packed, and where a header of its does not tell that."""

    name: bytes = b"a.bin"
    body: bytes = EICAR
    method: int = DEFLATED
    both: Mapping[str, int | bytes] = field(default_factory=dict)
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    after: bytes = b""  # its bytes, such as a descriptor
    missing: bool = False  # in the directory


def packed(body: bytes, method: int) -> bytes:
    """Return the bytes as that method packs them."""
    if method == DEFLATED:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(body) + packer.flush()
    if method == BZIP2:
        return bz2.compress(body)
    if method == LZMA:  # 5.8.8: version, length of the properties, properties
        raw = {"id": lzma.FILTER_LZMA1, "preset": 6}
        properties: bytes = lzma._encode_filter_properties(raw)  # type: ignore[attr-defined]
        return (
            struct.pack("<BBH", 9, 4, len(properties))
            + properties
            + lzma.compress(body, lzma.FORMAT_RAW, filters=[raw])
        )
    return body


def archive(*files: File, end: Mapping[str, int] | None = None, comment: bytes = b"") -> bytes:
    """Lay the files out one behind the other, their directory and its end behind them (APPNOTE.TXT 4.3.6)."""
    data, directory, count = b"", b"", 0
    for file in files:
        body = packed(file.body, file.method)
        told: dict[str, int | bytes] = {
            "made_by": 20,
            "needed": 20,
            "flags": 0,
            "method": file.method,
            "checksum": zlib.crc32(file.body),
            "packed": len(body),
            "unpacked": len(file.body),
            "name": file.name,
            "extra": b"",
            "offset": len(data),
            "disk": 0,
            "attributes": 0,
            "internal": 0,
            **file.both,
        }
        local, central = {**told, **file.local}, {**told, **file.central}
        data += _local(local) + body + file.after
        if not file.missing:
            directory += _central(central)
            count += 1
    told_end = {
        "disk": 0,
        "start": 0,
        "here": count,
        "count": count,
        "length": len(directory),
        "offset": len(data),
        **(end or {}),
    }
    return data + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", *told_end.values(), len(comment)) + comment


def in_the_middle(*files: File) -> bytes:
    """Return an archive where these files are neither within its first 4 KiB nor within its last 256 KiB."""
    return archive(File(b"0.bin", NOISE, STORED), *files, File(b"z.bin", NOISE, STORED))


def large_member(mebibytes: int) -> bytes:
    """Return an archive with EICAR behind so many MiB of zeros in its one file."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    body = one * mebibytes + packer.compress(EICAR) + packer.flush()
    unpacked = (mebibytes << 20) + len(EICAR)
    return archive(File(body=body, method=STORED, both={"method": DEFLATED, "unpacked": unpacked}))


def descriptor(file: File, form: str = "<4sIII") -> bytes:
    """Return what stands behind a streamed file (4.3.9)."""
    fields = [zlib.crc32(file.body), len(packed(file.body, file.method)), len(file.body)]
    return struct.pack(form, *([b"PK\7\x08"] if "4s" in form else []), *fields)


def long_field(file: File) -> bytes:
    """Return the extra field in which ZIP64 tells its sizes (4.5.3)."""
    return struct.pack("<HHQQ", 1, 16, len(file.body), len(packed(file.body, file.method)))


def _local(told: Mapping[str, int | bytes]) -> bytes:
    name, extra = bytes(told["name"]), bytes(told["extra"])
    numbers = [told[key] for key in ("needed", "flags", "method")]
    sizes = [told[key] for key in ("checksum", "packed", "unpacked")]
    signature = told.get("signature", b"PK\3\4")
    return struct.pack("<4sHHH4xIIIHH", signature, *numbers, *sizes, len(name), len(extra)) + name + extra


def _central(told: Mapping[str, int | bytes]) -> bytes:
    name, extra = bytes(told["name"]), bytes(told["extra"])
    numbers = [told[key] for key in ("made_by", "needed", "flags", "method")]
    sizes = [told[key] for key in ("checksum", "packed", "unpacked")]
    rest = [told[key] for key in ("disk", "internal", "attributes", "offset")]
    return (
        struct.pack("<4sHHHH4xIIIHHHHHII", b"PK\1\2", *numbers, *sizes, len(name), len(extra), 0, *rest) + name + extra
    )


def in_gzip(mark: bytes, offset: int) -> bytes:
    """Return gzip with these bytes there, in the time or in the name (RFC 1952, 2.3)."""
    header = (b"\x1f\x8b\x08\x08" + bytes(5) + b"\3").ljust(max(offset, 10), b"n")[:offset] + mark + b"n\0"
    return header + packed(EICAR, DEFLATED) + struct.pack("<II", zlib.crc32(EICAR), len(EICAR))


def in_pdf(mark: bytes, offset: int) -> bytes:
    """Return a PDF with these bytes there, in a comment (ISO 32000-2, 7.2.4)."""
    stream = zlib.compress(EICAR)
    head = b"%PDF-1.4\n%".ljust(offset, b"x") + mark + b"\n1 0 obj\n"
    told = b"<</Length %d/Filter/FlateDecode>>\nstream\n%b\nendstream\nendobj\n" % (len(stream), stream)
    return head + told + b"trailer<</Root 1 0 R>>\n%%EOF\n"


_IN_FIRST = [File(b"0.bin", bytes(257 - 35) + b"ustar" + bytes(9000), STORED), File()]
DISGUISED = {  # with EICAR in them, of two types: what clamd calls clean
    "a ZIP, and a tar in its first file": ("application/zip", archive(*_IN_FIRST)),
    "a ZIP, and a tar in its first name": ("application/zip", archive(File(b"n" * 227 + b"ustar"))),
    "gzip, and a tar in its name": ("application/gzip", in_gzip(b"ustar", 257)),
    "gzip, and a disk in its name": ("application/gzip", in_gzip(b"EFI PART", 512)),
    "gzip, and a document in its time": ("application/gzip", in_gzip(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 4)),
    "a PDF, and a disk in a comment": ("application/pdf", in_pdf(b"EFI PART", 512)),
}
