"""@rails/activestorage in Chromium, unchanged from npm and set up as docs/how-to/active-storage.md shows."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

from gateway.apps import make_pass
from tests.browser.proxy import Proxy, before
from tests.browser.wire import Request, Response
from tests.browser.wire import serving as serving_page
from tests.docs.pages import blocks
from tests.docs.pages import page as documentation
from tests.gateways import API_KEY, APP_SECRET, OTHER_APP_SECRET, make_app, tenant
from tests.http.live import serving
from tests.protocols.npm import bundle
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENTATION = documentation("docs/how-to/active-storage.md")
(FORM,) = blocks(DOCUMENTATION, "html")
FORM_JS, UPLOAD_JS = blocks(DOCUMENTATION, "js")
(ATTACH,) = blocks(DOCUMENTATION, "python")
ENTRY = 'import "./form.js"; import { upload } from "./upload.js"; window.upload = upload;'
HEAD = '<!doctype html><meta name="csrf-token" content="a token of the application"><title>An application</title>'
POLICY = {"content_types": ["application/octet-stream"], "max_size": "4 MiB", "protocols": ["active-storage"]}
TENANTS = {"default": tenant(API_KEY, APP_SECRET, policies={"default": POLICY})}
UPLOAD = """async ([gateway, pass]) => {
  const [file] = document.querySelector("input").files, seen = [];
  try {
    return { blob: await upload(file, gateway, pass, (part) => seen.push(part)), seen };
  } catch (error) {
    return { error: error.message, seen };
  }
}"""
FOREIGN = make_pass([OTHER_APP_SECRET], "ann")
MOST = 65_536  # bytes that may pass through the gateway in a scenario, headers included


def attach(gateway: str, signed_id: str) -> dict[str, Any]:
    """Do what the documentation shows."""
    names: dict[str, Callable[[str, str], dict[str, Any]]] = {}
    exec(ATTACH, names)  # noqa: S102 - a block of our own documentation
    return names["attach"](gateway, signed_id)


@dataclass(slots=True)
class Site:
    """A page with the form on it, and its back end, which takes the form; gateway and bucket count what passes."""

    page: Page
    gateway: Proxy
    bucket: Proxy
    server: S3Server
    folder: Path
    script: bytes
    access: str = field(default_factory=lambda: make_pass([APP_SECRET], "ann"))
    app: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """Serve the page and its script, and take its form."""
        if request.target == "/page.js":
            return Response(200, self.script, {"content-type": "text/javascript; charset=utf-8"})
        if (request.method, request.target) == ("POST", "/posts"):
            return await self._take(parse_qs((await request.read()).decode()))
        form = FORM.replace("https://files.example.com/u/PASS", f"{self.gateway.origin}/u/{self.access}")
        body = f"{HEAD}{form}<script src=/page.js></script>"
        return Response(200, body.encode(), {"content-type": "text/html; charset=utf-8"})

    async def _take(self, fields: dict[str, list[str]]) -> Response:
        (signed_id,) = fields["picture"]
        try:
            found = await asyncio.to_thread(attach, self.gateway.origin, signed_id)
        except httpx.HTTPStatusError as error:
            return Response(422, error.response.content, {"content-type": "text/plain"})
        self.taken.append(found)
        return Response(200, json.dumps(found).encode(), {"content-type": "text/plain"})

    async def choose(self, body: bytes, name: str = "film.bin") -> None:
        """Open the page and choose a file as a user does."""
        path = self.folder / name
        path.write_bytes(body)
        await self.page.goto(self.app)
        await self.page.set_input_files("input[type=file]", path)

    async def press(self) -> None:
        await self.page.click("text=Send")

    async def upload(self, access: str) -> dict[str, Any]:
        """Upload the file that was chosen, with a pass in a header."""
        done: dict[str, Any] = await self.page.evaluate(UPLOAD, [self.gateway.origin, access])
        return done

    def stored(self, key: str) -> str:
        """Digest what lies in the bucket."""
        body = self.server.admin_s3().get_object(Bucket=self.server.bucket, Key=key)["Body"].read()
        return hashlib.sha256(body).hexdigest()


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    files = {"form.js": FORM_JS, "upload.js": UPLOAD_JS, "entry.js": ENTRY}
    return bundle("activestorage", files, tmp_path_factory.mktemp("activestorage"))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> S3Server:
    """MiniStack, unless a test names another."""
    named: S3Server = request.getfixturevalue(getattr(request, "param", "ministack"))
    return named


@pytest_asyncio.fixture(loop_scope="session")
async def site(page: Page, server: S3Server, script: bytes, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        store = urlsplit(server.endpoint)
        bucket = await stack.enter_async_context(before(str(store.hostname), int(store.port or 80)))
        gateway = Proxy(("127.0.0.1", 0))
        site = Site(page, gateway, bucket, server, tmp_path, script)
        site.app = await stack.enter_async_context(serving_page(site.answer))
        asgi = make_app(server, tenants=TENANTS, public_storage_endpoint=bucket.origin, allowed_origins=[site.app])
        address = stack.enter_context(serving(asgi))
        site.gateway = await stack.enter_async_context(before(*address))
        yield site
        assert site.gateway.carried < MOST


EACH_SERVER = pytest.mark.parametrize("server", ["ministack", "localstack"], indirect=True)


def film(size: int = 3 * 2**20 + 1234) -> bytes:
    """Return bytes that the package digests in two pieces."""
    return random.randbytes(size)  # noqa: S311 - not for secrets


@EACH_SERVER
async def test_a_form_uploads_its_file_and_the_back_end_completes_it(site: Site) -> None:
    body = film()
    await site.choose(body)
    await site.press()
    await site.page.wait_for_url(f"{site.app}/posts", timeout=60_000)
    (found,) = site.taken
    assert json.loads(await site.page.inner_text("body")) == found
    assert (found["filename"], found["size"], found["principal"]) == ("film.bin", len(body), "ann")
    assert site.stored(found["key"]) == hashlib.sha256(body).hexdigest()
    assert (site.gateway.count("POST"), site.bucket.count("PUT")) == (2, 1)


@EACH_SERVER
async def test_a_single_file_goes_with_its_pass_in_a_header_and_tells_of_its_progress(site: Site) -> None:
    body = film()
    await site.choose(body)
    done = await site.upload(make_pass([APP_SECRET], "bob"))
    assert done["seen"] == sorted(done["seen"])
    assert done["seen"][-1] == 1
    blob = done["blob"]
    assert "direct_upload" not in blob
    assert blob["byte_size"] == len(body)
    found = await asyncio.to_thread(attach, site.gateway.origin, blob["signed_id"])
    assert (found["key"], found["principal"]) == (blob["key"], "bob")
    assert site.stored(found["key"]) == hashlib.sha256(body).hexdigest()


async def test_an_empty_file_is_refused_by_a_policy_that_takes_none(site: Site) -> None:
    await site.choose(b"")
    done = await site.upload(site.access)
    assert done == {"error": "This policy takes files of at least 1 bytes.", "seen": []}


async def test_a_file_that_is_too_large_is_refused_before_a_byte_is_sent(site: Site) -> None:
    await site.choose(bytes(4 * 2**20 + 1))
    done = await site.upload(site.access)
    assert done == {"error": f"This policy takes files of at most {4 * 2**20} bytes.", "seen": []}
    assert site.bucket.requests == []


@pytest.mark.parametrize("access", ["wrong", FOREIGN, API_KEY], ids=["made up", "of another tenant", "an API key"])
async def test_a_form_with_no_pass_of_ours_is_not_submitted(site: Site, access: str) -> None:
    site.access = access
    await site.choose(b"any bytes")
    await site.press()
    await site.page.wait_for_function("document.querySelector('output').textContent")
    assert await site.page.inner_text("output") == 'Error creating Blob for "film.bin". Status: 404'
    assert (site.taken, site.bucket.requests) == ([], [])


@pytest.mark.parametrize("access", ["wrong", FOREIGN], ids=["made up", "of another tenant"])
async def test_wrong_credentials_in_a_header_are_told_so(site: Site, access: str) -> None:
    await site.choose(b"any bytes")
    done = await site.upload(access)
    assert done == {"error": "Send a valid API key, JWT or pass as 'Authorization: Bearer …'.", "seen": []}
    assert site.bucket.requests == []


async def test_bytes_that_changed_on_their_way_are_refused_and_the_form_is_not_submitted(site: Site) -> None:
    async def change(route: Route) -> None:
        put = route.request.method == "PUT"
        await route.continue_(post_data=b"other bytes" if put else None)

    await site.page.route(f"{site.bucket.origin}/**", change)
    await site.choose(b"these bytes")  # as many
    await site.press()
    await site.page.wait_for_function("document.querySelector('output').textContent")
    assert (await site.page.inner_text("output")).startswith('Error storing "film.bin". Status: ')
    assert site.taken == []
    assert await site.page.is_enabled("input[type=file]")  # so that the user may try again
    assert ("PUT", 400) in {(method, status) for method, _, status in site.bucket.history}


async def test_a_form_with_a_made_up_signed_id_stores_nothing(site: Site) -> None:
    for signed_id in ("wrong", "../objects/default", "x/complete?", site.access):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await asyncio.to_thread(attach, site.gateway.origin, signed_id)
        assert refused.value.response.status_code == 404
