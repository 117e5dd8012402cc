"""The page of the quick start works as it stands there, in a real browser."""

import re

from playwright.async_api import async_playwright, expect

from tests.browser.conftest import FLAGS, chromium
from tests.browser.test_end_to_end import png
from tests.docs.conftest import Desk
from tests.docs.pages import blocks, page

QUICKSTART = page("docs/quickstart.md")


async def test_the_page_of_the_quick_start_uploads_and_shows_a_picture(desk: Desk) -> None:
    (command,) = [block for block in blocks(QUICKSTART, "sh") if "gateway pass" in block]
    url = desk.bash(command.replace(".venv/bin/gateway", "gateway")).strip()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        tab = await browser.new_page()
        await tab.goto(url)
        await tab.set_input_files("#photo", {"name": "noise.png", "mimeType": "image/png", "buffer": png(side=32)})
        await expect(tab.locator("#picture")).to_have_js_property("naturalWidth", 32, timeout=30_000)
        await expect(tab.locator("#picture")).to_have_attribute("src", re.compile("/d/default"))
        await expect(tab.locator("#bar")).to_have_js_property("value", 1)
        await tab.set_input_files("#photo", {"name": "note.png", "mimeType": "image/png", "buffer": b"no picture"})
        await expect(tab.locator("#message")).to_contain_text("not of the declared type", timeout=30_000)
        await browser.close()
