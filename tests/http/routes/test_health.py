"""What a load balancer asks, and what nobody is shown unless the settings say so."""

from dataclasses import replace

import httpx
import pytest

from gateway.errors import Code
from gateway.setting_sources import SettingsError
from tests.faults.store import Fault, answer, error, failing
from tests.gateways import calling, make_app
from tests.http.routes.flow import NOWHERE, TENANTS, assert_refused


async def test_alive_needs_no_bucket_and_no_credentials(offline: httpx.AsyncClient) -> None:
    del offline.headers["authorization"]
    alive = await offline.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})


async def test_ready_means_that_the_bucket_answers(client: httpx.AsyncClient, offline: httpx.AsyncClient) -> None:
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    unready = await offline.get("/readyz")
    assert_refused(unready, Code.STORAGE_UNAVAILABLE)
    assert unready.headers["retry-after"] == "5"


async def test_who_asks_by_head_is_told_the_same(client: httpx.AsyncClient, offline: httpx.AsyncClient) -> None:
    for asked, path in ((client, "/healthz"), (client, "/readyz"), (offline, "/readyz")):
        expected, answered = await asked.get(path), await asked.head(path)
        assert answered.status_code == expected.status_code
        names = ("content-type", "content-length", "retry-after", "cache-control")
        assert [answered.headers.get(name) for name in names] == [expected.headers.get(name) for name in names]


@pytest.mark.threat(54)
@pytest.mark.parametrize("fault", [error(403, "AccessDenied"), error(301, "PermanentRedirect"), answer(404)])
async def test_readiness_says_nothing_of_the_bucket(fault: Fault) -> None:
    with failing(fault) as store:
        async with calling(
            make_app(replace(NOWHERE, endpoint=store.endpoint), tenants=TENANTS), api_key=None
        ) as client:
            assert_refused(await client.get("/readyz"), Code.STORAGE_UNAVAILABLE)


@pytest.mark.threat(54)
@pytest.mark.parametrize(
    "path",
    ["/docs", "/openapi.json", "/redoc", "/metrics", "/docs/oauth2-redirect", "/debug", "/.env", "/server-status", "/"],
)
async def test_nothing_is_shown_that_the_settings_do_not_ask_for(offline: httpx.AsyncClient, path: str) -> None:
    assert_refused(await offline.get(path), Code.NOT_FOUND)


async def test_the_openapi_document_is_shown_where_the_settings_say_so() -> None:
    async with calling(make_app(NOWHERE, tenants=TENANTS, docs=True), api_key=None) as client:
        document = (await client.get("/openapi.json")).json()
    assert {path: sorted(routes) for path, routes in document["paths"].items()} == {
        "/v1/uploads": ["post"],
        "/v1/uploads/complete": ["post"],
        "/v1/uploads/{ticket}": ["delete", "get"],
        "/v1/uploads/{ticket}/parts": ["post"],
        "/v1/uploads/{ticket}/complete": ["post"],
        "/v1/passes": ["post"],
        "/v1/policies": ["get"],
        "/v1/links": ["post"],
        "/d/{token}": ["get", "head"],
        "/d/{token}/{filename}": ["get", "head"],
        "/v1/objects": ["get"],
        "/v1/objects/{key}": ["delete", "get"],
        "/healthz": ["get", "head"],
        "/readyz": ["get", "head"],
    }


@pytest.mark.threat(56)
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/uploads", "POST"),
        ("PUT", "/v1/uploads", "POST"),
        ("PATCH", "/v1/links", "POST"),
        ("POST", "/v1/objects", "GET"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("POST", "/d/token", "GET, HEAD"),
        ("TRACE", "/v1/uploads", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("CONNECT", "/v1/uploads", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("PROPFIND", "/v1/objects", "GET, HEAD, POST, DELETE, OPTIONS"),
    ],
)
async def test_another_method_is_405_and_told_which_ones_there_are(
    offline: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    refused = await offline.request(method, path)
    assert_refused(refused, Code.METHOD_NOT_ALLOWED)
    assert sorted(refused.headers["allow"].split(", ")) == sorted(allow.split(", "))


def test_a_gateway_without_tenants_does_not_start() -> None:
    with pytest.raises(SettingsError, match="GATEWAY_TENANTS"):
        make_app(NOWHERE, tenants={})
