"""What gateway.js promises after a reload: an unfinished upload goes on with the same file, from what has arrived."""

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from gateway.errors import Code
from tests.browser.double import Double, answer, pending, problem
from tests.browser.test_gateway_js import HURRY, failure
from tests.browser.test_parts_js import (
    COMPLETE,
    PARTS,
    SIZE,
    STATUS,
    at_once,
    body,
    each_once,
    noted,
    outcome,
    puts,
    run,
    show,
)
from tests.browser.wire import Response
from tests.docs.pages import blocks
from tests.docs.pages import page as docs_page

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTED = "pending().then((all) => all.map(({ name, size, loaded, policy }) => ({ name, size, loaded, policy })))"
ENTRY = "(await pending())[0]"
CHANGED = failure("file-changed", "This is not the file that the upload began with.")


@pytest_asyncio.fixture(loop_scope="session")
async def app(page: Page, double: Double) -> Page:
    double.multipart_from = 500_000
    await show(page, double)
    return page


async def interrupt(app: Page, double: Double, options: str = "{}") -> int:
    """Reload the page after three parts have arrived, while three others are on their way; the bytes that arrived."""
    double.hold = asyncio.Event()
    await app.evaluate(f"void begin({options})")
    await noted(double, "PUT 1/3")
    released, double.hold = double.hold, asyncio.Event()
    released.set()
    await noted(double, "PUT 1/6")
    await show(app, double)
    double.hold.set()
    double.hold = None
    await at_once(double, 0)
    double.uploads["1"].parts = {number: double.uploads["1"].parts[number] for number in (1, 2, 3)}
    return 3 * double.part_size


async def go_on(app: Page, options: str = "", file: str = "file") -> dict[str, Any]:
    await app.evaluate(f"(async () => void begin({{ entry: {ENTRY}, authorization: undefined, {options} }}, {file}))()")
    return await outcome(app)


async def test_an_upload_goes_on_after_a_reload_without_a_pass_and_sends_nothing_twice(
    app: Page, double: Double
) -> None:
    loaded = await interrupt(app, double, "{ policy: 'videos' }")
    assert await app.evaluate(LISTED) == [{"name": "large.gif", "size": SIZE, "loaded": loaded, "policy": "videos"}]
    del double.log[:], double.authorizations[:]

    assert (await go_on(app))["status"] == double.status("1")
    assert double.uploads["1"].body == body()
    assert puts(double) == {line: 1 for line in each_once() if line > "PUT 1/3"}
    assert {authorization for _, authorization in double.authorizations} == {None}
    sent = [each["loaded"] for each in await app.evaluate("progress") if each["phase"] == "uploading"]
    assert sent == sorted(sent)
    assert sent[0] == loaded
    assert await app.evaluate(LISTED) == []


@pytest.mark.parametrize(
    "file",
    [
        "new File([file, 'more'], 'large.gif', { lastModified: 5 })",
        "make('large.gif', { lastModified: 6 })",
        "make('other.gif')",
        "null",
    ],
    ids=["another size", "changed since", "another name", "none"],
)
async def test_another_file_is_refused_and_the_upload_stays(app: Page, double: Double, file: str) -> None:
    loaded = await interrupt(app, double)
    before = list(double.log)
    assert await go_on(app, file=file) == {"error": CHANGED, "entry": None}
    assert puts(double) == {line: 1 for line in before if line.startswith("PUT")}
    assert await app.evaluate("pending().then((all) => all.map((each) => each.loaded))") == [loaded]


@pytest.mark.threat(49)
async def test_a_wrong_clock_forgets_no_upload(app: Page, double: Double) -> None:
    await interrupt(app, double)
    await app.add_init_script("const now = Date.now; Date.now = () => now() + 864_000_000")
    await show(app, double)
    assert (await go_on(app))["status"] == double.status("1")


async def test_an_upload_that_lacks_only_its_completion_needs_no_file(app: Page, double: Double) -> None:
    double.answers[COMPLETE] = deque([answer(202, pending("promoting", retry_after=30))])
    await app.evaluate("void begin()")
    await noted(double, COMPLETE)
    await show(app, double)
    assert await app.evaluate("pending().then((all) => all.map((each) => each.loaded))") == [SIZE]
    assert (await go_on(app, file="null"))["status"] == double.status("1")
    assert puts(double) == each_once()


@pytest.mark.parametrize(
    "response",
    [
        problem(Code.NOT_FOUND),
        answer(200, pending("aborted")),
        answer(200, pending("stored")),
        answer(200, pending("rejected", refusal=Code.CONTENT_MISMATCH)),
        answer(200, pending("deleted")),
    ],
    ids=["expired", "aborted", "stored", "rejected", "deleted"],
)
async def test_what_ended_elsewhere_is_forgotten(app: Page, double: Double, response: Response) -> None:
    await interrupt(app, double)
    double.answers[STATUS] = deque([response])
    assert await app.evaluate(LISTED) == []
    assert await app.evaluate(LISTED) == []
    assert double.log.count(STATUS) == 1


async def test_what_the_gateway_cannot_be_asked_about_stays_listed(app: Page, double: Double) -> None:
    await interrupt(app, double)
    double.answers[STATUS] = deque([None, problem(Code.STORAGE_UNAVAILABLE)])
    for _ in range(2):
        assert await app.evaluate("pending().then((all) => all.map((each) => each.loaded))") == [None]


async def test_what_is_given_up_is_freed_and_forgotten(app: Page, double: Double) -> None:
    await interrupt(app, double)
    assert await app.evaluate(f"(async () => forget({ENTRY}))()") is True
    await noted(double, "DELETE 1")
    assert (double.uploads["1"].status, double.uploads["1"].parts) == ("aborted", {})
    assert await app.evaluate(LISTED) == []


async def test_what_is_stored_cannot_be_given_up_and_that_is_told(app: Page, double: Double) -> None:
    await interrupt(app, double)
    double.answers["DELETE 1"] = deque([problem(Code.ALREADY_STORED)])
    assert await app.evaluate(f"(async () => forget({ENTRY}))()") is False
    assert await app.evaluate(LISTED) == []


async def test_an_upload_goes_on_in_one_tab_at_a_time(app: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await app.evaluate("void begin()")
    await noted(double, "PUT 1/3")
    other = await app.context.new_page()
    await show(other, double)
    assert await app.evaluate(LISTED) == []
    assert await other.evaluate(LISTED) == []
    await app.evaluate("task.pause()")
    double.hold.set()
    assert await other.evaluate(LISTED) == []  # it is that tab's to resume
    await app.close()
    assert len(await other.evaluate(LISTED)) == 1

    third = await other.context.new_page()
    await show(third, double)
    double.hold = asyncio.Event()
    entry = "(async () => void (window.kept = (await pending())[0]))()"
    await asyncio.gather(other.evaluate(entry), third.evaluate(entry))
    await other.evaluate("void begin({ entry: kept })")
    await noted(double, STATUS, 3)
    await third.evaluate("void begin({ entry: kept })")
    detail = "This upload goes on already, perhaps in another tab."
    assert await outcome(third) == {"error": failure("in-progress", detail), "entry": None}
    double.hold.set()
    assert (await outcome(other))["status"] == double.status("1")


async def test_a_file_known_by_its_handle_is_not_chosen_again(app: Page, double: Double) -> None:
    await app.evaluate(
        """async () => {
          const folder = await navigator.storage.getDirectory();
          const handle = await folder.getFileHandle("large.gif", { create: true });
          const writable = await handle.createWritable();
          await writable.write(file);
          await writable.close();
          window.file = handle;
        }"""
    )
    await interrupt(app, double)
    assert await app.evaluate(f"(async () => {ENTRY}.handle.kind)()") == "file"
    assert (await go_on(app, file="(await pending())[0].handle"))["status"] == double.status("1")
    assert double.uploads["1"].body == body()


async def test_a_file_that_changed_on_the_disk_is_not_gone_on_with(app: Page, double: Double, tmp_path: Path) -> None:
    chosen = tmp_path / "large.gif"
    chosen.write_bytes(body())
    await app.set_content("<input type=file>")
    await app.set_input_files("input", chosen)
    await app.evaluate("window.file = document.querySelector('input').files[0]")
    await interrupt(app, double)
    await app.set_content("<input type=file>")
    await app.set_input_files("input", chosen)
    os.utime(chosen, (1, 1))
    await app.set_input_files("input", chosen)
    assert await go_on(app, file="document.querySelector('input').files[0]") == {"error": CHANGED, "entry": None}


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'indexedDB', { value: undefined })",
        "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError') }",
        "IDBFactory.prototype.open = () => ({})",
        "IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'QuotaExceededError') }",
        "Object.defineProperty(navigator, 'locks', { value: undefined })",
        "LockManager.prototype.request = async () => { throw new DOMException('no', 'SecurityError') }",
    ],
    ids=["no database", "forbidden", "never answers", "full", "no locks", "forbidden locks"],
)
async def test_where_nothing_can_be_kept_uploads_work_all_the_same(page: Page, double: Double, broken: str) -> None:
    await page.add_init_script(broken)
    await page.add_init_script(HURRY)
    double.multipart_from = 500_000
    await show(page, double)
    assert (await run(page))["status"] == double.status("1")
    assert puts(double) == each_once()
    assert await page.evaluate(LISTED) == []

    double.answers["POST 2/complete"] = deque([problem(Code.STORAGE_UNAVAILABLE, 0)] * 5)
    assert (await run(page))["entry"] == "large.gif"
    assert len(await page.evaluate(LISTED)) == 1  # until the page is closed
    assert (await run(page, "{ entry: error.entry }"))["status"] == double.status("2")
    assert len(puts(double)) == 2 * PARTS
    assert await page.evaluate(LISTED) == []


async def test_the_recipe_of_the_documentation_goes_on(app: Page, double: Double) -> None:
    recipe = next(block for block in blocks(docs_page("docs/gateway-js.md"), "js") if "of await pending()" in block)
    await interrupt(app, double)
    await app.evaluate(
        f"""async () => {{
          const onProgress = () => {{}};
          let done;
          const offer = (entry, goOn) => (done = goOn(file));
          {recipe}
          await done;
        }}"""
    )
    assert double.uploads["1"].body == body()
