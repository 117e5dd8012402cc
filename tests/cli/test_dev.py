"""`gateway dev`: one command, and all that it prints works when pasted."""

import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.apps import verify_webhook
from gateway.cli.dev_files import env_file
from gateway.cli.dev_lines import say_warnings, say_work
from gateway.cli.environments import environment
from gateway.cli.ministack import LOCK
from gateway.content.media_types import MEDIA_TYPES
from tests.cli.commands import Running, run, running, say
from tests.servers.ministack import VENV

GIVEN_KEY = "gwk_abcdefgh_a-key-of-one-s-own-choice"
FRONT_END = "http://localhost:5173"


@dataclass(frozen=True, slots=True)
class Dev:
    """A running `gateway dev`, as its output tells it."""

    command: Running
    folder: Path

    @property
    def text(self) -> str:
        return "\n".join(self.command.stdout)

    def told(self, label: str) -> str:
        match = re.search(rf"^{label} {{2,}}(.*)$", self.text, re.MULTILINE)
        assert match, self.text
        return match[1]

    @property
    def url(self) -> str:
        page = urlsplit(self.told("Demo page"))
        return f"{page.scheme}://{page.netloc}"

    @property
    def s3_port(self) -> int:
        port = urlsplit(self.told("S3").partition(",")[0]).port
        assert port is not None
        return port

    def upload(self) -> dict[str, Any]:
        """Paste into bash what is printed for it, and return the status that it ends with."""
        pasted = self.text.partition("Upload a file")[2].partition("\n")[2].partition("Ready in")[0]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", pasted],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def sourced(self, script: str) -> str:
        """Run a script in bash after reading dev.env, as the documentation says."""
        return subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f'set -a; . data/dev.env; set +a; gateway() {{ "$PYTHON" -m gateway "$@"; }}; {script}',
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout


@contextmanager
def started(folder: Path, *flags: str, env: Mapping[str, str] | None = None) -> Iterator[Dev]:
    """Start it with its data in `folder`/data, where MiniStack is installed already."""
    (folder / "data").mkdir(exist_ok=True)
    environment(VENV, LOCK)
    installed = folder / "data" / "ministack-venv"
    if not installed.exists():
        installed.symlink_to(VENV)
    with running("dev", "--data-dir", "data", *flags, env=env, cwd=folder) as command:
        command.wait_for(lambda line: line.startswith("Ready in"))
        yield Dev(command, folder)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    env = {"GATEWAY_ALLOWED_ORIGINS": json.dumps([FRONT_END])}
    with started(tmp_path_factory.mktemp("dev"), "--port", "0", env=env) as dev:
        yield dev


def children(pid: int) -> list[int]:
    """List all that a process started, and what those started."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [each for child in found for each in children(child)]


def gone(pids: list[int], seconds: float = 15) -> bool:
    """Whether all the processes end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(_is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


def test_what_is_printed_for_curl_uploads_a_file_when_it_is_pasted_into_bash(dev: Dev) -> None:
    status = dev.upload()
    assert status["status"] == "stored"
    assert httpx.get(status["link"], follow_redirects=True).content == b"Hello from curl\n"


def test_the_demo_page_is_there_and_its_address_carries_a_pass_for_everything_that_dev_takes(dev: Dev) -> None:
    page = urlsplit(dev.told("Demo page"))
    fragment = parse_qs(page.fragment)
    assert httpx.get(f"{dev.url}{page.path}").status_code == 200
    answer = httpx.get(f"{dev.url}/v1/policies", headers={"authorization": f"Bearer {fragment['pass'][0]}"})
    (policy,) = answer.json()["policies"]
    assert fragment["policy"] == [policy["name"]] == ["default"]
    assert sorted(policy["content_types"]) == sorted(MEDIA_TYPES.keys() - {"application/octet-stream"})
    assert policy["max_size"] == 5 * 1024**3
    assert httpx.get(dev.told("API")).status_code == 200


def test_its_api_key_may_use_a_policy_for_uppy_and_active_storage_and_one_for_git_lfs(dev: Dev) -> None:
    answer = httpx.get(f"{dev.url}/v1/policies", headers={"authorization": f"Bearer {dev.told('API key')}"})
    default, lfs = answer.json()["policies"]
    assert [default["name"], lfs["name"]] == ["default", "lfs"]
    assert (lfs["content_types"], lfs["max_size"]) == (["application/octet-stream"], 5 * 1024**3)
    script = "from gateway.settings import load; tenant = load().tenant_values()['default']"
    told = dev.sourced(
        f'"$PYTHON" -c "{script}; print(*(sorted(policy.protocols) for policy in tenant.policies.values()))"'
    )
    assert told == "['active-storage', 'uppy'] ['git-lfs']\n"


def test_pages_of_its_own_and_of_the_origins_that_the_environment_names_are_let_in(dev: Dev) -> None:
    port = urlsplit(dev.url).port
    origins = [dev.url, f"http://localhost:{port}", FRONT_END, "http://localhost:5174"]
    bucket = f"http://127.0.0.1:{dev.s3_port}/gateway-dev/incoming/x"
    let_in = {
        url: [
            httpx.options(url, headers={"origin": origin, "access-control-request-method": method}).headers.get(
                "access-control-allow-origin"
            )
            == origin
            for origin in origins
        ]
        for url, method in ((f"{dev.url}/v1/uploads", "POST"), (bucket, "PUT"))
    }
    assert set(map(tuple, let_in.values())) == {(True, True, True, False)}, let_in
    told = dev.sourced('echo "$GATEWAY_ALLOWED_ORIGINS"')
    assert json.loads(told) == origins[:3]


@pytest.mark.parametrize("value", ["http://localhost:5173", '["localhost:5173"]', "[5173]"])
def test_an_origin_that_is_none_is_told_before_anything_starts(tmp_path: Path, value: str) -> None:
    flags = ("--port", "0", "--data-dir", str(tmp_path / "data"))
    said = run("dev", *flags, env={"GATEWAY_ALLOWED_ORIGINS": value})
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr == (
        "GATEWAY_ALLOWED_ORIGINS has to be a list of origins, as JSON: '[\"http://localhost:5173\"]'\n"
    )
    assert not (tmp_path / "data").exists()


def test_a_second_one_on_the_same_folder_is_refused_soon(dev: Dev) -> None:
    began = time.monotonic()
    said = run("dev", "--data-dir", "data", "--port", "0", cwd=dev.folder)
    assert time.monotonic() - began < 10  # 3 s on a machine that has nothing else to do
    folder = dev.folder.resolve() / "data"
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == f"another server uses {folder}: stop it, or choose another folder with --data-dir\n"
    assert dev.upload()["status"] == "stored"


def test_dev_env_has_exactly_the_documented_names_and_is_for_its_owner_alone(dev: Dev) -> None:
    files = [dev.folder / "data" / name for name in ("dev.env", "dev-secrets.json", "ministack-root.json")]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600, 0o600]
    names = [line.partition("=")[0] for line in files[0].read_text().splitlines()]
    assert names == [
        "GATEWAY_URL",
        "GATEWAY_API_KEY",
        "GATEWAY_SECRET_KEYS",
        "GATEWAY_TENANTS",
        "GATEWAY_BUCKET",
        "GATEWAY_REGION",
        "GATEWAY_STORAGE_ENDPOINT",
        "GATEWAY_EVENTS_QUEUE",
        "GATEWAY_ALLOWED_ORIGINS",
        "GATEWAY_DOCS",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "DEV_S3_ADMIN_ACCESS_KEY_ID",
        "DEV_S3_ADMIN_SECRET_ACCESS_KEY",
    ]


def test_dev_env_sourced_by_bash_lets_other_commands_work_against_it(dev: Dev) -> None:
    object_key = dev.upload()["object"]["key"]
    told = dev.sourced(
        f'gateway pass alice; gateway link "{object_key}"; gateway link "{object_key}" --direct; '
        'echo "$GATEWAY_URL"; echo "$GATEWAY_API_KEY"'
    )
    made, link, direct, url, api_key = told.splitlines()
    assert (url, api_key) == (dev.url, dev.told("API key"))
    assert httpx.get(f"{url}/v1/policies", headers={"authorization": f"Bearer {made}"}).status_code == 200
    assert httpx.get(link, follow_redirects=True).content == b"Hello from curl\n"
    assert httpx.get(direct).content == b"Hello from curl\n"


def test_the_admin_of_dev_env_may_look_into_the_bucket(dev: Dev) -> None:
    key = dev.upload()["object"]["key"]
    listed = dev.sourced(
        "AWS_ACCESS_KEY_ID=$DEV_S3_ADMIN_ACCESS_KEY_ID; AWS_SECRET_ACCESS_KEY=$DEV_S3_ADMIN_SECRET_ACCESS_KEY; "
        """"$PYTHON" -c 'import boto3, os
for object in boto3.client("s3").list_objects_v2(Bucket=os.environ["GATEWAY_BUCKET"])["Contents"]:
    print(object["Key"])'"""
    )
    assert key in listed.split()


@pytest.mark.threat(25)
def test_what_is_printed_of_requests_holds_no_token_and_no_key(dev: Dev) -> None:
    status = dev.upload()
    httpx.get(status["link"])
    line = dev.command.wait_for(lambda line: "GET /d/" in line)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  307  GET /d/…(/…)?  [\d.]+ ms", line)
    told = "\n".join(dev.command.stderr)
    assert dev.told("API key") not in told
    assert not re.search(r"eyJ|X-Amz|Signature", told)


def test_a_file_that_is_put_and_never_completed_is_stored(dev: Dev) -> None:
    ticket = put_only(dev)
    assert status_of(ticket, "stored")["object"]["filename"] == "left.txt"
    name = ticket["key"].rpartition("/")[2][:8]
    dev.command.wait_for(lambda line: line.endswith(f"  stored  default/{name}….txt  by the worker"))


def test_a_refused_request_is_printed_with_its_code(dev: Dev) -> None:
    assert httpx.get(f"{dev.url}/v1/policies").status_code == 401
    dev.command.wait_for(
        lambda line: re.fullmatch(r"[\d:]{8}  401  GET /v1/policies  [\d.]+ ms  unauthenticated", line) is not None
    )


TOML = """
[tenants.default.policies.few]
content_types = ["text/plain"]
max_size = 10
quota = { uploads = 1, window = 3600 }
"""


def test_policies_of_gateway_toml_are_covered_by_key_page_and_dev_env(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(TOML)
    with started(tmp_path, "--port", "0") as dev:
        bearers = {
            "key": dev.told("API key"),
            "page": parse_qs(urlsplit(dev.told("Demo page: few")).fragment)["pass"][0],
            "dev.env": dev.sourced("cd /; gateway pass --policy few").strip(),
        }
        covered = {
            name: sorted(
                each["name"]
                for each in httpx.get(f"{dev.url}/v1/policies", headers={"authorization": f"Bearer {bearer}"}).json()[
                    "policies"
                ]
            )
            for name, bearer in bearers.items()
        }
        wish = {"policy": "few", "filename": "a.txt", "content_type": "text/plain", "size": 1}
        headers = {"authorization": f"Bearer {bearers['key']}"}
        asked = [httpx.post(f"{dev.url}/v1/uploads", json=wish, headers=headers).status_code for _ in range(2)]
    assert covered == {"key": ["default", "few", "lfs"], "page": ["few"], "dev.env": ["few"]}
    assert asked == [201, 429]


def test_lines_of_the_worker_are_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # what say_warnings changes
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    upload = {"event": "upload", "key": f"incoming/default/p/{'0123456789abcdef' * 2}.png", "policy": "p", "ms": 1.0}
    say_warnings()
    logging.getLogger("gateway.worker.clamd").warning("the scanner is %s", "out")
    webhook = {"event": "webhook", "type": "upload.stored", "id": "msg_1"}
    for line in (
        {**upload, "outcome": "stored"},
        {**upload, "outcome": "infected"},
        {**upload, "outcome": "superseded"},
        {**upload, "outcome": "announced"},
        {**upload, "outcome": "scanner-unavailable", "again_in": 5},
        {"event": "scan", "verdict": "clean", "ms": 15.1},
        {**webhook, "result": "delivered"},
        {**webhook, "result": "undelivered", "why": "it answers 500"},
    ):
        say_work(line)
    assert re.sub(r"^\d\d:\d\d:\d\d  ", "", capsys.readouterr().err, flags=re.MULTILINE).splitlines() == [
        "warning  the scanner is out",
        "stored  p/01234567….png  by the worker",
        "rejected  p/01234567….png  by the worker: infected",
        "scanner-unavailable  p/01234567….png, again in 5 s",
        "scanned  clean  15.1 ms",
        "delivered  upload.stored  msg_1",
        "undelivered  upload.stored  msg_1: it answers 500",
    ]


def put_only(dev: Dev) -> dict[str, Any]:
    """Ask for a ticket, put the file, and go away."""
    wish = {"filename": "left.txt", "content_type": "text/plain", "size": 4}
    headers = {"authorization": f"Bearer {dev.told('API key')}"}
    ticket: dict[str, Any] = httpx.post(f"{dev.url}/v1/uploads", json=wish, headers=headers).json()
    httpx.put(ticket["upload"]["url"], content=b"left", headers=ticket["upload"]["headers"]).raise_for_status()
    return ticket


def status_of(ticket: Mapping[str, Any], awaited: str, seconds: float = 60) -> dict[str, Any]:
    """Ask until the status is as awaited, and return it."""
    deadline = time.monotonic() + seconds
    while (status := httpx.get(ticket["status_url"]).json())["status"] != awaited:
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    found: dict[str, Any] = status
    return found


def test_an_application_on_this_machine_is_told_of_uploads_signed_with_the_secret_that_is_printed(
    tmp_path: Path,
) -> None:
    heard: SimpleQueue[tuple[bytes, dict[str, str]]] = SimpleQueue()

    class Application(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put((self.rfile.read(int(self.headers["content-length"])), dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Application) as application:
        threading.Thread(target=application.serve_forever, daemon=True).start()
        url = f"http://localhost:{application.server_port}/hooks"
        with started(tmp_path, "--port", "0", "--webhook", url) as dev:
            key = put_only(dev)["key"]
            body, headers = heard.get(timeout=60)
            dev.command.wait_for(lambda line: "delivered  upload.stored  msg_" in line)
            secret = dev.told("Webhook secret")
            assert dev.sourced('echo "$WEBHOOK_SECRETS"') == f"{secret}\n"
            assert dev.command.signal(signal.SIGINT) == 0
        application.shutdown()
    told = verify_webhook(body, headers, [secret])
    assert (told.type, told.data["key"]) == ("upload.stored", key)
    assert secret not in "\n".join(dev.command.stderr)


@pytest.mark.parametrize("url", ["http://example.com/hooks", "ftp://localhost/", "", "http://user@localhost/"])
def test_an_address_that_webhooks_may_not_go_to_is_told_before_anything_starts(tmp_path: Path, url: str) -> None:
    said = run("dev", "--data-dir", "data", "--webhook", url, cwd=tmp_path)
    assert (said.stdout, said.exit_code) == ("", 2)
    assert re.fullmatch(r"--webhook has to be an https address [^\n]*\n", said.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["https://10.0.0.5/hooks", "https://169.254.169.254/latest"])
def test_an_address_where_nothing_would_arrive_is_told_before_anything_starts(tmp_path: Path, url: str) -> None:
    said = run("dev", "--data-dir", "data", "--webhook", url, cwd=tmp_path)
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr == "--webhook takes an address of this machine, or a public one\n"
    assert list(tmp_path.iterdir()) == []


def test_killed_without_warning_it_leaves_no_orphan_and_old_links_and_keys_work_after_the_next_start(
    tmp_path: Path,
) -> None:
    with started(tmp_path, "--port", "0") as first:
        link, api_key, url, s3_port = first.upload()["link"], first.told("API key"), first.url, first.s3_port
        orphans = children(first.command.process.pid)
        assert len(orphans) >= 2
        assert first.command.signal(signal.SIGKILL) == -signal.SIGKILL
    with started(tmp_path, "--port", str(urlsplit(url).port), "--s3-port", str(s3_port)) as second:
        assert gone(orphans)
        assert (second.url, second.told("API key")) == (url, api_key)
        assert httpx.get(link, follow_redirects=True).content == b"Hello from curl\n"
        assert second.upload()["status"] == "stored"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_both_servers(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, "--port", "0", "--api-key", GIVEN_KEY) as dev:
        answer = httpx.get(f"{dev.url}/v1/policies", headers={"authorization": f"Bearer {GIVEN_KEY}"})
        servers = children(dev.command.process.pid)
        assert dev.command.signal(number) == 0
        assert gone(servers)
    assert answer.status_code == 200
    assert GIVEN_KEY not in (tmp_path / "data" / "dev-secrets.json").read_text()
    assert [line for line in dev.command.stderr if not re.match(r"\d\d:\d\d:\d\d  200", line)] == []


@pytest.mark.parametrize("flag", ["--port", "--s3-port"])
def test_a_taken_port_is_told_in_one_line_with_the_flag_that_helps(tmp_path: Path, flag: str) -> None:
    environment(VENV, LOCK)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ministack-venv").symlink_to(VENV)
    with taken_port() as port:
        other = "--s3-port" if flag == "--port" else "--port"
        said = run("dev", "--data-dir", "data", flag, port, other, "0", cwd=tmp_path)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == f"port {port} is not free: choose another with {flag}\n"


def test_a_folder_that_cannot_be_made_is_told_in_one_line_with_the_flag_that_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = run("dev", "--data-dir", "file/data", "--port", "0", cwd=tmp_path)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "file/data cannot be made: choose another folder with --data-dir\n"


def test_an_api_key_of_another_form_is_refused_without_repeating_it() -> None:
    said = say("dev", "--api-key", "my-secret")
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr == "--api-key takes a key as 'gateway key new' makes them: gwk_<8 characters>_<16 or more>\n"


def test_secrets_that_cannot_be_read_are_told_by_their_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev-secrets.json").write_text("[]")
    environment(VENV, LOCK)
    (tmp_path / "data" / "ministack-venv").symlink_to(VENV)
    said = run("dev", "--data-dir", "data", "--port", "0", cwd=tmp_path)
    assert said.stderr == "data/dev-secrets.json cannot be read: remove it, and new secrets are made\n"
    assert said.exit_code == 1


def test_every_value_survives_the_shell() -> None:
    values = {
        "GATEWAY_A": 'a "b" $c `d` \\e',
        "GATEWAY_B": "it's",
        "GATEWAY_C": '["x y", "ü"]',
        "GATEWAY_D": "line\nline",
    }
    script = f"set -a; {env_file(values)}\nenv -0"
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    read = dict(pair.split("=", 1) for pair in told.split("\0") if pair.startswith("GATEWAY_"))
    assert read == values
