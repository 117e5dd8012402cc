"""`gateway serve`: several processes, socket files, and an orderly end."""

import json
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.cli.dev_files import as_variables
from gateway.cli.serve import warn
from gateway.settings import load
from tests.cli.commands import OFFLINE, SETTINGS, Running, run, running, say
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant
from tests.servers.s3 import S3Server


def variables(server: S3Server, **more: object) -> dict[str, str]:
    """Return the environment of a gateway over a server."""
    settings = {
        "secret_keys": [SECRET_KEY],
        "tenants": {"default": tenant(API_KEY, APP_SECRET)},
        "bucket": server.bucket,
        "region": server.region,
        "storage_endpoint": server.endpoint,
        **more,
    }
    credentials = {"AWS_ACCESS_KEY_ID": server.access_key_id, "AWS_SECRET_ACCESS_KEY": server.secret_access_key}
    return {**as_variables(settings), **credentials}


def events(command: Running) -> list[dict[str, object]]:
    """Return the lines of the log; each has to be a JSON object."""
    assert command.stdout == []
    return [json.loads(line) for line in command.stderr]


def address(command: Running) -> str:
    """Return where it listens, when it does."""
    line = command.wait_for(lambda line: '"listening"' in line)
    return f"http://{json.loads(line)['address']}"


def upload(client: httpx.Client) -> str:
    """Upload a file and return its link."""
    wish = {"filename": "a.txt", "content_type": "text/plain", "size": 5}
    ticket = client.post("/v1/uploads", json=wish, headers={"authorization": f"Bearer {API_KEY}"}).json()
    httpx.put(ticket["upload"]["url"], content=b"hello", headers=ticket["upload"]["headers"]).raise_for_status()
    link: str = client.post(f"/v1/uploads/{ticket['ticket']}/complete", json={}).json()["link"]
    return link


def test_two_workers_answer_on_one_port_and_end_in_order_when_told_to(ministack: S3Server) -> None:
    with running("serve", "--port", "0", "--workers", "2", env=variables(ministack)) as command:
        ready = httpx.get(f"{address(command)}/readyz", timeout=30)
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        command.wait_for(lambda _: sum("Application startup complete" in line for line in command.stderr) == 2)
        assert command.signal(signal.SIGTERM) == 0
    assert len({str(event["event"]) for event in events(command) if "Finished server" in str(event["event"])}) == 2


@pytest.mark.threat(25)
def test_the_log_of_a_whole_upload_at_debug_holds_no_token_no_key_and_no_signature(ministack: S3Server) -> None:
    with running("serve", "--port", "0", env=variables(ministack, log_level="debug")) as command:
        with httpx.Client(base_url=address(command)) as client:
            link = upload(client)
            assert httpx.get(link, follow_redirects=True).content == b"hello"
        assert command.signal(signal.SIGTERM) == 0
    requests = [event for event in events(command) if event["event"] == "request"]
    assert [event["status"] for event in requests] == [201, 200, 307]
    log = "\n".join(command.stderr)
    secrets = (API_KEY, APP_SECRET, SECRET_KEY, ministack.access_key_id, ministack.secret_access_key)
    assert [secret for secret in secrets if secret in log] == []
    assert not re.search(r"eyJ[A-Za-z0-9_-]{20}|X-Amz|[Ss]ignature|[Bb]earer", log)


def test_a_socket_file_is_served_as_a_trusted_proxy_s_and_removed_at_the_end(
    ministack: S3Server, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))  # and left behind, as by a process that was killed
    environment = variables(ministack, trusted_proxies=["unix"])
    with running("serve", "--uds", str(path), env=environment) as command:
        assert address(command) == f"http://{path}"
        command.wait_for(lambda line: "Application startup complete" in line)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
            plain = client.get("/healthz")
            secure = client.get("/healthz", headers={"x-forwarded-proto": "https"})
        assert command.signal(signal.SIGINT) == 0
    assert (plain.status_code, "strict-transport-security" in plain.headers) == (200, False)
    assert (secure.status_code, "strict-transport-security" in secure.headers) == (200, True)
    assert not path.exists()


def test_a_taken_port_is_told_in_one_line_with_the_flag_that_helps() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = run("serve", "--port", port, env=OFFLINE)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == f"port {port} is not free: choose another with --port\n"


def test_a_taken_port_for_metrics_is_told_in_one_line_with_its_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = {"GATEWAY_METRICS_PORT": str(other.getsockname()[1])}
        said = run("serve", "--port", "0", env={**OFFLINE, **taken})
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "GATEWAY_METRICS_PORT has to be a port that is free.\n"


@pytest.mark.threat(26)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_unusable_secret_ends_the_start_with_one_line_that_does_not_repeat_it(workers: str) -> None:
    said = run("serve", "--workers", workers, env={**OFFLINE, "GATEWAY_SECRET_KEYS": '["short-secret"]'})
    assert (said.stdout, said.exit_code) == ("", 1)
    assert re.fullmatch(r"GATEWAY_SECRET_KEYS [^\n]*32 bytes[^\n]*\n", said.stderr)
    assert "short-secret" not in said.stderr


@pytest.mark.parametrize(
    ("public_url", "storage", "warnings"),
    [
        ("https://files.example", "http://127.0.0.1:9", 1),
        ("https://files.example", "https://s3.example", 0),
        ("http://files.example", "http://127.0.0.1:9", 0),
        (None, "http://127.0.0.1:9", 0),
    ],
)
def test_the_start_warns_of_https_pages_over_http_storage(public_url: str | None, storage: str, warnings: int) -> None:
    with capture_logs() as events:
        warn(load(**SETTINGS, public_url=public_url, storage_endpoint=storage))
    told = [(event["log_level"], "GATEWAY_PUBLIC_STORAGE_ENDPOINT" in event["event"]) for event in events]
    assert told == [("warning", True)] * warnings


@pytest.mark.threat(36)
@pytest.mark.parametrize(
    ("workers", "quota", "limits_url", "warnings"),
    [
        (2, {"uploads": 5}, None, 1),
        (1, {"uploads": 5}, None, 0),
        (2, {"uploads": 5}, "redis://127.0.0.1", 0),
        (2, None, None, 0),
    ],
)
def test_the_start_warns_of_quotas_that_each_worker_counts_for_itself(
    workers: int, quota: dict[str, int] | None, limits_url: str | None, warnings: int
) -> None:
    policies = {"default": {"content_types": ["text/plain"], "max_size": 10, "quota": quota}}
    tenants = {"default": tenant(API_KEY, APP_SECRET, policies=policies)}
    with capture_logs() as events:
        warn(load(**{**SETTINGS, "tenants": tenants}, limits_url=limits_url), workers)
    assert [(event["log_level"], "GATEWAY_LIMITS_URL" in event["event"]) for event in events] == [
        ("warning", True)
    ] * warnings


@pytest.mark.threat(26)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_its_extra_a_redis_ends_the_start_with_one_line_that_does_not_repeat_its_password(
    tmp_path: Path, workers: str
) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "__init__.py").write_text("raise ImportError('no module named redis')")
    more = {"PYTHONPATH": str(tmp_path), "GATEWAY_LIMITS_URL": "redis://:hunter2@127.0.0.1:1"}
    said = run("serve", "--port", "0", "--workers", workers, env={**OFFLINE, **more})
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "GATEWAY_LIMITS_URL needs the extra 'redis': in a clone, pip install '.[redis]'.\n"


@pytest.mark.threat(25)
def test_the_password_of_a_redis_that_is_down_is_in_no_line_of_the_log(ministack: S3Server, tmp_path: Path) -> None:
    policies = {"default": {"content_types": ["text/plain"], "max_size": 10, "quota": {"uploads": 5}}}
    tenants = {"default": tenant(API_KEY, APP_SECRET, policies=policies)}
    url = f"redis+unix://user:hunter2@{tmp_path}/nobody.sock"
    environment = variables(ministack, tenants=tenants, limits_url=url, log_level="debug")
    with running("serve", "--port", "0", env=environment) as command:
        with httpx.Client(base_url=address(command)) as client:
            upload(client)
        assert command.signal(signal.SIGTERM) == 0
    told = [event["event"] for event in events(command) if event["level"] == "warning"]
    assert told == ["the store of quotas does not answer: ConnectionError"]
    assert "hunter2" not in "\n".join(command.stderr)


def test_wrong_usage_is_one_line_and_exit_code_2() -> None:
    said = say("serve", "--prot", "1")
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr.startswith("No such option: --prot")
    assert said.stderr.endswith(": see 'gateway serve --help'\n")
    assert said.stderr.count("\n") == 1
