"""Real servers for every test that asks: started once for a worker, or once for the run, and stopped at its end."""

import os
from collections.abc import Iterator

import pytest

from tests.servers import ministack as ministack_server
from tests.servers import moto_server
from tests.servers.s3 import S3Server


def pytest_configure() -> None:
    """Let nothing that the developer has in the environment, or under ~/.aws, steer a test."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GATEWAY_"))]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"
    )


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Verifies signatures and enforces IAM and policies; each worker has its own."""
    with ministack_server.running(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """Keeps state, verifies nothing; runs in the worker itself."""
    with moto_server.running() as server:
        yield server


@pytest.fixture(scope="session", params=["moto", "ministack"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each of the S3 servers in turn: what holds for it holds for all, but for `tests.servers.known`."""
    server: S3Server = request.getfixturevalue(request.param)
    return server
