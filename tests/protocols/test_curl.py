"""curl as docs/how-to/curl.md shows it, line by line in bash, against a served gateway over servers that enforce."""

import asyncio
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.proxy import Proxy, before
from tests.docs.pages import blocks, page
from tests.gateways import API_KEY, APP_SECRET, make_app, tenant
from tests.http.live import serving
from tests.servers.s3 import S3Server

(
    HELPERS,
    ASK,
    PUT,
    COMPLETE,
    ASK_LARGE,
    SPLIT,
    MISSING,
    SIGN,
    SEND,
    COMPLETE_LARGE,
    ABORT,
    DOWNLOAD,
    PIECE,
    GO_ON,
    LINK,
) = blocks(page("docs/how-to/curl.md"), "bash")
POLICY = {"content_types": ["text/csv"], "max_size": "100 MiB", "multipart_from": "20 MiB"}
TENANTS = {"default": tenant(API_KEY, APP_SECRET, policies={"default": POLICY})}
PART = 8 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder in which a reader types, and the gateway and bucket that the lines reach."""

    folder: Path
    gateway: Proxy
    bucket: Proxy
    server: S3Server

    async def bash(self, *lines: str, fails: bool = False) -> str:
        """Run lines after the helpers, as a script that ends where a line fails; return what they print."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_PROXY": "*", "LANG": "C"}
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            "\n".join([HELPERS, *lines]),
            cwd=self.folder,
            env={**environment, "GATEWAY_URL": self.gateway.origin, "GATEWAY_API_KEY": API_KEY},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 90)
        finally:
            if process.returncode is None:
                process.kill()
        assert (process.returncode != 0) is fails, output.decode()
        return output.decode()

    def write(self, name: str, body: bytes) -> bytes:
        (self.folder / name).write_bytes(body)
        return body

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def stored(self) -> str:
        """Digest the object that the last completion told of."""
        told = json.loads(self.read("status.json"))
        assert told["status"] == "stored"
        found = self.server.admin_s3().get_object(Bucket=self.server.bucket, Key=told["object"]["key"])
        return hashlib.sha256(found["Body"].read()).hexdigest()


@pytest.fixture
async def desk(strict: S3Server, tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        store = urlsplit(strict.endpoint)
        bucket = await stack.enter_async_context(before(str(store.hostname), int(store.port or 80)))
        address = stack.enter_context(serving(make_app(strict, tenants=TENANTS, public_storage_endpoint=bucket.origin)))
        gateway = await stack.enter_async_context(before(*address))
        yield Desk(tmp_path, gateway, bucket, strict)


def csv(size: int) -> bytes:
    return random.randbytes(size // 2).hex().encode()  # noqa: S311 - not for secrets


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def test_a_file_is_uploaded_and_downloaded_line_by_line(desk: Desk) -> None:
    body = desk.write("report.csv", csv(100_000))
    assert await desk.bash(ASK, PUT, COMPLETE, DOWNLOAD, PIECE) == ""
    assert desk.stored() == sha256(body)
    assert desk.read("copy.csv") == body
    assert desk.read("piece.csv") == body[:100]
    await desk.bash(LINK, """curl -fsSL -o again.csv "$(field '["links"][0]["url"]' < links.json)" """)
    assert desk.read("again.csv") == body


async def test_each_line_may_be_repeated(desk: Desk) -> None:
    body = desk.write("report.csv", csv(1000))
    await desk.bash(ASK, PUT)
    assert "error: 412" in await desk.bash(PUT, fails=True)
    await desk.bash(COMPLETE)
    told = desk.read("status.json")
    await desk.bash(COMPLETE)
    assert desk.read("status.json") == told
    assert desk.stored() == sha256(body)


async def test_another_file_than_was_asked_for_is_refused_by_the_bucket(desk: Desk) -> None:
    desk.write("report.csv", csv(1000))
    await desk.bash(ASK)
    desk.write("report.csv", csv(1000))
    assert "error: 400" in await desk.bash(PUT, fails=True)
    desk.write("report.csv", csv(1002))
    assert "error: 403" in await desk.bash(PUT, fails=True)
    assert "error: 409" in await desk.bash(COMPLETE, fails=True)


async def test_a_large_file_is_split_signed_put_and_completed_line_by_line(desk: Desk) -> None:
    body = desk.write("large.csv", csv(2 * PART + 6 * 2**20))
    await desk.bash(ASK_LARGE, SPLIT, MISSING, SIGN, SEND, COMPLETE_LARGE, DOWNLOAD)
    assert desk.stored() == sha256(body)
    assert sha256(desk.read("copy.csv")) == sha256(body)
    assert desk.bucket.count("PUT") == 3


async def test_a_large_file_goes_on_after_a_break_and_sends_nothing_twice(desk: Desk) -> None:
    body = desk.write("large.csv", csv(2 * PART + 6 * 2**20))
    await desk.bash(ASK_LARGE, SPLIT, MISSING.replace("head -1000", "sed -n 2p"), SIGN, SEND)
    assert "error: 409" in await desk.bash(COMPLETE_LARGE, fails=True)
    for part in desk.folder.glob("part.*"):
        part.unlink()
    await desk.bash(SPLIT, MISSING, SIGN, SEND, COMPLETE_LARGE)
    assert desk.stored() == sha256(body)
    assert desk.bucket.count("PUT") == 3
    numbers = [target.partition("partNumber=")[2].partition("&")[0] for method, target in desk.bucket.requests]
    assert sorted(numbers) == ["1", "2", "3"]


async def test_a_large_file_that_is_given_up_leaves_no_part_behind(desk: Desk) -> None:
    desk.write("large.csv", csv(2 * PART + 6 * 2**20))
    await desk.bash(ASK_LARGE, SPLIT, MISSING, SIGN, SEND, ABORT)
    place = urlsplit(desk.bucket.requests[0][1]).path.partition("/incoming/")[2]
    listed = desk.server.admin_s3().list_multipart_uploads(Bucket=desk.server.bucket).get("Uploads", [])
    assert f"incoming/{place}" not in {each["Key"] for each in listed}
    await desk.bash(COMPLETE_LARGE, fails=True)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
async def test_a_download_that_broke_off_goes_on_where_it_was(desk: Desk, share: float) -> None:
    body = desk.write("report.csv", csv(300_000))
    await desk.bash(ASK, PUT, COMPLETE)
    there: Sequence[int] = desk.write("copy.csv", body[: int(share * len(body))])
    desk.bucket.carried = 0
    await desk.bash(GO_ON)
    assert desk.read("copy.csv") == body
    assert desk.bucket.carried < len(body) - len(there) + 4096
