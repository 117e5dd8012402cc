"""What answers may be anybody: it names no hidden file, takes nobody's files, and ends a call with an error of ours."""

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from gateway.client import Client, FileError, GatewayError, RefusedError
from tests.client.hostile import Hostile, Saying, hostile

MIB = b"0" * 2**20
DEEP = b"[" * 100_000
ETAG = "0123456789abcdef"
TEN = Saying(b"0123456789", headers={"etag": f'"{ETAG}"'})
LONG = "a" * 244
LONGEST = f"{'é' * 125}a.txt"  # 255 bytes
SINGLE = {"method": "PUT", "url": "http://127.0.0.1:9/", "headers": {}}
TICKET = {"ticket": "a", "upload": SINGLE, "multipart": None}
STATUS: Mapping[str, object] = {
    "status": "uploading",
    "object": None,
    "problem": None,
    "parts": [],
    "retry_after": None,
}


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


@pytest.fixture
def client(server: Hostile) -> Iterator[Client]:
    with Client(server.url, "a-key") as client:
        yield client


def described(text: str) -> Mapping[str, str]:
    return {"x-amz-meta-description": base64.urlsafe_b64encode(text.encode()).decode()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/r/.bashrc", "bashrc"),
        ("/r/...%20.%E3%80%80.profile", "profile"),
        ("/r/%1b%5d0%3bpwned%07.txt", "]0;pwned.txt"),
        ("/r/a%00b", "ab"),
        ("/r/..%2f..%2f.ssh%2f.config", "config"),
        ("/r/..%5c.config", "config"),
        ("/r/%e2%80%ae.txt", "txt"),
        ("/r/.con", "_con"),
        ("/r/%2e%2e", "download"),
        ("/r/", "download"),
        (f"/r/{'a' * 256}", "download"),
        (f"/r/{LONG}", LONG),
    ],
)
def test_a_link_names_no_hidden_file_and_no_other_folder(
    client: Client, server: Hostile, tmp_path: Path, path: str, name: str
) -> None:
    fetched = client.download(f"{server.url}{path}", tmp_path)
    assert (fetched.path, names(tmp_path)) == (tmp_path / name, [name])


@pytest.mark.parametrize("text", ['{"name": ".bashrc"}', '{"name": "\\u001b.bashrc"}', '{"name": ". .bashrc"}'])
def test_what_an_object_is_described_as_names_no_hidden_file(
    client: Client, server: Hostile, tmp_path: Path, text: str
) -> None:
    server.sayings["/r/notes.txt"] = Saying(b"0123456789", headers=described(text))
    assert client.download(f"{server.url}/r/notes.txt", tmp_path).path == tmp_path / "bashrc"


@pytest.mark.parametrize("text", ["[" * 12_000, '{"name": 5}', '{"name": "\\ud800"}', "null"])
def test_what_describes_nothing_is_as_good_as_none(client: Client, server: Hostile, tmp_path: Path, text: str) -> None:
    server.sayings["/r/notes.txt"] = Saying(b"0123456789", headers=described(text))
    fetched = client.download(f"{server.url}/r/notes.txt", tmp_path)
    assert (fetched.path, fetched.verified) == (tmp_path / "notes.txt", False)


def test_files_beside_the_target_that_are_not_its_own_stay(client: Client, server: Hostile, tmp_path: Path) -> None:
    link = f"{server.url}/r/data.bin"
    server.sayings["/r/data.bin"] = TEN
    strangers = ["data.bin.firefox.part", f"data.bin.{ETAG}.part", "data.bin.a.b.gateway-part", "data.txt"]
    for name in strangers:
        (tmp_path / name).write_text("precious")
    (tmp_path / "data.bin.folder.gateway-part").mkdir()
    client.download(link, tmp_path)
    assert names(tmp_path) == sorted([*strangers, "data.bin", "data.bin.folder.gateway-part"])
    assert {(tmp_path / name).read_text() for name in strangers} == {"precious"}


def symbolic(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def hard(path: Path, outside: Path) -> None:
    path.hardlink_to(outside)


def piped(path: Path, _outside: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("laid", [symbolic, hard, piped])
def test_what_lies_where_it_would_write_is_neither_followed_nor_taken_up_nor_removed(
    client: Client, server: Hostile, tmp_path: Path, laid: Callable[[Path, Path], None]
) -> None:
    server.sayings["/r/data.bin"] = TEN
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "in").mkdir()
    trap = tmp_path / "in" / f"data.bin.{ETAG}.gateway-part"
    laid(trap, outside)
    with pytest.raises(FileError) as raised:
        client.download(f"{server.url}/r/data.bin", tmp_path / "in" / "data.bin")
    assert raised.value.code == "file-unwritable"
    assert (names(tmp_path / "in"), outside.read_text()) == ([trap.name], "precious")


def test_a_plain_file_of_another_user_is_neither_taken_up_nor_removed(
    client: Client, server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sayings["/r/data.bin"] = TEN
    trap = tmp_path / f"data.bin.{ETAG}.gateway-part"
    trap.write_text("precious")
    owner = trap.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)  # only root could give the file away instead
    with pytest.raises(FileError) as raised:
        client.download(f"{server.url}/r/data.bin", tmp_path / "data.bin")
    assert raised.value.detail == "The file cannot be written: what lies beside it is another's."
    assert (names(tmp_path), trap.read_text()) == ([trap.name], "precious")


@pytest.mark.parametrize("name", [LONG, LONGEST])
def test_a_long_name_is_fetched_and_gone_on_with(client: Client, server: Hostile, tmp_path: Path, name: str) -> None:
    headers = {"etag": f'"{"a" * 80}"'}
    server.sayings["/r/long"] = Saying(MIB, headers={**headers, "content-length": str(len(MIB) + 1)})
    with pytest.raises(GatewayError):
        client.download(f"{server.url}/r/long", tmp_path / name)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == MIB
    last = len(MIB) - 1
    server.sayings["/r/long"] = Saying(b"0a", 206, {**headers, "content-range": f"bytes {last}-{last + 1}/{last + 2}"})
    client.download(f"{server.url}/r/long", tmp_path / name)
    assert (names(tmp_path), (tmp_path / name).read_bytes()) == ([name], MIB + b"a")


def test_a_name_that_is_too_long_is_an_error(client: Client, server: Hostile, tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        client.download(f"{server.url}/r/data.bin", tmp_path / ("a" * 256))
    assert raised.value.detail == "The file cannot be written: File name too long."
    assert names(tmp_path) == []


def test_an_etag_that_no_request_can_carry_is_an_error(client: Client, server: Hostile, tmp_path: Path) -> None:
    server.sayings["/r/data.bin"] = Saying(MIB, headers={"etag": '"\xe9"', "content-length": str(len(MIB) + 1)})
    with pytest.raises(GatewayError) as raised:
        client.download(f"{server.url}/r/data.bin", tmp_path / "data.bin")
    assert raised.value.code == "unexpected"


@pytest.mark.parametrize("location", ["http://[::z]/", "http://127.0.0.1:99999/", "/\x7f", "ftp://127.0.0.1/"])
def test_a_redirect_to_what_is_no_address_is_an_error(
    client: Client, server: Hostile, tmp_path: Path, location: str
) -> None:
    server.sayings["/r/data.bin"] = Saying(b"", 302, {"location": location})
    with pytest.raises(GatewayError) as raised:
        client.download(f"{server.url}/r/data.bin", tmp_path / "data.bin")
    assert raised.value.code in {"unexpected", "storage-unreachable"}


@pytest.mark.parametrize(
    "saying",
    [
        Saying(b"no gzip", headers={"content-encoding": "gzip"}),
        Saying(DEEP),
        Saying(b"[]"),
        *(
            Saying(json.dumps({**TICKET, **changes}).encode())
            for changes in (
                {"ticket": 5},
                {"ticket": "\ud800"},
                {"upload": None},
                {"upload": {**SINGLE, "method": 5}},
                {"upload": {**SINGLE, "headers": {"x-a": "\xe9"}}},
                {"upload": {**SINGLE, "headers": {"x-a": 5}}},
                {"upload": None, "multipart": {"part_size": 0}},
                {"upload": None, "multipart": {"part_size": 1e999}},
                {"upload": None, "multipart": {"part_size": 1}},
            )
        ),
    ],
)
def test_a_ticket_that_is_none_is_an_error(client: Client, server: Hostile, tmp_path: Path, saying: Saying) -> None:
    (tmp_path / "notes.txt").write_text("some notes\n")
    server.sayings["/v1/uploads"] = saying
    with pytest.raises(GatewayError) as raised:
        client.upload(tmp_path / "notes.txt")
    assert raised.value.code == "unexpected"


@pytest.mark.parametrize("signed", [[], [SINGLE, SINGLE], [{**SINGLE, "url": 5}]])
def test_parts_that_nobody_asked_for_are_an_error(
    client: Client, server: Hostile, tmp_path: Path, signed: list[object]
) -> None:
    (tmp_path / "notes.txt").write_text("some notes\n")
    divided = {**TICKET, "upload": None, "multipart": {"part_size": 8 * 2**20}}
    server.sayings["/v1/uploads"] = Saying(json.dumps(divided).encode())
    server.sayings["/v1/uploads/a/parts"] = Saying(json.dumps({"parts": signed}).encode())
    with pytest.raises(GatewayError) as raised:
        client.upload(tmp_path / "notes.txt")
    assert raised.value.code == "unexpected"


def test_a_stream_that_is_to_go_in_one_piece_is_an_error(client: Client, server: Hostile) -> None:
    server.sayings["/v1/uploads"] = Saying(json.dumps(TICKET).encode())
    with pytest.raises(GatewayError) as raised:
        client.publish([bytes(9 * 2**20)], filename="data.bin")
    assert raised.value.code == "unexpected"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": []},
        {"retry_after": "soon"},
        {"parts": [{"part_number": "1", "size": 1, "etag": ""}]},
        {"problem": {"status": "409"}},
    ],
)
def test_a_status_that_is_none_is_an_error(client: Client, server: Hostile, changes: Mapping[str, object]) -> None:
    server.sayings["/v1/uploads/a"] = Saying(json.dumps({**STATUS, **changes}).encode())
    with pytest.raises(GatewayError) as raised:
        client.status("a")
    assert raised.value.code == "unexpected"


def test_a_refusal_that_is_nested_too_deeply_says_nothing(client: Client, server: Hostile) -> None:
    server.sayings["/v1/links"] = Saying(DEEP, 403, {"content-type": "application/problem+json"})
    with pytest.raises(RefusedError) as raised:
        client.link("objects/default/default/0123456789abcdef0123456789abcdef.png")
    assert raised.value.detail == "The gateway answered 403, and did not say why."
