"""Checksums of what was downloaded: of the whole, and of parts whose size nobody states."""

import base64
import hashlib
import os
from pathlib import Path

import pytest

from gateway.client.checksums import Checksum
from gateway.s3.parts import MIB

DATA = os.urandom(30 * MIB + 5)


def composite(data: bytes, part_size: int) -> str:
    digests = [hashlib.sha256(data[start : start + part_size]).digest() for start in range(0, len(data), part_size)]
    return f"{base64.b64encode(hashlib.sha256(b''.join(digests)).digest()).decode()}-{len(digests)}"


def stated(text: str, kind: str = "composite") -> Checksum:
    checksum = Checksum.stated({"sha256": text, "sha256_type": kind})
    assert checksum is not None
    return checksum


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    return path


# 8 MiB as the size tells; the others are of streams, whose parts follow from what their policy takes at most.
@pytest.mark.parametrize("part_size", [8 * MIB, 9 * MIB, 10 * MIB, 16 * MIB, 30 * MIB, 31 * MIB, 105 * MIB])
def test_parts_of_every_size_that_the_gateway_chooses_are_told(path: Path, part_size: int) -> None:
    assert stated(composite(DATA, part_size)).agrees(path) is True
    assert stated(composite(DATA[:-1] + b"?", part_size)).agrees(path) is False


def test_the_whole_is_told(path: Path) -> None:
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert stated(digest, "full").agrees(path) is True
    path.write_bytes(DATA[1:])
    assert stated(digest, "full").agrees(path) is False


def test_parts_that_the_gateway_would_not_have_chosen_are_left_unchecked(path: Path) -> None:
    assert stated(composite(DATA, 5 * MIB)).agrees(path) is None
    path.write_bytes(b"")
    assert stated(composite(b"x", 5)).agrees(path) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [(None, "full"), (7, "full"), ("x", "full"), ("x-1", "composite"), (f"{'A' * 43}=", "composite"), ("", None)],
)
def test_what_is_no_checksum_is_none(text: object, kind: object) -> None:
    assert Checksum.stated({"sha256": text, "sha256_type": kind}) is None
