"""A whole site for browsers: gateway and bucket are the real ones, each behind a counting proxy."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from gateway.s3.bucket import WINDOW
from tests.browser.double import serve_app
from tests.browser.proxy import Proxy, before
from tests.browser.wire import serving as serving_page
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, api_key, make_app, tenant
from tests.http.live import serving
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLICIES = {
    "default": {"content_types": [*ALL_TYPES, "audio/wav"], "min_size": 0, "max_size": "20 MiB"},
    "checked": {"content_types": ["image/png"], "max_size": "1 MiB", "checksum": "required"},
    "large": {"content_types": ["application/octet-stream"], "max_size": "1 GiB", "multipart_from": "6 MiB"},
    "large-checked": {
        "content_types": ["application/octet-stream"],
        "max_size": "1 GiB",
        "multipart_from": "6 MiB",
        "checksum": "required",
    },
}


@dataclass(frozen=True, slots=True)
class Site:
    """`app` is the origin of an application that the gateway allows; the others are where the browser meets them."""

    gateway: Proxy
    bucket: Proxy
    app: str
    server: S3Server

    async def demo(self, policy: str = "default") -> str:
        """Return an address of the demo page, with a pass."""
        return f"{self.gateway.origin}/static/demo/#pass={await self.new_pass(policy)}&policy={policy}"

    async def new_pass(self, policy: str = "default") -> str:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {API_KEY}"}) as client:
            answer = await client.post(f"{self.gateway.origin}/v1/passes", json={"policy": policy})
            return str(answer.raise_for_status().json()["pass"])

    def s3(self) -> "S3Client":
        return self.server.admin_s3()


def since_the_window_began() -> Callable[[], float]:
    """Return a clock that runs as the true one, up to five minutes late: at the first second of a link's window."""
    late = time.time() % WINDOW - 1
    return lambda: time.time() - late


@asynccontextmanager
async def open_site(server: S3Server, clock: Callable[[], float] = time.time) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        store = urlsplit(server.endpoint)
        bucket = await stack.enter_async_context(before(str(store.hostname), int(store.port or 80)))
        app = await stack.enter_async_context(serving_page(serve_app))
        tenants: dict[str, Any] = {
            "default": tenant(
                API_KEY, APP_SECRET, api_keys=[api_key(API_KEY, policies=list(POLICIES))], policies=POLICIES
            )
        }
        asgi = make_app(server, clock, tenants=tenants, public_storage_endpoint=bucket.origin, allowed_origins=[app])
        address = stack.enter_context(serving(asgi))
        gateway = await stack.enter_async_context(before(*address))
        yield Site(gateway, bucket, app, server)
