"""Disguises: what clamd would take for something else is not scanned as what it is."""

import io
import tarfile

import pytest

from gateway.content.media_types import OCTETS
from gateway.errors import Code
from tests.content.judging import judged, zipped
from tests.content.strange_zips import DISGUISED

ZIP, TAR = "application/zip", "application/x-tar"


@pytest.mark.threat(13)
@pytest.mark.parametrize(("media_type", "content"), DISGUISED.values(), ids=DISGUISED)
def test_a_front_of_two_types_is_refused_where_it_is_scanned(media_type: str, content: bytes) -> None:
    assert judged(media_type, content) is None
    assert judged(media_type, content, unpacked_limit=2**20) is Code.CONTENT_MISMATCH
    assert judged(OCTETS, content, unpacked_limit=2**20) is None


def test_a_tar_is_a_tar_and_words_elsewhere_are_words() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"))
    assert buffer.getvalue()[257:262] == b"ustar"
    assert judged(TAR, buffer.getvalue(), unpacked_limit=1) is None
    assert judged(ZIP, zipped({"ustar": b"EFI PART ustar"}), unpacked_limit=100) is None
    assert judged("text/plain", b"ustar EFI PART " * 100, unpacked_limit=1) is None
