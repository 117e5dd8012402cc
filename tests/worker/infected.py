"""Files that hold EICAR deep inside, made here."""

import gzip
import io
import tarfile
import zipfile
from functools import cache

from tests.servers.clamd import EICAR


def zipped(body: bytes, times: int = 1) -> bytes:
    """Put bytes into an archive, and that into another, so many times."""
    for _ in range(times):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("file.bin", body)
        body = buffer.getvalue()
    return body


def tar_gz(body: bytes) -> bytes:
    """Put bytes into a compressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("file.bin")
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


def locked() -> bytes:
    """Return an archive whose member says that it is encrypted (APPNOTE.TXT 4.4.4, bit 0)."""
    body = bytearray(zipped(EICAR))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        body[body.index(signature) + flags] |= 1
    return bytes(body)


@cache
def behind_zeros() -> bytes:
    """Put EICAR behind 150 MiB of zeros in one member of an archive of 153 kB."""
    return zipped(bytes(150 * 2**20) + EICAR)


BODIES = {
    "eicar": EICAR,
    "zip": zipped(EICAR),
    "zip in zip in zip": zipped(EICAR, 3),
    "nine zips": zipped(EICAR, 9),
    "gz": gzip.compress(EICAR, mtime=0),
    "tar.gz": tar_gz(EICAR),
    "behind a mebibyte": bytes(2**20) + EICAR,
}
