"""`gateway upload`: what it prints and how it ends; and how it goes on after it was killed."""

import errno
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from gateway.client import Client
from tests.cli.commands import GATEWAY, run, running, say
from tests.cli.screen import lines_shown
from tests.client.proxy import Fault, Proxy, before
from tests.client.sites import Site, standing
from tests.docs.pages import ROOT
from tests.gateways import API_KEY
from tests.servers.s3 import S3Server

MIB = 2**20
COLUMNS = 140


@pytest.fixture(scope="module")
def bucket(ministack: S3Server) -> Iterator[Proxy]:
    with before(ministack.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def site(ministack: S3Server, bucket: Proxy) -> Iterator[Site]:
    with standing(ministack, bucket.url) as site:
        yield site


@pytest.fixture
def env(site: Site, bucket: Proxy, tmp_path: Path) -> Mapping[str, str]:
    bucket.faults.clear()
    bucket.requests.clear()
    return {"GATEWAY_URL": site.url, "GATEWAY_API_KEY": API_KEY, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("some notes\n")
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(64 * MIB))  # eight parts
    return path


def test_each_file_is_a_line_with_its_key_and_link(env: Mapping[str, str], site: Site, notes: Path) -> None:
    said = run("upload", str(notes), str(notes), env=env)
    assert (said.stderr, said.exit_code) == ("", 0)
    for line in said.stdout.splitlines():
        key, link = line.split(" ")
        assert site.content(key) == b"some notes\n"
        assert link.startswith(f"{site.url}/d/default.")
        assert link.endswith("/notes.txt")
    assert len(said.stdout.splitlines()) == 2


def test_each_file_is_a_json_document_in_a_line(env: Mapping[str, str], notes: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    said = run("upload", "--json", str(notes), str(missing), env=env)
    assert (said.stderr, said.exit_code) == ("", 1)
    stored, failed = map(json.loads, said.stdout.splitlines())
    with Client(env["GATEWAY_URL"], API_KEY) as client:
        (found,) = (found for found in client.list() if found.key == stored["object"]["key"])
    assert list(stored) == ["source", "object", "link", "receipt"]
    assert stored["source"] == str(notes)
    stored_at = found.stored_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert stored["object"] == {**asdict(found), "stored_at": stored_at}
    assert failed == {
        "source": str(missing),
        "error": {
            "code": "file-unreadable",
            "detail": "The file cannot be read: No such file or directory.",
            "status": 0,
            "request_id": None,
        },
    }


def test_what_cannot_be_read_is_told_and_the_others_are_stored(
    env: Mapping[str, str], notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    changed = tmp_path / "\x1b[2Jname.txt"
    said = run("upload", *map(str, (tmp_path / "folder", tmp_path / "pipe", changed, notes)), env=env)
    assert said.exit_code == 1
    assert len(said.stdout.splitlines()) == 1
    plain = "The file cannot be read: it is a folder, or no plain file. (file-unreadable)"
    assert said.stderr.splitlines() == [
        f"{tmp_path}/folder: {plain}",
        f"{tmp_path}/pipe: {plain}",
        f"{tmp_path}/\ufffd[2Jname.txt: The file cannot be read: No such file or directory. (file-unreadable)",
    ]


def test_a_file_of_somebody_else_is_told(env: Mapping[str, str], notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)  # root, as whom tests may run, may read everything
    said = say("upload", str(notes), env=env)
    assert said.stderr == f"{notes}: The file cannot be read: Permission denied. (file-unreadable)\n"


def test_a_name_that_is_no_unicode_is_stored_under_another(env: Mapping[str, str], tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(path)).write_text("some notes\n")
    said = run("upload", "--json", os.fsdecode(path), env=env)
    assert (said.stderr, said.exit_code) == ("", 0)
    told = json.loads(said.stdout)
    assert (os.fsencode(told["source"]), told["object"]["filename"]) == (path, "caf?.txt")


def test_where_nothing_can_be_kept_a_large_file_needs_no_resume(env: Mapping[str, str], large: Path) -> None:
    unwritable = {**env, "XDG_STATE_HOME": "/dev/null"}
    said = run("upload", str(large), "--policy", "parts", env=unwritable)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == f"{large}: The state of the upload cannot be kept: Not a directory. (file-unwritable)\n"
    assert run("upload", str(large), "--policy", "parts", "--no-resume", env=unwritable).exit_code == 0


def test_an_empty_file_is_stored_where_the_policy_takes_it(env: Mapping[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.touch()
    assert run("upload", str(empty), env=env).exit_code == 0
    said = run("upload", str(empty), "--policy", "divided", env=env)
    assert (said.stdout, said.exit_code) == ("", 3)
    assert said.stderr == f"{empty}: This policy takes files of at least 1 bytes. (invalid-request)\n"


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "line"),
    [
        ({"GATEWAY_URL": ""}, [], 2, "GATEWAY_URL has to say where the gateway is"),
        ({"GATEWAY_API_KEY": ""}, [], 2, "GATEWAY_API_KEY has to hold an API key, a JWT or a pass"),
        (
            {"GATEWAY_URL": "files.example"},
            [],
            2,
            "GATEWAY_URL is like https://files.example.com, and GATEWAY_API_KEY is a key alone",
        ),
        (
            {"GATEWAY_API_KEY": "two words"},
            [],
            2,
            "GATEWAY_URL is like https://files.example.com, and GATEWAY_API_KEY is a key alone",
        ),
        ({}, ["--polic"], 2, "No such option: --polic (Possible options: --policy): see 'gateway upload --help'"),
        (
            {"GATEWAY_API_KEY": f"{API_KEY[:-1]}0"},
            [],
            3,
            "{notes}: Send a valid API key, JWT or pass as 'Authorization: Bearer …'. (unauthenticated)",
        ),
        (
            {},
            ["--policy", "none"],
            3,
            "{notes}: Name a policy that GET /v1/policies lists. (policy-unknown)",
        ),
        (
            {"GATEWAY_URL": "http://127.0.0.1:9"},
            [],
            4,
            "{notes}: The gateway cannot be reached. (gateway-unreachable)",
        ),
    ],
)
def test_every_failure_has_its_line_and_its_exit_code(  # noqa: PLR0913, PLR0917 - what is wrong, and what is said
    env: Mapping[str, str],
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: Mapping[str, str],
    arguments: list[str],
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr("gateway.client.patience.BACK_OFF", 0.001)
    said = say("upload", str(notes), *arguments, env={**env, **changes})
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{line.format(notes=notes)}\n", code)


def test_the_highest_exit_code_is_that_of_all(
    env: Mapping[str, str], notes: Path, tmp_path: Path, bucket: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.patience.BACK_OFF", 0.001)
    bucket.faults.append(Fault("PUT", "", "503", times=5))
    said = say("upload", str(notes), str(tmp_path / "missing"), env=env)
    assert said.exit_code == 4
    assert "The storage refused what was sent (503). (storage-refused)" in said.stderr


def killed(env: Mapping[str, str], large: Path, bucket: Proxy, *arguments: str) -> None:
    """Kill an upload as nothing can be prepared for, once some parts have arrived."""
    arrived = bucket.count("PUT")
    with running("upload", str(large), "--policy", "parts", *arguments, env=env) as command:
        bucket.faults.append(Fault("PUT", "partNumber=8", "cut request", times=99))
        bucket.wait_for(lambda: bucket.count("PUT", "partNumber=8") > 1)
        command.process.kill()
        assert command.process.wait(15) == -signal.SIGKILL
    assert bucket.count("PUT") >= arrived + 8
    bucket.faults.clear()
    bucket.requests.clear()


def test_a_killed_upload_is_gone_on_with_and_no_part_that_arrived_is_sent_twice(
    env: Mapping[str, str], large: Path, bucket: Proxy, site: Site, tmp_path: Path
) -> None:
    killed(env, large, bucket)
    folder = tmp_path / "state" / "signed-url-gateway"
    (kept,) = folder.iterdir()
    assert (kept.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert API_KEY not in kept.read_text()
    said = run("upload", str(large), "--policy", "parts", env=env)
    assert (said.stderr, said.exit_code) == ("", 0)
    assert bucket.count("PUT") == bucket.count("PUT", "partNumber=8") == 1
    assert site.content(said.stdout.split(" ")[0]) == large.read_bytes()
    assert list(folder.iterdir()) == []


def test_without_resume_it_begins_anew_and_keeps_nothing(
    env: Mapping[str, str], large: Path, bucket: Proxy, site: Site, tmp_path: Path
) -> None:
    killed(env, large, bucket, "--no-resume")
    assert not (tmp_path / "state").exists()
    said = run("upload", str(large), "--policy", "parts", "--no-resume", env=env)
    assert bucket.count("PUT") == 8
    assert site.content(said.stdout.split(" ")[0]) == large.read_bytes()


def test_another_policy_or_another_file_is_another_upload(
    env: Mapping[str, str], large: Path, bucket: Proxy, tmp_path: Path
) -> None:
    killed(env, large, bucket)
    run("upload", str(large), "--policy", "divided", env=env)
    assert bucket.count("PUT") == 8
    large.touch()
    run("upload", str(large), "--policy", "parts", env=env)
    assert bucket.count("PUT") == 16
    assert len(list((tmp_path / "state" / "signed-url-gateway").iterdir())) == 1


def test_ctrl_c_ends_it_at_once_and_the_same_command_goes_on(
    env: Mapping[str, str], large: Path, bucket: Proxy
) -> None:
    bucket.faults.append(Fault("PUT", "partNumber=8", "cut request", times=99))
    with running("upload", str(large), "--policy", "parts", env=env) as command:
        bucket.wait_for(lambda: bucket.count("PUT", "partNumber=8") > 1)
        assert command.signal(signal.SIGINT) == 130
    assert command.stdout == []
    assert command.stderr == ["Interrupted: the same command goes on where this one stopped."]
    bucket.faults.clear()
    bucket.requests.clear()
    assert run("upload", str(large), "--policy", "parts", env=env).exit_code == 0
    assert bucket.count("PUT") == 1


def test_ctrl_c_promises_nothing_where_nothing_is_to_be_resumed(
    env: Mapping[str, str], large: Path, bucket: Proxy
) -> None:
    bucket.faults.append(Fault("PUT", "partNumber=8", "cut request", times=99))
    with running("upload", str(large), "--policy", "parts", "--no-resume", env=env) as command:
        bucket.wait_for(lambda: bucket.count("PUT", "partNumber=8") > 1)
        assert command.signal(signal.SIGINT) == 130
    assert command.stderr == ["Interrupted: called again, it begins anew."]


def test_on_a_terminal_there_is_a_bar_for_each_file(env: Mapping[str, str], notes: Path, large: Path) -> None:
    written, code = on_a_terminal([*GATEWAY, "upload", "--policy", "parts", str(notes), str(large)], env)
    assert code == 0
    shown = "\n".join(map(str.rstrip, lines_shown(written, COLUMNS)))
    assert re.search(r"^notes\.txt ━+ 11/11 bytes *([0-9.]+ \w+/s)?$", shown, re.MULTILINE)
    assert re.search(r"^large\.bin ━+ 67\.1/67\.1 MB [0-9.]+ MB/s$", shown, re.MULTILINE)


@pytest.mark.parametrize("columns", [60, 140])
@pytest.mark.parametrize("ending", ["", " --json", " | cat", " --json | cat"])
def test_on_a_terminal_every_result_and_every_error_stays_whole(  # noqa: PLR0913, PLR0917 - fixtures, and which terminal
    env: Mapping[str, str], notes: Path, large: Path, tmp_path: Path, columns: int, ending: str
) -> None:
    long = tmp_path / f"{'a-long-name-' * 8}.txt"
    long.write_text("more notes\n")
    missing = tmp_path / "missing.txt"
    files = [notes, missing, large, long, missing]
    command = shlex.join([*GATEWAY, "upload", "--policy", "parts", *map(str, files)])
    with Client(env["GATEWAY_URL"], API_KEY) as client:
        before_it = {found.key for found in client.list()}
        written, _ = on_a_terminal(["sh", "-c", command + ending], env, columns)
        keys = {found.key for found in client.list()} - before_it
    shown = lines_shown(written, columns)
    bars = [line for line in shown if "━" in line]
    assert [re.findall(r"[0-9.]+/[0-9.]+ \w+", bar) for bar in bars] == [
        ["11/11 bytes"],
        ["67.1/67.1 MB"],
        ["11/11 bytes"],
    ]
    rest = iter(
        "".join(line if len(line) == columns else f"{line}\n" for line in shown if line not in bars).splitlines()
    )
    told = [next(rest) for _ in files]
    assert [line for line in rest if line] == []
    if "json" in ending:
        documents = list(map(json.loads, told))
        assert [document["source"] for document in documents] == list(map(str, files))
        assert {document["object"]["key"] for document in documents if "object" in document} == keys
    else:
        failed = f"{missing}: The file cannot be read: No such file or directory. (file-unreadable)"
        # A pipe's reader prints when it likes, but never into a bar, nor into an error.
        assert told.count(failed) == 2
        links = [line.split(" ") for line in told if line != failed]
        assert {key for key, _ in links} == keys
        names = [link.rpartition("/")[2] for _, link in links]
        assert names == [notes.name, large.name, long.name]


def on_a_terminal(command: list[str], env: Mapping[str, str], columns: int = COLUMNS) -> tuple[str, int]:
    """Run a command on a terminal, and return what it wrote there."""
    master, slave = pty.openpty()
    terminal = {**os.environ, **env, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"}
    process = subprocess.Popen(command, env=terminal, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    with suppress(OSError):  # Linux says so when the other side is closed
        while select.select([master], [], [], 60)[0] and (data := os.read(master, 65_536)):
            shown += data
    os.close(master)
    return shown.decode(), process.wait(60)


def test_the_version_is_printed() -> None:
    said = say("--version")
    assert (said.stderr, said.exit_code) == ("", 0)
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\n", said.stdout)


ONLY_THE_CLIENT_EXTRA = """
import re, sys, tomllib
from pathlib import Path
extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
server, client = (
    {re.split("[^a-z-]", line)[0].replace("-", "_") for line in extras[extra]} for extra in ("server", "client")
)
for missing in (server | {"botocore", "jwt", "cryptography"}) - client - {"pydantic"}:  # which typer brings along
    sys.modules[missing] = None
from gateway.cli import app
app(sys.argv[1:], prog_name="gateway")
"""


@pytest.mark.parametrize("command", [["--help"], ["upload", "{notes}"], ["download", "{key}", "-o", "{notes}"]])
def test_the_commands_run_with_the_client_extra_alone(
    env: Mapping[str, str], notes: Path, site: Site, command: list[str]
) -> None:
    with Client(site.url, API_KEY) as client:
        key = client.upload(notes).object.key
    arguments = [argument.format(notes=notes, key=key) for argument in command]
    done = subprocess.run(
        [GATEWAY[0], "-c", ONLY_THE_CLIENT_EXTRA, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        cwd=ROOT,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stderr


def test_help_does_not_wait_for_what_only_a_transfer_needs() -> None:
    script = "import sys, gateway.cli; print({'httpx', 'rich.progress', 'gateway.client'} & sys.modules.keys())"
    done = subprocess.run([GATEWAY[0], "-c", script], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout == "set()\n"
