"""A gateway over Ceph that speaks the dialects."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.routes.conftest import AppOver, speaking
from tests.protocols.conftest import offline, uppy_over
from tests.servers.s3 import S3Server

__all__ = ["offline", "uppy_over"]


@pytest.fixture
async def client(ceph: S3Server, uppy_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    async with speaking(uppy_over(ceph)) as client:
        yield client
