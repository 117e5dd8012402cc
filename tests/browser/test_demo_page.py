"""What the demo page promises to people, with the mouse, by keyboard and by screen reader, before and after uploads."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import FileChooser, FilePayload, Locator, Page, expect

from gateway.content.media_types import MEDIA_TYPES
from gateway.errors import CODES, Code
from tests.browser.double import POLICY, STATIC, Double, Fault, answer, pending, problem, storage_error
from tests.browser.test_parts_js import forget_parts, noted
from tests.browser.wire import Response

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push([event.violatedDirective, event.blockedURI]));
"""


def gif(name: str = "a.gif") -> FilePayload:
    return {"name": name, "mimeType": "image/gif", "buffer": b"GIF89a" + name.encode()}


async def choose(page: Page, *files: FilePayload) -> None:
    await page.set_input_files("#input", list(files))


@pytest_asyncio.fixture(loop_scope="session")
async def demo(page: Page, double: Double) -> AsyncIterator[Page]:
    await page.add_init_script(VIOLATIONS)
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    yield page
    assert await page.evaluate("violations") == []


async def test_the_pass_leaves_the_address_bar_and_is_used(demo: Page, double: Double) -> None:
    assert demo.url == f"{double.gateway}/static/demo/"
    assert double.authorizations == [("GET policies", "Bearer pass-1")]


async def test_a_reload_keeps_the_pass_and_the_policy_and_another_tab_has_neither(page: Page, double: Double) -> None:
    policies = answer(200, {"policies": [POLICY, {**POLICY, "name": "tiny", "max_size": 5}]})
    double.answers["GET policies"] = deque([policies] * 3)
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1&policy=tiny")
    for _ in range(2):
        await expect(page.locator("#limits")).to_have_text("GIF or text, up to 5 bytes each")
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert page.url == f"{double.gateway}/static/demo/"
        await page.reload()
    await expect(page.locator("#limits")).to_have_text("GIF or text, up to 5 bytes each")
    assert double.authorizations == [("GET policies", "Bearer pass-1")] * 3

    other = await page.context.new_page()
    await other.goto(f"{double.gateway}/static/demo/")
    await expect(other.get_by_role("alert")).to_contain_text("This page needs a pass.")


async def test_a_pass_that_has_expired_is_not_kept(page: Page, double: Double) -> None:
    double.answers["GET policies"] = deque([problem(Code.UNAUTHENTICATED)])
    await page.goto(f"{double.gateway}/static/demo/#pass=old")
    await expect(page.get_by_role("alert")).to_contain_text("The pass has expired")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("This page needs a pass.")


async def test_a_browser_that_keeps_nothing_shows_the_page_all_the_same(page: Page, double: Double) -> None:
    forbidden = "{ get() { throw new DOMException('no', 'SecurityError') } }"
    await page.add_init_script(f"Object.defineProperty(window, 'sessionStorage', {forbidden})")
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()


async def test_limits_are_shown_before_anything_is_chosen(demo: Page) -> None:
    await expect(demo.locator("#limits")).to_have_text("GIF or text, up to 1 MB each")
    button = demo.get_by_role("button", name="Choose files", description="GIF or text, up to 1 MB each")
    await expect(button).to_be_visible()


async def test_without_a_pass_the_page_says_where_to_get_one(page: Page, double: Double) -> None:
    await page.goto(f"{double.gateway}/static/demo/")
    await expect(page.get_by_role("alert")).to_contain_text("This page needs a pass.")
    await expect(page.get_by_role("button", name="Choose files")).to_be_disabled()
    await page.evaluate("location.hash = 'pass=late'")
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_files_that_come_before_the_policy_are_taken_when_it_is_there(page: Page, double: Double) -> None:
    await page.goto(f"{double.gateway}/static/demo/")
    await choose(page, gif("early.gif"))
    await page.evaluate("location.hash = 'pass=late'")
    await expect(page.get_by_role("listitem").filter(has_text="early.gif")).to_contain_text("Stored")


async def test_an_expired_pass_and_an_unknown_policy_are_said(page: Page, double: Double) -> None:
    double.answers["GET policies"] = deque([problem(Code.UNAUTHENTICATED)])
    await page.goto(f"{double.gateway}/static/demo/#pass=old")
    await expect(page.get_by_role("alert")).to_contain_text("The pass has expired, or was not copied whole.")
    await page.evaluate("location.hash = 'pass=new&policy=other'")
    await expect(page.get_by_role("alert")).to_contain_text("There is no such upload policy.")


async def test_a_picture_comes_back_through_its_link(demo: Page, double: Double) -> None:
    await choose(demo, gif("holiday.gif"))
    card = demo.get_by_role("listitem").filter(has_text="holiday.gif")
    await expect(card).to_contain_text("Stored, 17 bytes")
    await expect(card.locator("img")).to_have_attribute("src", f"{double.gateway}/d/1")
    await expect(card.get_by_role("link", name="Open holiday.gif")).to_have_attribute("href", f"{double.gateway}/d/1")
    await expect(demo.get_by_role("status")).to_have_text("holiday.gif: Stored, 17 bytes.")
    await expect(demo.locator("#summary")).to_have_text("1 stored")


async def test_what_links_only_save_gets_a_download_link(demo: Page) -> None:
    await choose(demo, {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"words"})
    await expect(demo.get_by_role("link", name="Download notes.txt")).to_be_visible()


async def test_the_page_knows_what_links_show_as_the_gateway_does(demo: Page) -> None:
    script = (
        "import('./kinds.js').then(({ extensions, isShown }) => [extensions, Object.keys(extensions).filter(isShown)])"
    )
    extensions, shown = await demo.evaluate(script)
    assert extensions == {each.name: each.extensions[0] for each in MEDIA_TYPES.values()}
    assert set(shown) == {each.name for each in MEDIA_TYPES.values() if each.inline}


async def test_what_the_browser_cannot_play_has_a_link_and_no_player(page: Page, double: Double) -> None:
    policy = {**POLICY, "content_types": ["video/mp4"], "extensions": ["mp4"]}
    double.answers["GET policies"] = deque([answer(200, {"policies": [policy]})])
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await choose(page, {"name": "film.mp4", "mimeType": "video/mp4", "buffer": b"no film"})
    await expect(page.get_by_role("link", name="Open film.mp4")).to_be_visible()
    await expect(page.locator("#list video")).to_have_count(0)


async def test_many_types_are_told_by_their_kinds(page: Page, double: Double) -> None:
    extensions = [extension for each in MEDIA_TYPES.values() for extension in each.extensions]
    policy = {**POLICY, "content_types": sorted(MEDIA_TYPES), "extensions": extensions}
    double.answers["GET policies"] = deque([answer(200, {"policies": [policy]})])
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    kinds = "Pictures, documents, film, sound, archives, text, fonts, and other files"
    rest = len(MEDIA_TYPES) - 4
    limits = page.locator("#limits")
    await expect(limits).to_have_text(f"{kinds}: PNG, JPG, GIF, WEBP and {rest} more types, up to 1 MB each")
    await expect(limits).to_have_attribute("title", " ".join(f".{extension}" for extension in extensions))


async def test_few_types_are_all_named(page: Page, double: Double) -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    policy = {**POLICY, "content_types": ["text/plain", word, "image/svg+xml", "video/quicktime"]}
    double.answers["GET policies"] = deque([answer(200, {"policies": [policy]})])
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await expect(page.locator("#limits")).to_have_text("SVG, MOV, DOCX, or text, up to 1 MB each")


@pytest.mark.threat(8, 52)
async def test_a_filename_is_shown_as_text_whatever_it_holds(demo: Page) -> None:
    name = '<img src=x onerror="document.title=1">"\u202efig.gif'
    await choose(demo, gif(name))
    await expect(demo.locator(".name")).to_have_text(name)
    await expect(demo.get_by_role("status")).to_contain_text(name)
    await expect(demo.locator("#list img")).to_have_count(1)


async def test_files_dropped_or_pasted_are_taken(demo: Page) -> None:
    for kind, name in (("drop", "dropped.gif"), ("paste", "pasted.gif")):
        await demo.evaluate(
            """([kind, name]) => {
              const data = new DataTransfer();
              data.items.add(new File(["GIF89a"], name, { type: "image/gif" }));
              const init = { bubbles: true, cancelable: true };
              const drop = () => new DragEvent("drop", { ...init, dataTransfer: data });
              const paste = () => new ClipboardEvent("paste", { ...init, clipboardData: data });
              document.body.dispatchEvent(kind === "drop" ? drop() : paste());
            }""",
            [kind, name],
        )
        await expect(demo.get_by_role("listitem").filter(has_text=name)).to_contain_text("Stored")


async def test_three_files_go_at_a_time_in_the_order_they_were_chosen(demo: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    names = [f"{number}.gif" for number in range(5)]
    await choose(demo, *map(gif, names))
    await expect(demo.locator('[data-outcome="running"] .name')).to_have_text(names[:3])
    await expect(demo.locator('[data-outcome="waiting"] .name')).to_have_text(names[3:])
    await expect(demo.get_by_role("progressbar", name="Upload of 4.gif")).to_be_visible()
    double.hold.set()
    await expect(demo.locator("#summary")).to_have_text("5 stored")


async def test_each_upload_can_be_cancelled_and_tried_again(demo: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await choose(demo, *(gif(f"{number}.gif") for number in range(4)))
    await expect(demo.locator('[data-outcome="running"]')).to_have_count(3)
    await demo.get_by_role("button", name="Cancel 0.gif").click()
    await demo.get_by_role("button", name="Cancel 2.gif").click()
    double.hold.set()
    await expect(demo.locator('[data-outcome="cancelled"] .name')).to_have_text(["0.gif", "2.gif"])
    await expect(demo.locator('[data-outcome="stored"] .name')).to_have_text(["1.gif", "3.gif"])
    await demo.get_by_role("button", name="Try again 0.gif").click()
    await expect(demo.locator('[data-outcome="stored"]')).to_have_count(3)
    await demo.get_by_role("button", name="Clear finished").click()
    await expect(demo.get_by_role("listitem").filter(has_text=".gif")).to_have_count(0)
    await expect(demo.get_by_role("heading", name="A ticket")).to_be_visible()


async def test_a_waiting_upload_is_cancelled_without_a_word_to_the_gateway(demo: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await choose(demo, *(gif(f"{number}.gif") for number in range(4)))
    await demo.get_by_role("button", name="Cancel 3.gif").click()
    double.hold.set()
    await expect(demo.locator("#summary")).to_have_text("3 stored · 1 cancelled")
    assert double.log.count("POST uploads") == 3


async def test_cancelling_what_has_arrived_does_not_claim_that_nothing_was_kept(demo: Page, double: Double) -> None:
    double.answers["POST 1/complete"] = deque([answer(202, pending("promoting", retry_after=30))])
    await choose(demo, gif())
    await expect(demo.locator(".state")).to_have_text("Checking what arrived")
    await demo.get_by_role("button", name="Cancel a.gif").click()
    await expect(demo.locator(".reason")).to_have_text("The whole file had arrived, and may be stored all the same.")


async def test_a_scan_is_said_and_cancelling_it_does_not_claim_that_nothing_was_kept(
    demo: Page, double: Double
) -> None:
    double.answers["POST 1/complete"] = deque([answer(202, pending("scanning", retry_after=30))])
    await choose(demo, gif())
    await expect(demo.locator(".state")).to_have_text("Scanning for viruses")
    await expect(demo.get_by_role("status")).to_have_text("a.gif: Scanning for viruses.")
    await demo.get_by_role("button", name="Cancel a.gif").click()
    await expect(demo.locator(".reason")).to_have_text("The whole file had arrived, and may be stored all the same.")


async def test_after_a_scan_what_arrived_is_promoted_and_stored(demo: Page, double: Double) -> None:
    scanned = [answer(202, pending(state, retry_after=0)) for state in ("scanning", "promoting")]
    double.answers["POST 1/complete"] = deque(scanned)
    await demo.evaluate(WATCH)
    await choose(demo, gif())
    await expect(demo.locator(".state")).to_have_text("Stored, 11 bytes")
    checked, scanning = "Checking what arrived", "Scanning for viruses"
    states: list[str] = await demo.evaluate("states")
    assert states[states.index(checked) :] == [checked, scanning, checked, "Stored, 11 bytes"]


WATCH = """
window.states = [];
const added = (records) => records.flatMap(({ target, addedNodes }) => target.matches(".state") ? [...addedNodes] : []);
new MutationObserver((records) => {
  for (const { data } of added(records)) if (states.at(-1) !== data) states.push(data);
}).observe(document.getElementById("list"), { childList: true, subtree: true });
"""


LARGE = {**POLICY, "multipart_from": 500_000}


def large(name: str = "film.gif") -> FilePayload:
    return {"name": name, "mimeType": "image/gif", "buffer": b"GIF89a" + bytes(799_994)}


@pytest_asyncio.fixture(loop_scope="session")
async def divided(page: Page, double: Double) -> AsyncIterator[Page]:
    """The page under a policy that divides files from 500 kB, into parts of 100 kB."""
    await page.add_init_script(VIOLATIONS)
    double.multipart_from = 500_000
    double.answers["GET policies"] = deque([answer(200, {"policies": [LARGE]})])
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    yield page
    assert await page.evaluate("violations") == []


async def half_way(page: Page, double: Double, *files: FilePayload) -> None:
    """Let three parts of the first upload through, and hold the next."""
    double.hold = asyncio.Event()
    await choose(page, *files)
    await noted(double, "PUT 1/3")
    released, double.hold = double.hold, asyncio.Event()
    released.set()
    await noted(double, "PUT 1/6")


async def test_a_large_upload_is_paused_and_resumed_by_its_button(divided: Page, double: Double) -> None:
    await half_way(divided, double, large())
    await divided.get_by_role("button", name="Pause film.gif").focus()
    await divided.keyboard.press("Enter")
    await expect(divided.locator(".state")).to_have_text(re.compile(r"^Paused at \d\d %$"))
    await expect(divided.get_by_role("status")).to_have_text(re.compile(r"^film\.gif: Paused at \d\d %\.$"))
    await expect(divided.locator(":focus")).to_have_text("Resume")
    assert double.hold
    double.hold.set()
    await divided.keyboard.press("Enter")
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")
    await expect(divided.locator(":focus")).to_have_text("Open")
    assert double.uploads["1"].body == large()["buffer"]


async def test_a_small_upload_has_no_pause_button(divided: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await choose(divided, gif())
    await noted(double, "PUT 1")
    await expect(divided.get_by_role("button", name="Cancel a.gif")).to_be_visible()
    await expect(divided.get_by_role("button", name="Pause a.gif")).to_be_hidden()
    double.hold.set()


async def test_a_paused_upload_makes_room_for_those_that_wait(divided: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await choose(divided, *(large(f"{number}.gif") for number in range(3)), gif("small.gif"))
    await noted(double, "PUT 1/3")
    await expect(divided.locator('[data-outcome="waiting"] .name')).to_have_text("small.gif")
    await divided.get_by_role("button", name="Pause 0.gif").click()
    await noted(double, "POST uploads", 4)
    double.hold.set()
    await expect(divided.locator("#summary")).to_have_text("3 stored · 1 to go")
    await divided.get_by_role("button", name="Resume 0.gif").click()
    await expect(divided.locator("#summary")).to_have_text("4 stored")


async def test_an_upload_says_that_it_is_offline_and_goes_on_by_itself(divided: Page, double: Double) -> None:
    await half_way(divided, double, large())
    await divided.context.set_offline(True)
    assert double.hold
    double.hold.set()
    told = r"Offline at \d\d %, goes on by itself"
    await expect(divided.locator(".state")).to_have_text(re.compile(rf"^{told}$"))
    await expect(divided.get_by_role("status")).to_have_text(re.compile(rf"^film\.gif: {told}\.$"))
    await divided.context.set_offline(False)
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")


async def test_an_upload_whose_parts_the_store_has_forgotten_can_be_sent_anew(divided: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await choose(divided, large())
    await noted(double, "PUT 1/3")
    forget_parts(double)
    await expect(divided.locator(".state")).to_have_text("Failed")
    reason = "The storage no longer has what was sent of this file. Send it again."
    await expect(divided.locator(".reason")).to_have_text(reason)
    await expect(divided.locator(".actions > :visible")).to_have_text(["Try again", "Remove"])
    double.part_faults.clear()
    await divided.get_by_role("button", name="Try again film.gif").click()
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")
    assert double.uploads["2"].body == large()["buffer"]


async def test_a_silence_is_said_and_ends_by_itself(divided: Page, double: Double) -> None:
    double.part_faults = {number: deque([Fault(kept=False, response=None)] * 2) for number in range(1, 9)}
    await choose(divided, large())
    await expect(divided.locator(".state")).to_have_text("No answer, trying again …")
    await expect(divided.get_by_role("status")).to_have_text("film.gif: No answer, trying again …")
    await expect(divided.get_by_role("button", name="Pause film.gif")).to_be_visible()
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB", timeout=20_000)


async def test_cancelling_in_a_silence_about_the_proof_does_not_claim_that_nothing_was_kept(
    demo: Page, double: Double
) -> None:
    double.answers["POST 1/complete"] = deque([problem(Code.STORAGE_UNAVAILABLE, 30)])
    await choose(demo, gif())
    await expect(demo.locator(".state")).to_have_text("No answer, trying again …")
    await demo.get_by_role("button", name="Cancel a.gif").click()
    await expect(demo.locator(".reason")).to_have_text("The whole file had arrived, and may be stored all the same.")


async def reloaded(page: Page, double: Double) -> None:
    await half_way(page, double, large())
    await page.reload()
    assert double.hold
    double.hold.set()
    await expect(page.locator(".state")).to_have_text(re.compile(r"Unfinished at \d\d % of 800 KB"))


async def test_in_another_tab_an_upload_goes_on_without_a_pass(divided: Page, double: Double, tmp_path: Path) -> None:
    film, other = tmp_path / "film.gif", tmp_path / "other.gif"
    for file in (film, other):
        file.write_bytes(large()["buffer"])
    double.hold = asyncio.Event()
    await divided.set_input_files("#input", film)
    await noted(double, "PUT 1/3")
    released, double.hold = double.hold, None
    tab = await divided.context.new_page()
    await divided.goto("about:blank")
    released.set()
    await tab.goto(f"{double.gateway}/static/demo/")

    alert = tab.get_by_role("alert")
    await expect(alert).to_contain_text("This page needs a pass.")
    await expect(alert).to_contain_text("What is unfinished goes on without one.")
    card = tab.get_by_role("listitem").filter(has_text="film.gif")
    await expect(card.locator(".reason")).to_have_text(
        "The page was closed before all of it was sent. Choose the file again to go on."
    )
    again = card.get_by_role("button", name="Choose again film.gif")
    await choose_by(tab, again, other)
    await expect(card.locator(".reason")).to_have_text(
        "That is another file, or it has changed since. Choose the one that the upload began with."
    )
    await choose_by(tab, again, film)
    await expect(card.locator(".state")).to_have_text("Stored, 800 KB")
    assert double.uploads["1"].body == large()["buffer"]
    assert double.log.count("POST uploads") == 1


async def choose_by(page: Page, button: Locator, file: Path) -> None:
    async with page.expect_file_chooser() as chooser:
        await button.click()
    await (await chooser.value).set_files(file)


async def test_a_file_that_was_dropped_need_not_be_chosen_again(divided: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await divided.evaluate(
        """async () => {
          const handle = await (await navigator.storage.getDirectory()).getFileHandle("film.gif", { create: true });
          const writable = await handle.createWritable();
          await writable.write("GIF89a" + "x".repeat(799_994));
          await writable.close();
          DataTransferItem.prototype.getAsFileSystemHandle = async () => handle;
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(await handle.getFile());
          document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
        }"""
    )
    await noted(double, "PUT 1/3")
    released, double.hold = double.hold, None
    await divided.reload()
    released.set()
    await expect(divided.locator(".reason")).to_have_text("The page was closed before all of it was sent.")
    await divided.get_by_role("button", name="Go on film.gif").click()
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")
    assert double.log.count("POST uploads") == 1


async def test_an_unfinished_upload_is_discarded_for_good(divided: Page, double: Double) -> None:
    await reloaded(divided, double)
    await divided.get_by_role("button", name="Discard film.gif").click()
    await expect(divided.locator(".state")).to_have_text("Discarded")
    await noted(double, "DELETE 1")
    await divided.reload()
    await expect(divided.get_by_role("heading", name="A ticket")).to_be_visible()


def on_disk(file: Path) -> Path:
    file.write_bytes(large()["buffer"])
    return file


async def interrupted(page: Page, double: Double, file: Path) -> None:
    """Reload the page while the first parts of the file, chosen from the disk, are on their way."""
    double.hold = asyncio.Event()
    await page.set_input_files("#input", file)
    await noted(double, "PUT 1/3")
    released, double.hold = double.hold, None
    await page.reload()
    released.set()


async def gone_on(page: Page, file: Path) -> Locator:
    """Choose the file of the unfinished upload again; its card."""
    card = page.get_by_role("listitem").filter(has_text=file.name)
    await choose_by(page, card.get_by_role("button", name=f"Choose again {file.name}"), file)
    return card


async def test_what_went_on_and_is_stored_can_no_longer_be_discarded(
    divided: Page, double: Double, tmp_path: Path
) -> None:
    film = on_disk(tmp_path / "film.gif")
    await interrupted(divided, double, film)
    card = await gone_on(divided, film)
    await expect(card.locator(".state")).to_have_text("Stored, 800 KB")
    await expect(card.locator(".actions > :visible")).to_have_text(["Open"])


async def test_what_another_tab_has_stored_is_not_said_to_be_discarded(divided: Page, double: Double) -> None:
    await reloaded(divided, double)
    double.answers["DELETE 1"] = deque([problem(Code.ALREADY_STORED)])
    await divided.get_by_role("button", name="Discard film.gif").click()
    await expect(divided.locator(".state")).to_have_text("Stored")
    await expect(divided.locator(".reason")).to_have_text("The file is stored already.")
    await expect(divided.locator(".actions > :visible")).to_have_count(0)
    await expect(divided.locator("#summary")).to_have_text("1 stored")


async def test_an_upload_that_lacks_only_its_proof_goes_on_by_itself(divided: Page, double: Double) -> None:
    double.answers["POST 1/complete"] = deque([answer(202, pending("promoting", retry_after=30))])
    await choose(divided, large())
    await noted(double, "POST 1/complete")
    await divided.reload()
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")


async def test_a_large_upload_that_failed_goes_on_from_what_has_arrived(divided: Page, double: Double) -> None:
    double.answers["POST 1/complete"] = deque([Response(500)])
    await choose(divided, large())
    await expect(divided.locator(".reason")).to_have_text("The gateway answered 500. What has arrived is kept.")
    await expect(divided.get_by_role("button", name="Discard film.gif")).to_be_visible()
    await divided.get_by_role("button", name="Go on film.gif").click()
    await expect(divided.locator(".state")).to_have_text("Stored, 800 KB")
    assert len([line for line in double.log if line.startswith("PUT")]) == 8


async def test_what_the_policy_will_not_take_is_said_and_sent_when_told_to(demo: Page, double: Double) -> None:
    await choose(demo, {"name": "setup.exe", "mimeType": "application/x-msdownload", "buffer": b"MZ"})
    card = demo.get_by_role("listitem").filter(has_text="setup.exe")
    await expect(card.locator(".state")).to_have_text("Not sent")
    await expect(card.locator(".reason")).to_have_text("Files of this type are not taken here.")
    assert double.log == ["GET policies"]

    double.answers["POST uploads"] = deque([problem(Code.TYPE_NOT_ALLOWED)])
    await card.get_by_role("button", name="Send anyway setup.exe").click()
    await expect(card.locator(".state")).to_have_text("Refused")
    await expect(card.locator(".code")).to_have_text("type-not-allowed · r-1")


async def test_a_file_over_the_limit_is_told_both_sizes(demo: Page) -> None:
    await choose(demo, {"name": "big.gif", "mimeType": "image/gif", "buffer": bytes(1_500_000)})
    reason = demo.get_by_role("listitem").filter(has_text="big.gif").locator(".reason")
    await expect(reason).to_have_text("This file has 1.5 MB, and up to 1 MB are taken here.")


@pytest.mark.parametrize(
    ("max_size", "told"),
    [(5 * 2**30, "5 GiB"), (200 * 2**20, "200 MiB"), (20_000_000, "20 MB"), (1_500_000, "1.5 MB"), (1, "1 byte")],
)
async def test_sizes_are_told_in_the_units_of_the_settings(
    page: Page, double: Double, max_size: int, told: str
) -> None:
    policy = {**POLICY, "max_size": max_size}
    double.answers["GET policies"] = deque([answer(200, {"policies": [policy]})])
    await page.goto(f"{double.gateway}/static/demo/#pass=pass-1")
    await expect(page.locator("#limits")).to_have_text(f"GIF or text, up to {told} each")


async def test_an_empty_file_that_is_refused_is_said_to_be_empty(demo: Page, double: Double) -> None:
    double.answers["POST uploads"] = deque([problem(Code.TOO_LARGE)])
    await choose(demo, {"name": "nothing.gif", "mimeType": "image/gif", "buffer": b""})
    reason = demo.get_by_role("listitem").filter(has_text="nothing.gif").locator(".reason")
    await expect(reason).to_have_text("The file is empty.")


async def test_every_refusal_has_a_sentence_of_its_own_for_people(demo: Page) -> None:
    messages = await demo.evaluate("import('./messages.js').then((module) => module.messages)")
    assert set(CODES) - set(messages) == set()
    assert all(re.fullmatch(r"[A-Z].{10,}\.", sentence) for sentence in messages.values())


@pytest.mark.parametrize(
    ("response", "reason", "code"),
    [
        (
            problem(Code.ACTIVE_CONTENT),
            "The file contains script, markup, macros or actions that could run where it is opened.",
            "active-content",
        ),
        (
            answer(200, pending("rejected", refusal=Code.INFECTED)),
            "The virus scanner found malware in this file, or could not look into it for a password. It was not kept.",
            "infected",
        ),
    ],
    ids=["refused", "rejected later"],
)
async def test_what_the_proof_finds_is_shown(
    demo: Page, double: Double, response: Response, reason: str, code: str
) -> None:
    double.answers["POST 1/complete"] = deque([response])
    await choose(demo, gif())
    await expect(demo.locator(".reason")).to_have_text(reason)
    await expect(demo.locator(".code")).to_have_text(f"{code} · r-1")
    await expect(demo.get_by_role("status")).to_have_text(f"a.gif: Refused. {reason}")


@pytest.mark.parametrize(
    "code",
    [Code.SIZE_MISMATCH, Code.CONTENT_MISMATCH, Code.ACTIVE_CONTENT, Code.ARCHIVE_TOO_LARGE, Code.INFECTED],
    ids=lambda code: code.code,
)
async def test_a_file_that_can_never_pass_is_not_tried_again(demo: Page, double: Double, code: Code) -> None:
    double.answers["POST 1/complete"] = deque([problem(code)])
    await choose(demo, gif())
    await expect(demo.locator(".state")).to_have_text("Refused")
    await expect(demo.locator(".actions > :visible")).to_have_text(["Remove"])


async def test_what_is_not_sent_is_removed_one_by_one_and_the_focus_stays_in_the_list(demo: Page) -> None:
    names = ["a.exe", "b.exe", "c.exe"]
    await choose(demo, *(FilePayload(name=name, mimeType="x/y", buffer=b"MZ") for name in names))
    await expect(demo.locator(".actions > :visible")).to_have_text(["Send anyway", "Remove"] * 3)
    await demo.get_by_role("button", name="Remove b.exe").click()
    await expect(demo.locator(".name")).to_have_text(["a.exe", "c.exe"])
    await expect(demo.locator("#summary")).to_have_text("2 not stored")
    await expect(demo.get_by_role("button", name="Send anyway c.exe")).to_be_focused()
    await demo.get_by_role("button", name="Remove c.exe").click()
    await expect(demo.get_by_role("button", name="Send anyway a.exe")).to_be_focused()
    await demo.get_by_role("button", name="Remove a.exe").click()
    await expect(demo.get_by_role("button", name="Choose files")).to_be_focused()
    await expect(demo.get_by_role("heading", name="A ticket")).to_be_visible()


async def test_what_the_bucket_refuses_is_shown(demo: Page, double: Double) -> None:
    double.faults.append(Fault(kept=False, response=storage_error(403, "AccessDenied")))
    await choose(demo, gif())
    await expect(demo.locator(".reason")).to_have_text("The storage does not allow this upload.")
    await expect(demo.locator(".code")).to_have_text("storage-refused · AccessDenied")


async def test_the_keyboard_reaches_everything_and_the_focus_stays(demo: Page, double: Double) -> None:
    choosers = asyncio.Queue[FileChooser]()
    demo.on("filechooser", choosers.put_nowait)
    await demo.keyboard.press("Tab")
    focused = demo.locator(":focus-visible")
    await expect(focused).to_have_text("Choose files")
    assert await focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    double.hold = asyncio.Event()
    await demo.keyboard.press("Enter")
    await (await asyncio.wait_for(choosers.get(), 10)).set_files([gif()])
    await demo.keyboard.press("Tab")
    await expect(focused).to_have_text("Cancel")
    await demo.keyboard.press("Enter")
    await expect(focused).to_have_text("Try again")
    double.hold.set()
    await demo.keyboard.press("Enter")
    await expect(focused).to_have_text("Open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_paused_or_unfinished_has_that_contrast_too(divided: Page, double: Double, scheme: str) -> None:
    await divided.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await reloaded(divided, double)
    double.answers["GET policies"] = deque([answer(200, {"policies": [LARGE]})])
    await divided.evaluate("location.hash = 'pass=pass-1'")
    double.hold = asyncio.Event()
    await choose(divided, large("paused.gif"))
    await divided.get_by_role("button", name="Pause paused.gif").click()
    await expect(divided.locator("#summary")).to_have_text("1 to go · 1 unfinished")
    contrasts = await divided.evaluate(CONTRASTS)
    assert {"quiet main", "quiet more", "state", "reason"} <= {name for name, _ in contrasts}
    assert [each for each in contrasts if each[1] < 4.5] == []  # WCAG 2.2, 1.4.3
    double.hold.set()


CONTRASTS = """
() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = channels(text).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  const isText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const shown = [...document.querySelectorAll("body *")].filter((each) => isText(each) && each.checkVisibility());
  return shown.map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    return [element.className || element.tagName, (a + 0.05) / (b + 0.05)];
  });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("chosen", [False, True], ids=["empty", "used"])
async def test_text_has_the_contrast_of_wcag_aa(
    demo: Page,
    double: Double,
    scheme: str,
    chosen: bool,  # noqa: FBT001
) -> None:
    await demo.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    if chosen:
        double.answers["POST uploads"] = deque([problem(Code.FORBIDDEN)])
        await choose(demo, gif("refused.gif"), gif("stored.gif"), {"name": "a.exe", "mimeType": "x/y", "buffer": b""})
        await expect(demo.locator("#summary")).to_have_text("1 stored · 2 not stored")
    contrasts = await demo.evaluate(CONTRASTS)
    assert len(contrasts) >= 10
    assert [each for each in contrasts if each[1] < 4.5] == []  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
async def test_nothing_is_wider_than_the_screen_and_everything_can_be_touched(demo: Page, width: int) -> None:
    await demo.set_viewport_size({"width": width, "height": 740})
    await choose(demo, gif("a-name-of-a-picture-that-has-no-place-to-break-" + "x" * 80 + ".gif"), gif())
    await expect(demo.locator("#summary")).to_have_text("2 stored")
    assert await demo.evaluate("document.documentElement.scrollWidth") == width
    heights = await demo.locator("button:visible, a:visible").evaluate_all("(all) => all.map((e) => e.clientHeight)")
    assert min(heights) >= 36  # CSS pixels, above the 24 of WCAG 2.2, 2.5.8


async def test_the_page_holds_no_inline_script_style_or_absolute_address() -> None:
    html = (STATIC / "demo" / "index.html").read_text()
    assert re.findall(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)|https?://|(?:src|href)=\"/", html) == []
