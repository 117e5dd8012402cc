"""A real browser, the real gateway and a bucket that verifies: from a file in a folder to a picture on a page."""

import base64
import hashlib
import io
import random
import struct
import time
import wave
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from gateway.http.static_files import STATIC_DIR, static_url
from tests.browser.site import Site, open_site, since_the_window_began
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


def png(side: int = 64, seed: int = 1) -> bytes:
    """Paint a square of noise, `side` pixels wide."""
    noise = random.Random(seed)  # noqa: S311 - not for secrets
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


@pytest_asyncio.fixture(loop_scope="session")
async def site(ministack: S3Server) -> AsyncIterator[Site]:
    async with open_site(ministack, since_the_window_began()) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def demo(page: Page, site: Site) -> Page:
    await show(page, site)
    return page


async def show(page: Page, site: Site) -> None:
    """Open the demo page and wait until it knows its policy: it takes no files before."""
    await page.goto(await site.demo())
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()


async def choose(page: Page, name: str, media_type: str, body: bytes) -> None:
    await page.set_input_files("#input", {"name": name, "mimeType": media_type, "buffer": body})


async def outcome(page: Page, state: str) -> None:
    await expect(page.locator("#list .state").first).to_contain_text(state, timeout=20_000)


def stored_sha256(site: Site, size: int) -> list[str]:
    """Digest every object of `size` bytes under `objects/`, which other tests fill as well."""
    listed = site.s3().list_objects_v2(Bucket=site.server.bucket, Prefix="objects/default/").get("Contents", [])
    keys = [each["Key"] for each in listed if each["Size"] == size]
    bodies = (site.s3().get_object(Bucket=site.server.bucket, Key=key)["Body"].read() for key in keys)
    return sorted(hashlib.sha256(body).hexdigest() for body in bodies)


async def test_a_reloaded_page_is_whole_and_takes_files(demo: Page) -> None:
    await demo.reload()  # asks with If-None-Match, and takes over the headers of a 304
    await expect(demo.get_by_role("button", name="Choose files")).to_be_enabled()
    await choose(demo, "reloaded.png", "image/png", png(seed=11))
    await outcome(demo, "Stored")


async def test_two_hundred_megabytes_pass_the_gateway_by(demo: Page, site: Site, tmp_path: Path) -> None:
    size, files = 10_000_007, [tmp_path / f"{number}.txt" for number in range(20)]
    for number, file in enumerate(files):
        file.write_bytes(random.Random(number).randbytes(size // 2 + 1).hex().encode()[:size])  # noqa: S311
    await demo.set_input_files("#input", files)
    await expect(demo.locator("#summary")).to_have_text("20 stored", timeout=120_000)
    assert stored_sha256(site, size) == sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert site.bucket.carried > 20 * size
    assert site.gateway.carried < 20 * 65_536  # the page itself included


async def test_a_sound_is_played_in_its_card(demo: Page) -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 3))
    await choose(demo, "bell.wav", "audio/wav", sound.getvalue())
    await outcome(demo, "Stored")
    await expect(demo.get_by_role("link", name="Open bell.wav")).to_be_visible()
    await expect(demo.locator("audio[controls]")).to_have_js_property("duration", 3)


async def test_a_picture_comes_back_and_the_browser_keeps_it(demo: Page, site: Site) -> None:
    await choose(demo, "square.png", "image/png", png(200, seed=2))
    await outcome(demo, "Stored")
    link = await demo.locator("#list img").get_attribute("src")
    assert link
    assert link.startswith(f"{site.gateway.origin}/d/")
    await expect(demo.locator("#list img")).to_have_js_property("naturalWidth", 200)

    elsewhere = await demo.context.new_page()
    for _ in range(3):
        await elsewhere.goto(site.app)
        width = await elsewhere.evaluate(
            """async (link) => {
              const image = Object.assign(new Image(), { src: link });
              await image.decode();
              return image.naturalWidth;
            }""",
            link,
        )
        assert width == 200
    through_the_gateway = [target for method, target in site.gateway.requests if method == "GET" and target in link]
    assert (len(through_the_gateway), site.bucket.count("GET")) == (4, 1)


async def test_the_same_page_shown_again_asks_the_bucket_for_nothing(demo: Page, site: Site) -> None:
    await choose(demo, "square.png", "image/png", png(seed=3))
    await outcome(demo, "Stored")
    link = await demo.locator("#list img").get_attribute("src")
    await expect(demo.locator("#list img")).to_have_js_property("naturalWidth", 64)
    for _ in range(3):
        await demo.goto("about:blank")
        await demo.goto(await site.demo())
        await demo.evaluate("(link) => Object.assign(new Image(), { src: link }).decode()", link)
    assert site.bucket.count("GET") == 1
    assert len([target for _, target in site.gateway.requests if target.startswith("/d/")]) == 4


async def test_what_is_no_picture_is_downloaded_under_its_name(demo: Page) -> None:
    await choose(demo, "Überblick “2026”.csv", "text/csv", b"a,b\n1,2\n")
    await outcome(demo, "Stored, 8 bytes")
    async with demo.expect_download() as download:
        await demo.get_by_role("link", name="Download").click()
    assert (await download.value).suggested_filename == "Überblick “2026”.csv"
    saved = await (await download.value).path()
    assert saved.read_bytes() == b"a,b\n1,2\n"


@pytest.mark.threat(33)
async def test_a_cancelled_upload_is_never_stored(demo: Page, site: Site) -> None:
    body = png(700, seed=4)
    site.bucket.open.clear()
    await choose(demo, "cancelled.png", "image/png", body)
    await site.bucket.asked("OPTIONS")
    await demo.get_by_role("button", name="Cancel").click()
    await expect(demo.locator(".reason")).to_have_text("Nothing was kept.")
    await site.gateway.asked("DELETE")
    site.bucket.open.set()
    await demo.wait_for_timeout(500)
    assert stored_sha256(site, len(body)) == []


@pytest.mark.threat(3, 33)
async def test_bytes_that_race_with_a_cancel_are_never_served(demo: Page, site: Site) -> None:
    body = png(300, seed=9)
    await demo.route("**/complete", hang)
    await choose(demo, "raced.png", "image/png", body)
    await outcome(demo, "Checking what arrived")
    await demo.get_by_role("button", name="Cancel").click()
    await site.gateway.asked("DELETE")
    await demo.wait_for_timeout(500)
    assert stored_sha256(site, len(body)) == []


async def hang(_: Route) -> None:
    """Never let a request of the page out."""


async def test_an_answer_lost_on_the_way_loses_no_upload(demo: Page, site: Site) -> None:
    body = png(100, seed=5)
    site.bucket.lost_answers = 1
    await choose(demo, "lost.png", "image/png", body)
    await outcome(demo, "Stored")
    assert site.bucket.lost_answers == 0
    assert stored_sha256(site, len(body)) == [hashlib.sha256(body).hexdigest()]


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize(
    ("file", "reason", "code"),
    [
        (
            ("notes.txt", "text/plain", b"<!doctype html><script>alert(1)</script>"),
            "The file contains script, markup, macros or actions that could run where it is opened.",
            "active-content",
        ),
        (
            ("picture.png", "image/png", b"GIF89a" + bytes(100)),
            (
                "The file\u2019s contents do not fit its name: another type, damaged, text that is not in UTF-8, or an "
                "archive with unsafe names."
            ),
            "content-mismatch",
        ),
        (
            ("picture.png", "image/gif", png()),
            "The file\u2019s extension does not belong to its type. Rename it and try again.",
            "extension-mismatch",
        ),
    ],
)
async def test_refusals_of_the_real_gateway_are_shown(
    demo: Page, file: tuple[str, str, bytes], reason: str, code: str
) -> None:
    await choose(demo, *file)
    await outcome(demo, "Refused")
    await expect(demo.locator(".reason")).to_have_text(reason)
    await expect(demo.locator(".code")).to_contain_text(f"{code} · ")


async def test_what_the_policy_refuses_is_refused_by_the_gateway_too(demo: Page, site: Site) -> None:
    await choose(demo, "setup.exe", "application/x-msdownload", b"MZ")
    await outcome(demo, "Not sent")
    await demo.get_by_role("button", name="Send anyway").click()
    await outcome(demo, "Refused")
    await expect(demo.locator(".code")).to_contain_text("type-not-allowed · ")
    assert site.bucket.requests == []


async def test_a_policy_that_asks_for_a_checksum_gets_one(page: Page, site: Site) -> None:
    body = png(seed=6)
    await page.goto(site.app)
    status = await page.evaluate(
        """async ([gateway, pass, text]) => {
          const { upload } = await import(gateway + "/static/gateway.js");
          const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt());
          const file = new File([bytes], "square.png", { type: "image/png" });
          return upload(file, { gateway, authorization: pass, policy: "checked", metadata: { album: "Š" } });
        }""",
        [site.gateway.origin, await site.new_pass("checked"), base64.b64encode(body).decode()],
    )
    assert status["status"] == "stored"
    assert status["object"]["checksum_sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert status["object"]["metadata"] == {"album": "Š"}
    posts = [target for method, target in site.gateway.requests if method == "POST"]
    assert posts[:3] == ["/v1/passes", "/v1/uploads", "/v1/uploads"]  # asked, told to send a checksum, asked again


async def test_a_page_of_another_origin_imports_one_version_of_every_module(page: Page, site: Site) -> None:
    hashed = static_url("gateway.js")
    await page.goto(site.app)
    names = await page.evaluate("async (url) => Object.keys(await import(url))", site.gateway.origin + hashed)
    assert set(names) == {"upload", "start", "pending", "forget", "policies", "GatewayError"}
    modules = [hashed, *(static_url(f"gateway/{file.name}") for file in (STATIC_DIR / "gateway").iterdir())]
    assert sorted(site.gateway.requests) == sorted(("GET", module) for module in modules)


async def test_what_the_bucket_calls_expired_is_understood(page: Page, ministack: S3Server) -> None:
    async with open_site(ministack, lambda: time.time() - 3600) as site:
        await show(page, site)
        await choose(page, "late.png", "image/png", png(seed=7))
        await expect(page.locator(".code")).to_have_text("ticket-expired", timeout=20_000)
        assert site.bucket.count("PUT") == 2


async def test_a_keyboard_alone_uploads_a_picture_and_opens_it(demo: Page, site: Site, tmp_path: Path) -> None:
    chosen = tmp_path / "keyboard.png"
    chosen.write_bytes(png(seed=8))
    demo.on("filechooser", lambda chooser: chooser.set_files(chosen))
    await demo.keyboard.press("Tab")
    await expect(demo.locator(":focus")).to_have_text("Choose files")
    await demo.keyboard.press("Space")
    await outcome(demo, "Stored")
    for _ in range(2):
        await demo.keyboard.press("Tab")
    await expect(demo.locator(":focus")).to_have_text("Open")
    async with demo.context.expect_page() as opened:
        await demo.keyboard.press("Enter")
    picture = await opened.value
    await picture.wait_for_url(f"{site.bucket.origin}/**")
    assert await picture.evaluate("document.images[0].naturalWidth") == 64
