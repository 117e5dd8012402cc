"""Gateways over real S3 servers, and clients for them; waiting between attempts is cut short."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gateway.client import AsyncClient, Client, patience
from tests.client.sites import Site, standing
from tests.gateways import API_KEY
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def site(ministack: S3Server) -> Iterator[Site]:
    """Serve a gateway over MiniStack."""
    with standing(ministack) as site:
        yield site


@pytest.fixture(scope="session", params=["ministack", "localstack"])
def strict_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Serve a gateway over each of the servers that verify what is signed."""
    server: S3Server = request.getfixturevalue(request.param)
    with standing(server) as site:
        yield site


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing between attempts."""
    monkeypatch.setattr(patience, "BACK_OFF", 0.01)


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """Give the plain client."""
    with Client(site.url, API_KEY) as client:
        yield client


@pytest_asyncio.fixture
async def async_client(site: Site) -> AsyncIterator[AsyncClient]:
    """Give the client of coroutines."""
    async with AsyncClient(site.url, API_KEY) as client:
        yield client
