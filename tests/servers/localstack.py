"""LocalStack, run and prepared by the scripts of `localstack/` as a person would."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.child import spawn
from gateway.cli.provision import AccessKey
from tests.servers.s3 import ORIGINS, REGION, S3Server

SCRIPTS = Path(__file__).parents[2] / "localstack"
ADMIN = AccessKey("test", "test")
READY_WITHIN = 120.0  # seconds; 5 to 7 are usual, the first run installs it


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run it with its state in `folder`, the template of `infra/` deployed."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(SCRIPTS / "run.py"), f"--port={port}", f"--data-dir={folder / 'state'}"]
    child = spawn(command, env=os.environ, log=folder / "localstack.log")
    try:
        child.wait_for(f"{endpoint}/_localstack/health", READY_WITHIN)
        made = _prepare(endpoint)
        yield S3Server(
            name="localstack",
            endpoint=endpoint,
            region=made["GATEWAY_REGION"],
            bucket=made["GATEWAY_BUCKET"],
            access_key_id=made["AWS_ACCESS_KEY_ID"],
            secret_access_key=made["AWS_SECRET_ACCESS_KEY"],
            admin=ADMIN,
            queue=made["GATEWAY_EVENTS_QUEUE"],
        )
    finally:
        child.stop()


def _prepare(endpoint: str) -> dict[str, str]:
    origins = [f"--origin={origin}" for origin in ORIGINS]
    command = [sys.executable, str(SCRIPTS / "prepare.py"), f"--endpoint={endpoint}", f"--region={REGION}", *origins]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(assignment.split("=", 1) for assignment in shlex.split(done.stdout))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
