"""The lane runs the gateway's routes and leaves all others to the application, whoever wrote them."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import Response

from tests.gateways import API_KEY, calling, make_app
from tests.http.routes.flow import NOWHERE, TENANTS, bearer


def gateway() -> FastAPI:
    return make_app(NOWHERE, tenants=TENANTS)


async def number(number: int) -> AsyncIterator[int]:
    yield number + 1


async def test_a_route_that_somebody_adds_is_fastapis_own() -> None:
    app = gateway()

    @app.get("/mine/{number}")
    async def mine(found: Annotated[int, Depends(number)]) -> dict[str, int]:
        return {"found": found}

    @app.get("/v1/mine")
    def also_mine() -> str:
        return "mine"

    async with calling(app) as client:
        assert (await client.get("/mine/1")).json() == {"found": 2}
        assert (await client.get("/mine/one")).json()["code"] == "invalid-request"
        assert (await client.get("/v1/mine")).json() == "mine"
        assert (await client.get("/healthz")).json() == {"status": "alive"}


async def test_middleware_that_somebody_adds_sees_the_requests_of_the_gateways_routes() -> None:
    app = gateway()
    seen: list[tuple[str, int]] = []

    async def note(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        seen.append((request.url.path, response.status_code))
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=note)
    async with calling(app) as client:
        for path in ("/healthz", "/v1/policies", "/v1/nothing"):
            await client.get(path, headers=bearer(API_KEY))
        await client.get("/v1/policies", headers={"authorization": "Bearer wrong"})
    assert seen == [("/healthz", 200), ("/v1/policies", 200), ("/v1/nothing", 404), ("/v1/policies", 401)]
