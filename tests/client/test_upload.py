"""Uploads by the client: small and large, both faces, against servers that verify what is signed."""

import base64
import hashlib
import os
from pathlib import Path

from gateway.client import AsyncClient, Client, Progress
from tests.client.sites import OCTETS, Site
from tests.gateways import API_KEY

MIB = 2**20


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_a_small_file_is_stored_under_its_sha256(client: Client, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"some notes\n")
    told: list[Progress] = []
    stored = client.upload(path, metadata={"album": "notes"}, progress=told.append)
    found = stored.object
    assert (found.size, found.content_type, found.filename, found.metadata) == (
        11,
        "text/plain",
        "notes.txt",
        {"album": "notes"},
    )
    assert (found.checksum_sha256, found.checksum_type) == (sha256(b"some notes\n"), "full")
    assert site.content(found.key) == b"some notes\n"
    assert told == [Progress(0, 11), Progress(11, 11)]


def test_a_large_file_goes_in_parts_that_are_verified_each(strict_site: Site, tmp_path: Path) -> None:
    data = os.urandom(25 * MIB + 1)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    told: list[Progress] = []
    with Client(strict_site.url, API_KEY) as client:
        stored = client.upload(path, policy="parts", progress=told.append)
        # What an earlier try has left is gone on with, and the whole is held against the checksums of its parts.
        (tmp_path / f"again.bin.{stored.object.etag[1:-1]}.gateway-part").write_bytes(data[: 10 * MIB])
        fetching: list[Progress] = []
        fetched = client.download(stored.link, tmp_path / "again.bin", progress=fetching.append)
    assert (stored.object.size, stored.object.content_type) == (len(data), OCTETS)
    assert strict_site.content(stored.object.key) == data
    assert (fetched.verified, fetching[0].done) == (True, 10 * MIB - 1)
    assert (tmp_path / "again.bin").read_bytes() == data
    done = [each.done for each in told]
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, len(data))


async def test_the_client_of_coroutines_does_the_same(async_client: AsyncClient, site: Site, tmp_path: Path) -> None:
    data = os.urandom(21 * MIB)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    stored = await async_client.upload(path, policy="parts")
    assert site.content(stored.object.key) == data
    fetched = await async_client.download(stored.link, tmp_path / "again.bin")
    assert (fetched.size, fetched.verified, fetched.path.read_bytes()) == (len(data), True, data)
