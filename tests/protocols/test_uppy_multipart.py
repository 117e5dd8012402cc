"""Uppy's multipart uploads: what Companion would answer, tickets that hold, and stores that take their time."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code, Refusal
from gateway.grants.tickets import Ticket
from gateway.markers import State
from gateway.protocols import patience
from gateway.uploads import Outcome, Uploads
from tests.gateways import API_KEY, APP_SECRET, OTHER_API_KEY, make_app, tenant
from tests.http.routes.conftest import AppOver, speaking
from tests.http.routes.flow import NOW, NOWHERE, bearer, film
from tests.protocols.uppy_flow import (
    OCTETS,
    OFF_KEY,
    PART,
    POLICIES,
    TENANTS,
    Begun,
    assert_refused,
    begin,
    finish,
    form_for,
    put_parts,
)
from tests.servers.known import enforces
from tests.servers.s3 import S3Server

FILM = film(2 * PART + 1000)
PIECES = {1: FILM[:PART], 2: FILM[PART : 2 * PART], 3: FILM[2 * PART :]}
OFF = "No policy that these credentials allow takes uploads by this protocol."


def speak(client: httpx.AsyncClient, way: str) -> str:
    """Let the client say who it is as Uppy 5 or as Uppy 6 does; return what its paths begin with."""
    if way == "a header":
        return ""
    del client.headers["authorization"]
    return f"/u/{make_pass([APP_SECRET], 'ann')}"


@pytest.mark.parametrize("way", ["a header", "the path"])
async def test_parts_are_signed_listed_joined_and_served(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, way: str
) -> None:
    client, prefix = strict_client, speak(strict_client, way)
    upload = await begin(client, prefix, metadata={"album": "Zoë", "relativePath": None, "n": 1})
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", upload.upload_id)
    assert re.fullmatch(r"incoming/default/default/[0-9a-f]{32}\.bin", upload.key)
    assert (await client.get(prefix + upload.path())).json() == []

    sent = await put_parts(client, bucket, upload, {1: PIECES[1], 2: PIECES[2]}, prefix)
    assert (await client.get(prefix + upload.path())).json() == [
        {"PartNumber": part["PartNumber"], "Size": PART, "ETag": part["ETag"]} for part in sent
    ]
    sent += await put_parts(client, bucket, upload, {3: PIECES[3]}, prefix)

    mixed = [{**sent[0], "ETag": sent[0]["ETag"].strip('"')}, *sent[1:]]
    done = await finish(client, upload, mixed, prefix)
    assert done.status_code == 200, done.text
    stored = done.json()
    key = upload.key.replace("incoming/", "objects/")
    assert stored == {"location": stored["location"], "key": key, "bucket": strict.bucket}
    link = await client.get(urlsplit(stored["location"]).path)
    assert (await bucket.get(link.headers["location"])).content == FILM

    # Completed already, also for a client that never got the answer: it lists, finds all parts there, and completes.
    assert (await finish(client, upload, mixed, prefix)).json() == stored
    listed = (await client.get(prefix + upload.path())).json()
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, PART), (3, 1000)]
    assert (await finish(client, upload, listed, prefix)).json() == stored


async def test_a_small_file_may_be_one_part(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = await begin(client, filename="notes.txt", type="text/plain")
    assert (await finish(client, upload, await put_parts(client, bucket, upload, {1: b"hello"}))).status_code == 200


async def test_several_parts_are_signed_at_once(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = await begin(client)
    answer = await client.get(f"{upload.path('/batch')}&partNumbers=1,2")
    urls = answer.json()["presignedUrls"]
    assert list(urls) == ["1", "2"]
    assert (await bucket.put(urls["2"], content=b"x")).status_code == 200
    for wrong in ("", "1,", "0", "1,x", "1;2"):
        answer = await client.get(f"{upload.path('/batch')}&partNumbers={wrong}")
        assert_refused(answer, Code.INVALID_REQUEST, "This upload has parts 1 to 8.")


async def test_a_part_may_take_as_long_as_its_url_lives(client: httpx.AsyncClient) -> None:
    signed = (await client.get((await begin(client)).path("/1"))).json()
    assert signed.keys() == {"url", "expires"}
    assert 890 <= signed["expires"] <= 900


async def test_an_abort_leaves_nothing_and_may_be_repeated(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await begin(strict_client)
    sent = await put_parts(strict_client, bucket, upload, {1: PIECES[1]})
    for _ in range(2):
        answer = await strict_client.delete(upload.path())
        assert (answer.status_code, answer.json()) == (200, {})
    uploads = strict.admin_s3().list_multipart_uploads(Bucket=strict.bucket, Prefix=upload.key)
    assert uploads.get("Uploads", []) == []
    aborted = "The upload was aborted: ask for a new ticket."
    assert_refused(await finish(strict_client, upload, sent), Code.NOT_UPLOADED, aborted)
    assert_refused(await strict_client.get(upload.path()), Code.NOT_UPLOADED)
    stale = await strict_client.get(upload.path("/2"))
    assert (await bucket.put(stale.json()["url"], content=b"late")).status_code == 404


async def test_a_stored_upload_is_not_aborted(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = await begin(client)
    await finish(client, upload, await put_parts(client, bucket, upload, {1: b"x"}))
    assert_refused(await client.delete(upload.path()), Code.ALREADY_STORED)


@pytest.mark.threat(3)
async def test_an_upload_whose_object_is_deleted_is_completed_no_more(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await begin(client)
    sent = await put_parts(client, bucket, upload, {1: b"x"})
    done = (await finish(client, upload, sent)).json()
    assert (await client.delete(f"/v1/objects/{done['key']}")).status_code == 204
    deleted = "The upload was deleted: ask for a new ticket."
    assert_refused(await finish(client, upload, sent), Code.NOT_UPLOADED, deleted)


@pytest.mark.threat(5)
async def test_a_key_that_is_not_the_tickets_is_a_404_on_every_route(client: httpx.AsyncClient) -> None:
    upload, other = await begin(client), await begin(client)
    for key in (other.key, upload.key.replace("incoming", "objects"), upload.key + "x", "x", "../" + upload.key):
        for answer in await everywhere(client, Begun(upload.upload_id, key)):
            assert_refused(answer, Code.NOT_FOUND)
    needed = "Send the upload's key as the parameter 'key'."
    for method, path, body in ROUTES:
        answer = await client.request(method, upload.path(path).partition("?")[0], json=body)
        assert_refused(answer, Code.INVALID_REQUEST, needed)


ROUTES: Sequence[tuple[str, str, Mapping[str, Any] | None]] = [
    ("GET", "", None),
    ("GET", "/1", None),
    ("GET", "/batch", None),
    ("POST", "/complete", {"parts": [{"PartNumber": 1, "ETag": "x"}]}),
    ("DELETE", "", None),
]


async def everywhere(client: httpx.AsyncClient, upload: Begun, prefix: str = "", **more: Any) -> list[httpx.Response]:  # noqa: ANN401 - any argument of httpx
    return [
        await client.request(method, prefix + upload.path(path), json=body, **more) for method, path, body in ROUTES
    ]


@pytest.mark.threat(1, 4, 6)
async def test_a_ticket_that_is_not_the_callers_or_is_none_is_a_404_on_every_route(client: httpx.AsyncClient) -> None:
    ann, bob = make_pass([APP_SECRET], "ann"), make_pass([APP_SECRET], "bob")
    theirs = await begin(client, f"/u/{ann}")
    form = await form_for(client)
    grant_token = form["fields"]["x-amz-meta-grant"]
    wrong = [*(Begun(token, theirs.key) for token in (grant_token, ann, API_KEY, "nonsense", theirs.upload_id[:-1]))]
    for upload in wrong:
        for answer in await everywhere(client, upload):
            assert_refused(answer, Code.NOT_FOUND)
    for answer in await everywhere(client, theirs, headers=bearer(OTHER_API_KEY)):
        assert_refused(answer, Code.NOT_FOUND)
    for answer in await everywhere(client, theirs, f"/u/{bob}"):
        assert_refused(answer, Code.NOT_FOUND)
    for answer in await everywhere(client, theirs, headers=bearer("nonsense")):
        assert_refused(answer, Code.UNAUTHENTICATED)


async def test_a_ticket_lives_as_long_as_its_policy_says_and_no_part_longer(ministack: S3Server) -> None:
    now = [NOW]
    policies = {"default": {**POLICIES["default"], "multipart_expires_in": 600}}
    tenants = {"default": tenant(API_KEY, APP_SECRET, policies=policies)}
    app = make_app(ministack, lambda: now[0], tenants=tenants)
    async with speaking(app) as client:
        upload = await begin(client)
        assert (await client.get(upload.path("/1"))).json()["expires"] == 600
        now[0] += 600
        for answer in await everywhere(client, upload):
            assert_refused(answer, Code.NOT_FOUND)
    await app.state.gateway.close()


async def test_a_ticket_of_a_policy_that_speaks_no_uppy_is_of_no_use_here(client: httpx.AsyncClient) -> None:
    wish = {"filename": "a.txt", "content_type": "text/plain", "size": 5, "policy": "native"}
    ticket = (await client.post("/v1/uploads", json=wish)).json()
    for answer in await everywhere(client, Begun(ticket["ticket"], ticket["upload_key"])):
        assert_refused(answer, Code.FORBIDDEN, OFF)
    assert_refused(await client.post("/s3/multipart", json=ASKED, headers=bearer(OFF_KEY)), Code.FORBIDDEN, OFF)


async def test_the_ticket_of_a_single_upload_has_no_parts(client: httpx.AsyncClient) -> None:
    wish = {"filename": "a.txt", "content_type": "text/plain", "size": 5}
    ticket = (await client.post("/v1/uploads", json=wish)).json()
    whole = "This upload is a single request and has no parts."
    for answer in await everywhere(client, Begun(ticket["ticket"], ticket["upload_key"])):
        assert_refused(answer, Code.INVALID_REQUEST, whole)


@pytest.mark.parametrize("number", ["0", "-1", "9", "10001", "abc", "1.0", "01", "+1", "%D9%A1", "1e3", "99999999999"])
async def test_a_part_number_that_the_grant_leaves_no_room_for_is_refused(
    client: httpx.AsyncClient, number: str
) -> None:
    answer = await client.get((await begin(client)).path(f"/{number}"))
    assert_refused(answer, Code.INVALID_REQUEST, "This upload has parts 1 to 8.")


async def test_a_grant_of_any_size_has_ten_thousand_parts(ministack: S3Server) -> None:
    policies = {"default": {"content_types": [OCTETS], "max_size": "5 TiB", "protocols": ["uppy"]}}
    app = make_app(ministack, tenants={"default": tenant(API_KEY, APP_SECRET, policies=policies)})
    async with speaking(app) as client:
        upload = await begin(client)
        assert (await client.get(upload.path("/10000"))).status_code == 200
        beyond = "This upload has parts 1 to 10000."
        assert_refused(await client.get(upload.path("/10001")), Code.INVALID_REQUEST, beyond)
        named = [{"PartNumber": number, "ETag": "x" * 32} for number in range(1, 10_001)]
        missing = "Part 1 has not arrived as it is named: upload it again."
        assert_refused(await finish(client, upload, named), Code.NOT_UPLOADED, missing)
        many = await finish(client, upload, [*named, {"PartNumber": 1, "ETag": "x"}])
        assert (many.status_code, many.json()["code"]) == (422, "invalid-request")
    await app.state.gateway.close()


async def test_parts_that_are_not_those_that_arrived_join_nothing(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await begin(strict_client)
    one, two = await put_parts(strict_client, bucket, upload, {1: PIECES[1], 2: b"the last"})
    order = "Name each part once, in the order of their numbers."
    for parts in ([two, one], [one, one], [one, two, two]):
        assert_refused(await finish(strict_client, upload, parts), Code.INVALID_REQUEST, order)
    for parts, number in (
        ([one, {**two, "PartNumber": 3}], 3),
        ([one, {**two, "ETag": '"0"'}], 2),
        ([{**one, "ETag": two["ETag"]}, two], 1),
    ):
        missing = f"Part {number} has not arrived as it is named: upload it again."
        assert_refused(await finish(strict_client, upload, parts), Code.NOT_UPLOADED, missing)
    assert_refused(
        await finish(strict_client, upload, []), Code.NOT_UPLOADED, "No part of this upload has arrived yet."
    )
    assert (await finish(strict_client, upload, [one, two])).status_code == 200


async def test_parts_below_five_mebibytes_are_joined_by_no_store(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await begin(strict_client)
    sent = await put_parts(strict_client, bucket, upload, {1: b"small", 2: b"the last"})
    answer = await finish(strict_client, upload, sent)
    if enforces(strict, "part of 5 MiB"):
        small = "The storage does not join these parts: all but the last have at least 5 MiB."
        assert_refused(answer, Code.INVALID_REQUEST, small)
    else:
        assert answer.status_code == 200


@pytest.mark.threat(10)
async def test_parts_that_are_more_than_was_granted_are_rejected_for_good(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    upload = await begin(client, filename="notes.txt", type="text/plain", metadata={"policy": "small"})
    sent = await put_parts(client, bucket, upload, {1: b"x" * 1001})
    for _ in range(2):
        assert_refused(await finish(client, upload, sent), Code.SIZE_MISMATCH)
    assert_refused(await client.get(upload.path()), Code.SIZE_MISMATCH)


async def test_joined_bytes_have_to_prove_their_type(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = await begin(client, filename="dot.png", type="image/png")
    sent = await put_parts(client, bucket, upload, {1: b"no picture"})
    assert_refused(await finish(client, upload, sent), Code.CONTENT_MISMATCH)


ASKED = {"filename": "film.bin", "type": OCTETS}
BROKEN = "The request body or parameters are not as documented."


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        ("{", Code.INVALID_REQUEST, None),
        ("[]", Code.INVALID_REQUEST, None),
        ("{}", Code.INVALID_REQUEST, None),
        (json.dumps({**ASKED, "filename": 7}), Code.INVALID_REQUEST, None),
        (json.dumps({**ASKED, "type": ["x"]}), Code.INVALID_REQUEST, None),
        ('{"filename": "\\ud800.bin", "type": ""}', Code.INVALID_REQUEST, None),
        (json.dumps({**ASKED, "filename": ""}), Code.INVALID_FILENAME, Code.INVALID_FILENAME.sentence),
        (json.dumps({**ASKED, "filename": "x" * 4097}), Code.INVALID_REQUEST, None),
        (json.dumps({**ASKED, "type": "text/html"}), Code.TYPE_NOT_ALLOWED, Code.TYPE_NOT_ALLOWED.sentence),
        (
            json.dumps({"filename": "a.txt", "type": "text/plain", "metadata": {"policy": "sealed"}}),
            Code.CHECKSUM_REQUIRED,
            "This policy asks for checksums, and Uppy sends none.",
        ),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_a_message_and_an_error(
    offline: httpx.AsyncClient, body: str, code: Code, detail: str | None
) -> None:
    answer = await offline.post("/s3/multipart", content=body, headers={"content-type": "application/json"})
    assert_refused(answer, code, detail or answer.json()["message"])
    assert answer.json()["message"].startswith(BROKEN) is (detail is None)


async def test_metadata_never_fails_an_upload(client: httpx.AsyncClient) -> None:
    many = {f"field {number}": "x" * 100 for number in range(300)}
    asked: list[object] = [many, {"note": "\n" * 5000}, {"quotes": '"' * 512}, ["a", "list"], None, {"deep": [[[[]]]]}]
    for metadata in asked:
        await begin(client, filename=f"{'x' * 251}.bin", metadata=metadata)


async def test_a_body_that_a_form_of_another_site_could_send_is_refused(offline: httpx.AsyncClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await offline.post("/s3/multipart", content=b"{}", headers={"content-type": content_type})
        assert_refused(answer, Code.UNSUPPORTED_MEDIA_TYPE)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let patience end after parts of a second."""
    monkeypatch.setattr(patience, "ASK_FOR", 0.3)
    monkeypatch.setattr(patience, "PAUSE", 0.01)


@pytest.mark.usefixtures("hurried")
async def test_a_store_that_stays_silent_is_a_502_and_never_a_503(offline: httpx.AsyncClient) -> None:
    """Uppy 6 asks once; a proxy or a browser makes a repeat of a 503, the user cannot."""
    late = "The object storage takes too long: try again later."
    answer = await offline.post("/s3/multipart", json=ASKED)
    assert_refused(answer, Code.STORAGE_UNAVAILABLE, late, status=502)
    assert "retry-after" not in answer.headers


@pytest.mark.usefixtures("hurried")
async def test_a_store_that_was_silent_for_a_moment_is_asked_again(
    ministack: S3Server, uppy_over: AppOver, bucket: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = dict.fromkeys(("create_multipart", "status", "complete", "abort"), 2)
    for name in failures:
        monkeypatch.setattr(Uploads, name, failing(getattr(Uploads, name), name, failures))
    async with speaking(uppy_over(ministack)) as client:
        upload = await begin(client)
        sent = await put_parts(client, bucket, upload, {1: b"x"})
        assert len((await client.get(upload.path())).json()) == 1
        assert (await finish(client, upload, sent)).status_code == 200
        assert_refused(await client.delete(upload.path()), Code.ALREADY_STORED)
    assert set(failures.values()) == {0}


def failing(real: Any, name: str, failures: dict[str, int]) -> Any:  # noqa: ANN401 - any of the use cases
    async def fail(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as above
        if failures[name]:
            failures[name] -= 1
            raise Refusal(Code.STORAGE_UNAVAILABLE)
        return await real(*arguments, **more)

    return fail


@pytest.mark.usefixtures("hurried")
async def test_a_completion_is_a_success_only_when_the_object_is_stored(
    ministack: S3Server, uppy_over: AppOver, bucket: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use case answers `promoting` twice, as it does for an object that takes S3 a while to copy."""
    waits, real = [Outcome(State.PROMOTING, retry_after=3)] * 2, Uploads.complete

    async def complete(self: Uploads, ticket: Ticket, claimed: Any = None) -> Outcome:  # noqa: ANN401 - passed on
        return waits.pop() if waits else await real(self, ticket, claimed)

    monkeypatch.setattr(Uploads, "complete", complete)
    async with speaking(uppy_over(ministack)) as client:
        upload = await begin(client)
        done = await finish(client, upload, await put_parts(client, bucket, upload, {1: b"x"}))
        assert (done.status_code, waits) == (200, [])
        assert done.json()["key"] == upload.key.replace("incoming/", "objects/")


@pytest.mark.parametrize("outcome", ["stored", "rejected", "never"])
async def test_a_completion_that_takes_long_is_kept_open_and_never_a_success_by_mistake(
    outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_BYTE", "BEAT"):
        monkeypatch.setattr(patience, name, 0.01)
    monkeypatch.setattr(patience, "MAX_BEATS", 20)
    ended = asyncio.Event()

    async def work() -> Mapping[str, str]:
        try:
            await asyncio.sleep(30 if outcome == "never" else 0.05)
        finally:
            ended.set()
        if outcome == "rejected":
            raise Refusal(Code.CONTENT_MISMATCH)
        return {"location": "x"}

    response, body = await patience.answered(work()), b""

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
        nonlocal body
        body += message.get("body", b"")

    async def receive() -> Any:  # noqa: ANN401 - as above
        await asyncio.Event().wait()

    await response({"type": "http", "method": "POST", "path": "/"}, receive, send)
    await ended.wait()
    assert response.headers["content-type"] == "application/json"
    assert body.startswith(b"  ")
    if outcome == "stored":
        assert json.loads(body) == {"location": "x"}
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


async def test_parts_are_signed_without_the_store(ministack: S3Server) -> None:
    """Over a bucket that nobody serves any more, a ticket goes on to sign."""
    app = make_app(ministack, tenants=TENANTS)
    async with speaking(app) as client:
        upload = await begin(client)
    await app.state.gateway.close()
    app = make_app(NOWHERE, tenants=TENANTS)
    async with speaking(app) as client:
        assert (await client.get(upload.path("/1"))).status_code == 200
    await app.state.gateway.close()
