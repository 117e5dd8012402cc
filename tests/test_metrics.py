"""What Prometheus reads, on a port of its own, from several workers as one."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Run two workers; give the gateway's port and that of its metrics."""
    port, metrics_port = free_port(), free_port()
    settings = {
        "GATEWAY_SECRET_KEYS": json.dumps([SECRET_KEY]),
        "GATEWAY_TENANTS": json.dumps({"default": tenant(API_KEY, APP_SECRET)}),
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


@pytest.mark.threat(54)
def test_metrics_count_the_requests_of_all_workers_on_their_own_port_only(ports: tuple[int, int]) -> None:
    port, metrics_port = ports
    for _ in range(20):
        httpx.get(f"http://127.0.0.1:{port}/healthz")
    httpx.request("PROPFIND", f"http://127.0.0.1:{port}/healthz")
    assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404

    text = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text

    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(counted['gateway_requests_total{method="GET",status="200"}']) >= 21
    assert counted['gateway_requests_total{method="GET",status="404"}'] == "1.0"
    assert counted['gateway_requests_total{method="other",status="405"}'] == "1.0"
    assert float(counted["gateway_request_seconds_count"]) >= 23
    assert "PROPFIND" not in text
