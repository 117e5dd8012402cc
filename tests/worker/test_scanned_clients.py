"""What clients see of a scan: HTTP's 202, and that ours, Uppy and git-lfs wait until a worker has scanned."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.client import AsyncClient, RefusedError
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.s3.sigv4 import Credentials
from gateway.wiring import Foundation, lay_foundation
from gateway.worker.clamd import Clamd
from tests.cli.commands import run
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, calling, make_app, settings, tenant
from tests.http.live import serving
from tests.http.routes.conftest import bucket
from tests.http.routes.flow import MIB, assert_refused, complete, issue_divided, put, send, sign
from tests.http.routes.flow import issue as issue_picture
from tests.protocols import lfs_flow, uppy_flow
from tests.protocols.test_git_lfs_client import STORE, desk_over
from tests.servers.clamd import MARKER, ClamdServer
from tests.servers.s3 import S3Server

__all__ = ["bucket"]  # a fixture

CLEAN = b"A text that nobody has to fear.\n"
INFECTED = b"A text with " + MARKER + b" in it.\n"
OCTETS = "application/octet-stream"
SCANNED = {
    "content_types": [*ALL_TYPES, OCTETS],
    "max_size": 20 * MIB,
    "scan": True,
    "multipart_from": 10 * MIB,
    "protocols": ["uppy", "git-lfs"],
}
NOTHING: dict[str, object] = {"parts": [], "object": None, "receipt": None, "link": None, "problem": None}
SCANNING = {**NOTHING, "status": "scanning", "retry_after": 3}
LONG = 120.0  # seconds that nothing here needs


@dataclass(frozen=True, slots=True)
class Scanned:
    """A gateway whose one policy scans, and the worker's side of its bucket."""

    server: S3Server
    flags: dict[str, Any]
    foundation: Foundation

    async def work(self, key: str) -> None:
        """Do what a worker does of one event."""
        uploads = self.foundation.uploads
        with suppress(Refusal):
            await uploads.complete(await uploads.granted(ObjectKey.parse_upload_key(key)))

    def arrived(self) -> list[str]:
        """List the upload keys under which something lies."""
        found = self.server.admin_s3().list_objects_v2(Bucket=self.server.bucket, Prefix="incoming/scanned/")
        return [entry["Key"] for entry in found.get("Contents", [])]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Complete whatever lies in the bucket, again and again."""

        async def loop() -> None:
            while True:
                for key in await asyncio.to_thread(self.arrived):
                    await self.work(key)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(loop())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(scope="module")
def scanned(ministack: S3Server, clamd: ClamdServer) -> Iterator[Scanned]:
    tenants = {"scanned": tenant(API_KEY, APP_SECRET, policies={"default": SCANNED})}
    queue = f"{ministack.endpoint}/000000000000/no-such-queue"
    flags: dict[str, Any] = {"tenants": tenants, "events_queue": queue, "clamd_socket": clamd.socket}
    foundation = lay_foundation(
        settings(ministack, **flags),
        Credentials(ministack.access_key_id, ministack.secret_access_key, None, None),
        scanner=Clamd(clamd.socket, LONG),
    )
    yield Scanned(ministack, flags, foundation)
    foundation.storage.close()


@pytest.fixture
async def client(scanned: Scanned) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the API, which has no scanner."""
    async with calling(make_app(scanned.server, **scanned.flags)) as client:
        yield client


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the outcome again after parts of a second."""
    monkeypatch.setattr("gateway.uploads.RETRY_AFTER", 0.05)


async def issue(client: httpx.AsyncClient, body: bytes) -> dict[str, Any]:
    wish = {"filename": "a.txt", "content_type": "text/plain", "checksum_sha256": None}
    return await issue_picture(client, size=len(body), **wish)


@pytest.mark.threat(13)
async def test_a_completion_is_202_until_a_worker_has_scanned(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, CLEAN)
    assert (await client.get(ticket["status_url"])).json()["status"] == "waiting"
    assert (await put(bucket, ticket, CLEAN)).status_code == 200
    for _ in range(2):
        answer = await complete(client, ticket)
        assert (answer.status_code, answer.json()) == (202, SCANNING)
        answer = await client.post("/v1/uploads/complete", json={"upload_key": ticket["upload_key"]})
        assert (answer.status_code, answer.json()) == (202, SCANNING)
        answer = await client.get(ticket["status_url"])
        assert (answer.status_code, answer.json()) == (200, SCANNING)
    assert_refused(await client.get(f"/v1/objects/{ticket['key']}"), Code.NOT_FOUND)
    await scanned.work(ticket["upload_key"])
    answer = await complete(client, ticket)
    assert (answer.status_code, answer.json()["status"], answer.json()["retry_after"]) == (200, "stored", None)
    assert (await client.get(ticket["status_url"])).json() == answer.json()
    link = await client.get(answer.json()["link"])
    assert (await bucket.get(link.headers["location"])).content == CLEAN


@pytest.mark.threat(13)
async def test_a_link_that_was_made_beforehand_leads_nowhere_until_a_worker_has_scanned(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    """Links are made without looking: an application may make one as soon as it knows the key."""
    ticket = await issue(client, INFECTED)
    await put(bucket, ticket, INFECTED)
    made = (await client.post("/v1/links", json={"links": [{"key": ticket["key"]}]})).json()["links"][0]["url"]
    for _ in range(2):
        await complete(client, ticket)
        location = (await client.get(made)).headers["location"]
        assert (await bucket.get(location)).status_code == 404
        await scanned.work(ticket["upload_key"])


@pytest.mark.threat(13)
async def test_what_is_infected_is_refused_with_a_sentence(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, INFECTED)
    await put(bucket, ticket, INFECTED)
    assert (await complete(client, ticket)).json() == SCANNING
    await scanned.work(ticket["upload_key"])
    assert_refused(await complete(client, ticket), Code.INFECTED)
    answer = await client.post("/v1/uploads/complete", json={"upload_key": ticket["upload_key"]})
    assert_refused(answer, Code.INFECTED)
    status = (await client.get(ticket["status_url"])).json()
    assert (status["status"], status["problem"]["code"], status["link"]) == ("rejected", "infected", None)


async def test_parts_are_joined_and_then_wait_for_their_scan(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = bytes(11 * MIB)
    ticket = await issue_divided(client, len(body), policy="default")
    count = ticket["multipart"]["part_count"]
    await send(bucket, ticket, body, await sign(client, ticket, *range(1, count + 1)))
    assert (await client.get(ticket["status_url"])).json()["status"] == "uploading"
    assert (await complete(client, ticket)).json() == SCANNING
    assert (await client.get(ticket["status_url"])).json() == SCANNING
    await scanned.work(ticket["upload_key"])
    assert (await complete(client, ticket)).json()["status"] == "stored"


async def test_the_python_client_waits_for_the_scan(scanned: Scanned, tmp_path: Path) -> None:
    (tmp_path / "clean.txt").write_bytes(CLEAN)
    (tmp_path / "infected.txt").write_bytes(INFECTED)
    with serving(make_app(scanned.server, **scanned.flags)) as (host, port):
        async with AsyncClient(f"http://{host}:{port}", API_KEY) as client, scanned.working():
            stored, refused = await asyncio.gather(
                client.upload(tmp_path / "clean.txt"), client.upload(tmp_path / "infected.txt"), return_exceptions=True
            )
    assert not isinstance(stored, BaseException)
    assert stored.object.size == len(CLEAN)
    assert isinstance(refused, RefusedError)
    assert (refused.code, refused.status, str(refused)) == ("infected", 422, Code.INFECTED.sentence)


async def test_the_command_waits_for_the_scan(scanned: Scanned, tmp_path: Path) -> None:
    (tmp_path / "clean.txt").write_bytes(CLEAN)
    with serving(make_app(scanned.server, **scanned.flags)) as (host, port):
        env = {"GATEWAY_URL": f"http://{host}:{port}", "GATEWAY_API_KEY": API_KEY, "XDG_STATE_HOME": str(tmp_path)}
        async with scanned.working():
            said = await asyncio.to_thread(run, "upload", str(tmp_path / "clean.txt"), env=env)
    assert said.exit_code == 0, said.stderr
    assert "/d/" in said.stdout


@pytest.mark.usefixtures("hurried")
async def test_uppy_is_answered_when_its_parts_are_scanned(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    """It asks once, and throws away what it sent when that is no success."""
    for body, status in ((CLEAN, 200), (INFECTED, 422)):
        upload = await uppy_flow.begin(client)
        parts = await uppy_flow.put_parts(client, bucket, upload, {1: body})
        async with scanned.working():
            done = await uppy_flow.finish(client, upload, parts)
        assert done.status_code == status, done.text
        if status == 200:
            assert done.json()["key"] == upload.key.replace("incoming/", "objects/")
        else:
            uppy_flow.assert_refused(done, Code.INFECTED)


@pytest.mark.usefixtures("hurried")
async def test_uppy_that_comes_back_during_a_scan_finds_its_parts_and_completes(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await uppy_flow.begin(client)
    parts = await uppy_flow.put_parts(client, bucket, upload, {1: CLEAN})
    lost = asyncio.create_task(uppy_flow.finish(client, upload, parts))
    while not any(key == upload.key for key in await asyncio.to_thread(scanned.arrived)):  # noqa: ASYNC110 - the bucket's
        await asyncio.sleep(0.02)
    lost.cancel()
    with suppress(asyncio.CancelledError):
        await lost
    listed = (await client.get(upload.path())).json()
    assert listed[0]["PartNumber"] == 1  # and as many more as there can have been: nothing is to be sent again
    async with scanned.working():
        assert (await uppy_flow.finish(client, upload, parts)).status_code == 200


async def test_a_form_of_uppy_s_is_scanned_once_it_is_completed_by_its_key(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    form = await uppy_flow.form_for(client)
    assert (await uppy_flow.post(bucket, form, CLEAN)).status_code == 201
    key = form["fields"]["key"]
    answer = await client.post("/v1/uploads/complete", json={"upload_key": key})
    assert (answer.status_code, answer.json()["status"]) == (202, "scanning")
    await scanned.work(key)
    answer = await client.post("/v1/uploads/complete", json={"upload_key": key})
    assert (answer.status_code, answer.json()["status"]) == (200, "stored")


@pytest.mark.usefixtures("hurried")
async def test_git_lfs_is_answered_when_its_object_is_scanned(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    blob = lfs_flow.Blob(CLEAN)
    async with scanned.working():
        await lfs_flow.push(client, bucket, blob)
    assert "actions" not in (await lfs_flow.ask(client, "upload", blob))[0]


@pytest.mark.usefixtures("hurried")
async def test_git_push_waits_for_the_scan_and_tells_of_malware(scanned: Scanned, tmp_path: Path) -> None:
    async with desk_over(scanned.server, tmp_path, **scanned.flags) as desk, scanned.working():
        await desk.done(STORE)
        await desk.commit(**{"clean.psd": CLEAN + b"pushed"})
        assert "new branch" in await desk.done("git push origin main")
        await desk.commit(**{"infected.psd": INFECTED + b"pushed"})
        pushed = await desk.bash("git push origin main")
        assert pushed.status != 0
        assert Code.INFECTED.sentence in pushed.output


async def test_git_lfs_is_told_to_push_again_where_no_worker_scans_in_time(
    scanned: Scanned, client: httpx.AsyncClient, bucket: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.protocols.git_lfs.VERIFIED_WITHIN", 0.2)
    blob = lfs_flow.Blob(INFECTED)
    (told,) = await lfs_flow.ask(client, "upload", blob)
    await lfs_flow.put(bucket, told, blob.body)
    sentence = "The object has arrived and is being scanned: push again later."
    answer = await lfs_flow.verify(client, told)
    lfs_flow.assert_refused(answer, Code.SCANNER_UNAVAILABLE, sentence)
    assert answer.headers["retry-after"] == "3"
    async with scanned.working():
        monkeypatch.setattr("gateway.protocols.git_lfs.VERIFIED_WITHIN", LONG)
        lfs_flow.assert_refused(await lfs_flow.verify(client, told), Code.INFECTED, status=409)
    (again,) = await lfs_flow.ask(client, "upload", blob)
    assert "upload" in again["actions"]
    (download,) = await lfs_flow.ask(client, "download", blob)
    assert download["error"]["code"] == 404
