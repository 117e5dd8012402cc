"""Ceph for every fixture that stands for a server elsewhere, so that tests of other modules can be run over it."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.ceph.differences import STATING_CHECKSUMS, reason_to_fail
from tests.gateways import API_KEY, BASE_URL
from tests.http.routes.conftest import AppOver, app_over, bucket
from tests.http.routes.flow import bearer
from tests.s3.subjects import Subject, on_server, opened, place_of
from tests.servers import ceph as ceph_server
from tests.servers.s3 import S3Server

__all__ = ["app_over", "bucket"]  # fixtures


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Verify what a ticket signs, in C++; keep no checksums."""
    with ceph_server.running(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(ceph: S3Server) -> S3Server:
    """Stand for the server that enforces most, as Ceph does here."""
    return ceph


@pytest.fixture(scope="session")
def s3_server(ceph: S3Server) -> S3Server:
    return ceph


@pytest.fixture
def server(ceph: S3Server) -> S3Server:
    return ceph


@pytest.fixture
def strict(ceph: S3Server) -> S3Server:
    return ceph


@pytest.fixture
def subject(ceph: S3Server) -> Iterator[Subject]:
    """Stand for a storage of the contract."""
    with opened(ceph, place_of(ceph)) as storage:
        yield on_server(ceph, storage, f"objects/contract/{secrets.token_hex(8)}/")


@pytest.fixture
async def client(request: pytest.FixtureRequest, ceph: S3Server, app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to the gateway, with an API key that may do everything."""
    stated = request.node.originalname in STATING_CHECKSUMS
    transport = (httpx.ASGITransport if stated else WithoutChecksums)(app_over(ceph))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=bearer(API_KEY)) as client:
        yield client


@pytest.fixture
def strict_client(client: httpx.AsyncClient) -> httpx.AsyncClient:
    return client


@pytest.fixture(autouse=True)
def _different(request: pytest.FixtureRequest) -> None:
    reason = reason_to_fail(request.node.name)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


class WithoutChecksums(httpx.ASGITransport):
    """State no checksum of a whole file: Ceph 16 keeps none, so that nothing granted with one is ever proved."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) != ("POST", "/v1/uploads"):
            return await super().handle_async_request(request)
        wish = json.loads(request.content)
        wish.pop("checksum_sha256", None)
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        return await super().handle_async_request(httpx.Request("POST", request.url, headers=headers, json=wish))
