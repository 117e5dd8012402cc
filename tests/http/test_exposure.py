"""What the whole gateway, as it is wired, shows to a caller without credentials."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from gateway.app import create_app
from gateway.s3.sigv4 import Credentials
from gateway.settings import load
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, calling, tenant

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing here reaches the store
SECRET = "aSecretAccessKey"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.chdir(tmp_path)
    settings = load(
        secret_keys=[SECRET_KEY],
        bucket="a-bucket",
        region="eu-central-1",
        storage_endpoint=NOBODY,
        tenants={"default": tenant(API_KEY, APP_SECRET)},
    )
    return create_app(settings, credentials=Credentials("AKIAEXAMPLE", SECRET), log=lambda _: None)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, api_key=None) as client:
        yield client


@pytest.mark.threat(54)
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/metrics", "/", "/v1", "/d/", "/docs/x"])
async def test_documentation_and_metrics_are_not_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.threat(54)
async def test_health_tells_nothing(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        text = (await client.get(path)).text
        assert not any(word in text for word in ("a-bucket", "eu-central-1", "127.0.0.1", SECRET, "AKIA"))


@pytest.mark.threat(23, 44, 48)
@pytest.mark.parametrize("path", ["/d/forged", "/d/forged/a.png", "/d/forged?url=//evil.example&next=javascript:x"])
async def test_a_forged_link_leads_nowhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert "location" not in response.headers
    expected = {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex",
        "x-content-type-options": "nosniff",
    }
    assert {name: response.headers[name] for name in expected} == expected


@pytest.mark.threat(44, 45, 56)
async def test_every_route_answers_an_odd_method_as_a_problem_with_security_headers(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    paths = {route.path for route in app.router.routes if isinstance(route, APIRoute | Route)}
    assert {"/v1/uploads", "/static/{path:path}", "/healthz"} <= paths
    for path in paths:
        for method in ("PATCH", "TRACE", "PROPFIND"):
            response = await client.request(method, path)
            assert response.status_code == 405, (method, path)
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["allow"]
            assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in response.headers
