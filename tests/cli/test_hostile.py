"""What `gateway upload` and `gateway download` print, and how they end, when anybody at all answers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.commands import run, say
from tests.client.hostile import Hostile, Saying, hostile

STEERING = "\x1b]0;pwned\x07\n"
SHOWN = "\ufffd]0;pwned\ufffd\ufffd"
PROBLEM = {"content-type": "application/problem+json"}
KEY = "objects/default/default/0123456789abcdef0123456789abcdef.png"


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


@pytest.fixture
def env(server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.setattr("gateway.client.patience.BACK_OFF", 0.001)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    return {"GATEWAY_URL": server.url, "GATEWAY_API_KEY": "a-key", "XDG_STATE_HOME": str(tmp_path / "state")}


def refused(**changes: object) -> Saying:
    body = {"code": "forbidden", "detail": "No.", **changes}
    return Saying(json.dumps(body).encode(), 403, PROBLEM)


def test_a_hostile_link_writes_no_hidden_file_and_steers_no_terminal(env: Mapping[str, str], server: Hostile) -> None:
    links = [f"{server.url}/r/{name}" for name in (".bashrc", "%1b%5d0%3bpwned%07.txt", "a%00b")]
    said = say("download", *links, env=env)
    assert (said.stdout, said.stderr, said.exit_code) == ("bashrc\n]0;pwned.txt\nab\n", "", 0)
    assert sorted(path.name for path in Path().iterdir()) == ["]0;pwned.txt", "ab", "bashrc"]


def test_a_path_is_printed_without_what_would_steer_a_terminal(env: Mapping[str, str], server: Hostile) -> None:
    said = say("download", f"{server.url}/r/a", "-o", f"{STEERING}.txt", env=env)
    assert (said.stdout, said.exit_code) == (f"{SHOWN}.txt\n", 0)
    assert [path.name for path in Path().iterdir()] == [f"{STEERING}.txt"]


def test_what_a_refusal_says_steers_no_terminal(env: Mapping[str, str], server: Hostile) -> None:
    server.sayings["/v1/links"] = refused(code=STEERING, detail=f"No. {STEERING}\ud800")
    said = say("download", KEY, env=env)
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{KEY}: No. {SHOWN}\ufffd ({SHOWN})\n", 3)


def test_what_an_upload_is_said_to_be_stored_as_steers_no_terminal(env: Mapping[str, str], server: Hostile) -> None:
    Path("notes.txt").write_text("some notes\n")
    single = {"method": "POST", "url": f"{server.url}/bucket", "headers": {}}
    texts = dict.fromkeys(("content_type", "filename", "etag", "principal"), STEERING)
    stored: Mapping[str, object] = {
        **texts,
        "key": f"key{STEERING}",
        "size": 11,
        "checksum_sha256": None,
        "checksum_type": None,
        "metadata": {},
        "stored_at": "2026-11-21T00:00:00Z",
    }
    done: Mapping[str, object] = {
        "status": "stored",
        "object": stored,
        "receipt": "",
        "link": STEERING,
        "problem": None,
        "parts": [],
    }
    ticket = {"ticket": "a", "upload": single, "multipart": None}
    server.sayings["/v1/uploads"] = Saying(json.dumps(ticket).encode())
    server.sayings["/v1/uploads/a/complete"] = Saying(json.dumps({**done, "retry_after": None}).encode())
    said = say("upload", "notes.txt", env=env)
    assert (said.stdout, said.stderr, said.exit_code) == (f"key{SHOWN} {SHOWN}\n", "", 0)


@pytest.mark.parametrize(
    "saying",
    [
        Saying(b"no gzip", headers={"content-encoding": "gzip"}),
        Saying(b"[" * 100_000),
        Saying(b'{"ticket": 5, "upload": null, "multipart": {"part_size": 8388608}}'),
    ],
)
def test_an_upload_to_what_is_no_gateway_ends_with_a_line(
    env: Mapping[str, str], server: Hostile, saying: Saying
) -> None:
    Path("notes.txt").write_text("some notes\n")
    server.sayings["/v1/uploads"] = saying
    said = say("upload", "notes.txt", env=env)
    line = "notes.txt: What answers at that address is no gateway. (unexpected)\n"
    assert (said.stdout, said.stderr, said.exit_code) == ("", line, 3)


def test_after_each_failure_the_next_one_starts_and_each_has_its_document(
    env: Mapping[str, str], server: Hostile
) -> None:
    long = "a" * 244
    server.sayings["/r/deep"] = Saying(b"[" * 100_000, 403, PROBLEM)
    server.sayings["/r/steering"] = refused(detail=STEERING)
    server.sayings["/r/away"] = Saying(b"", 302, {"location": "http://127.0.0.1:99999/"})
    server.sayings["/r/short"] = Saying(b"0", headers={"content-length": "2"})
    links = [f"{server.url}/r/{name}" for name in ("deep", "steering", "away", "short", "a%00b", long, "last")]
    said = run("download", "--json", "http://[::z]/", *links, KEY, env=env)
    documents = [json.loads(line) for line in said.stdout.splitlines()]
    told = [each.get("path") or each["error"]["code"] for each in documents]
    codes = ["unexpected", "unexpected", "forbidden", "unexpected", "storage-unreachable"]
    assert told == [*codes, "ab", long, "last", "unexpected"]
    assert (said.stderr, said.exit_code) == ("", 4)


@pytest.mark.parametrize(
    "link", ["http://[::z]/", "http://", "http://user:secret@127.0.0.1:9/a", "http://127.0.0.1:99999/a"]
)
def test_a_link_that_is_none_is_told_without_a_word_of_variables(env: Mapping[str, str], link: str) -> None:
    said = say("download", link, env=env)
    assert (said.stdout, said.exit_code in {3, 4}) == ("", True)
    assert "GATEWAY_URL" not in said.stderr
    assert "secret" not in said.stderr


def test_an_output_whose_name_is_too_long_is_told(env: Mapping[str, str], server: Hostile) -> None:
    said = say("download", f"{server.url}/r/a", "-o", "a" * 256, env=env)
    assert said.stderr == "r/a: The file cannot be written: File name too long. (file-unwritable)\n"
    assert say("download", KEY, KEY, "-o", "a" * 256, env=env).exit_code == 2
