"""MiniStack, as `gateway dev` starts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli import ministack
from tests.servers.s3 import ORIGINS, REGION, S3Server

VENV = Path(__file__).parents[2] / ".venv-ministack"


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run it with its state in `folder`."""
    server = ministack.start(folder, origins=ORIGINS, bucket="gateway-test", region=REGION, venv=VENV)
    try:
        yield S3Server(
            name="ministack",
            endpoint=server.endpoint,
            region=server.region,
            bucket=server.bucket,
            access_key_id=server.gateway.access_key_id,
            secret_access_key=server.gateway.secret_access_key,
            admin=server.admin,
            queue=server.queue,
        )
    finally:
        server.stop()
