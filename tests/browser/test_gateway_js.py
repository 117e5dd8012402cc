"""What gateway.js promises to a page of any origin, above all when answers are lost, late or refused."""

import asyncio
import base64
import hashlib
import os
import time
from collections import deque
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page

from gateway.errors import Code
from tests.browser.double import Double, Fault, answer, pending, problem, storage_error
from tests.browser.wire import Response

pytestmark = pytest.mark.asyncio(loop_scope="session")

TICKET, COMPLETE = "POST uploads", "POST 1/complete"
STRAIGHT = [TICKET, "PUT 1", COMPLETE]
LOST = Fault(kept=True, response=None)
NEVER_ARRIVED = Fault(kept=False, response=None)
SLOW_DOWN = Fault(kept=False, response=storage_error(503, "SlowDown"))
STORED_BUT_500 = Fault(kept=True, response=storage_error(500, "InternalError"))
EXPIRED = Fault(kept=False, response=storage_error(403, "AccessDenied", "Request has expired"))
EXPIRED_TOKEN = Fault(kept=False, response=storage_error(400, "ExpiredToken", "The provided token has expired."))

RUN = """
async ([gateway, size, options]) => {
  const { upload } = await import("/gateway.js");
  const file = new File([new Uint8Array(size).fill(7)], options.name ?? "a.gif", { type: "image/gif" });
  const progress = [];
  const controller = new AbortController();
  if (options.abort_reading) file.slice = () => (controller.abort("by test"), new Blob());
  if (options.abort_in !== undefined) setTimeout(() => controller.abort("by test"), options.abort_in);
  try {
    const onProgress = (each) => {
      progress.push(each);
      if (options.abort_uploading && each.phase === "uploading" && each.loaded) controller.abort("by test");
    };
    const fixed = { gateway, authorization: "pass-1", signal: controller.signal, onProgress };
    const status = await upload(file, { ...fixed, ...options });
    return { status, progress };
  } catch (error) {
    const { name, code, detail, status, requestId, storageCode, retryAfter } = error;
    const told = { name, code, detail, status, requestId, storageCode, retryAfter };
    return { error: { ...told, cause: String(error.cause) }, progress };
  }
}
"""


HURRY = "const pause = setTimeout; globalThis.setTimeout = (call, milliseconds) => pause(call, milliseconds / 20)"


@pytest_asyncio.fixture(loop_scope="session")
async def hurried(page: Page) -> Page:
    """A page whose pauses are a twentieth as long."""
    await page.add_init_script(HURRY)
    return page


async def run(page: Page, double: Double, size: int = 1000, **options: object) -> dict[str, object]:
    """Upload `size` bytes of 7 in the page of an application; `{status, progress}` or `{error, progress}`."""
    await page.goto(double.app)
    async with asyncio.timeout(30):
        result: dict[str, object] = await page.evaluate(RUN, [double.gateway, size, options])
    return result


def failure(
    code: str, detail: str, status: int = 0, request_id: str | None = None, storage: str | None = None
) -> dict[str, object]:
    told: dict[str, object] = {"name": "GatewayError", "code": code, "detail": detail, "status": status}
    return {**told, "requestId": request_id, "storageCode": storage, "retryAfter": None, "cause": "undefined"}


def refusal(code: Code, retry_after: int | None = None) -> dict[str, object]:
    return {**failure(code.code, code.sentence, code.status, "r-1"), "retryAfter": retry_after}


async def test_a_file_goes_to_the_bucket_and_its_status_comes_back(page: Page, double: Double) -> None:
    result = await run(page, double, metadata={"album": "1"}, policy="photos")
    assert result["status"] == double.status("1")
    assert double.uploads["1"].body == b"\x07" * 1000
    assert double.uploads["1"].asked == {
        "filename": "a.gif",
        "content_type": "image/gif",
        "size": 1000,
        "policy": "photos",
        "metadata": {"album": "1"},
        "part_checksums": True,
    }
    assert double.log == STRAIGHT


async def test_an_empty_file_is_a_file(page: Page, double: Double) -> None:
    result = await run(page, double, size=0)
    assert result["status"] == double.status("1")
    assert double.uploads["1"].body == b""


async def test_only_the_question_for_a_ticket_carries_the_pass(page: Page, double: Double) -> None:
    double.faults.append(LOST)
    await run(page, double)
    assert double.authorizations == [(TICKET, "Bearer pass-1"), ("GET 1", None), (COMPLETE, None)]


async def test_progress_ends_with_every_byte_and_goes_through_the_phases(page: Page, double: Double) -> None:
    result = await run(page, double, size=3_000_000, checksum=True)
    progress = result["progress"]
    assert isinstance(progress, list)
    phases = dict.fromkeys(each["phase"] for each in progress)
    assert list(phases) == ["asking", "hashing", "uploading", "completing"]
    assert progress[-1] == {"phase": "completing", "loaded": 3_000_000, "total": 3_000_000}
    sent = [each["loaded"] for each in progress if each["phase"] == "uploading"]
    assert (sent, sent[0], sent[-1]) == (sorted(sent), 0, 3_000_000)


@pytest.mark.parametrize(
    ("faults", "log"),
    [
        ([LOST], [TICKET, "PUT 1", "GET 1", COMPLETE]),
        ([STORED_BUT_500], [TICKET, "PUT 1", "GET 1", COMPLETE]),
        ([NEVER_ARRIVED], [TICKET, "PUT 1", "GET 1", "PUT 1", COMPLETE]),
        ([SLOW_DOWN, SLOW_DOWN], [TICKET, "PUT 1", "GET 1", "PUT 1", "GET 1", "PUT 1", COMPLETE]),
        ([NEVER_ARRIVED, LOST], [TICKET, "PUT 1", "GET 1", "PUT 1", "GET 1", COMPLETE]),
    ],
    ids=["answer lost", "stored but 500", "never arrived", "slow down twice", "never arrived, then answer lost"],
)
async def test_an_unclear_answer_of_the_bucket_means_ask_for_the_status(
    hurried: Page, double: Double, faults: list[Fault], log: list[str]
) -> None:
    double.faults.extend(faults)
    assert (await run(hurried, double))["status"] == double.status("1")
    assert double.log == log


async def test_a_412_means_that_an_earlier_attempt_arrived(page: Page, double: Double) -> None:
    double.faults.append(Fault(kept=True, response=storage_error(412, "PreconditionFailed")))
    assert (await run(page, double))["status"] == double.status("1")
    assert double.log == [TICKET, "PUT 1", "GET 1", COMPLETE]


async def test_what_somebody_else_completed_is_done(page: Page, double: Double) -> None:
    stored = {**pending("stored"), "link": "by the worker"}
    double.faults.append(LOST)
    double.answers["GET 1"] = deque([answer(200, stored)])
    assert (await run(page, double))["status"] == stored
    assert double.log == [TICKET, "PUT 1", "GET 1"]


@pytest.mark.parametrize("fault", [EXPIRED, EXPIRED_TOKEN], ids=["request", "credentials"])
async def test_an_expired_ticket_is_replaced_once_and_then_reported(page: Page, double: Double, fault: Fault) -> None:
    double.faults.append(fault)
    assert (await run(page, double))["status"] == double.status("2")
    assert sorted(double.log) == sorted([TICKET, "PUT 1", "DELETE 1", TICKET, "PUT 2", "POST 2/complete"])

    double.faults.extend([fault, fault])
    result = await run(page, double)
    assert result["error"] == failure(
        "ticket-expired", "The upload did not arrive in the time it was given. Try again."
    )


async def test_bytes_are_never_sent_by_a_ticket_that_died_while_waiting(page: Page, double: Double) -> None:
    double.lifetime = 0.2
    double.faults.append(NEVER_ARRIVED)
    assert (await run(page, double))["status"] == double.status("2")
    assert [line for line in double.log if line != "DELETE 1"] == [
        *(TICKET, "PUT 1", "GET 1"),
        *(TICKET, "PUT 2", "POST 2/complete"),
    ]


@pytest.mark.threat(49)
async def test_a_wrong_clock_in_the_browser_does_no_harm(page: Page, double: Double) -> None:
    await page.add_init_script("const now = Date.now; Date.now = () => now() + 86_400_000")
    assert (await run(page, double))["status"] == double.status("1")
    assert double.log == STRAIGHT


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        (400, "BadDigest", "The file changed while it was being sent. Choose it again."),
        (403, "AccessDenied", "The storage does not allow this upload."),
        (404, "NoSuchBucket", "The storage for uploads does not exist."),
        (400, "SomethingNew", "The storage refused the upload (SomethingNew)."),
    ],
)
async def test_a_clear_refusal_of_the_bucket_is_reported_and_the_ticket_given_back(
    page: Page, double: Double, status: int, code: str, detail: str
) -> None:
    double.faults.append(Fault(kept=False, response=storage_error(status, code)))
    result = await run(page, double)
    assert result["error"] == failure("storage-refused", detail, status, storage=code)
    await settled(double, [TICKET, "PUT 1", "DELETE 1"])


async def test_a_bucket_that_takes_nothing_is_given_up(hurried: Page, double: Double) -> None:
    double.faults.extend([NEVER_ARRIVED] * 4)
    result = await run(hurried, double)
    assert result["error"] == failure("storage-unreachable", "The storage cannot be reached. Try again.")
    await settled(double, [TICKET, *["PUT 1", "GET 1"] * 4, "DELETE 1"])


async def test_a_busy_gateway_is_waited_for_as_long_as_it_says(page: Page, double: Double) -> None:
    double.answers[TICKET] = deque([problem(Code.TOO_MANY_REQUESTS, 2), problem(Code.STORAGE_UNAVAILABLE, 1)])
    before = time.monotonic()
    assert (await run(page, double))["status"] == double.status("1")
    assert time.monotonic() - before >= 3
    assert double.log == [TICKET, TICKET, *STRAIGHT]


async def test_a_gateway_that_stays_busy_is_reported(hurried: Page, double: Double) -> None:
    double.answers[TICKET] = deque([problem(Code.STORAGE_UNAVAILABLE, 1)] * 5)
    assert (await run(hurried, double))["error"] == refusal(Code.STORAGE_UNAVAILABLE, 1)
    assert double.log == [TICKET] * 5


async def test_a_quota_that_is_used_up_for_longer_than_a_minute_is_reported_at_once(page: Page, double: Double) -> None:
    double.answers[TICKET] = deque([problem(Code.TOO_MANY_REQUESTS, 61)])
    assert (await run(page, double))["error"] == refusal(Code.TOO_MANY_REQUESTS, 61)
    assert double.log == [TICKET]


async def test_a_lost_answer_of_the_gateway_is_asked_for_again(hurried: Page, double: Double) -> None:
    double.answers = {TICKET: deque([None]), COMPLETE: deque([None, None])}
    assert (await run(hurried, double))["status"] == double.status("1")
    assert double.log == [TICKET, *STRAIGHT, COMPLETE, COMPLETE]


async def test_a_gateway_out_of_reach_is_reported(hurried: Page, double: Double) -> None:
    double.answers[TICKET] = deque([None] * 5)
    error = (await run(hurried, double))["error"]
    expected = failure("network", "The gateway cannot be reached. Check the connection.")
    assert error == {**expected, "cause": "TypeError: Failed to fetch"}


@pytest.mark.parametrize(
    "code", [Code.TYPE_NOT_ALLOWED, Code.UNAUTHENTICATED, Code.INSECURE_STORAGE], ids=lambda code: code.code
)
async def test_a_refusal_is_reported_at_once(page: Page, double: Double, code: Code) -> None:
    double.answers[TICKET] = deque([problem(code)])
    assert (await run(page, double))["error"] == refusal(code)
    assert double.log == [TICKET]


async def test_a_page_that_is_no_answer_of_a_gateway_is_reported(page: Page, double: Double) -> None:
    double.answers[TICKET] = deque([Response(500, b"<h1>Oops</h1>")])
    assert (await run(page, double))["error"] == failure("unexpected", "The gateway answered 500.", 500)


@pytest.mark.parametrize("status", ["scanning", "promoting"])
async def test_a_proof_that_takes_time_is_asked_for_again_when_it_says(page: Page, double: Double, status: str) -> None:
    before = time.monotonic()
    double.answers[COMPLETE] = deque([answer(202, pending(status, retry_after=1))])
    assert (await run(page, double))["status"] == double.status("1")
    assert double.log == [*STRAIGHT, COMPLETE]
    assert time.monotonic() - before >= 1


async def test_what_the_proof_objects_to_is_reported(page: Page, double: Double) -> None:
    double.answers[COMPLETE] = deque([problem(Code.CONTENT_MISMATCH)])
    assert (await run(page, double))["error"] == refusal(Code.CONTENT_MISMATCH)


async def test_what_the_scanner_objected_to_later_is_reported(page: Page, double: Double) -> None:
    rejected = answer(200, pending("rejected", refusal=Code.INFECTED))
    double.answers[COMPLETE] = deque([answer(202, pending("scanning", retry_after=0)), rejected])
    assert (await run(page, double))["error"] == refusal(Code.INFECTED)


async def test_an_abort_stops_the_bytes_and_gives_the_ticket_back(page: Page, double: Double) -> None:
    double.hold = asyncio.Event()
    result = await run(page, double, size=4_000_000, abort_uploading=True)
    double.hold.set()
    expected = failure("aborted", "The upload was cancelled.")
    assert result["error"] == {**expected, "cause": "by test"}
    await settled(double, [TICKET, "PUT 1", "DELETE 1"])
    assert double.uploads["1"].status == "aborted"


async def test_an_abort_between_ticket_and_bytes_sends_no_bytes(page: Page, double: Double) -> None:
    error = (await run(page, double, abort_reading=True))["error"]
    assert isinstance(error, dict)
    assert error["code"] == "aborted"
    await settled(double, [TICKET, "DELETE 1"])


async def test_an_abort_ends_the_waiting_for_a_busy_gateway(page: Page, double: Double) -> None:
    double.answers[TICKET] = deque([problem(Code.TOO_MANY_REQUESTS, 60)])
    before = time.monotonic()
    error = (await run(page, double, abort_in=200))["error"]
    assert isinstance(error, dict)
    assert (error["code"], double.log) == ("aborted", [TICKET])
    assert time.monotonic() - before < 10


@pytest.mark.parametrize("demanded", [False, True], ids=["by the page", "by the policy"])
async def test_a_checksum_is_sent_when_it_is_asked_for(page: Page, double: Double, demanded: bool) -> None:  # noqa: FBT001
    if demanded:
        double.answers[TICKET] = deque([problem(Code.CHECKSUM_REQUIRED)])
    assert (await run(page, double, checksum=not demanded))["status"] == double.status("1")
    expected = base64.b64encode(hashlib.sha256(b"\x07" * 1000).digest()).decode()
    assert double.uploads["1"].asked["checksum_sha256"] == expected
    assert double.log == [TICKET] * demanded + STRAIGHT


async def test_a_file_too_large_to_hash_is_said_so(page: Page, double: Double) -> None:
    double.multipart_from = 2**30
    await page.goto(double.app)
    code = await page.evaluate(
        """async (gateway) => {
          const { upload } = await import("/gateway.js");
          const file = new File(Array(257).fill(new Blob([new Uint8Array(2 ** 20)])), "a.gif", { type: "image/gif" });
          return upload(file, { gateway, authorization: "p", checksum: true }).catch((error) => error.code);
        }""",
        double.gateway,
    )
    assert code == "checksum-unavailable"
    await settled(double, [TICKET, "DELETE 1"])  # the gateway might have had it sent in parts


async def test_a_file_that_changed_after_it_was_chosen_is_said_so(page: Page, double: Double, tmp_path: Path) -> None:
    chosen = tmp_path / "a.gif"
    chosen.write_bytes(b"GIF89a")
    await page.goto(double.app)
    await page.set_content("<input type=file>")
    await page.set_input_files("input", chosen)
    assert await page.locator("input").evaluate("(input) => input.files[0].size") == 6
    chosen.write_bytes(b"something longer")
    os.utime(chosen, (time.time() + 60, time.time() + 60))  # browsers compare whole seconds
    code = await page.evaluate(
        """async (gateway) => {
          const { upload } = await import("/gateway.js");
          const file = document.querySelector("input").files[0];
          return upload(file, { gateway, authorization: "p" }).catch((error) => error.code);
        }""",
        double.gateway,
    )
    assert code == "file-unreadable"
    await settled(double, [TICKET, "DELETE 1"])


@pytest.mark.parametrize(
    ("name", "sent"),
    [("a.CSV", "text/csv"), ("a.gif", "image/gif"), ("notes.txt", "text/plain"), ("plain", "image/gif")],
)
async def test_types_that_browsers_disagree_on_go_by_the_extension(
    page: Page, double: Double, name: str, sent: str
) -> None:
    await run(page, double, name=name)
    assert double.uploads["1"].asked["content_type"] == sent


@pytest.mark.parametrize("authorization", ["'a.b'", "'Bearer a.b'", "() => 'a.b'", "async () => 'Bearer a.b'"])
async def test_a_pass_may_be_text_or_a_function_that_fetches_one(
    page: Page, double: Double, authorization: str
) -> None:
    await page.goto(double.app)
    names = await page.evaluate(
        f"""async (gateway) => {{
          const {{ policies }} = await import("/gateway.js");
          const all = await policies({{ gateway: gateway + "/", authorization: {authorization} }});
          return all.map((each) => each.name);
        }}""",
        double.gateway,
    )
    assert (names, double.authorizations) == (["default"], [("GET policies", "Bearer a.b")])


async def settled(double: Double, log: list[str]) -> None:
    """Wait for what is sent without being waited for, then compare the whole conversation."""
    for _ in range(100):
        if len(double.log) >= len(log):
            break
        await asyncio.sleep(0.02)
    assert double.log == log
