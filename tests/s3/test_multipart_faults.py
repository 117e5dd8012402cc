"""Replies that are lost after a real server has done its work: a call says what happened or refuses, and never lies."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from gateway.errors import Code, Refusal
from gateway.s3.clients import Patience
from gateway.s3.parts import MIN_PART
from gateway.s3.s3_storage import S3Storage
from gateway.s3.storage import ArrivedPart, Changed, Gone
from tests.faults.proxy import Proxy, Treatment, before, cut, instead, proxied
from tests.faults.store import answer, error, hang, raw, reset
from tests.s3.subjects import Subject, etag, on_server, place_of, session_of
from tests.servers.s3 import S3Server

LARGE = bytes(range(256)) * (MIN_PART // 256)
TAIL = b"the rest"
IMPATIENCE = Patience(threads=2, copy_read=0.5)
ERROR_INSIDE = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>"
ATTEMPTS = IMPATIENCE.attempts


@dataclass(frozen=True, slots=True)
class Setting:
    """A storage that speaks through a proxy, and a client that does not."""

    proxy: Proxy
    storage: S3Storage
    client: Subject
    server: S3Server

    def content(self, key: str) -> bytes | None:
        s3 = self.server.s3()
        try:
            return s3.get_object(Bucket=self.server.bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None


@contextmanager
def setting_before(server: S3Server) -> Iterator[Setting]:
    session = session_of(server.region, server.access_key_id, server.secret_access_key)
    with proxied(server.endpoint) as proxy:
        storage = S3Storage(session, replace(place_of(server), endpoint=proxy.endpoint), IMPATIENCE)
        try:
            root = f"objects/contract/{secrets.token_hex(8)}/"
            yield Setting(proxy, storage, on_server(server, storage, root), server)
        finally:
            storage.close()


@pytest.fixture(params=["ministack", "localstack"])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    with setting_before(request.getfixturevalue(request.param)) as made:
        yield made


async def upload(setting: Setting) -> tuple[str, str, Sequence[ArrivedPart]]:
    """Send all parts of an upload."""
    key = setting.client.root + "a"
    upload_id = await setting.storage.create_upload(key, content_type="image/png", metadata={})
    bodies = enumerate((LARGE, TAIL), 1)
    return key, upload_id, [setting.client.upload_part(key, upload_id, number, body, False) for number, body in bodies]  # noqa: FBT003 - see Subject


LOST: dict[str, Sequence[Treatment]] = {
    "reset": [instead(reset)],
    "end before a byte": [instead(raw(b""))],
    "cut in its head": [instead(raw(b"HTTP/1.1 200 O"))],
    "cut in its body": [cut(20)],
    "cut twice": [cut(20), instead(reset)],
    "never comes": [instead(hang)],
    "200 and nothing": [instead(answer(200))],
    "500": [instead(error(500, "InternalError"))],
    "503": [instead(error(503, "SlowDown"))],
    "200 with an error inside": [instead(answer(200, ERROR_INSIDE))],
}


@pytest.mark.parametrize("treatments", LOST.values(), ids=LOST)
async def test_joining_whose_reply_is_lost_is_told_as_done_or_as_to_be_looked_at(
    setting: Setting, treatments: Sequence[Treatment]
) -> None:
    key, upload_id, parts = await upload(setting)
    setting.proxy.spoil("POST", "uploadId=", *treatments)
    told: type[Exception] | None = None
    try:
        await setting.storage.complete_upload(key, upload_id, parts)
    except Gone:
        told = Gone
    assert told is {"ministack": None, "localstack": Gone}[setting.server.name]  # MiniStack repeats its answer
    assert setting.proxy.spoiled()
    assert setting.content(key) == LARGE + TAIL


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (404, "NoSuchUpload", Gone),
        (412, "PreconditionFailed", Changed),
        (409, "ConditionalRequestConflict", Changed),
    ],
)
@pytest.mark.parametrize("times", ["at once", "inside a 200", "after a lost reply"])
async def test_a_refusal_after_success_is_told_as_what_it_is(
    setting: Setting, times: str, status: int, code: str, raised: type[Exception]
) -> None:
    key, upload_id, parts = await upload(setting)
    inside = answer(200, f"<?xml version='1.0'?>\n<Error><Code>{code}</Code></Error>".encode())
    treatments = {
        "at once": [instead(error(status, code))],
        "inside a 200": [instead(inside)] * ATTEMPTS,
        "after a lost reply": [instead(reset), instead(error(status, code))],
    }[times]
    setting.proxy.spoil("POST", "uploadId=", *treatments)
    with pytest.raises(raised):
        await setting.storage.complete_upload(key, upload_id, parts)
    assert setting.proxy.spoiled()
    assert setting.content(key) == LARGE + TAIL


FALSE: dict[str, Callable[[], Treatment]] = {
    "200 with an error inside": lambda: before(answer(200, ERROR_INSIDE)),
    "200 and nothing": lambda: before(answer(200)),
    "200 and blanks": lambda: before(answer(200, b" " * 1000)),
    "200 and half an answer": lambda: before(answer(200, b"<?xml version='1.0'?><CompleteMultipartUploadRes")),
    "200 and a page": lambda: before(answer(200, b"<html><body>Welcome</body></html>", content_type="text/html")),
    "204": lambda: before(answer(204)),
    "reset": lambda: before(reset),
}


@pytest.mark.parametrize("treatment", FALSE.values(), ids=FALSE)
async def test_what_was_not_joined_is_never_told_as_done(setting: Setting, treatment: Callable[[], Treatment]) -> None:
    key, upload_id, parts = await upload(setting)
    setting.proxy.spoil("POST", "uploadId=", *[treatment()] * ATTEMPTS)
    with pytest.raises(Refusal) as refused:
        await setting.storage.complete_upload(key, upload_id, parts)
    assert refused.value.code is Code.STORAGE_UNAVAILABLE
    assert setting.content(key) is None
    setting.proxy.forgive()
    await setting.storage.complete_upload(key, upload_id, parts)
    assert setting.content(key) == LARGE + TAIL


@pytest.mark.parametrize("treatments", LOST.values(), ids=LOST)
async def test_a_part_whose_copy_was_not_told_is_copied_once_more(
    setting: Setting, treatments: Sequence[Treatment]
) -> None:
    source, key = setting.client.root + "source", setting.client.root + "b"
    setting.client.upload(source, LARGE)
    upload_id = await setting.storage.create_upload(key, content_type="a/b", metadata={})
    setting.proxy.spoil("PUT", "partNumber=", *treatments)
    last = len(LARGE) - 1
    part = await setting.storage.copy_part(source, key, upload_id, 1, if_match=etag(LARGE), first=0, last=last)
    assert setting.proxy.spoiled()
    await setting.storage.complete_upload(key, upload_id, [part])
    assert setting.content(key) == LARGE


async def test_every_call_about_parts_outlives_a_lost_reply(setting: Setting) -> None:
    lost = instead(reset)
    setting.proxy.spoil("POST", "uploads", lost)
    setting.proxy.spoil("GET", "uploadId=", lost, cut(30))
    setting.proxy.spoil("GET", "prefix=", lost, cut(30))
    setting.proxy.spoil("DELETE", "uploadId=", lost)
    key, upload_id, parts = await upload(setting)
    assert await setting.storage.list_parts(key, upload_id) == parts
    begun = await setting.storage.list_uploads(key)
    assert len(begun) == 2  # nobody was told of the first
    assert upload_id in begun
    for each in begun:
        await setting.storage.abort_upload(key, each)
    assert await setting.storage.list_uploads(key) == []
    assert setting.proxy.spoiled()
