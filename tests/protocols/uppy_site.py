"""An application's page with Uppy on it, before a gateway and a bucket that count what passes."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.async_api import Error, Page, Route

from gateway.apps import make_pass
from tests.browser.proxy import Proxy, before
from tests.browser.wire import Request, Response
from tests.browser.wire import serving as serving_page
from tests.docs.pages import blocks, page
from tests.gateways import APP_SECRET, make_app
from tests.http.live import serving
from tests.protocols.npm import bundle
from tests.protocols.uppy_flow import OCTETS, PART, TENANTS
from tests.servers.s3 import S3Server

PAGE = b"<!doctype html><title>An application</title><input type=file><script src=/page.js></script>"
ENTRY = 'import { uploader } from "./page.js"; window.uploader = uploader;'
OPEN = """([gateway, pass, multipart]) => {
  window.seen = [];
  window.uppy = uploader(gateway, pass, { shouldUseMultipart: multipart, getChunkSize: () => 5 * 2 ** 20, limit: 2 });
  uppy.on("upload-error", (file, error) => seen.push(error.message));
  uppy.on("complete", (result) => { window.result = result; });
}"""
ADD = """([type, meta]) => {
  const [data] = document.querySelector("input").files;
  return uppy.addFile({ name: data.name, type, data, meta });
}"""
KEPT = """async () => {
  if (localStorage["uppyState:uploads"]?.includes("uploadId")) return true; // Uppy 5
  const asked = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
  const base = await asked(indexedDB.open("uppy-blobs"));
  try {
    if (!base.objectStoreNames.contains("metadata")) return false;
    const kept = await asked(base.transaction("metadata").objectStore("metadata").get("uploads"));
    return Boolean(kept?.metadata.includes("uploadId"));
  } finally {
    base.close();
  }
}"""
_PART_NUMBER = re.compile(r"[?&]partNumber=(\d+)")


def bundled(version: int, folder: Path) -> bytes:
    """Return a page's script: Uppy of that version, set up as the documentation shows."""
    six, five, complete = blocks(page("docs/how-to/uppy.md"), "js")
    files = {"page.js": six if version == 6 else five, "complete.js": complete, "entry.js": ENTRY}
    return bundle(f"uppy{version}", files, folder)


@dataclass(slots=True)
class Held:
    """The PUTs of one part, held back in the browser until they are let go."""

    number: int
    come: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Site:
    """`app` is the page's origin; gateway and bucket are behind counting proxies."""

    page: Page
    gateway: Proxy
    bucket: Proxy
    app: str
    server: S3Server
    folder: Path

    async def open(self, access: str | None = None, *, multipart: bool = False) -> None:
        """Load the page and set Uppy up, for a principal of its own unless a pass is given."""
        await self.page.goto(self.app)
        await self.set_up(access, multipart=multipart)

    async def set_up(self, access: str | None = None, *, multipart: bool = False) -> None:
        pass_ = make_pass([APP_SECRET], "ann") if access is None else access
        await self.page.evaluate(OPEN, [self.gateway.origin, pass_, multipart])

    async def add(self, body: bytes, name: str = "film.bin", media_type: str = OCTETS, **meta: Any) -> str:  # noqa: ANN401 - as Uppy takes it
        """Choose a file as a user does; return Uppy's id for it."""
        path = self.folder / name
        path.write_bytes(body)
        await self.page.set_input_files("input", path)
        return str(await self.page.evaluate(ADD, [media_type, meta]))

    async def start(self) -> None:
        await self.page.evaluate("() => { uppy.upload(); }")

    async def ended(self) -> dict[str, Any]:
        """Wait until Uppy says that all is done; return what it tells of the one file."""
        await self.page.wait_for_function("() => window.result", timeout=60_000)
        result: dict[str, Any] = await self.page.evaluate(
            """() => ({
              failed: result.failed.length,
              successful: result.successful.length,
              files: uppy.getFiles().map(({ uploadURL, response, error }) => ({ uploadURL, response, error })),
              seen,
            })"""
        )
        return result

    async def holding(self, number: int) -> Held:
        """Hold the PUTs of one part back."""
        held = Held(number)

        async def hold(route: Route) -> None:
            held.come.set()
            await held.go.wait()
            with suppress(Error):  # the page has given it up already
                await route.abort()

        await self.page.route(_of_part(number), hold)
        return held

    async def letting(self, held: Held) -> None:
        """Let later PUTs of that part pass; those that were held are gone, as with a lost connection."""
        held.go.set()
        await self.page.unroute(_of_part(held.number))

    async def kept(self) -> None:
        """Wait until Golden Retriever has written down which upload is under way; it takes half a second."""
        await self.page.wait_for_function(KEPT)

    def _puts(self) -> list[str]:
        return [target for method, target in self.bucket.requests if method == "PUT"]

    def parts(self) -> list[int]:
        """List the numbers of the parts that were sent to the bucket, in their order."""
        return [int(found[1]) for found in map(_PART_NUMBER.search, self._puts()) if found]

    def arrived(self) -> int:
        """Count the parts that the bucket has, of the upload whose parts were sent."""
        if not self._puts():
            return 0
        sent = urlsplit(self._puts()[-1])
        key, (upload_id,) = sent.path.split("/", 2)[2], parse_qs(sent.query)["uploadId"]
        listed = self.server.admin_s3().list_parts(Bucket=self.server.bucket, Key=key, UploadId=upload_id)
        return len(listed.get("Parts", []))

    def keys(self, prefix: str) -> set[str]:
        listed = self.server.admin_s3().list_objects_v2(Bucket=self.server.bucket, Prefix=prefix)
        return {each["Key"] for each in listed.get("Contents", [])}

    def unfinished(self) -> int:
        """Count the multipart uploads that take up room in the bucket."""
        return len(self.server.admin_s3().list_multipart_uploads(Bucket=self.server.bucket).get("Uploads", []))


def _of_part(number: int) -> "re.Pattern[str]":
    return re.compile(rf"[?&]partNumber={number}(&|$)")


async def served_sha256(link: str) -> str:
    """Digest what a link leads to."""
    async with httpx.AsyncClient(follow_redirects=True) as client:
        answer = await client.get(link)
    assert answer.status_code == 200, answer.text
    return hashlib.sha256(answer.content).hexdigest()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def film(seed: int, size: int = 2 * PART + 1234) -> bytes:
    """Return bytes that no two parts of are alike: two parts and a bit more, unless `size` says otherwise."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - not for secrets


@asynccontextmanager
async def open_site(page: Page, server: S3Server, script: bytes, folder: Path) -> AsyncIterator[Site]:
    async def serve(request: Request) -> Response:
        if request.target == "/page.js":
            return Response(200, script, {"content-type": "text/javascript; charset=utf-8"})
        return Response(200, PAGE, {"content-type": "text/html"})

    async with AsyncExitStack() as stack:
        store = urlsplit(server.endpoint)
        bucket = await stack.enter_async_context(before(str(store.hostname), int(store.port or 80)))
        app = await stack.enter_async_context(serving_page(serve))
        asgi = make_app(server, tenants=TENANTS, public_storage_endpoint=bucket.origin, allowed_origins=[app])
        address = stack.enter_context(serving(asgi))
        gateway = await stack.enter_async_context(before(*address))
        yield Site(page, gateway, bucket, app, server, folder)
