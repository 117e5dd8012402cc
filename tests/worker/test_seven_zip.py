"""Why no 7z is scanned: what the real clamd calls clean, though its malware unpacks, and what no header tells of it."""

import bz2
import lzma
import struct
import zlib

import pytest

from gateway.content.media_types import MEDIA_TYPES, objection
from gateway.errors import Code
from gateway.settings import Settings
from gateway.worker.clamd import Clamd
from tests.servers.clamd import EICAR, ClamdServer
from tests.worker.test_clamd import LONG, blocks_of

SEVEN_ZIP = MEDIA_TYPES["application/x-7z-compressed"]
LIMIT = Settings.model_fields["scan_limit"].default
MALWARE = EICAR * 3  # which LZMA packs: what it holds as it is would be found in any archive
_LZMA = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}
_LZMA_CODER = b"\x23\3\1\1\5\x5d" + struct.pack("<I", 1 << 16)  # with these very settings
_DEFLATER = zlib.compressobj(9, zlib.DEFLATED, -15)
# By how 7-Zip names the coder (DOC/Methods.txt), and the data.
PACKED = {
    "BZip2": (b"\3\4\2\2", bz2.compress(MALWARE)),
    "Deflate": (b"\3\4\1\x08", _DEFLATER.compress(MALWARE) + _DEFLATER.flush()),
    "LZMA": (_LZMA_CODER, lzma.compress(MALWARE, lzma.FORMAT_RAW, filters=[_LZMA])),
}


def number(value: int) -> bytes:
    """Write a number below 16,384 as 7z does (DOC/7zFormat.txt, UINT64)."""
    return bytes([value]) if value < 0x80 else bytes([0x80 | value >> 8, value & 0xFF])


def seven_zip(coder: bytes, packed: bytes, checksum: int) -> bytes:
    """An archive of one file, `evil.com`, which unpacks to the malware."""
    name = "evil.com\0".encode("utf-16-le")
    folder = b"\x07\x0b\1\0\1" + coder + b"\x0c" + number(len(MALWARE)) + b"\0"
    streams = b"\4\6\0\1\x09" + number(len(packed)) + b"\0" + folder
    sums = b"\x08\x0a\1" + struct.pack("<I", checksum) + b"\0\0"
    header = b"\1" + streams + sums + b"\5\1\x11" + number(len(name) + 1) + b"\0" + name + b"\0\0"
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize(
    ("method", "checksum", "clean"),
    [
        ("BZip2", zlib.crc32(MALWARE), True),
        ("Deflate", zlib.crc32(MALWARE), True),
        ("LZMA", 1, True),  # unpackers complain, and leave the file where they have put it
        ("LZMA", zlib.crc32(MALWARE), False),
    ],
)
async def test_no_7z_is_taken_where_clamd_would_call_some_clean(
    clamd: ClamdServer, method: str, checksum: int, *, clean: bool
) -> None:
    content = seven_zip(*PACKED[method], checksum)
    assert await Clamd(clamd.socket, LONG).is_clean(blocks_of(content)) is clean
    assert objection(SEVEN_ZIP, content[:4096], len(content)) is None
    assert objection(SEVEN_ZIP, content[:4096], len(content), unpacked_limit=LIMIT) is Code.ARCHIVE_TOO_LARGE
