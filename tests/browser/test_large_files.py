"""Large files in a real browser, through a network that breaks: byte-identical, and no finished part sent twice."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from tests.browser.site import Site, open_site
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

PART = 8 * 2**20  # bytes, the usual size


@pytest_asyncio.fixture(loop_scope="session")
async def site(ministack: S3Server) -> AsyncIterator[Site]:
    async with open_site(ministack) as site:
        yield site


async def show(page: Page, site: Site, policy: str = "large") -> None:
    await page.goto(await site.demo(policy))
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()


def write(file: Path, size: int, seed: int = 1) -> str:
    """Fill a file with noise; its SHA-256."""
    noise, digest = random.Random(seed), hashlib.sha256()  # noqa: S311 - not for secrets
    with file.open("wb") as sink:
        while size:
            piece = noise.randbytes(min(size, 2**20))
            digest.update(piece)
            size -= sink.write(piece)
    return digest.hexdigest()


def part_number(target: str) -> int:
    return int(parse_qs(urlsplit(target).query)["partNumber"][0])


def taken(site: Site) -> set[int]:
    """The numbers of the parts whose 200 has come by."""
    return {part_number(target) for method, target, status in site.bucket.history if (method, status) == ("PUT", 200)}


def sent(site: Site) -> set[int]:
    """The numbers of the parts that were sent."""
    return {part_number(target) for method, target in site.bucket.requests if method == "PUT"}


def sent_twice(site: Site) -> list[int]:
    """Which parts were sent again after the bucket had said that it took them."""
    finished, twice = set[int](), []
    for method, target, status in site.bucket.history:
        if method == "PUT" and status == 200:
            finished.add(part_number(target))
        elif method == "PUT" and not status and part_number(target) in finished:
            twice.append(part_number(target))
    return twice


async def stored(page: Page, site: Site, timeout: int = 60_000) -> str:  # noqa: ASYNC109 - milliseconds of Playwright
    """Wait until the page's upload is stored; the SHA-256 of the object, found by its link."""
    await expect(page.locator("#list .state").first).to_contain_text("Stored", timeout=timeout)
    link = await page.get_by_role("link", name="Download").get_attribute("href")
    response = await page.context.request.get(str(link), max_redirects=0)
    key = urlsplit(response.headers["location"]).path.removeprefix(f"/{site.server.bucket}/")
    digest = hashlib.sha256()
    for chunk in site.s3().get_object(Bucket=site.server.bucket, Key=key)["Body"].iter_chunks(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def unfinished(site: Site) -> int:
    """How many multipart uploads the bucket still holds for these policies."""
    listed = site.s3().list_multipart_uploads(Bucket=site.server.bucket).get("Uploads", [])
    return sum("/large" in upload["Key"] for upload in listed)


async def test_three_hundred_megabytes_survive_a_reload_and_two_cuts(page: Page, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    digest = write(file, 300_000_000)
    await show(page, site)
    await page.set_input_files("#input", file)

    await site.bucket.until(lambda: len(taken(site)) >= 5)
    site.bucket.cut()
    site.gateway.cut()
    await asyncio.sleep(1)  # the network is away for a second
    site.bucket.is_cut = site.gateway.is_cut = False

    await site.bucket.until(lambda: len(taken(site)) >= 12)
    await page.reload()
    card = page.get_by_role("listitem").filter(has_text="large.bin")
    await expect(card.locator(".state")).to_have_text(re.compile(r"Unfinished at \d\d % of 300 MB"))
    async with page.expect_file_chooser() as chooser:
        await card.get_by_role("button", name="Choose again large.bin").click()
    await (await chooser.value).set_files(file)

    await site.bucket.until(lambda: len(taken(site)) >= 24)
    await page.context.set_offline(True)
    await expect(card.locator(".state")).to_have_text(re.compile(r"Offline at \d\d %, goes on by itself"))
    await page.context.set_offline(False)

    assert await stored(page, site) == digest
    assert sent(site) == set(range(1, -(-300_000_000 // PART) + 1))
    assert sent_twice(site) == []
    assert site.gateway.carried < 2**20  # the page, three times, and the signatures


@pytest.mark.threat(33)
async def test_a_cancelled_large_upload_leaves_nothing_behind(page: Page, site: Site, tmp_path: Path) -> None:
    write(tmp_path / "cancelled.bin", 5 * PART)
    before = unfinished(site)
    await show(page, site)
    await page.set_input_files("#input", tmp_path / "cancelled.bin")
    await site.bucket.until(lambda: len(taken(site)) >= 1)
    await page.get_by_role("button", name="Cancel cancelled.bin").click()
    await expect(page.locator(".reason")).to_have_text("Nothing was kept.")
    await site.gateway.until(lambda: any((each[0], each[2]) == ("DELETE", 204) for each in site.gateway.history))
    assert unfinished(site) == before


async def test_an_upload_is_paused_resumed_and_discarded_after_a_reload(page: Page, site: Site, tmp_path: Path) -> None:
    write(tmp_path / "paused.bin", 6 * PART)
    before = unfinished(site)
    await show(page, site)
    await page.set_input_files("#input", tmp_path / "paused.bin")
    await site.bucket.until(lambda: len(taken(site)) >= 1)
    await page.get_by_role("button", name="Pause paused.bin").click()
    await expect(page.locator("#list .state")).to_have_text(re.compile(r"Paused at \d\d %"))
    assert unfinished(site) == before + 1
    await page.reload()
    await page.get_by_role("button", name="Discard paused.bin").click()
    await expect(page.locator("#list .state")).to_have_text("Discarded")
    await site.gateway.until(lambda: any((each[0], each[2]) == ("DELETE", 204) for each in site.gateway.history))
    assert unfinished(site) == before


async def test_a_policy_that_requires_checksums_has_every_part_verified(page: Page, site: Site, tmp_path: Path) -> None:
    digest = write(tmp_path / "checked.bin", 2 * PART + 1, seed=2)
    await show(page, site, "large-checked")
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright takes no built-in method
    await page.set_input_files("#input", tmp_path / "checked.bin")
    assert await stored(page, site) == digest
    puts = [await request.all_headers() for request in requests if request.method == "PUT"]
    assert len(puts) == 3
    assert all("x-amz-checksum-sha256" in headers for headers in puts)


async def test_a_part_damaged_on_the_way_is_refused_by_the_bucket_and_sent_again(
    page: Page, site: Site, tmp_path: Path
) -> None:
    digest = write(tmp_path / "damaged.bin", 2 * PART, seed=3)
    await show(page, site)
    await page.evaluate(
        """() => {
          const send = XMLHttpRequest.prototype.send;
          XMLHttpRequest.prototype.send = function (body) {
            XMLHttpRequest.prototype.send = send;
            send.call(this, new Blob([new Uint8Array(1), body.slice(1)]));
          };
        }"""
    )
    await page.set_input_files("#input", tmp_path / "damaged.bin")
    assert await stored(page, site) == digest
    assert sorted(status for method, _, status in site.bucket.history if method == "PUT" and status) == [200, 200, 400]


async def test_a_part_signed_long_ago_gets_a_fresh_signature(page: Page, site: Site, tmp_path: Path) -> None:
    digest = write(tmp_path / "late.bin", 2 * PART, seed=4)
    await show(page, site)
    await page.evaluate(
        """() => {
          const open = XMLHttpRequest.prototype.open;
          XMLHttpRequest.prototype.open = function (method, url) {
            XMLHttpRequest.prototype.open = open;
            const late = new URL(url);
            late.searchParams.set("X-Amz-Date", "20260101T000000Z");
            open.call(this, method, late.href);
          };
        }"""
    )
    await page.set_input_files("#input", tmp_path / "late.bin")
    assert await stored(page, site) == digest
    assert sorted(status for method, _, status in site.bucket.history if method == "PUT" and status) == [200, 200, 403]
