"""`gateway download`: by keys and links, into a file or a folder, and gone on with after it was killed."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.client import Client, Stored
from tests.cli.commands import GATEWAY, run, running, say
from tests.cli.screen import lines_shown
from tests.cli.test_upload import COLUMNS, on_a_terminal
from tests.client.proxy import Fault, Proxy, before
from tests.client.sites import Site, standing
from tests.gateways import API_KEY
from tests.servers.s3 import S3Server

MIB = 2**20
DATA = os.urandom(30 * MIB)


@pytest.fixture(scope="module")
def bucket(ministack: S3Server) -> Iterator[Proxy]:
    with before(ministack.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def site(ministack: S3Server, bucket: Proxy) -> Iterator[Site]:
    with standing(ministack, bucket.url) as site:
        yield site


@pytest.fixture(scope="module")
def large(site: Site) -> Stored:
    with Client(site.url, API_KEY) as client:
        return client.publish([DATA], filename="data.bin")


@pytest.fixture(scope="module")
def small(site: Site) -> Stored:
    with Client(site.url, API_KEY) as client:
        return client.publish([b"some notes\n"], filename="notes.txt")


@pytest.fixture
def env(site: Site, bucket: Proxy) -> Mapping[str, str]:
    bucket.faults.clear()
    bucket.requests.clear()
    bucket.heads.clear()
    return {"GATEWAY_URL": site.url, "GATEWAY_API_KEY": API_KEY}


def test_each_object_is_a_line_with_its_path(
    env: Mapping[str, str], large: Stored, small: Stored, tmp_path: Path
) -> None:
    said = run("download", large.object.key, small.link, env=env, cwd=tmp_path)
    assert (said.stdout, said.stderr, said.exit_code) == ("data.bin\nnotes.txt\n", "", 0)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert (tmp_path / "notes.txt").read_text() == "some notes\n"


def test_each_object_is_a_json_document_in_a_line_and_no_secret_is_in_it(
    env: Mapping[str, str], small: Stored, tmp_path: Path
) -> None:
    lost = "objects/default/default/0123456789abcdef0123456789abcdef.png"
    arguments = ["--json", "--output", str(tmp_path), small.link, lost]
    said = run("download", *arguments, env=env)
    assert (said.stderr, said.exit_code) == ("", 3)
    fetched, failed = map(json.loads, said.stdout.splitlines())
    assert fetched == {
        "source": "notes.txt",
        "path": str(tmp_path / "notes.txt"),
        "size": 11,
        "etag": small.object.etag,
        "verified": True,
    }
    assert failed == {
        "source": lost,
        "error": {
            "code": "not-found",
            "detail": "There is nothing behind that key or link, or no longer.",
            "status": 404,
            "request_id": None,
        },
    }


def test_links_need_no_credentials(small: Stored, tmp_path: Path) -> None:
    said = run("download", small.link, "-o", str(tmp_path / "here.txt"))
    assert (said.stdout, said.stderr, said.exit_code) == (f"{tmp_path}/here.txt\n", "", 0)
    said = run("download", small.link.rpartition("/")[0], "-o", str(tmp_path / "missing" / "here.txt"))
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "link: The file cannot be written: No such file or directory. (file-unwritable)\n"


def test_a_file_that_is_named_is_replaced_and_another_is_not(
    env: Mapping[str, str], small: Stored, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    said = say("download", small.object.key, "-o", str(tmp_path), env=env)
    assert said.stderr == f"{small.object.key}: A file of that name is there already: name another one. (file-exists)\n"
    assert (said.exit_code, (tmp_path / "notes.txt").read_text()) == (1, "precious")
    assert say("download", small.object.key, "-o", str(tmp_path / "notes.txt"), env=env).exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "some notes\n"


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "line"),
    [
        ({"GATEWAY_URL": ""}, ["KEY"], 2, "GATEWAY_URL has to say where the gateway is"),
        ({}, ["KEY", "KEY", "-o", "one.txt"], 2, "--output has to be a folder for several objects"),
        ({}, [], 2, "Missing argument 'KEY_OR_LINK': see 'gateway download --help'"),
        (
            {},
            ["../v1/uploads"],
            3,
            "../v1/uploads: No link can be made for that key, filename or lifetime. (not-found)",
        ),
        (
            {},
            ["caf\udce9"],
            3,
            "caf\ufffd: The request body or parameters are not as documented. (body: json_invalid) (invalid-request)",
        ),
        (
            {"GATEWAY_API_KEY": f"{API_KEY[:-1]}0"},
            ["KEY"],
            3,
            "KEY: Send a valid API key, JWT or pass as 'Authorization: Bearer …'. (unauthenticated)",
        ),
        (
            {"GATEWAY_URL": "http://127.0.0.1:9"},
            ["KEY"],
            4,
            "KEY: The gateway cannot be reached. (gateway-unreachable)",
        ),
        ({}, ["http://127.0.0.1:9/d/default.secret"], 4, "link: The connection failed. (storage-unreachable)"),
    ],
)
def test_every_failure_has_its_line_and_its_exit_code(  # noqa: PLR0913, PLR0917 - what is wrong, and what is said
    env: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: Mapping[str, str],
    arguments: list[str],
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr("gateway.client.patience.BACK_OFF", 0.001)
    monkeypatch.chdir(tmp_path)
    said = say("download", *arguments, env={**env, **changes})
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{line}\n", code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_one_that_was_ended_is_gone_on_with(  # noqa: PLR0913, PLR0917 - fixtures
    env: Mapping[str, str], large: Stored, bucket: Proxy, tmp_path: Path, number: int, code: int
) -> None:
    target = tmp_path / "data.bin"
    bucket.faults += [Fault("GET", "", "cut answer", after=10 * MIB), Fault("GET", "", "503", times=99)]
    with running("download", large.object.key, "-o", str(target), env=env) as command:
        bucket.wait_for(lambda: bucket.count("GET") > 1)
        assert command.signal(number) == code
    (part,) = tmp_path.iterdir()
    arrived = part.stat().st_size
    assert arrived >= 9 * MIB
    bucket.faults.clear()
    bucket.heads.clear()
    assert run("download", large.object.key, "-o", str(target), env=env).exit_code == 0
    (head,) = bucket.heads
    assert f"range: bytes={arrived - 1}-" in head.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]
    assert target.read_bytes() == DATA


def test_bytes_that_are_not_those_that_were_stored_end_with_a_line(
    env: Mapping[str, str], site: Site, tmp_path: Path
) -> None:
    with Client(site.url, API_KEY) as client:
        made = client.publish([b"0123456789"], filename="ten.bin")
    s3 = site.s3.admin_s3()
    metadata = s3.head_object(Bucket=site.s3.bucket, Key=made.object.key)["Metadata"]
    s3.put_object(Bucket=site.s3.bucket, Key=made.object.key, Body=b"9876543210", Metadata=metadata)
    said = say("download", made.object.key, "-o", str(tmp_path / "ten.bin"), env=env)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr.endswith("What was fetched is not what was stored: its size or its SHA-256 differs. (damaged)\n")
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_there_is_a_bar(env: Mapping[str, str], large: Stored, tmp_path: Path) -> None:
    shown, code = on_a_terminal([*GATEWAY, "download", large.link, "-o", str(tmp_path)], env)
    assert code == 0
    bar, path, *_ = map(str.rstrip, lines_shown(shown, COLUMNS))
    assert re.fullmatch(r"data\.bin ━+ 31\.5/31\.5 MB [0-9.]+ MB/s", bar)
    assert path == str(tmp_path / "data.bin")
