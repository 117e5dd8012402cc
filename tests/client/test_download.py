"""Downloads: by key and by link, gone on with after a cut, checked, and never left half under their name."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import Client, FileError, GatewayError, Progress, RefusedError, Stored, UnreachableError
from tests.client.proxy import Fault, Proxy, before
from tests.client.sites import OCTETS, UPLOADER_KEY, Site, standing
from tests.gateways import API_KEY
from tests.servers.s3 import S3Server

MIB = 2**20
DATA = os.urandom(30 * MIB)


@pytest.fixture(scope="module")
def bucket(ministack: S3Server) -> Iterator[Proxy]:
    with before(ministack.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cut_site(ministack: S3Server, bucket: Proxy) -> Iterator[Site]:
    with standing(ministack, bucket.url) as site:
        yield site


@pytest.fixture
def client(cut_site: Site, bucket: Proxy) -> Iterator[Client]:
    bucket.faults.clear()
    bucket.requests.clear()
    bucket.heads.clear()
    with Client(cut_site.url, API_KEY) as client:
        yield client


@pytest.fixture(scope="module")
def stored(cut_site: Site) -> Stored:
    """Thirty MiB in four parts."""
    with Client(cut_site.url, API_KEY) as client:
        return client.publish([DATA], filename="data.bin", metadata={"a": "b"})


@pytest.fixture(scope="module")
def single(cut_site: Site) -> Stored:
    """Thirty MiB by a single PUT, with a SHA-256 of the whole."""
    with Client(cut_site.url, API_KEY) as client:
        return client.publish([DATA[:MIB]], filename="single.bin")


def test_an_object_is_fetched_by_its_key_or_by_a_link(
    client: Client, stored: Stored, single: Stored, tmp_path: Path
) -> None:
    told: list[Progress] = []
    by_key = client.download(stored.object.key, tmp_path / "key.bin", progress=told.append)
    assert (by_key.path, by_key.size, by_key.verified) == (tmp_path / "key.bin", len(DATA), True)
    assert (told[0].done, told[-1]) == (0, Progress(len(DATA), len(DATA)))
    for link in (stored.link, client.link(stored.object.key, via="direct").url):
        by_link = client.download(link, tmp_path / "link.bin")
        assert by_link.verified
        assert by_link.path.read_bytes() == DATA
    assert client.download(single.link, tmp_path / "single.bin").verified
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.bin", "link.bin", "single.bin"]


def test_a_key_that_may_not_read_fetches_all_the_same(cut_site: Site, stored: Stored, tmp_path: Path) -> None:
    with Client(cut_site.url, UPLOADER_KEY) as client:
        assert client.download(stored.object.key, tmp_path / "data.bin").verified


def test_in_a_folder_an_object_has_its_own_filename_and_replaces_nothing(
    client: Client, stored: Stored, tmp_path: Path
) -> None:
    assert client.download(stored.object.key, tmp_path).path == tmp_path / "data.bin"
    with pytest.raises(FileError) as raised:
        client.download(stored.object.key, tmp_path)
    assert raised.value.code == "file-exists"


def test_nothing_at_all_is_fetched_too(client: Client, tmp_path: Path) -> None:
    empty = client.publish([], filename="empty.bin")
    fetched = client.download(empty.link, tmp_path / "empty.bin")
    assert (fetched.size, fetched.verified, fetched.path.read_bytes()) == (0, True, b"")


def test_a_connection_that_is_cut_is_gone_on_with(
    client: Client, stored: Stored, bucket: Proxy, tmp_path: Path
) -> None:
    bucket.faults += [Fault("GET", "", "cut answer", after=10 * MIB), Fault("GET", "", "503")]
    fetched = client.download(stored.link, tmp_path / "data.bin")
    assert (fetched.verified, fetched.path.read_bytes() == DATA) == (True, True)
    ranges = [line for head in bucket.heads for line in head.lower().split("\r\n") if line.startswith("range:")]
    assert len(ranges) == 2
    assert all(int(each.removeprefix("range: bytes=").removesuffix("-")) >= 9 * MIB for each in ranges)


def test_another_process_goes_on_where_one_stopped(
    client: Client, stored: Stored, bucket: Proxy, tmp_path: Path
) -> None:
    bucket.faults += [Fault("GET", "", "cut answer", after=10 * MIB), Fault("GET", "", "404")]
    with pytest.raises(GatewayError):
        client.download(stored.link, tmp_path / "data.bin")
    (part,) = tmp_path.iterdir()
    arrived = part.stat().st_size
    assert arrived >= 9 * MIB
    told: list[Progress] = []
    client.download(stored.link, tmp_path / "data.bin", progress=told.append)
    assert told[0] == Progress(arrived - 1, len(DATA))
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert len(list(tmp_path.iterdir())) == 1


def test_what_was_whole_and_had_no_name_yet_is_not_fetched_again(
    client: Client, stored: Stored, tmp_path: Path
) -> None:
    etag = stored.object.etag.strip('"')
    (tmp_path / f"data.bin.{etag}.gateway-part").write_bytes(DATA)
    (tmp_path / "data.bin.0123456789abcdef.gateway-part").write_bytes(b"of something else")
    told: list[Progress] = []
    assert client.download(stored.link, tmp_path / "data.bin", progress=told.append).verified
    assert told == [Progress(len(DATA) - 1, len(DATA)), Progress(len(DATA), len(DATA))]
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]


def test_an_object_that_has_changed_meanwhile_is_fetched_from_its_start(
    client: Client, single: Stored, tmp_path: Path
) -> None:
    (tmp_path / "single.bin.0123456789abcdef0123456789abcdef.gateway-part").write_bytes(b"of what it once was")
    fetched = client.download(single.link, tmp_path / "single.bin")
    assert (fetched.verified, fetched.path.read_bytes()) == (True, DATA[:MIB])
    assert [path.name for path in tmp_path.iterdir()] == ["single.bin"]


def replaced(site: Site, key: str, data: bytes, **description: object) -> None:
    """Write over an object as only an operator can."""
    text = base64.urlsafe_b64encode(json.dumps(description).encode()).decode()
    metadata = {"description": text} if description else {}
    site.s3.admin_s3().put_object(Bucket=site.s3.bucket, Key=key, Body=data, Metadata=metadata, ContentType=OCTETS)


def test_an_object_that_changes_while_it_is_fetched_is_never_a_mixture(
    client: Client, cut_site: Site, bucket: Proxy, tmp_path: Path
) -> None:
    made = client.publish([DATA[: 4 * MIB]], filename="mixed.bin")
    changed = threading.Event()

    def change(progress: Progress) -> None:
        if progress.done and not changed.is_set():
            changed.set()
            replaced(cut_site, made.object.key, DATA[4 * MIB : 8 * MIB])

    bucket.faults.append(Fault("GET", "", "cut answer", after=2 * MIB))
    fetched = client.download(made.link, tmp_path / "mixed.bin", progress=change)
    assert fetched.path.read_bytes() == DATA[4 * MIB : 8 * MIB]
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.bin"]
    assert bucket.count("GET") == 3  # cut, refused by if-match, whole


@pytest.mark.parametrize("checksum_type", ["full", "composite"])
def test_bytes_that_are_not_those_that_were_stored_are_an_error(
    client: Client, cut_site: Site, tmp_path: Path, checksum_type: str
) -> None:
    made = client.publish([b"0123456789"], filename="ten.bin")
    digest = str(made.object.checksum_sha256)
    replaced(
        cut_site,
        made.object.key,
        b"9876543210",
        name="ten.bin",
        sha256=digest if checksum_type == "full" else f"{digest}-1",
        sha256_type=checksum_type,
    )
    with pytest.raises(FileError) as raised:
        client.download(made.link, tmp_path / "ten.bin")
    assert raised.value.code == "damaged"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "description",
    [{}, {"sha256": None}, {"sha256": "no digest", "sha256_type": "full"}, {"name": "../../etc/passwd", "sha256": 1}],
)
def test_an_object_of_which_nothing_is_known_is_fetched_unverified_into_its_folder(
    client: Client, cut_site: Site, tmp_path: Path, description: dict[str, object]
) -> None:
    made = client.publish([b"0123456789"], filename="ten.bin")
    replaced(cut_site, made.object.key, b"9876543210", **description)
    fetched = client.download(made.link, tmp_path)
    name = "passwd" if "name" in description else made.object.key.rpartition("/")[2]
    assert (fetched.path, fetched.verified, fetched.path.read_bytes()) == (tmp_path / name, False, b"9876543210")


def test_what_is_not_there_is_refused(client: Client, single: Stored, tmp_path: Path) -> None:
    made = client.publish([b"0123456789"], filename="ten.bin")
    client.delete(made.object.key)
    nonsense = single.link.replace("/d/default.", "/d/default.x")
    for source in (made.object.key, made.link, nonsense, "objects/default/default/none.bin"):
        with pytest.raises(RefusedError) as raised:
            client.download(source, tmp_path / "none.bin")
        assert (raised.value.code, raised.value.status) in {("not-found", 404), ("not-found", 422)}
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nowhere_is_an_error_without_its_address(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as raised:
        client.download("http://127.0.0.1:9/d/default.secret", tmp_path / "none.bin")
    assert "secret" not in repr(raised.value)


def test_where_nothing_can_be_written_is_an_error(client: Client, single: Stored, tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        client.download(single.link, tmp_path / "missing" / "single.bin")
    assert repr(raised.value) == (
        "FileError('file-unwritable', 'The file cannot be written: No such file or directory.', 0, None)"
    )
