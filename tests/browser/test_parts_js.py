"""What gateway.js promises of files in parts: nothing is sent twice, and a bad network costs time alone."""

import asyncio
from collections import Counter, deque
from itertools import groupby
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from gateway.errors import Code
from tests.browser.double import Double, Fault, answer, pending, problem, storage_error
from tests.browser.test_gateway_js import HURRY, failure, refusal, settled

pytestmark = pytest.mark.asyncio(loop_scope="session")

TICKET, SIGN, COMPLETE, STATUS, CANCEL = "POST uploads", "POST 1/parts", "POST 1/complete", "GET 1", "DELETE 1"
LOST = Fault(kept=True, response=None)
NEVER_ARRIVED = Fault(kept=False, response=None)
SLOW_DOWN = Fault(kept=False, response=storage_error(503, "SlowDown"))
DAMAGED = Fault(kept=False, response=storage_error(400, "BadDigest"))
EXPIRED = Fault(kept=False, response=storage_error(403, "AccessDenied", "Request has expired"))
NO_SUCH_UPLOAD = Fault(kept=False, response=storage_error(404, "NoSuchUpload"))
FORBIDDEN = Fault(kept=False, response=storage_error(403, "AccessDenied"))

# Pauses are next to nothing, but answers may take their time.
HURRY_MORE = HURRY.replace("milliseconds / 20", "milliseconds < 50_000 ? milliseconds / 500 : milliseconds")

# A file of 7 parts and a bit, whose parts differ; `window.file`, `window.begin(options)`, `window.outcome`.
PAGE = """
async (gateway) => {
  const client = await import("/gateway.js");
  const bytes = Uint8Array.from({ length: 750_000 }, (_, index) => (index * 7 + (index >> 12)) % 251);
  const make = (name, more) => new File([bytes], name, { type: "image/gif", lastModified: 5, ...more });
  const tell = ({ name, code, detail, status, requestId, storageCode, retryAfter, cause }) =>
    ({ name, code, detail, status, requestId, storageCode, retryAfter, cause: String(cause) });
  Object.assign(window, client, { make, file: make("large.gif"), progress: [], controller: new AbortController() });
  window.begin = (options = {}, file = window.file) => {
    const onProgress = (each) => window.progress.push(each);
    const fixed = { gateway, authorization: "pass-1", signal: controller.signal, onProgress };
    window.task = client.start(file, { ...fixed, ...options });
    window.outcome = task.done.then((status) => ({ status }), (error) => {
      window.error = error;
      return { error: tell(error), entry: error.entry?.name ?? null };
    });
  };
}
"""
SIZE, PARTS = 750_000, 8


def body() -> bytes:
    return bytes((index * 7 + (index >> 12)) % 251 for index in range(SIZE))


@pytest_asyncio.fixture(loop_scope="session")
async def app(page: Page, double: Double) -> Page:
    """The page of an application, ready to `begin()`; its gateway divides everything from 500 kB."""
    double.multipart_from = 500_000
    await show(page, double)
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def hurried(page: Page, double: Double) -> Page:
    """The same, where pauses are a twentieth as long."""
    await page.add_init_script(HURRY)
    double.multipart_from = 500_000
    await show(page, double)
    return page


async def show(page: Page, double: Double) -> None:
    await page.goto(double.app)
    await page.evaluate(PAGE, double.gateway)


async def outcome(page: Page) -> dict[str, Any]:
    async with asyncio.timeout(30):
        result: dict[str, Any] = await page.evaluate("outcome")
    return result


async def run(page: Page, options: str = "{}") -> dict[str, Any]:
    await page.evaluate(f"void begin({options})")
    return await outcome(page)


async def until(page: Page, condition: str) -> None:
    await page.wait_for_function(condition, timeout=10_000)


async def noted(double: Double, line: str, count: int = 1) -> None:
    """Wait for a line of the conversation."""
    for _ in range(1000):
        if double.log.count(line) >= count:
            return
        await asyncio.sleep(0.01)
    assert double.log == [line]


async def at_once(double: Double, lanes: int) -> None:
    """Wait until so many parts are on their way."""
    for _ in range(1000):
        if double.in_flight == lanes:
            return
        await asyncio.sleep(0.01)
    assert double.in_flight == lanes


def puts(double: Double) -> dict[str, int]:
    return dict(Counter(line for line in double.log if line.startswith("PUT")))


def each_once(ticket: int = 1) -> dict[str, int]:
    return {f"PUT {ticket}/{number}": 1 for number in range(1, PARTS + 1)}


async def is_monotonic(page: Page) -> bool:
    sent = [each["loaded"] for each in await page.evaluate("progress")]
    return sent == sorted(sent) and sent[-1] == SIZE


async def test_a_large_file_goes_in_parts_each_verified(app: Page, double: Double) -> None:
    result = await run(app)
    assert result == {"status": double.status("1")}
    assert double.uploads["1"].body == body()
    assert double.uploads["1"].asked["part_checksums"] is True
    assert puts(double) == each_once()
    assert [line for line in double.log if not line.startswith("PUT")] == [TICKET, SIGN, COMPLETE]
    assert double.authorizations[0] == (TICKET, "Bearer pass-1")
    assert {authorization for _, authorization in double.authorizations[1:]} == {None}


async def test_without_webcrypto_parts_go_unverified_by_the_signatures_of_the_ticket(app: Page, double: Double) -> None:
    await app.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    assert (await run(app))["status"] == double.status("1")
    assert "part_checksums" not in double.uploads["1"].asked
    assert [line for line in double.log if not line.startswith("PUT")] == [TICKET, COMPLETE]


async def test_a_policy_that_requires_checksums_gets_them_or_an_explanation(app: Page, double: Double) -> None:
    double.checksums_required = True
    assert (await run(app))["status"] == double.status("1")
    await app.evaluate("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    result = await run(app)
    detail = "This upload needs a checksum, which browsers compute only on https pages."
    assert result == {"error": failure("checksum-unavailable", detail), "entry": None}
    await noted(double, "DELETE 2")


async def test_three_parts_go_at_a_time_and_up_to_six_while_that_is_faster(app: Page, double: Double) -> None:
    double.part_size = 20_000
    double.hold = asyncio.Event()
    await app.evaluate("void begin()")
    for lanes in (3, 4, 5):
        await at_once(double, lanes)
        await app.wait_for_timeout(300 // (lanes - 2) ** 2)
        assert double.in_flight == lanes
        released, double.hold = double.hold, asyncio.Event()
        released.set()
    double.hold.set()
    double.hold = None
    assert (await outcome(app))["status"] == double.status("1")
    assert double.most_in_flight <= 6


async def test_signatures_are_asked_for_shortly_before_they_are_needed(app: Page, double: Double) -> None:
    double.part_size = 10_000
    double.hold = asyncio.Event()
    await app.evaluate("void begin()")
    await noted(double, "PUT 1/3")
    assert len(double.uploads["1"].signed) <= 24
    double.hold.set()
    assert (await outcome(app))["status"] == double.status("1")
    assert double.log.count(SIGN) <= 75 / 6


@pytest.mark.parametrize(
    ("fault", "asked"),
    [(SLOW_DOWN, 0), (DAMAGED, 0), (EXPIRED, 0), (NEVER_ARRIVED, 1)],
    ids=lambda each: str(each)[:60],
)
async def test_a_part_that_was_not_taken_goes_again_by_a_fresh_signature(
    hurried: Page, double: Double, fault: Fault, asked: int
) -> None:
    double.part_faults = {2: deque([fault])}
    assert (await run(hurried))["status"] == double.status("1")
    assert double.uploads["1"].body == body()
    assert puts(double) == {**each_once(), "PUT 1/2": 2}  # the bucket of the double takes no signature twice
    assert double.log.count(STATUS) == asked
    assert await is_monotonic(hurried)


async def test_a_part_whose_answer_was_lost_is_not_sent_again(hurried: Page, double: Double) -> None:
    double.part_faults = {number: deque([LOST]) for number in (1, 2, 3, 8)}
    assert (await run(hurried))["status"] == double.status("1")
    assert puts(double) == each_once()
    assert await is_monotonic(hurried)


async def test_a_part_that_the_bucket_always_finds_damaged_is_reported(hurried: Page, double: Double) -> None:
    double.part_faults = {2: deque([DAMAGED] * 4)}
    detail = "The file changed while it was being sent. Choose it again."
    result = await run(hurried)
    assert result == {"error": failure("storage-refused", detail, 400, storage="BadDigest"), "entry": None}
    assert puts(double)["PUT 1/2"] == 4
    await noted(double, CANCEL)


async def test_a_clear_refusal_of_a_part_ends_the_upload_and_frees_its_parts(app: Page, double: Double) -> None:
    double.part_faults = {5: deque([FORBIDDEN])}
    detail = "The storage does not allow this upload."
    result = await run(app)
    assert result == {"error": failure("storage-refused", detail, 403, storage="AccessDenied"), "entry": None}
    await noted(double, CANCEL)
    assert await app.evaluate("pending()") == []


async def test_a_bucket_that_takes_nothing_is_given_up_and_what_arrived_is_kept(page: Page, double: Double) -> None:
    double.multipart_from = 500_000
    await page.add_init_script(HURRY_MORE)
    await show(page, double)
    double.part_faults = {number: deque([NEVER_ARRIVED] * 20) for number in range(4, 9)}
    result = await run(page)
    detail = "The storage cannot be reached. Try again."
    assert result == {"error": failure("storage-unreachable", detail), "entry": "large.gif"}
    assert CANCEL not in double.log

    double.part_faults.clear()
    assert (await run(page, "{ entry: error.entry }"))["status"] == double.status("1")
    assert {number: count for number, count in puts(double).items() if number < "PUT 1/4"} == {
        f"PUT 1/{number}": 1 for number in (1, 2, 3)
    }
    assert double.uploads["1"].body == body()


async def test_a_gateway_that_is_away_for_a_while_costs_no_part(hurried: Page, double: Double) -> None:
    double.answers = {SIGN: deque([None] * 3), COMPLETE: deque([None])}
    double.part_faults = {1: deque([LOST])}
    assert (await run(hurried))["status"] == double.status("1")
    assert puts(double) == each_once()


async def phases(page: Page) -> list[str]:
    """Return what the page was told, without repetitions."""
    return [phase for phase, _ in groupby(each["phase"] for each in await page.evaluate("progress"))]


async def test_a_silence_of_the_gateway_is_told_until_bytes_move_again(hurried: Page, double: Double) -> None:
    double.answers[SIGN] = deque([None] * 7)  # more than one call tries
    assert (await run(hurried))["status"] == double.status("1")
    assert await phases(hurried) == ["asking", "waiting", "asking", "uploading", "completing"]


async def test_a_silence_of_the_bucket_is_told_until_bytes_move_again(hurried: Page, double: Double) -> None:
    double.part_faults = {number: deque([NEVER_ARRIVED] * 2) for number in range(1, PARTS + 1)}
    assert (await run(hurried))["status"] == double.status("1")
    told = await phases(hurried)
    assert told[:3] == ["asking", "uploading", "waiting"]
    assert told[-2:] == ["uploading", "completing"]


async def test_a_silence_about_the_proof_is_told(hurried: Page, double: Double) -> None:
    double.answers[COMPLETE] = deque([None])
    assert (await run(hurried))["status"] == double.status("1")
    assert (await phases(hurried))[-3:] == ["completing", "waiting", "completing"]


async def test_what_somebody_else_completed_is_done(app: Page, double: Double) -> None:
    stored = {**pending("stored"), "link": "by the worker"}
    double.part_faults = {1: deque([Fault(kept=True, response=storage_error(404, "NoSuchUpload"))])}
    double.answers[STATUS] = deque([answer(200, stored)])
    assert (await run(app))["status"] == stored
    assert COMPLETE not in double.log


async def test_what_was_aborted_elsewhere_is_reported(hurried: Page, double: Double) -> None:
    double.part_faults = {1: deque([NO_SUCH_UPLOAD])}
    double.answers[STATUS] = deque([answer(200, pending("aborted"))])
    result = await run(hurried)
    assert result == {"error": failure("aborted", "The upload was aborted.", 409), "entry": None}


LOST_UPLOAD = "The storage no longer has what was sent of this file. Send it again."


async def test_an_upload_that_the_store_has_forgotten_ends_at_once_and_is_offered_no_more(
    app: Page, double: Double
) -> None:
    double.hold = asyncio.Event()
    await app.evaluate("void begin()")
    await noted(double, "PUT 1/3")
    forget_parts(double)
    result = await outcome(app)
    expected = failure("upload-lost", LOST_UPLOAD, 404, storage="NoSuchUpload")
    assert result == {"error": expected, "entry": None}
    await noted(double, CANCEL)
    assert double.log.count(STATUS) == 1
    assert await app.evaluate("pending()") == []
    double.part_faults.clear()
    assert (await run(app))["status"] == double.status("2")


async def test_a_part_that_the_store_disowns_goes_again_while_it_has_others(hurried: Page, double: Double) -> None:
    double.part_faults = {5: deque([NO_SUCH_UPLOAD])}
    assert (await run(hurried))["status"] == double.status("1")
    assert double.uploads["1"].body == body()


def forget_parts(double: Double) -> None:
    """As a store does that keeps unfinished uploads in memory, when it is restarted; lets go what is held."""
    double.uploads["1"].parts.clear()
    double.part_faults = {number: deque([NO_SUCH_UPLOAD] * 20) for number in range(1, PARTS + 1)}
    released, double.hold = double.hold, None
    assert released
    released.set()


async def test_a_ticket_that_expired_is_replaced_once(app: Page, double: Double) -> None:
    double.answers[SIGN] = deque([problem(Code.NOT_FOUND)])
    assert (await run(app))["status"] == double.status("2")
    assert puts(double) == each_once(2)


async def test_a_pause_stops_the_bytes_and_sends_nothing_twice_that_arrived(hurried: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    await hurried.evaluate("void begin()")
    await noted(double, "PUT 1/3")
    await hurried.evaluate("task.pause()")
    await until(hurried, "progress.at(-1).phase === 'paused'")
    double.hold.set()
    await hurried.wait_for_timeout(300)
    before = list(double.log)
    assert before == [TICKET, SIGN, "PUT 1/1", "PUT 1/2", "PUT 1/3"]
    arrived = set(double.uploads["1"].parts)

    await hurried.evaluate("task.resume()")
    assert (await outcome(hurried))["status"] == double.status("1")
    assert double.uploads["1"].body == body()
    again = {f"PUT 1/{number}" for number in (1, 2, 3) if number not in arrived}
    assert puts(double) == {**each_once(), **dict.fromkeys(again, 2)}
    assert await is_monotonic(hurried)
    phases = list(dict.fromkeys(each["phase"] for each in await hurried.evaluate("progress")))
    assert phases == ["asking", "uploading", "paused", "completing"]


async def test_an_upload_may_be_paused_before_it_has_begun(app: Page, double: Double) -> None:
    await app.evaluate("begin(), task.pause()")
    await noted(double, TICKET)
    await until(app, "progress.at(-1).phase === 'paused'")
    assert puts(double) == {}
    await app.evaluate("task.resume(), task.resume()")
    assert (await outcome(app))["status"] == double.status("1")
    await app.evaluate("task.pause()")  # too late to mean anything
    assert (await app.evaluate("progress.at(-1).phase")) == "completing"


async def test_a_file_in_one_piece_is_paused_too_and_starts_again(app: Page, double: Double) -> None:
    double.multipart_from = 10**9
    double.hold = asyncio.Event()
    await app.evaluate("void begin()")
    await noted(double, "PUT 1")
    await app.evaluate("task.pause()")
    await noted(double, STATUS)
    double.hold.set()
    double.hold = None
    assert double.log[:3] == [TICKET, "PUT 1", STATUS]
    await app.evaluate("task.resume()")
    assert (await outcome(app))["status"] == double.status("1")
    assert double.uploads["1"].body == body()
    assert await is_monotonic(app)


@pytest.mark.threat(33)
async def test_an_abort_stops_the_parts_and_frees_them_also_while_paused(app: Page, double: Double) -> None:
    for paused in (False, True):
        double.log.clear()
        double.uploads.clear()
        double.hold = asyncio.Event()
        await show(app, double)
        await app.evaluate("void begin()")
        await noted(double, "PUT 1/3")
        await app.evaluate(f"{paused and 'task.pause()'}, controller.abort('by test')".replace("False", "0"))
        expected = {**failure("aborted", "The upload was cancelled."), "cause": "by test"}
        assert await outcome(app) == {"error": expected, "entry": None}
        await settled(double, [TICKET, SIGN, "PUT 1/1", "PUT 1/2", "PUT 1/3", CANCEL])
        assert await app.evaluate("pending()") == []


async def test_being_offline_uses_up_no_attempts(page: Page, double: Double) -> None:
    double.multipart_from = 500_000
    await page.add_init_script(HURRY_MORE)
    await show(page, double)
    double.hold = asyncio.Event()
    await page.evaluate("void begin()")
    for times in range(1, 17):  # one more than a part may fail
        await noted(double, "PUT 1/1", times)
        await page.context.set_offline(offline=True)
        await until(page, "progress.at(-1).phase === 'offline'")
        await page.context.set_offline(offline=False)
    double.hold.set()
    assert (await outcome(page))["status"] == double.status("1")
    assert double.uploads["1"].body == body()
    assert await is_monotonic(page)


async def test_being_offline_is_waited_out(page: Page, double: Double) -> None:
    double.multipart_from = 500_000
    await page.add_init_script(HURRY_MORE)
    await show(page, double)
    await page.context.set_offline(offline=True)
    await page.evaluate("void begin()")
    await until(page, "progress.at(-1).phase === 'offline'")
    await page.wait_for_timeout(500)  # minutes of this page
    assert double.log == []
    await page.context.set_offline(offline=False)
    assert (await outcome(page))["status"] == double.status("1")


async def test_a_part_that_stands_still_is_sent_again(hurried: Page, double: Double) -> None:
    double.part_size = 20_000_000  # more than sockets take in while nobody reads
    double.hold = asyncio.Event()
    await hurried.evaluate("void begin({}, new File(Array(25).fill(new Uint8Array(1_000_000)), 'large.gif'))")
    await noted(double, STATUS)
    double.hold.set()
    assert (await outcome(hurried))["status"] == double.status("1")
    assert len(double.uploads["1"].body) == 25_000_000


async def test_a_wrong_clock_in_the_browser_does_no_harm(page: Page, double: Double) -> None:
    await page.add_init_script("const now = Date.now; Date.now = () => now() + 864_000_000")
    double.multipart_from = 500_000
    await show(page, double)
    assert (await run(page))["status"] == double.status("1")
    assert puts(double) == each_once()


async def test_a_proof_that_fails_is_reported_and_nothing_is_kept(app: Page, double: Double) -> None:
    double.answers[COMPLETE] = deque([problem(Code.CONTENT_MISMATCH)])
    assert await run(app) == {"error": refusal(Code.CONTENT_MISMATCH), "entry": None}
    assert await app.evaluate("pending()") == []
