"""What Prometheus reads, on a port of its own, from several workers as one."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Run two workers, with a quota that nobody counts; give the gateway's port and that of its metrics."""
    port, metrics_port = free_port(), free_port()
    settings = {
        "GATEWAY_SECRET_KEYS": json.dumps([SECRET_KEY]),
        "GATEWAY_TENANTS": json.dumps({"default": tenant(API_KEY, APP_SECRET)}),
        "GATEWAY_TENANTS__DEFAULT__POLICIES__DEFAULT__QUOTA": '{"uploads": 1}',
        "GATEWAY_LIMITS_URL": f"redis+unix://{tmp_path}/nobody.sock",
        "AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000",
        "AWS_SECRET_ACCESS_KEY": "a-secret-that-signs-and-opens-nothing",
        "GATEWAY_BUCKET": "uploads",
        "GATEWAY_REGION": "eu-central-1",
        "GATEWAY_METRICS_PORT": str(metrics_port),
    }
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port), "--workers", "2"]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.DEVNULL)
    try:
        transport = httpx.HTTPTransport(retries=8)  # with a pause of 0.5 s that doubles
        with httpx.Client(transport=transport, timeout=30) as client:  # the port is taken before anybody answers
            client.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
        yield port, metrics_port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def counted(metrics_port: int) -> dict[str, str]:
    """Return what is counted, by its name and labels."""
    text = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    assert "PROPFIND" not in text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.threat(54)
def test_metrics_count_the_requests_of_all_workers_on_their_own_port_only(ports: tuple[int, int]) -> None:
    port, metrics_port = ports
    for _ in range(20):
        httpx.get(f"http://127.0.0.1:{port}/healthz")
    httpx.request("PROPFIND", f"http://127.0.0.1:{port}/healthz")
    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404

    found = counted(metrics_port)
    assert float(found['gateway_requests_total{method="GET",status="200"}']) >= 21
    assert found['gateway_requests_total{method="GET",status="404"}'] == "1.0"
    assert found['gateway_requests_total{method="other",status="405"}'] == "1.0"
    assert float(found["gateway_request_seconds_count"]) >= 23


@pytest.mark.threat(36)
def test_uploads_that_no_quota_counts_are_counted(ports: tuple[int, int]) -> None:
    port, metrics_port = ports
    wish = {"filename": "a.txt", "content_type": "text/plain", "size": 5}
    headers = {"authorization": f"Bearer {API_KEY}"}
    for _ in range(7):
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/uploads", json=wish, headers=headers)
        assert answer.status_code == 201, answer.text
    assert counted(metrics_port)["gateway_uncounted_uploads_total"] == "7.0"
