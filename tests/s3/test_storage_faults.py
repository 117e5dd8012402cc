"""What callers get when the store fails: a refusal in bounded time, which tells nothing, and no half result."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from gateway.errors import Code, Refusal
from gateway.s3.clients import Patience, Place
from gateway.s3.credentials import open_session
from gateway.s3.s3_storage import S3Storage
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head
from gateway.s3.threads import QUEUED_PER_THREAD
from tests.faults.store import (
    Fault,
    answer,
    closed_port,
    cut,
    drip,
    error,
    failing,
    found,
    hang,
    raw,
    reset,
)

KEYS = Credentials("AKIAFAULTS", "never-to-be-seen")
PATIENCE = Patience(threads=2)
IMPATIENCE = Patience(threads=2, deadline=1.2, connect=0.2, read=0.15, copy_deadline=1.2, copy_read=0.15)
SESSION = open_session("eu-west-3", KEYS)  # one for all: it keeps the description of S3, which takes long to read
GRACE = 1.0  # seconds over the deadline that a loaded machine may take

PARTS = (ArrivedPart(1, 9, '"e"'), ArrivedPart(2, 3, '"f"', "c2hhMjU2"))
Call = Callable[[S3Storage], Awaitable[object]]
CALLS: dict[str, Call] = {
    "head": lambda storage: storage.head("objects/k"),
    "read": lambda storage: storage.read("objects/k", if_match='"e"', size=16),
    "copy": lambda storage: storage.copy(
        "incoming/k", "objects/k", if_match='"e"', content_type="image/png", metadata={}
    ),
    "put": lambda storage: storage.put("incoming/k", b"{}", content_type="a/b", metadata={}, if_match='"e"'),
    "create": lambda storage: storage.put("incoming/k", b"{}", content_type="a/b", metadata={}, create=True),
    "delete": lambda storage: storage.delete("objects/k"),
    "create upload": lambda storage: storage.create_upload("incoming/k", content_type="a/b", metadata={}),
    "list parts": lambda storage: storage.list_parts("incoming/k", "u"),
    "copy part": lambda storage: storage.copy_part("incoming/k", "objects/k", "u", 1, if_match='"e"', first=0, last=9),
    "complete upload": lambda storage: storage.complete_upload("incoming/k", "u", PARTS),
    "abort upload": lambda storage: storage.abort_upload("incoming/k", "u"),
    "list uploads": lambda storage: storage.list_uploads("objects/k"),
    "list": lambda storage: storage.list("objects/", limit=10, after=""),
    "check": lambda storage: storage.check(),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)

INSIDE = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>late</Message></Error>"
JOINED = answer(200, b'<CompleteMultipartUploadResult><ETag>"e-2"</ETag></CompleteMultipartUploadResult>')
COPIED = answer(200, b'<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>')
HEAD = Head(0, '"e"', "image/png", None, None, {}, int(datetime(2026, 11, 21, 2, tzinfo=UTC).timestamp()))


@contextmanager
def storage_at(
    endpoint: str | None,
    patience: Patience = PATIENCE,
    owner: str | None = None,
    session: boto3.Session = SESSION,
) -> Iterator[S3Storage]:
    place = Place("bucket", "eu-west-3", endpoint, "path", owner)
    storage = S3Storage(session, place, patience)
    for make in (storage._clients.usual, storage._clients.patient):
        make()  # what a test measures does not begin with this
    try:
        yield storage
    finally:
        storage.close()


async def refused(awaitable: Awaitable[object]) -> float:
    """Expect the one refusal, whole, and return how long it took in seconds."""
    start = time.monotonic()
    with pytest.raises(Refusal) as caught:
        await awaitable
    refusal = caught.value
    told = refusal.code, refusal.detail, refusal.retry_after
    assert told == (Code.STORAGE_UNAVAILABLE, Code.STORAGE_UNAVAILABLE.sentence, 5)
    assert refusal.__cause__ is not None
    return time.monotonic() - start


FAULTS: dict[str, Fault] = {
    "500": error(500, "InternalError"),
    "503": error(503, "ServiceUnavailable"),
    "slow down": error(503, "SlowDown"),
    "500 without body": answer(500),
    "hang": hang,
    "drip": drip,
    "reset": reset,
    "end": raw(b""),
    "cut head": raw(b"HTTP/1.1 200 O"),
    "garbage": raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
    "page of a proxy": answer(200, b"<html>Log in to the hotel's network", content_type="text/html"),
    "empty 200": answer(200),
}


@every_call
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_store_that_keeps_failing_is_a_refusal_in_time(call: Call, fault: Fault) -> None:
    with failing(fault) as store, storage_at(store.endpoint, IMPATIENCE) as storage:
        if call is CALLS["check"] and fault in (FAULTS["page of a proxy"], FAULTS["empty 200"], FAULTS["cut head"]):
            await call(storage)  # a store other than AWS says no more than 200 here
            return
        assert await refused(call(storage)) < IMPATIENCE.deadline + GRACE
        assert 1 <= len(store.requests) <= PATIENCE.attempts


@pytest.mark.parametrize("fault", [error(500, "InternalError"), error(503, "ServiceUnavailable"), reset, raw(b"")])
async def test_two_failures_and_then_an_answer_are_an_answer(fault: Fault) -> None:
    with (
        failing(fault, fault, found()) as store,
        storage_at(store.endpoint) as storage,
    ):
        assert await storage.head("objects/k") == HEAD
        assert len(store.requests) == 3


async def test_a_body_that_breaks_off_is_read_again() -> None:
    with failing(cut(b"half", 4), found(b"half and half")) as store, storage_at(store.endpoint) as storage:
        assert await storage.read("objects/k", if_match='"e"', size=13) == b"half and half"
    with failing(cut(b"half", 4)) as store, storage_at(store.endpoint) as storage:
        await refused(storage.read("objects/k", if_match='"e"', size=13))
        assert len(store.requests) == PATIENCE.attempts


async def test_bytes_under_another_etag_are_not_read_even_if_the_store_sends_them() -> None:
    other = found(b"other", etag='"other"')
    with failing(other) as store, storage_at(store.endpoint) as storage, pytest.raises(Changed):
        await storage.read("objects/k", if_match='"e"', size=5)


async def test_a_copy_that_fails_under_status_200_has_failed() -> None:
    with failing(answer(200, INSIDE)) as store, storage_at(store.endpoint) as storage:
        await refused(CALLS["copy"](storage))
        assert len(store.requests) == PATIENCE.attempts
    with failing(answer(200, INSIDE), COPIED) as store, storage_at(store.endpoint) as storage:
        await CALLS["copy"](storage)
        assert len(store.requests) == 2


@pytest.mark.parametrize("silence", [b"", b"<?xml version='1.0'?>", b"<?xml version='1.0'?><Complete/>", b"     \n"])
@pytest.mark.parametrize("name", ["copy", "complete upload", "copy part"])
async def test_status_200_and_silence_are_asked_again_and_are_no_success(name: str, silence: bytes) -> None:
    with failing(answer(200, silence)) as store, storage_at(store.endpoint) as storage:
        await refused(CALLS[name](storage))
        assert len(store.requests) == PATIENCE.attempts
    told = error(412, "PreconditionFailed")
    with failing(answer(200, silence), told) as store, storage_at(store.endpoint) as storage, pytest.raises(Changed):
        await CALLS[name](storage)


async def test_parts_whose_joining_fails_under_status_200_are_joined_again_and_then_refused() -> None:
    with failing(answer(200, INSIDE)) as store, storage_at(store.endpoint) as storage:
        await refused(CALLS["complete upload"](storage))
        assert len(store.requests) == PATIENCE.attempts
    with failing(answer(200, INSIDE), JOINED) as store, storage_at(store.endpoint) as storage:
        await CALLS["complete upload"](storage)
        assert len(store.requests) == 2


async def test_parts_are_joined_only_where_nothing_is_and_if_they_have_the_sum() -> None:
    with failing(JOINED) as store, storage_at(store.endpoint) as storage:
        await CALLS["complete upload"](storage)
        [head] = store.requests
    assert "\r\nif-none-match: *\r\n" in head
    assert "\r\nx-amz-mp-object-size: 12\r\n" in head


async def test_after_a_conflict_the_parts_are_gone_and_nothing_is_tried_again() -> None:
    conflict = error(409, "ConditionalRequestConflict")
    with failing(conflict) as store, storage_at(store.endpoint) as storage:
        with pytest.raises(Changed):
            await CALLS["complete upload"](storage)
        assert len(store.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "raised"), [(412, "PreconditionFailed", Changed), (404, "NoSuchUpload", Gone)]
)
async def test_joining_whose_reply_is_lost_says_that_something_is_there(
    status: int, code: str, raised: type[Exception]
) -> None:
    with failing(reset, error(status, code)) as store, storage_at(store.endpoint) as storage, pytest.raises(raised):
        await CALLS["complete upload"](storage)


@pytest.mark.parametrize("code", ["InvalidArgument", "InvalidRange", "InvalidRequest"])
async def test_a_range_beyond_the_end_is_a_change_only_of_what_has_changed(code: str) -> None:
    with failing(error(400, code), answer(412)) as store, storage_at(store.endpoint) as storage:
        with pytest.raises(Changed):
            await CALLS["copy part"](storage)
        assert '\r\nif-match: "e"\r\n' in store.requests[1]
    with failing(error(400, code), found()) as store, storage_at(store.endpoint) as storage:
        await refused(CALLS["copy part"](storage))


def listed(*uploads: tuple[str, str, str], more: str = "") -> Fault:
    """Answer one page of uploads: key, id and second of each."""
    rows = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{upload_id}</UploadId>"
        f"<Initiated>2026-11-21T02:00:{second}.000Z</Initiated></Upload>"
        for key, upload_id, second in uploads
    )
    text = (
        f"<ListMultipartUploadsResult>{more or '<IsTruncated>false</IsTruncated>'}{rows}</ListMultipartUploadsResult>"
    )
    return answer(200, text.encode())


MORE = "<IsTruncated>true</IsTruncated>"
NEXT = f"{MORE}<NextKeyMarker>objects/k</NextKeyMarker><NextUploadIdMarker>b</NextUploadIdMarker>"


async def test_unfinished_uploads_are_listed_over_all_pages_the_oldest_first() -> None:
    first = listed(("objects/k", "a", "09"), ("objects/k", "b", "07"), more=NEXT)
    last = listed(("objects/k", "d", "07"), ("objects/k", "c", "08"), ("objects/k/x", "e", "01"))
    with failing(first, last) as store, storage_at(store.endpoint) as storage:
        assert await storage.list_uploads("objects/k") == ["b", "d", "c", "a"]
        assert "key-marker=objects%2fk&upload-id-marker=b" in store.requests[1]
        assert len(store.requests) == 2
    other = listed(("objects/k", "a", "09"), ("objects/k/x", "b", "07"), more=NEXT)
    with failing(other) as store, storage_at(store.endpoint) as storage:
        assert await storage.list_uploads("objects/k") == ["a"]
        assert len(store.requests) == 1  # what follows has other keys


async def test_a_store_that_promises_another_page_and_gives_none_is_not_asked_for_ever() -> None:
    with failing(listed(more=MORE)) as store, storage_at(store.endpoint) as storage:
        await refused(storage.list_uploads("objects/k"))
        assert len(store.requests) == 1
    parts = f"<ListPartsResult>{MORE}</ListPartsResult>".encode()
    with failing(answer(200, parts)) as store, storage_at(store.endpoint) as storage:
        await refused(storage.list_parts("objects/k", "u"))
        assert len(store.requests) == 1


async def test_a_put_that_meets_another_one_tries_again_and_then_yields() -> None:
    conflict = error(409, "ConditionalRequestConflict")
    with failing(conflict, conflict, found()) as store, storage_at(store.endpoint) as storage:
        await CALLS["create"](storage)
        assert len(store.requests) == 3
    with failing(conflict) as store, storage_at(store.endpoint) as storage:
        with pytest.raises(Changed):
            await CALLS["create"](storage)
        assert len(store.requests) == 3


async def test_a_put_whose_reply_is_lost_says_that_something_is_there() -> None:
    stored = error(412, "PreconditionFailed")
    with failing(reset, stored) as store, storage_at(store.endpoint) as storage, pytest.raises(Changed):
        await CALLS["create"](storage)


@pytest.mark.threat(45)
@every_call
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (403, "AccessDenied"),
        (403, "SignatureDoesNotMatch"),
        (403, "InvalidAccessKeyId"),
        (404, "NoSuchBucket"),
        (501, "NotImplemented"),
    ],
)
async def test_what_does_not_heal_is_asked_once_and_told_only_to_the_log(
    call: Call, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with failing(error(status, code)) as store, storage_at(store.endpoint) as storage:
        if (call, code) == (CALLS["head"], "NoSuchBucket"):
            assert await call(storage) is None  # HEAD has no body: a missing bucket looks like a missing key
            return
        await refused(call(storage))
        assert len(store.requests) == 1
        logged = [record for record in caplog.records if record.name == "gateway.s3.answers"]
        assert [record.levelname for record in logged] == ["WARNING" if status == 501 else "ERROR"]
        text = logged[0].getMessage()
        assert f"status {status}" in text
        assert code in text or store.requests[0].startswith("head ")  # which has no body to say it in
        for secret in (
            "secret-bucket",
            "secret-key",
            "secret message",
            store.endpoint,
            KEYS.secret_access_key,
            "objects/k",
        ):
            assert secret not in text


@pytest.mark.threat(51)
@every_call
async def test_a_redirect_to_another_region_is_named_and_not_followed(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    moved = error(301, "PermanentRedirect", x_amz_bucket_region="sa-east-1")
    with failing(moved) as store, storage_at(store.endpoint) as storage:
        await refused(call(storage))
        assert len(store.requests) == 1
    assert caplog.messages[-1].endswith("the bucket's region sa-east-1")


@every_call
async def test_a_redirect_without_end_ends(call: Call) -> None:
    with failing(answer(301, location="http://127.0.0.1:9/")) as store, storage_at(store.endpoint) as storage:
        await refused(call(storage))
        assert len(store.requests) == 1


@pytest.mark.threat(51)
async def test_a_bucket_that_answers_from_another_region_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with failing(answer(200, x_amz_bucket_region="sa-east-1")) as store, storage_at(store.endpoint) as storage:
        await storage.check()
    assert caplog.messages == ["the bucket lies in region sa-east-1, but requests are signed for eu-west-3"]


async def test_a_port_that_closes_is_a_refusal_at_once_and_nothing_needs_a_restart_when_it_opens() -> None:
    with closed_port() as port:
        endpoint = f"http://127.0.0.1:{port}"
        with storage_at(endpoint) as storage:
            assert await refused(storage.head("objects/k")) < PATIENCE.deadline
            with failing(found(), port=port):
                assert await storage.head("objects/k") == HEAD


@pytest.mark.threat(51)
async def test_on_aws_a_bucket_in_another_region_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        headers = HTTPHeaders()
        headers["x-amz-bucket-region"] = "sa-east-1"
        return AWSResponse(request.url, 200, headers, Nothing())

    with storage_at(None) as storage:
        storage._clients.usual().meta.events.register("before-send.s3", send)  # type: ignore[arg-type]
        with pytest.raises(Refusal):
            await storage.check()
    assert caplog.messages == ["the bucket lies in region sa-east-1, but requests are signed for eu-west-3"]


async def test_no_credentials_are_a_refusal() -> None:
    with failing(found()) as store, storage_at(store.endpoint, session=open_session("eu-west-3")) as storage:
        await refused(storage.head("objects/k"))
        assert store.requests == []


async def test_a_store_that_drips_takes_its_threads_and_nothing_else() -> None:
    patience = replace(PATIENCE, deadline=0.5)
    before = storage_threads()
    with failing(found(), drip, drip, found()) as store, storage_at(store.endpoint, patience) as storage:
        assert await storage.head("objects/k") == HEAD
        stuck = [refused(storage.head("objects/k")) for _ in range(3)]  # the third waits for a thread in vain
        assert await turns_until(asyncio.gather(*stuck)) > 10  # nothing else had to wait
        assert len(store.requests) == 3
        took = sorted(await asyncio.gather(*(refused(storage.head("objects/k")) for _ in range(100))))
        assert took[50] < patience.deadline  # the queue is full, so most are refused at once
        assert took[-1] < patience.deadline + GRACE
        assert storage_threads() <= before + patience.threads
        store.release()
        assert await once_it_answers(storage) == HEAD


async def once_it_answers(storage: S3Storage) -> Head | None:
    async with asyncio.timeout(3):
        while True:
            try:
                return await storage.head("objects/k")
            except Refusal:
                await asyncio.sleep(0.01)


def storage_threads() -> int:
    return sum(thread.name == "storage" for thread in threading.enumerate())


async def turns_until(done: "asyncio.Future[list[float]]") -> int:
    """Count how often another task gets its turn of 5 ms while something is under way."""
    turns = 0
    while not done.done():
        await asyncio.sleep(0.005)
        turns += 1
    await done
    return turns


async def test_checks_at_the_same_time_are_one() -> None:
    """Anybody may ask whether the gateway is ready, and must not take the store away from others by it."""
    with failing(answer(200), error(503, "SlowDown")) as store, storage_at(store.endpoint) as storage:
        await asyncio.gather(*(storage.check() for _ in range(500)))
        assert len(store.requests) == 1
        left = asyncio.create_task(storage.check())
        others = [asyncio.create_task(refused(storage.check())) for _ in range(3)]
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(*others)  # who leaves takes the answer from nobody
        assert len(store.requests) == 1 + PATIENCE.attempts


async def test_copies_that_take_long_hold_up_no_other_call() -> None:
    with failing(hang, hang, found()) as store, storage_at(store.endpoint, replace(PATIENCE, deadline=1)) as storage:
        copies = [asyncio.create_task(refused(CALLS["copy"](storage))) for _ in range(PATIENCE.threads)]
        while len(store.requests) < PATIENCE.threads:  # noqa: ASYNC110 - threads set no Event
            await asyncio.sleep(0.01)
        assert await storage.head("objects/k") == HEAD
        store.release()
        await asyncio.gather(*copies)


async def test_a_large_copy_may_take_longer_than_any_other_call() -> None:
    patience = replace(PATIENCE, deadline=0.2, read=0.1)

    def slow(connection: socket.socket, over: threading.Event) -> None:
        over.wait(0.5)
        COPIED(connection, over)

    with failing(slow) as store, storage_at(store.endpoint, patience) as storage:
        await CALLS["copy"](storage)
        assert len(store.requests) == 1


@pytest.mark.threat(17, 51)
@every_call
async def test_every_call_is_signed_by_version_4_and_names_the_owner(call: Call) -> None:
    with failing(answer(200)) as store, storage_at(store.endpoint, owner="123456789012") as storage:
        await asyncio.gather(call(storage), return_exceptions=True)
        head = store.requests[0]
    assert "\r\nauthorization: aws4-hmac-sha256 credential=akiafaults/" in head
    assert "/eu-west-3/s3/aws4_request" in head
    assert "\r\nx-amz-expected-bucket-owner: 123456789012" in head
    assert ("\r\nx-amz-source-expected-bucket-owner: 123456789012" in head) is (
        call in (CALLS["copy"], CALLS["copy part"])
    )
    assert "aws-chunked" not in head
    assert "x-amz-checksum-" not in head.replace("x-amz-checksum-mode", "")


class Nothing:
    """The body of an answer that has none."""

    def stream(self) -> Iterator[bytes]:
        return iter(())


@pytest.mark.threat(17, 51)
@pytest.mark.parametrize(
    ("region", "style", "url"),
    [
        ("us-east-1", "virtual", "https://bucket.s3.us-east-1.amazonaws.com/objects/k"),
        ("us-east-1", "auto", "https://bucket.s3.us-east-1.amazonaws.com/objects/k"),
        ("us-east-1", "path", "https://s3.us-east-1.amazonaws.com/bucket/objects/k"),
        ("eu-west-3", "virtual", "https://bucket.s3.eu-west-3.amazonaws.com/objects/k"),
        ("eu-west-3", "path", "https://s3.eu-west-3.amazonaws.com/bucket/objects/k"),
    ],
)
async def test_our_calls_go_to_the_region_and_nowhere_that_the_environment_says(
    region: str, style: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    called: list[str] = []

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        called.append(request.url)
        return AWSResponse(request.url, 404, HTTPHeaders(), Nothing())

    place = Place("bucket", region, address_style=style)  # type: ignore[arg-type]
    storage = S3Storage(open_session(region, KEYS), place)
    storage._clients.usual().meta.events.register("before-send.s3", send)  # type: ignore[arg-type]
    assert await storage.head("objects/k") is None
    assert called == [url]
    storage.close()


async def test_a_full_queue_is_logged_once_however_many_it_refuses(caplog: pytest.LogCaptureFixture) -> None:
    patience = replace(IMPATIENCE, threads=1)
    with failing(hang) as store, storage_at(store.endpoint, patience) as storage:
        calls = [storage.head(f"objects/{number}") for number in range(200)]
        took = await asyncio.gather(*map(refused, calls))
    room = 1 + QUEUED_PER_THREAD
    assert max(took) < patience.deadline + GRACE
    assert caplog.messages.count("the storage does not answer: Busy") == 1
    assert len(caplog.messages) == room + 1
