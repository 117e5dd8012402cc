"""What a network and a busy server do to an upload: it ends well, and nothing that arrived is sent twice."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.client import Client, FileError, GatewayError, Progress, RefusedError, UnreachableError
from gateway.client.progress import heard_by
from tests.client.proxy import Fault, Proxy, before
from tests.client.sites import Site, standing
from tests.gateways import API_KEY
from tests.servers.s3 import S3Server

MIB = 2**20
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
CHANGED = b'{"code": "content-changed", "detail": "The upload changed while it was being proved."}'
PROMOTING = (
    b'{"status": "promoting", "parts": [], "object": null, "receipt": null, "link": null, "problem": null, '
    b'"retry_after": 1}'
)
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@dataclass(frozen=True, slots=True)
class Faulty:
    """A gateway and a bucket, each behind a proxy."""

    gateway: Proxy
    bucket: Proxy
    site: Site
    client: Client


@pytest.fixture(scope="session")
def bucket_proxy(ministack: S3Server) -> Iterator[Proxy]:
    with before(ministack.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def proxied_site(ministack: S3Server, bucket_proxy: Proxy) -> Iterator[Site]:
    with standing(ministack, bucket_proxy.url) as site:
        yield site


@pytest.fixture
def faulty(proxied_site: Site, bucket_proxy: Proxy) -> Iterator[Faulty]:
    bucket_proxy.faults.clear()
    bucket_proxy.requests.clear()
    bucket_proxy.heads.clear()
    with before(proxied_site.url) as gateway_proxy, Client(gateway_proxy.url, API_KEY) as client:
        yield Faulty(gateway_proxy, bucket_proxy, proxied_site, client)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(40 * MIB))  # five parts
    return path


@pytest.mark.parametrize(
    ("faults", "puts"),
    [
        pytest.param([Fault("PUT", "partNumber=2", "lose")], 5, id="the answer to a part is lost"),
        pytest.param([Fault("PUT", "partNumber=2", "503", body=SLOW_DOWN)], 6, id="the bucket is busy"),
        pytest.param([Fault("PUT", "partNumber=2", "403", body=EXPIRED)], 6, id="a signature has expired"),
        pytest.param(
            [Fault("PUT", "partNumber=3", "cut request", after=3 * MIB)], 6, id="the connection is cut in the middle"
        ),
        pytest.param([Fault("PUT", "partNumber", "cut request", times=4)], 9, id="all connections are cut at once"),
    ],
)
def test_a_large_upload_survives_the_bucket(faulty: Faulty, large: Path, faults: list[Fault], puts: int) -> None:
    faulty.bucket.faults += faults
    told: list[Progress] = []
    stored = faulty.client.upload(large, policy="parts", progress=told.append)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert faulty.bucket.count("PUT", "partNumber") == puts
    assert [each.done for each in told] == sorted({each.done for each in told})
    assert told[-1] == Progress(40 * MIB, 40 * MIB)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault("POST", "/complete", "lose")], id="the answer to a completion is lost"),
        pytest.param([Fault("POST", "/complete", "409", body=CHANGED)], id="a completion meets another one"),
        pytest.param([Fault("POST", "/complete", "503", headers="retry-after: 0\r\n")], id="a completion has to wait"),
        pytest.param([Fault("POST", "/v1/uploads", "lose")], id="a ticket is lost"),
        pytest.param([Fault("POST", "/parts", "lose"), Fault("POST", "/parts", "502")], id="signatures are lost"),
    ],
)
@pytest.mark.parametrize("size", [11, 40 * MIB])
def test_an_upload_survives_the_way_to_the_gateway(
    faulty: Faulty, tmp_path: Path, faults: list[Fault], size: int
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(os.urandom(size))
    faulty.gateway.faults += [
        Fault(each.method, each.about, each.kind, headers=each.headers, body=each.body) for each in faults
    ]
    stored = faulty.client.upload(path, policy="parts")
    assert faulty.site.content(stored.object.key) == path.read_bytes()
    assert faulty.bucket.count("PUT") == (1 if size == 11 else 5)


@pytest.mark.parametrize(
    ("fault", "puts"),
    [
        pytest.param(Fault("PUT", "", "lose"), 1, id="its answer is lost"),
        pytest.param(Fault("PUT", "", "503", body=SLOW_DOWN), 2, id="the bucket is busy"),
        pytest.param(Fault("PUT", "", "403", body=EXPIRED), 2, id="its ticket has expired"),
        pytest.param(Fault("PUT", "", "cut request"), 2, id="its connection is cut"),
    ],
)
def test_a_single_put_survives_the_bucket(faulty: Faulty, tmp_path: Path, fault: Fault, puts: int) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(os.urandom(3 * MIB))
    faulty.bucket.faults.append(fault)
    stored = faulty.client.upload(path)
    assert faulty.site.content(stored.object.key) == path.read_bytes()
    assert faulty.bucket.count("PUT") == puts


@pytest.mark.parametrize("size", [11, 40 * MIB])
def test_a_policy_that_demands_a_checksum_gets_one_of_whatever_is_sent(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("gateway.client.uploads.HASHED_WHOLE", 0)
    path = tmp_path / "file.bin"
    path.write_bytes(os.urandom(size))
    stored = faulty.client.upload(path, policy="proved")
    assert stored.object.checksum_type == "full"
    assert faulty.gateway.count("POST", "/v1/uploads") == 3  # refused, granted, completed


def test_a_completion_that_is_not_done_yet_is_asked_for_again(faulty: Faulty, large: Path) -> None:
    faulty.gateway.faults.append(Fault("POST", "/complete", "202", times=2, body=PROMOTING))
    stored = faulty.client.upload(large, policy="parts")
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert faulty.gateway.count("POST", "/complete") == 3
    assert faulty.bucket.count("PUT") == 5


@pytest.mark.parametrize("size", [11, 40 * MIB])
def test_bytes_that_are_not_of_their_type_are_refused_and_no_state_is_left(
    faulty: Faulty, tmp_path: Path, size: int
) -> None:
    path, state = tmp_path / "picture.png", tmp_path / "state"
    path.write_bytes(b"no picture\n".ljust(size, b"x"))
    with pytest.raises(RefusedError) as raised:
        faulty.client.upload(path, policy="parts", state=state)
    assert (raised.value.code, raised.value.status) == ("content-mismatch", 422)
    assert not state.exists() or list(state.iterdir()) == []


def test_credentials_never_go_to_the_bucket(faulty: Faulty, large: Path, tmp_path: Path) -> None:
    stored = faulty.client.upload(large, policy="parts")
    faulty.client.download(stored.link, tmp_path / "again.bin")
    faulty.client.download(stored.object.key, tmp_path / "again.bin")
    assert faulty.bucket.count("PUT") == 5
    assert faulty.bucket.count("GET") == 2
    assert not any("authorization" in head.lower() or API_KEY in head for head in faulty.bucket.heads)


def test_a_bucket_that_is_never_there_is_an_error_and_leaves_nothing_behind(faulty: Faulty, large: Path) -> None:
    faulty.bucket.faults.append(Fault("PUT", "partNumber=3", "cut request", times=99))
    with pytest.raises(UnreachableError) as raised:
        faulty.client.upload(large, policy="parts")
    assert raised.value.code == "storage-unreachable"
    assert faulty.gateway.count("DELETE", "/v1/uploads/") == 1


def test_a_gateway_that_is_never_there_is_an_error() -> None:
    with Client("http://127.0.0.1:9", API_KEY) as client, pytest.raises(UnreachableError) as raised:
        client.link("objects/default/default/0123456789abcdef0123456789abcdef.png")
    assert repr(raised.value) == "UnreachableError('gateway-unreachable', 'The gateway cannot be reached.', 0, None)"


def test_a_file_that_changes_while_it_is_sent_is_an_error(faulty: Faulty, large: Path, tmp_path: Path) -> None:
    def change(progress: Progress) -> None:
        if progress.done:
            with large.open("r+b") as file:
                file.write(b"another beginning")

    with pytest.raises(FileError) as raised:
        faulty.client.upload(large, policy="parts", progress=change, state=tmp_path / "state")
    assert raised.value.code == "file-changed"
    assert list((tmp_path / "state").iterdir()) == []
    assert faulty.gateway.count("DELETE", "/v1/uploads/") == 1


def test_what_is_interrupted_goes_on_with_what_is_missing(faulty: Faulty, large: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    faulty.bucket.faults.append(Fault("PUT", "partNumber=5", "cut request", times=5))
    with pytest.raises(GatewayError):
        faulty.client.upload(large, policy="parts", state=state)
    (kept,) = state.iterdir()
    assert (kept.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
    faulty.bucket.requests.clear()
    told: list[Progress] = []
    stored = faulty.client.upload(large, policy="parts", state=state, progress=told.append)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert [target for _, target in faulty.bucket.requests if "partNumber=5" not in target] == []
    assert told[0].done >= 8 * MIB
    assert list(state.iterdir()) == []


def test_a_file_that_has_changed_since_is_never_gone_on_with(faulty: Faulty, large: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    faulty.bucket.faults.append(Fault("PUT", "partNumber=5", "cut request", times=5))
    with pytest.raises(GatewayError):
        faulty.client.upload(large, policy="parts", state=state)
    large.write_bytes(os.urandom(40 * MIB))
    faulty.bucket.requests.clear()
    stored = faulty.client.upload(large, policy="parts", state=state)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert faulty.bucket.count("PUT") == 5


@pytest.mark.parametrize("end", ["aborted", "another's", "garbage", "open to others"])
def test_state_that_is_of_no_use_is_removed(faulty: Faulty, large: Path, tmp_path: Path, end: str) -> None:
    state = tmp_path / "state"
    faulty.bucket.faults.append(Fault("PUT", "partNumber=5", "cut request", times=5))
    with pytest.raises(GatewayError):
        faulty.client.upload(large, policy="parts", state=state)
    (kept,) = state.iterdir()
    text = kept.read_text()
    client = faulty.client
    if end == "aborted":
        token = text.rpartition('"ticket":"')[2].rstrip('"}')
        client._thread.run(client._client._wire.abort(token))
    elif end == "another's":
        kept.write_text(text.replace('"ticket":"', '"ticket":"x'))
    elif end == "garbage":
        kept.write_text("{")
    else:
        kept.chmod(0o644)
    faulty.bucket.requests.clear()
    stored = client.upload(large, policy="parts", state=state)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert faulty.bucket.count("PUT") == 5
    assert list(state.iterdir()) == []


def test_what_the_storage_no_longer_has_is_sent_again(faulty: Faulty, large: Path, tmp_path: Path) -> None:
    state, heard = tmp_path / "state", list[str]()
    faulty.bucket.faults.append(Fault("PUT", "partNumber=5", "cut request", times=5))
    with pytest.raises(GatewayError):
        faulty.client.upload(large, policy="parts", state=state)
    _forget_uploads(faulty)
    faulty.bucket.requests.clear()
    with heard_by(heard.append):
        stored = faulty.client.upload(large, policy="parts", state=state)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert heard == ["the storage no longer has what was sent, sending it again"]
    assert list(state.iterdir()) == []


def test_a_ticket_whose_upload_the_storage_no_longer_has_is_refused_in_so_many_words(
    faulty: Faulty, large: Path
) -> None:
    token = _begun(faulty, large, part_checksums=True)
    _forget_uploads(faulty)
    with pytest.raises(RefusedError) as raised:
        faulty.client.resume(large, token)
    assert (raised.value.code, raised.value.detail) == (
        "aborted",
        "The storage no longer has what was sent: upload it again.",
    )


def _forget_uploads(faulty: Faulty) -> None:
    """Lose all that has arrived and is not stored, as a bucket's lifecycle rule or a restarted one does."""
    s3, bucket = faulty.site.s3.admin_s3(), faulty.site.s3.bucket
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def test_a_multipart_upload_that_somebody_began_is_gone_on_with(faulty: Faulty, large: Path) -> None:
    token = _begun(faulty, large, part_checksums=True)
    stored = faulty.client.resume(large, token)
    assert all("x-amz-checksum-sha256: " in head.lower() for head in faulty.bucket.heads)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    assert faulty.client.status(token).stored == stored


def test_one_without_checksums_of_its_parts_too(faulty: Faulty, large: Path) -> None:
    token = _begun(faulty, large, part_checksums=False)
    faulty.bucket.heads.clear()
    stored = faulty.client.resume(large, token)
    assert faulty.site.content(stored.object.key) == large.read_bytes()
    # S3 refuses a checksum where none was announced: aws/aws-sdk-js-v3#6922.
    assert len(faulty.bucket.heads) == 5
    assert not any("x-amz-checksum" in head.lower() for head in faulty.bucket.heads)


def test_a_ticket_that_nobody_gave_is_refused(faulty: Faulty, large: Path) -> None:
    with pytest.raises(RefusedError) as raised:
        faulty.client.resume(large, "../links")
    assert (raised.value.code, raised.value.status) == ("not-found", 404)


def _begun(faulty: Faulty, path: Path, *, part_checksums: bool) -> str:
    wire = faulty.client._client._wire
    wish = {
        "filename": path.name,
        "content_type": "application/octet-stream",
        "size": path.stat().st_size,
        "policy": "parts",
        "part_checksums": part_checksums,
    }
    ticket = faulty.client._thread.run(wire.ask("POST", "/v1/uploads", wish))
    return str(ticket["ticket"])
