"""Gateways for tests: settings with made-up secrets over a given S3 server, and a client that calls one in-process."""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from gateway.app import create_app
from gateway.s3.sigv4 import Credentials
from gateway.settings import Settings, load
from tests.servers.s3 import S3Server

SECRET_KEY = "a-secret-key-of-the-gateway-32-bytes-or-more"
APP_SECRET = "an-app-secret-of-the-tenant-default-32-bytes"
OTHER_APP_SECRET = "an-app-secret-of-the-tenant-other-32-bytes-up"
API_KEY = "gwk_aaaaaaaa_0123456789abcdef0123456789abcdef"
OTHER_API_KEY = "gwk_bbbbbbbb_0123456789abcdef0123456789abcdef"
BASE_URL = "http://127.0.0.1"
ALL_TYPES = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
    "text/plain",
    "text/csv",
    "application/json",
]


def api_key(text: str, **more: object) -> dict[str, object]:
    """Return the table of an API key that may do everything, unless `more` says less."""
    return {
        "id": text[4:12],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "actions": ["upload", "link", "read", "delete"],
        "policies": ["default"],
        **more,
    }


def tenant(text: str, app_secret: str, **more: object) -> dict[str, object]:
    """Return the table of a tenant with one API key and one wide policy."""
    return {
        "app_secrets": [app_secret],
        "api_keys": [api_key(text, on_behalf_of=True)],
        "policies": {"default": {"content_types": ALL_TYPES, "min_size": 0, "max_size": "5 GiB"}},
        **more,
    }


def settings(server: S3Server, **flags: Any) -> Settings:  # noqa: ANN401 - as many types as there are settings
    """Return settings for two tenants, `default` and `other`, over a server's bucket."""
    given: dict[str, Any] = {
        "secret_keys": [SECRET_KEY],
        "bucket": server.bucket,
        "region": server.region,
        "storage_endpoint": server.endpoint,
        "tenants": {
            "default": tenant(API_KEY, APP_SECRET),
            "other": tenant(OTHER_API_KEY, OTHER_APP_SECRET),
        },
    }
    return load(**{**given, **flags})


@asynccontextmanager
async def calling(
    app: FastAPI, *, api_key: str | None = API_KEY, base_url: str = BASE_URL
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that speaks to the application in-process, with an API key unless it is None."""
    headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers) as client:
        yield client
    await app.state.gateway.close()


def make_app(
    server: S3Server,
    clock: Callable[[], float] = time.time,
    **flags: Any,  # noqa: ANN401 - as many types as there are settings
) -> FastAPI:
    """Return a gateway over a server, with that server's least-privilege credentials."""
    return create_app(
        settings(server, **flags),
        credentials=Credentials(server.access_key_id, server.secret_access_key, None, None),
        clock=clock,
        log=lambda _: None,
    )
