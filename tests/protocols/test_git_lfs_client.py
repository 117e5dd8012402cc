"""git-lfs as Debian ships it, unchanged, set up as the documentation says: pushes and clones through a gateway."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.apps import make_pass
from tests.browser.proxy import Proxy, before
from tests.docs.pages import blocks, page
from tests.gateways import API_KEY, APP_SECRET, make_app
from tests.http.live import serving
from tests.http.routes.flow import bearer
from tests.protocols.lfs_flow import PUSH_KEY, TENANTS, Blob, send
from tests.servers.s3 import S3Server

SET_UP, STORE, HEADER = blocks(page("docs/how-to/git-lfs.md"), "sh")
AUTHOR = {f"GIT_{who}_{what}": "ann@app.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
LARGE, SMALL, ONE = "large.psd", "small.psd", "one.psd"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A home of its own, a bare repository beside it, and the gateway and bucket that a command may reach."""

    folder: Path
    gateway: Proxy
    bucket: Proxy

    async def bash(self, script: str, cwd: str = "work", **variables: str) -> Ran:
        """Run a script; nobody answers its questions, and nothing outside of the folder is read or written."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "NO_PROXY": "*",
            "LANG": "C",
            "GATEWAY_URL": self.gateway.origin,
            "GATEWAY_API_KEY": API_KEY,
            **AUTHOR,
            **variables,
        }
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euc",
            script,
            cwd=self.folder / cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 90)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return Ran(process.returncode, output.decode())

    async def done(self, script: str, cwd: str = "work", **variables: str) -> str:
        """Run a script that has to succeed."""
        ran = await self.bash(script, cwd, **variables)
        assert ran.status == 0, ran.output
        return ran.output

    async def commit(self, **files: bytes) -> dict[str, Blob]:
        """Commit files that git-lfs keeps."""
        for name, body in files.items():
            (self.folder / "work" / name).write_bytes(body)
        await self.done("git add . && git commit -qm 'More files'")
        return {name: Blob(body) for name, body in files.items()}

    def with_password(self, password: str) -> str:
        """Return the LFS address that has a password in it."""
        return f"http://git:{password}@{self.gateway.origin.removeprefix('http://')}/lfs"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> S3Server:
    """MiniStack, unless a test names another."""
    named: S3Server = request.getfixturevalue(getattr(request, "param", "ministack"))
    return named


@asynccontextmanager
async def desk_over(server: S3Server, folder: Path, **flags: Any) -> AsyncIterator[Desk]:  # noqa: ANN401 - settings
    """Set git-lfs up in `folder`, for a gateway over a server."""
    for command in ("git", "git-lfs"):
        assert shutil.which(command), f"install it: apt-get install {command}"
    async with AsyncExitStack() as stack:
        store = urlsplit(server.endpoint)
        bucket = await stack.enter_async_context(before(str(store.hostname), int(store.port or 80)))
        address = stack.enter_context(serving(make_app(server, public_storage_endpoint=bucket.origin, **flags)))
        gateway = await stack.enter_async_context(before(*address))
        (folder / "home").mkdir()
        desk = Desk(folder, gateway, bucket)
        await desk.done("git init -q -b main work && git init -q --bare -b main remote.git", cwd=".")
        await desk.done("git remote add origin ../remote.git")
        await desk.done(
            "git config --global lfs.transfer.maxretries 1 && git config --global lfs.concurrenttransfers 2"
        )
        await desk.done(SET_UP)
        yield desk


@pytest.fixture
async def desk(server: S3Server, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_over(server, tmp_path, tenants=TENANTS) as desk:
        yield desk


def files() -> dict[str, bytes]:
    """Return files that no other test pushes: one of nine megabytes, a small one and one of a byte."""
    return {LARGE: random.randbytes(9_000_000), SMALL: random.randbytes(1024), ONE: random.randbytes(1)}  # noqa: S311 - not for secrets


def same(desk: Desk, blobs: dict[str, Blob], clone: str = "clone") -> bool:
    return all((desk.folder / clone / name).read_bytes() == blob.body for name, blob in blobs.items())


@pytest.mark.parametrize("server", ["ministack", "localstack"], indirect=True)
async def test_a_push_and_a_clone_elsewhere_are_byte_identical_and_nothing_is_sent_twice(desk: Desk) -> None:
    await desk.done(STORE)
    blobs = await desk.commit(**files(), **{"empty.psd": b""})
    await desk.done("git push -q origin main")
    assert desk.bucket.count("PUT") == 3  # git-lfs leaves empty files to git
    assert desk.gateway.carried < 65_536
    output = await desk.done("git clone -q remote.git clone", cwd=".")
    assert "error" not in output.lower()
    assert same(desk, blobs)
    sent = desk.bucket.count("PUT")
    await desk.done("git lfs push --all origin")
    assert desk.bucket.count("PUT") == sent
    await desk.commit(**{"again.psd": blobs[SMALL].body})
    await desk.done("git push -q origin main")
    assert desk.bucket.count("PUT") == sent


async def test_a_header_says_who_pushes_and_is_not_sent_to_the_bucket(desk: Desk) -> None:
    """S3 refuses a presigned request that has an Authorization header as well."""
    await desk.done(HEADER)
    blobs = await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    await desk.done("git push -q origin main")
    await desk.done("git clone -q remote.git clone", cwd=".")
    assert same(desk, blobs)
    assert (desk.bucket.count("PUT"), desk.bucket.count("GET")) == (1, 1)


async def test_a_pass_in_the_address_pushes_and_does_not_pull(desk: Desk) -> None:
    access = make_pass([APP_SECRET], "ann")
    await desk.done(f"git config lfs.url {desk.with_password(access)}")
    await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    await desk.done("git push -q origin main")
    assert desk.bucket.count("PUT") == 1
    pulled = await desk.bash("rm -r .git/lfs/objects && git lfs fetch")
    assert pulled.status != 0
    assert "These credentials do not allow the action 'link'." in pulled.output


@pytest.mark.parametrize("password", ["wrong", "gwk_aaaaaaaa_00000000000000000000000000000000"])
async def test_a_wrong_password_ends_a_push_with_the_gateways_sentence(desk: Desk, password: str) -> None:
    await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    pushed = await desk.bash(f"git config lfs.url {desk.with_password(password)} && git push origin main")
    assert pushed.status != 0
    assert "Send a valid API key, JWT or pass" in pushed.output
    assert desk.bucket.requests == []
    assert (await desk.bash("git rev-parse main", cwd="remote.git")).status != 0


async def test_without_a_password_git_is_asked_for_one_and_nothing_is_pushed(desk: Desk) -> None:
    await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    pushed = await desk.bash("git push origin main")
    assert pushed.status != 0
    assert "could not read Username" in pushed.output
    assert desk.bucket.requests == []


async def test_bytes_that_changed_after_the_commit_are_refused_by_the_bucket(desk: Desk) -> None:
    await desk.done(STORE)
    blobs = await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    oid = blobs[SMALL].oid
    kept = desk.folder / "work" / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    kept.chmod(0o644)
    kept.write_bytes(bytes(1024))
    pushed = await desk.bash("git push origin main")
    assert pushed.status != 0
    assert "Client error" in pushed.output
    assert desk.bucket.count("PUT") >= 1
    assert (await desk.bash("git rev-parse main", cwd="remote.git")).status != 0


async def test_an_object_that_is_not_there_is_said_so_and_can_be_pushed_again(desk: Desk) -> None:
    await desk.done(STORE)
    blobs = await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    await desk.done("git push -q origin main")
    async with httpx.AsyncClient(base_url=desk.gateway.origin, headers=bearer(API_KEY)) as client:
        assert (await client.delete(f"/v1/objects/{blobs[SMALL].key()}")).status_code == 204
    cloned = await desk.bash("git clone -q remote.git clone", cwd=".")
    assert cloned.status != 0
    assert "No object with this oid is stored here." in cloned.output
    await desk.done("git lfs push --all origin")
    await desk.done("git clone -q remote.git second", cwd=".")
    assert same(desk, blobs, "second")


async def test_locks_are_not_there_and_pushes_go_on_without_a_word(desk: Desk) -> None:
    await desk.done(STORE)
    await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    output = await desk.done("git push -q origin main")
    assert "lock" not in output.lower()
    noted = await desk.done("git config --get-regexp locksverify")
    assert noted == f"lfs.{desk.gateway.origin}/lfs.locksverify false\n"
    locked = await desk.bash(f"git lfs lock {SMALL}")
    assert locked.status != 0
    assert locked.output == f"Locking {SMALL} failed: This server keeps no locks: push without them.\n"
    assert [target for _, target in desk.gateway.requests].count("/lfs/locks/verify") == 1


async def test_a_file_that_the_policy_does_not_take_is_named(desk: Desk) -> None:
    await desk.done(f"git config lfs.url {desk.gateway.origin}/lfs/small")
    await desk.done(STORE)
    blobs = await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    pushed = await desk.bash("git push origin main")
    assert pushed.status != 0
    assert f"[{blobs[SMALL].oid}] This policy takes files of at most 1000 bytes." in pushed.output
    assert desk.bucket.requests == []


async def test_a_key_that_may_not_pull_is_told_so(desk: Desk) -> None:
    await desk.done(STORE, GATEWAY_API_KEY=PUSH_KEY)
    await desk.commit(**{SMALL: random.randbytes(1024)})  # noqa: S311 - not for secrets
    await desk.done("git push -q origin main")
    cloned = await desk.bash("git clone -q remote.git clone", cwd=".")
    assert cloned.status != 0
    assert "batch response: These credentials do not allow the action 'link'." in cloned.output


async def test_a_push_waits_for_the_quota_as_long_as_it_is_told_to_and_then_goes_on(desk: Desk) -> None:
    await desk.done(HEADER)
    await desk.done("git config lfs.url $GATEWAY_URL/lfs/brief")
    host, port = desk.gateway.upstream
    pushes, told_to_wait = 0, ("POST", "/lfs/brief/objects/batch", 429)
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=bearer(API_KEY)) as client:
        while told_to_wait not in desk.gateway.history:  # a machine may be so slow that the quota is there again
            for _ in range(2):
                body = {"operation": "upload", "objects": [Blob(random.randbytes(100)).named]}  # noqa: S311 - as above
                await send(client, "/lfs/brief/objects/batch", body)
            await desk.commit(**{LARGE: random.randbytes(1000), SMALL: random.randbytes(1000)})  # noqa: S311 - as above
            await desk.done("git push -q origin main")
            pushes += 1
    assert desk.bucket.count("PUT") == 2 * pushes
