"""`gateway reap` as a process over a real bucket: what it finishes, what it frees, what it leaves alone and prints."""

import asyncio
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.cli.dev_files import as_variables
from tests.cli.commands import GATEWAY, OFFLINE, Said, run, say
from tests.crashes.journeys import FLAGS, JOURNEYS, PAGE, Arrived, by_put, check_bucket, in_parts, untruthful
from tests.faults.proxy import before, proxied
from tests.faults.store import error
from tests.gateways import SECRET_KEY, calling, make_app
from tests.http.routes.flow import PNG, issue, issue_divided, put, put_part
from tests.servers.clamd import MARKER, ClamdServer
from tests.servers.queues import with_queue
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

AT_ONCE = ("--older-than", "0s")


@pytest.fixture
def server(ministack: S3Server) -> Iterator[S3Server]:
    """Give a bucket to which nobody else uploads."""
    with with_queue(ministack) as server:
        yield server


def variables(server: S3Server, **more: Any) -> dict[str, str]:  # noqa: ANN401 - as many types as there are settings
    """Return the environment of the command, beside a gateway with the settings of `FLAGS`."""
    settings = {
        **FLAGS,
        "secret_keys": [SECRET_KEY],
        "bucket": server.bucket,
        "region": server.region,
        "storage_endpoint": server.endpoint,
        **more,
    }
    credentials = {"AWS_ACCESS_KEY_ID": server.access_key_id, "AWS_SECRET_ACCESS_KEY": server.secret_access_key}
    return {**as_variables(settings), **credentials}


async def reap(server: S3Server, *flags: str, **more: Any) -> Said:  # noqa: ANN401 - as above
    return await asyncio.to_thread(run, "reap", *flags, env=variables(server, **more))


def lines(said: Said) -> list[dict[str, Any]]:
    """Return what was printed for scripts, without ages, in the order of keys."""
    found = [json.loads(line) for line in said.stdout.splitlines()]
    assert all(isinstance(each.pop("age"), int) for each in found)
    return sorted(found, key=lambda each: str(each["key"]))


@asynccontextmanager
async def clients(server: S3Server) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Give one that speaks to a gateway, and one that speaks to the bucket."""
    async with calling(make_app(server, **FLAGS)) as client, httpx.AsyncClient() as bucket:
        yield client, bucket


def told(arrived: Arrived, size: int, **outcome: str | None) -> dict[str, object]:
    return {"code": None, "kind": "object", "key": arrived.key.upload_key, "size": size, **outcome}


@pytest.mark.threat(37)
async def test_what_arrived_and_nobody_completed_is_completed_and_the_rest_is_left_alone(server: S3Server) -> None:
    async with clients(server) as (client, bucket):
        arrived = [await journey(client, bucket) for name, journey in JOURNEYS.items() if name != "parts"]
        done = await by_put(client, bucket)
        assert (await client.post(done.path, json=done.asked)).is_success
        waiting = await issue(client)
        under_way = await issue_divided(client, 2 * 8 * 2**20)
        part = under_way["multipart"]["parts"][0]
        assert (await put_part(bucket, part, b"x" * part["size"])).is_success
        live = {"outcome": "live", "code": None, "kind": "parts", "key": under_way["upload_key"], "size": part["size"]}

        assert lines(await reap(server, "--json")) == [live]  # nothing is a day old

        sizes = [len(each.body) if each.body else len(PAGE) for each in arrived]
        would = [told(each, size, outcome="would-complete") for each, size in zip(arrived, sizes, strict=True)]
        said = await reap(server, *AT_ONCE, "--json", "--dry-run")
        assert lines(said) == sorted([*would, live], key=lambda each: str(each["key"]))
        assert (said.stderr, said.exit_code) == ("", 0)

        said = await reap(server, *AT_ONCE, "--json")
        stored = [
            told(
                each,
                size,
                **({"outcome": "stored"} if each.body else {"outcome": "rejected", "code": "active-content"}),
            )
            for each, size in zip(arrived, sizes, strict=True)
        ]
        assert lines(said) == sorted([*stored, live], key=lambda each: str(each["key"]))
        assert said.exit_code == 0
        for each in (*arrived, done):
            check_bucket(server, each)
        assert lines(await reap(server, *AT_ONCE, "--json")) == [live]

        assert (await put(bucket, waiting)).status_code == 200  # the tickets are as good as ever
        assert (await client.post(waiting["complete_url"], json={})).json()["status"] == "stored"
        assert (await client.get(under_way["status_url"])).json()["status"] == "uploading"


@pytest.mark.threat(3, 37)
async def test_parts_of_an_upload_that_was_aborted_halfway_are_freed(server: S3Server) -> None:
    async with clients(server) as (client, _):
        ticket = await issue_divided(client, 2 * 8 * 2**20)
        part = ticket["multipart"]["parts"][0]
        kept = server.admin_s3().list_multipart_uploads(Bucket=server.bucket)["Uploads"][0]["UploadId"]
        assert (await client.delete(ticket["abort_url"])).status_code == 204
    # MiniStack has forgotten the upload: another to the same key stands for the parts that an abort left behind.
    upload = server.s3().create_multipart_upload(Bucket=server.bucket, Key=ticket["upload_key"])
    assert upload["UploadId"] != kept
    names = {"Bucket": server.bucket, "Key": ticket["upload_key"], "UploadId": upload["UploadId"]}
    server.s3().upload_part(**names, PartNumber=1, Body=b"x" * part["size"])
    line = {"code": None, "kind": "parts", "key": ticket["upload_key"], "size": part["size"]}
    assert lines(await reap(server, "--json")) == [{**line, "outcome": "live"}]  # not a day old
    assert lines(await reap(server, *AT_ONCE, "--json")) == [{**line, "outcome": "aborted"}]
    assert "Uploads" not in server.s3().list_multipart_uploads(Bucket=server.bucket)


@pytest.mark.threat(13)
async def test_what_has_to_be_scanned_is_scanned_or_stays_pending(
    server: S3Server, clamd: ClamdServer, tmp_path: Path
) -> None:
    tenant = FLAGS["tenants"]["default"]
    policies = {name: {**policy, "scan": True, "max_size": "20 MB"} for name, policy in tenant["policies"].items()}
    scanning: dict[str, Any] = {"tenants": {"default": {**tenant, "policies": policies}}, "events_queue": server.queue}
    scanner_out = str(tmp_path / "nobody.sock")
    bad = b"A text with " + MARKER
    async with (
        calling(make_app(server, **scanning, clamd_socket=str(clamd.socket))) as client,
        httpx.AsyncClient() as bucket,
    ):
        good = await by_put(client, bucket)
        wish = {"filename": "a.txt", "content_type": "text/plain", "size": len(bad), "checksum_sha256": None}
        ticket = await issue(client, **wish)
        assert (await put(bucket, ticket, bad)).is_success
    pending = await reap(server, *AT_ONCE, "--json", **scanning, clamd_socket=scanner_out)
    assert [(each["outcome"], each["code"]) for each in lines(pending)] == [("pending", "scanner-unavailable")] * 2
    assert pending.exit_code == 1
    told = [json.loads(line) for line in pending.stderr.splitlines()]
    assert {line["key"] for line in told} == {good.key.upload_key, ticket["upload_key"]}
    assert {line["event"] for line in told} == {"the scanner gives no verdict: no connection, FileNotFoundError"}
    scanned = await reap(server, *AT_ONCE, "--json", **scanning, clamd_socket=str(clamd.socket))
    assert {each["key"]: (each["outcome"], each["code"]) for each in lines(scanned)} == {
        good.key.upload_key: ("stored", None),
        ticket["upload_key"]: ("rejected", "infected"),
    }
    assert scanned.exit_code == 0
    (found,) = [json.loads(line) for line in scanned.stderr.splitlines()]
    assert (found["key"], found["event"].partition("Local.")[0]) == (ticket["upload_key"], "the scanner found ")
    check_bucket(server, good)


async def test_two_at_once_beside_a_client_that_completes_store_each_upload_once(server: S3Server) -> None:
    async with clients(server) as (client, bucket):
        arrived = [await by_put(client, bucket) for _ in range(6)]
        runs, answers = await asyncio.gather(
            asyncio.gather(*(reap(server, *AT_ONCE, "--json") for _ in range(2))),
            asyncio.gather(*(client.post(each.path, json=each.asked) for each in arrived[:3])),
        )
    assert [answer.json()["status"] for answer in answers] == ["stored"] * 3
    assert {line["outcome"] for said in runs for line in lines(said)} <= {"stored"}
    assert {line["key"] for said in runs for line in lines(said)} >= {each.key.upload_key for each in arrived[3:]}
    for each in arrived:
        check_bucket(server, each)


@pytest.mark.threat(33)
@pytest.mark.parametrize("step", ["storage.copy_part:1", "storage.put:1"])
async def test_one_that_is_killed_leaves_all_to_the_next(server: S3Server, step: str) -> None:
    async with clients(server) as (client, bucket):
        arrived = await in_parts(client, bucket)
        s3, key = server.s3(), arrived.key.upload_key
        [upload] = s3.list_multipart_uploads(Bucket=server.bucket, Prefix=key)["Uploads"]
        names = {"Bucket": server.bucket, "Key": key, "UploadId": upload["UploadId"]}
        sent = s3.list_parts(**names)["Parts"]  # type: ignore[arg-type] # strings
        parts: list[CompletedPartTypeDef] = [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in sent]
        s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})  # type: ignore[arg-type] # as above
    assert (await reap(server, *AT_ONCE, crash_at=step)).exit_code == -signal.SIGKILL
    await reap(server, *AT_ONCE)
    check_bucket(server, arrived)


# What is printed


def on_a_terminal(env: dict[str, str], *flags: str, columns: int = 80) -> list[str]:
    """Run it with a terminal as its standard output alone; return the lines."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    whole = {name: text for name, text in os.environ.items() if name not in {"COLUMNS", "LINES", "FORCE_COLOR"}}
    with subprocess.Popen(
        [*GATEWAY, "reap", *flags],
        env={**whole, "TERM": "xterm", "NO_COLOR": "1", **env},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # Linux's way to say that the other side closed
            pass
        assert process.communicate(timeout=60)[1] == b""
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).splitlines()


async def test_the_table_fits_a_terminal_and_others_get_a_line_for_each(server: S3Server) -> None:
    async with clients(server) as (client, bucket):
        picture, page = await by_put(client, bucket), await untruthful(client, bucket)
    server.admin_s3().put_object(Bucket=server.bucket, Key="incoming/\x1b[2Jlast", Body=b"x")
    shown = await asyncio.to_thread(on_a_terminal, variables(server), *AT_ONCE, "--dry-run")
    assert max(map(len, shown)) <= 80
    assert shown[0].split() == ["key", "kind", "size", "age", "outcome"]
    assert shown[-1] == "3 looked at: 1 foreign (1 byte), 2 would-complete (110 bytes)."
    for key in (picture.key.upload_key, page.key.upload_key):  # folded, and whole
        [start] = [number for number, line in enumerate(shown) if line.startswith(key[:30])]
        assert "".join(line.split(" ")[0] for line in shown[start : start + 3]).startswith(key)

    said = await reap(server, *AT_ONCE)
    rows = [re.sub(r"\d+s", "?s", line).split() for line in said.stdout.splitlines()]
    assert rows[0] == ["key", "kind", "size", "age", "outcome"]
    looked, _, sums = said.stdout.splitlines()[-1].rstrip(".").partition(": ")
    assert looked == "3 looked at"
    assert sorted(sums.split(", ")) == ["1 foreign (1 byte)", "1 rejected (40 bytes)", "1 stored (70 bytes)"]
    assert ["incoming/\\x1b[2Jlast", "object", "1", "byte", "?s", "foreign"] in rows
    assert [picture.key.upload_key, "object", str(len(PNG)), "bytes", "?s", "stored"] in rows
    assert [page.key.upload_key, "object", str(len(PAGE)), "bytes", "?s", "rejected", "active-content"] in rows
    assert len(rows) == 1 + 3 + 1
    assert (said.stderr, said.exit_code) == ("", 0)


@pytest.mark.parametrize(("columns", "tails"), [(80, ["rejected", "active-content"]), (160, ["active-content"])])
async def test_a_code_stands_beside_its_outcome_where_there_is_room(
    server: S3Server, columns: int, tails: list[str]
) -> None:
    async with clients(server) as (client, bucket):
        page = await untruthful(client, bucket)
    shown = await asyncio.to_thread(on_a_terminal, variables(server), *AT_ONCE, columns=columns)
    assert max(map(len, shown)) <= columns
    assert [line.split()[-1] for line in shown[1:-1]] == tails
    assert "".join(line.split(" ")[0] for line in shown[1:-1]) == page.key.upload_key


async def test_where_nothing_is_left_over_it_says_so(server: S3Server) -> None:
    said = await reap(server)
    assert (said.stdout, said.stderr, said.exit_code) == ("0 looked at: nothing is left over.\n", "", 0)


async def test_a_bucket_that_cannot_be_listed_is_one_line_and_exit_code_1(server: S3Server) -> None:
    said = await reap(server, bucket="of-somebody-else")
    assert (said.stdout, said.exit_code) == ("0 looked at before the bucket could not be listed.\n", 1)
    assert said.stderr.splitlines()[-1] == (
        "The bucket cannot be listed: what was not looked at yet is left to the next run."
    )
    logged = [json.loads(line)["event"] for line in said.stderr.splitlines()[:-1]]
    assert [line.partition(":")[0] for line in logged] == ["the storage refuses ListObjectsV2"]


async def test_what_was_done_before_the_bucket_could_not_be_listed_is_told(server: S3Server) -> None:
    async with clients(server) as (client, bucket):
        arrived = await by_put(client, bucket)
    with proxied(server.endpoint) as proxy:
        proxy.spoil("GET", r"\?.*\buploads\b", before(error(403, "AccessDenied")))
        said = await reap(server, *AT_ONCE, storage_endpoint=proxy.endpoint)
    assert said.stdout.splitlines()[-1] == "1 looked at before the bucket could not be listed: 1 stored (70 bytes)."
    assert said.exit_code == 1
    check_bucket(server, arrived)


async def test_an_age_may_be_told_in_weeks(server: S3Server) -> None:
    async with clients(server) as (client, bucket):
        await by_put(client, bucket)
    said = await reap(server, "--older-than", "1w")
    assert (said.stdout, said.stderr, said.exit_code) == ("1 looked at: nothing is left over.\n", "", 0)


@pytest.mark.parametrize("age", ["1y", "-1d", "", "d", "1.5h", "1 d", "99999999d", "\u0661d"])
def test_an_age_that_is_none_is_refused_before_anything_else(age: str) -> None:
    said = say("reap", f"--older-than={age}", env=OFFLINE)
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr == "--older-than takes a whole number and a unit, such as 90m, 36h, 2d or 1w\n"
