"""A gateway over MiniStack, over each server that enforces tickets, and over none; called in-process by an API key."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from tests.gateways import API_KEY, BASE_URL, calling, make_app
from tests.http.routes.flow import NOW, NOWHERE, TENANTS, bearer
from tests.servers.s3 import S3Server

AppOver = Callable[[S3Server], FastAPI]


@pytest.fixture(scope="session")
def app_over() -> Iterator[AppOver]:
    """Return the one gateway over a server: to make boto3's client takes longer than most tests."""
    made: dict[str, FastAPI] = {}

    def find(server: S3Server) -> FastAPI:
        if server.name not in made:
            made[server.name] = make_app(server, tenants=TENANTS)
        return made[server.name]

    yield find
    for app in made.values():
        asyncio.run(app.state.gateway.close())


@asynccontextmanager
async def speaking(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that others go on to use."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=bearer(API_KEY)) as client:
        yield client


@pytest.fixture
async def client(ministack: S3Server, app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway, with an API key that may do everything."""
    async with speaking(app_over(ministack)) as client:
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
async def strict_client(strict: S3Server, app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway over a server that verifies what a ticket signs."""
    async with speaking(app_over(strict)) as client:
        yield client


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the bucket, as a browser would: with nothing but what the gateway has presigned."""
    no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the store speaks http, and to load them takes a while
    async with httpx.AsyncClient(verify=no_certificates) as client:
        yield client
