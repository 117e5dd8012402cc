"""What clamd passes over and unpackers unpack is refused by what we read ourselves: held against the real ones."""

import io
import zipfile
import zlib
from collections.abc import Mapping

import pytest

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, local_headers, objection
from gateway.errors import Code
from gateway.s3.parts import MIB
from gateway.settings import Settings
from gateway.worker.clamd import Clamd
from tests.content.strange_zips import (
    BZIP2,
    DEFLATED,
    DISGUISED,
    ENCRYPTED,
    FULL,
    LZMA,
    MASKED,
    STORED,
    STREAMED,
    File,
    archive,
    descriptor,
    in_the_middle,
    long_field,
)
from tests.servers.clamd import EICAR, ClamdServer
from tests.worker.test_clamd import LONG, blocks_of

LIMIT = Settings.model_fields["scan_limit"].default
MISMATCH, TOO_LARGE = Code.CONTENT_MISMATCH, Code.ARCHIVE_TOO_LARGE
FILE = File()
NOTHING = {"checksum": 0, "packed": 0, "unpacked": 0}
ZIP64: Mapping[str, int | bytes] = {"packed": FULL, "unpacked": FULL, "extra": long_field(FILE)}
# Found by trying: clamd 1.4.6 calls each of them clean, and zipfile, or unzip and 7z as well, unpack EICAR.
HIDDEN = {
    "ZIP64 in the local header": (File(local=ZIP64), TOO_LARGE),
    "ZIP64 in the directory, and a descriptor": (
        File(both={"flags": STREAMED}, local=NOTHING, central=ZIP64, after=descriptor(FILE)),
        TOO_LARGE,
    ),
    "LZMA": (File(method=LZMA), TOO_LARGE),
    "masked in the local header": (File(local={"flags": MASKED}), MISMATCH),
    "masked in both": (File(both={"flags": MASKED}), MISMATCH),
    "packed to less in the local header": (File(local={"packed": 1}), MISMATCH),
    "packed to more in the local header": (File(local={"packed": 10**6}), MISMATCH),
    "no sizes in the local header": (File(local=NOTHING), MISMATCH),
    "a descriptor that only the directory announces": (
        File(local=NOTHING, central={"flags": STREAMED}, after=descriptor(FILE)),
        MISMATCH,
    ),
    "stored, in the local header": (File(local={"method": STORED}), MISMATCH),
    "an unknown method in the local header": (File(local={"method": 99}), MISMATCH),
}
# clamd finds EICAR in these today: they are here so that a clamd that does not is noticed.
FOUND = {
    "deflated": FILE,
    "stored": File(method=STORED),
    "bzip2": File(method=BZIP2),
    "streamed": File(both={"flags": STREAMED}, local=NOTHING, after=descriptor(FILE)),
    "streamed, without a signature": File(both={"flags": STREAMED}, local=NOTHING, after=descriptor(FILE, "<III")),
    "called deflate64": File(both={"method": 9}),
    "needs a version that never was": File(both={"needed": 0xFFFF}),
    "a folder by its attributes": File(central={"attributes": 0x10}),
    "another name in the local header": File(local={"name": b"b.bin"}),
    "another checksum": File(both={"checksum": 1}),
    "unpacks to less": File(both={"unpacked": 1}),
    "an extra field that is none": File(both={"extra": b"\xca\xfe\xff\xff"}),
}


async def is_clean(clamd: ClamdServer, content: bytes) -> bool:
    return await Clamd(clamd.socket, LONG).is_clean(blocks_of(content))


def refused(content: bytes, name: str = "application/zip") -> Code | None:
    """Return what proof has against it beside clamd."""
    media_type = MEDIA_TYPES[name]
    front, end = content[:FRONT_BYTES], content[-media_type.end_bytes :] if media_type.end_bytes else b""
    code = objection(media_type, front, len(content), end, unpacked_limit=LIMIT)
    headers = local_headers(media_type, len(content), end) if code is None else None
    if headers is None:
        return code
    for first in range(0, len(content), MIB):
        headers.feed(content[first : first + MIB])
    return headers.objection()


def is_unpacked(content: bytes) -> bool:
    """Tell whether Python takes EICAR out of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        for info in opened.infolist():
            try:
                if EICAR in opened.read(info):
                    return True
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
                continue
    return False


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize(("file", "code"), HIDDEN.values(), ids=HIDDEN)
async def test_what_clamd_passes_over_and_others_unpack_is_refused_wherever_it_lies(
    clamd: ClamdServer, file: File, code: Code
) -> None:
    """Should the first line of the loop fail, clamd has learnt; the last is what counts."""
    for content in (archive(file), in_the_middle(file)):
        assert await is_clean(clamd, content)
        assert is_unpacked(content)
        assert refused(content) is code


@pytest.mark.threat(13)
@pytest.mark.parametrize("file", FOUND.values(), ids=FOUND)
async def test_what_is_laid_out_strangely_is_found_nevertheless(clamd: ClamdServer, file: File) -> None:
    assert not await is_clean(clamd, archive(file))
    assert not await is_clean(clamd, in_the_middle(file))


@pytest.mark.threat(13)
async def test_what_needs_a_password_is_not_clean_and_refused(clamd: ClamdServer) -> None:
    for file in (File(both={"flags": ENCRYPTED}), File(local={"flags": ENCRYPTED}), File(central={"flags": ENCRYPTED})):
        assert refused(archive(file)) in {TOO_LARGE, MISMATCH}
    assert not await is_clean(clamd, archive(File(both={"flags": ENCRYPTED})))


@pytest.mark.threat(13)
@pytest.mark.parametrize(
    "content",
    [
        archive(FILE, end={"offset": 0}),
        archive(FILE, end={"offset": FULL}),
        archive(File(missing=True)),
        archive(FILE, comment=archive(File(b"x", b"x"))),
    ],
    ids=["elsewhere", "behind the end", "empty", "two of them"],
)
async def test_a_directory_that_clamd_is_misled_by_is_refused(clamd: ClamdServer, content: bytes) -> None:
    assert await is_clean(clamd, content)
    assert refused(content) is MISMATCH


@pytest.mark.threat(13)
@pytest.mark.parametrize(("media_type", "content"), DISGUISED.values(), ids=DISGUISED)
async def test_what_clamd_takes_for_another_type_is_refused(
    clamd: ClamdServer, media_type: str, content: bytes
) -> None:
    assert await is_clean(clamd, content)
    assert refused(content, media_type) is MISMATCH


@pytest.mark.threat(13)
async def test_a_document_within_hides_its_own_directory(clamd: ClamdServer) -> None:
    hidden = archive(File(b"x.docx", archive(File(local=ZIP64)), DEFLATED))
    assert await is_clean(clamd, hidden)
    assert refused(hidden) is TOO_LARGE
