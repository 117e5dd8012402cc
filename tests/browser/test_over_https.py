"""The demo page over https in a real browser: not one byte goes over http, and nothing is mixed."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Page, expect

from tests.browser.test_end_to_end import png
from tests.gateways import API_KEY
from tests.http.tls import Site, site_over_tls
from tests.servers.nginx import Certificate
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Ears:
    """Hears what a page asks for, what the browser says about it, and what the browser's own auditors find."""

    def __init__(self, page: Page) -> None:
        self.requests: list[tuple[str, str]] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append((request.method, request.url)))
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.complaints.append(f"{request.url}: {request.failure}"))

    async def listen(self, page: Page) -> None:
        auditors = await page.context.new_cdp_session(page)
        auditors.on("Audits.issueAdded", lambda event: self.complaints.append(event["issue"]["code"]))
        await auditors.send("Audits.enable")

    def _complain(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, ministack: S3Server, certificate: Certificate) -> Iterator[Site]:
    with site_over_tls(tmp_path_factory.mktemp("site"), ministack, certificate) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(ignore_https_errors=True)
    yield await context.new_page()
    await context.close()


def new_pass(site: Site, certificate: Certificate) -> str:
    headers = {"authorization": f"Bearer {API_KEY}"}
    answer = httpx.post(f"{site.url}/v1/passes", json={}, headers=headers, verify=certificate.context())
    return str(answer.raise_for_status().json()["pass"])


@pytest.mark.threat(21, 44)
async def test_a_picture_goes_up_and_comes_back_without_a_word_over_http(
    page: Page, site: Site, certificate: Certificate
) -> None:
    ears = Ears(page)
    await ears.listen(page)
    await page.goto(f"{site.url}/static/demo/#pass={new_pass(site, certificate)}")
    assert await page.evaluate("isSecureContext")
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()  # it takes no files before
    picture: FilePayload = {"name": "square.png", "mimeType": "image/png", "buffer": png(200, seed=11)}
    await page.set_input_files("#input", picture)
    await expect(page.locator("#list .state").first).to_contain_text("Stored", timeout=20_000)
    await expect(page.locator("#list img")).to_have_js_property("naturalWidth", 200)
    assert str(await page.locator("#list img").get_attribute("src")).startswith(f"{site.url}/d/")

    assert {(method, origin(url)) for method, url in ears.requests if not url.startswith("blob:")} == {
        *(("GET", site.url), ("POST", site.url)),
        *(("PUT", site.bucket), ("GET", site.bucket)),
    }
    assert ears.complaints == []


async def test_what_a_page_asks_over_http_would_be_heard(page: Page, site: Site) -> None:
    ears = Ears(page)
    await ears.listen(page)
    await page.goto(f"{site.bucket}/")  # https, without a policy of ours that would stop it first
    await page.evaluate("fetch('http://bucket.example/').catch(() => null)")
    assert ("GET", "http://bucket.example") in [(method, origin(url)) for method, url in ears.requests]
    assert {"MixedContentIssue", "http://bucket.example/: mixed-content"} <= set(ears.complaints)
    assert any(complaint.startswith("Mixed Content: ") for complaint in ears.complaints)
