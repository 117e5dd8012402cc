"""The worker's health, on a port of its own: /healthz, /readyz and, for Prometheus, /metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
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

log = logging.getLogger(__name__)


class Readiness:
    """Reaches for all that work needs. Questions at the same time are one: probes may come as they like."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        """Take what raises a refusal where something cannot be reached, by the words for it."""
        self._checks = checks
        self._asking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return when all can be reached; raises a refusal with the first one's code, which names all that cannot."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._check())
        await asyncio.shield(self._asking)

    async def _check(self) -> None:
        answers = await asyncio.gather(*map(_refusal, self._checks.values()))
        refusals = {name: refusal for name, refusal in zip(self._checks, answers, strict=True) if refusal}
        for first in refusals.values():
            out = " and ".join(refusals)
            log.warning("not ready: the worker does not reach its %s", out)
            detail = f"The worker does not reach its {out}: the log tells why."
            raise Refusal(first.code, detail, retry_after=first.retry_after)


async def _refusal(check: Check) -> Refusal | None:
    try:
        async with asyncio.timeout(READY_WITHIN):
            await check()
    except Refusal as refusal:
        return refusal
    except TimeoutError:
        return Refusal(Code.STORAGE_UNAVAILABLE)
    return None


def health_app(
    alive: Callable[[float], bool], checks: Mapping[str, Check], metrics: Callable[[], tuple[bytes, str]]
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
