"""The worker's health, on a port of its own: /healthz, /readyz and, for Prometheus, /metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http import problems
from gateway.http.headers import defaults, dress

Check = Callable[[], Awaitable[None]]

ALIVE_WITHIN = 60.0  # seconds; the loop goes round every five
READY_WITHIN = 15.0  # seconds for all checks at once; each call has a shorter deadline of its own


class Readiness:
    """Reaches for all that work needs. Questions at the same time are one: probes may come as they like."""

    def __init__(self, checks: Sequence[Check]) -> None:
        """Take what raises a refusal where something cannot be reached."""
        self._checks = checks
        self._asking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return when all can be reached; raises the first refusal."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._check())
        await asyncio.shield(self._asking)

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN):
                answers = await asyncio.gather(*(check() for check in self._checks), return_exceptions=True)
        except TimeoutError:
            raise Refusal(Code.STORAGE_UNAVAILABLE) from None
        for answer in answers:
            if answer is not None:
                raise answer


def health_app(
    alive: Callable[[float], bool], checks: Sequence[Check], metrics: Callable[[], tuple[bytes, str]]
) -> ASGIApp:
    """Return the application: `alive` takes seconds, `metrics` gives a body and its content type."""
    readiness = Readiness(checks)

    async def healthz(_: Request) -> Response:
        if not alive(ALIVE_WITHIN):
            return problems.internal_error("")
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        await readiness.check()
        return JSONResponse({"status": "ready"})

    async def numbers(_: Request) -> Response:
        body, content_type = metrics()
        return Response(body, headers={"content-type": content_type})

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", numbers)])
    app.router.redirect_slashes = False
    problems.install(app)
    return partial(_dressed, app)


async def _dressed(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Give every answer the headers that all of ours carry."""

    async def dressing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = dress(message["headers"], defaults(scope["path"]))
        await send(message)

    await app(scope, receive, dressing)
