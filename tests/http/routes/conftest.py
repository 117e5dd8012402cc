"""A gateway over MiniStack, called in-process by an API key that may do everything."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateways import calling, make_app
from tests.servers.s3 import S3Server


@pytest.fixture
async def client(ministack: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway."""
    async with calling(make_app(ministack)) as client:
        yield client


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the bucket, as a browser would: with nothing but what the gateway has presigned."""
    async with httpx.AsyncClient() as client:
        yield client
