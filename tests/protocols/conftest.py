"""A gateway that speaks dialects over each server that enforces what it signs, and over none; and Chromium."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI

from tests.browser.conftest import browser, page
from tests.gateways import calling, make_app
from tests.http.routes.conftest import AppOver, bucket, speaking, strict
from tests.http.routes.flow import NOW, NOWHERE
from tests.protocols.uppy_flow import TENANTS
from tests.servers.s3 import S3Server

__all__ = ["browser", "bucket", "page", "strict"]


@pytest.fixture(scope="session")
def uppy_over() -> Iterator[AppOver]:
    """Return the one gateway over a server whose policies speak to Uppy."""
    made: dict[str, FastAPI] = {}

    def find(server: S3Server) -> FastAPI:
        if server.name not in made:
            made[server.name] = make_app(server, tenants=TENANTS)
        return made[server.name]

    yield find
    for app in made.values():
        asyncio.run(app.state.gateway.close())


@pytest.fixture
async def client(ministack: S3Server, uppy_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway, with an API key that may do everything."""
    async with speaking(uppy_over(ministack)) as client:
        yield client


@pytest.fixture
async def strict_client(strict: S3Server, uppy_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway over each server that verifies what is signed."""
    async with speaking(uppy_over(strict)) as client:
        yield client


@pytest.fixture
async def offline() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that has no bucket, at a time that stands still: what it answers, it answers by itself."""
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)) as client:
        yield client
