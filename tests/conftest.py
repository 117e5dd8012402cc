"""Real servers for every test that asks: started once for a worker, or once for the run, and stopped at its end."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import clamd as clamd_server
from tests.servers import ministack as ministack_server
from tests.servers import moto_server
from tests.servers.clamd import ClamdServer
from tests.servers.nginx import Certificate
from tests.servers.s3 import S3Server
from tests.servers.shared import Leader, ask

DOOR = "localstack_door"
LEADER = pytest.StashKey[Leader]()
FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Let nothing in the environment, or under ~/.aws, steer a test; let the leader of the run share a server."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GATEWAY_"))]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"
    )
    if not hasattr(config, "workerinput"):
        config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="gateway-tests-", ignore_cleanup_errors=True)
        config.stash[LEADER] = Leader(Path(config.stash[FOLDER].name))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist does not name its type
    """Tell a worker where to ask."""
    node.workerinput[DOOR] = node.config.stash[LEADER].door()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run shared."""
    if LEADER in config.stash:
        config.stash[LEADER].stop()
        config.stash[FOLDER].cleanup()


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


@pytest.fixture(scope="session")
def localstack(request: pytest.FixtureRequest) -> S3Server:
    """Verifies presigned requests, ignores IAM; all workers share it, and `infra/template.yaml` made its bucket."""
    worker: dict[str, Any] | None = getattr(request.config, "workerinput", None)
    return ask(worker[DOOR]) if worker else request.config.stash[LEADER].localstack()


@pytest.fixture(scope="session", params=["moto", "ministack", "localstack"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each of the S3 servers in turn: what holds for one holds for all, but for `tests.servers.known`."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For TLS on 127.0.0.1 and localhost; `certificate.context()` trusts it."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamdServer]:
    """Finds `EICAR` and `MARKER` of `tests.servers.clamd`; each worker has its own, which starts in no time."""
    with clamd_server.running(tmp_path_factory.mktemp("clamd")) as server:
        yield server
