"""A gateway over MiniStack, over each server that enforces tickets, and over none; called in-process by an API key."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateways import calling, make_app
from tests.http.routes.flow import NOW, NOWHERE, TENANTS
from tests.servers.s3 import S3Server


@pytest.fixture
async def client(ministack: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway, with an API key that may do everything."""
    async with calling(make_app(ministack, tenants=TENANTS)) as client:
        yield client


@pytest.fixture
async def offline() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that has no bucket, at a time that stands still: what it answers, it answers by itself."""
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)) as client:
        yield client


@pytest.fixture(params=["ministack", "localstack"])
def strict(request: pytest.FixtureRequest) -> S3Server:
    """Each of the servers that verify what a ticket signs."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
async def strict_client(strict: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway over a server that verifies what a ticket signs."""
    async with calling(make_app(strict, tenants=TENANTS)) as client:
        yield client


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the bucket, as a browser would: with nothing but what the gateway has presigned."""
    async with httpx.AsyncClient() as client:
        yield client
