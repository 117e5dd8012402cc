"""The servers under load, asked in turn: one worker each, all on one core, and wrk on another."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.bench.place import API_KEY, AWS_ENVIRONMENT, ROOT

SCRIPT = Path(__file__).with_name("requests.lua")
START_SECONDS = 30.0
HEADERS = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
MODULES = {
    "gateway": "tests.bench.gateway_app",
    "no-op": "tests.bench.baselines.noop",
    "plain": "tests.bench.baselines.plain",
}


class BenchError(Exception):
    """Something that makes the figures worthless: a server that does not start, or a wrong answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server on loopback."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]" = field(repr=False)
    client: httpx.Client = field(repr=False)

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_microseconds(self) -> float:
        """CPU time of all its threads so far, from the scheduler's own account (proc(5), schedstat)."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e3


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk is to send: requests (path and body) in turn, over so many connections, for so many seconds."""

    method: str
    requests: Sequence[tuple[str, str]]
    connections: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of wrk measured."""

    per_second: float
    cpu_microseconds: float
    p50_ms: float
    p99_ms: float


@contextmanager
def servers() -> Iterator[Mapping[str, Server]]:
    """Start all servers, and stop them; raises BenchError where one does not start, or wrk is missing."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed: apt-get install wrk")
    with ExitStack() as stack:
        yield {name: stack.enter_context(_server(name, module)) for name, module in MODULES.items()}


@contextmanager
def _server(name: str, module: str) -> Iterator[Server]:
    port = _free_port()
    environment = {
        variable: value for variable, value in os.environ.items() if not variable.startswith(("AWS_", "GATEWAY_"))
    }
    command = [*_pinned(-1), sys.executable, "-m", module, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env={**environment, **AWS_ENVIRONMENT})
    try:
        with httpx.Client(headers=HEADERS, timeout=30, trust_env=False, verify=False) as client:  # noqa: S501 - plain http
            server = Server(name, port, process, client)
            _wait_for(server)
            yield server
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError(f"the {server.name} server did not start")


def ask(server: Server, method: str, path: str, body: str, expected: int) -> httpx.Response:
    """Send one request and raise BenchError unless the answer has the expected status."""
    response = server.client.request(method, server.url + path, content=body)
    if response.status_code != expected:
        raise BenchError(f"{server.name}: {method} answered {response.status_code}, not {expected}: {response.text}")
    return response


def run(server: Server, load: Load, file: Path) -> Result:
    """Let wrk send the load; raises BenchError when any answer is not 2xx or 3xx, or anything else goes wrong."""
    file.write_text("".join(f"{path}\t{body}\n" for path, body in load.requests))
    options = ["-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "30s", "-s", str(SCRIPT), server.url]
    arguments = ["--", str(file), load.method, HEADERS["authorization"]]
    before = server.cpu_microseconds()
    wrk = subprocess.run(
        [*_pinned(-2), "wrk", *options, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=load.seconds + START_SECONDS,
    )
    spent = server.cpu_microseconds() - before
    if wrk.returncode != 0:
        raise BenchError(f"wrk failed: {wrk.stderr}")
    counted = json.loads(wrk.stdout.splitlines()[-1])
    if counted["refused"] or counted["broken"] or not counted["requests"]:
        raise BenchError(f"{server.name}: {wrk.stdout}")
    return Result(
        counted["requests"] / counted["microseconds"] * 1e6,
        spent / counted["requests"],
        counted["p50"] / 1e3,
        counted["p99"] / 1e3,
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _pinned(core: int) -> list[str]:
    """Return the command that pins to one of the cores we have, counted from the end; nothing where there is one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1 or shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", str(cores[core])]
