"""create_app(settings): the only place that wires."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from gateway import logs, quotas
from gateway.grants.keys import NAME_BYTES
from gateway.http import problems
from gateway.http.auth import Authenticator
from gateway.http.calls import Gateway
from gateway.http.guard import Guard
from gateway.http.lane import Lane
from gateway.http.origin import Origins
from gateway.http.routes import health, links, objects, site, uploads
from gateway.http.static_files import ROOT_DIR, STATIC_DIR
from gateway.protocols import active_storage, git_lfs, uppy
from gateway.s3.bucket import Bucket
from gateway.s3.credentials import CredentialSource
from gateway.s3.sigv4 import Credentials
from gateway.settings import Settings
from gateway.wiring import lay_foundation

# Each of these asks OpenTelemetry on every request; an environment variable could turn its exporters on.
TELEMETRY_OFF: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


class Application(FastAPI):
    """FastAPI with the guard in front of all, and the lane in front of what the gateway's own routes do not need."""

    def __init__(self, *, guard: Callable[[ASGIApp], ASGIApp], **described: Any) -> None:  # noqa: ANN401 - FastAPI's own
        """Take the guard beside what FastAPI takes."""
        super().__init__(**described)
        self._guard = guard

    def build_middleware_stack(self) -> ASGIApp:
        """Leave out the lane where somebody added middleware, which has to see every request."""
        stack = super().build_middleware_stack()
        return self._guard(stack if self.user_middleware else Lane(stack, self.routes))


def create_app(
    settings: Settings,
    *,
    credentials: Credentials | None = None,
    clock: Callable[[], float] = time.time,
    log: Callable[[Mapping[str, object]], None] = logs.access,
    uncounted: Callable[[int], None] = lambda _: None,
) -> FastAPI:
    """Return the gateway as an ASGI application, to be served or mounted. Nothing is connected to yet.

    boto3 finds the store's credentials (environment, profile, role) unless they are given.
    `uncounted` hears of uploads that no quota counted, since the store of quotas did not answer: how many.
    """
    gateway = _wire(settings, credentials, clock, _quotas(settings, uncounted))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await gateway.close()

    app = Application(
        guard=partial(Guard, origins=_origins(settings), allowed_origins=settings.allowed_origins, log=log),
        title="Signed-URL gateway",
        version="1",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redirect_slashes=False,
        telemetry=TELEMETRY_OFF,
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    problems.install(app)
    for router in (
        uploads.router,
        links.router,
        objects.router,
        health.router,
        uppy.router,
        active_storage.router,
        git_lfs.router,
    ):
        app.router.routes.extend(router.routes)
    folders = settings.static_dir or STATIC_DIR, settings.root_dir or ROOT_DIR
    app.router.routes.extend(site.routes(*folders, gateway.bucket.endpoint.origin))
    return app


def _origins(settings: Settings) -> Origins:
    return Origins(
        public_url=settings.public_url,
        trusted_proxies=settings.trusted_proxies,
        forwarded_headers=settings.forwarded_headers,
        allowed_hosts=settings.allowed_hosts,
    )


def _quotas(settings: Settings, uncounted: Callable[[int], None]) -> quotas.Quotas:
    if settings.limits_url is None:
        return quotas.in_memory()
    url, refuses = settings.limits_url.get_secret_value(), settings.limits_when_down == "closed"
    return quotas.in_redis(url, time.monotonic, refuses=refuses, uncounted=uncounted)


def _wire(
    settings: Settings, credentials: Credentials | None, clock: Callable[[], float], counts: quotas.Quotas
) -> Gateway:
    foundation = lay_foundation(settings, credentials)
    tokens = foundation.tokens
    return Gateway(
        tenants=settings.tenant_values(),
        tokens=tokens,
        authenticator=Authenticator(settings, tokens),
        bucket=Bucket(settings.public_endpoint(), settings.region),
        credentials=CredentialSource(foundation.session.get_credentials),
        storage=foundation.storage,
        close_foundation=foundation.close,
        uploads=foundation.uploads,
        quotas=counts,
        clock=lambda: int(clock()),
        random_name=lambda: secrets.token_hex(NAME_BYTES),
        put_expires_in=settings.put_expires_in,
        get_expires_in=settings.get_expires_in,
    )
