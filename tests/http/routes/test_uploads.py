"""One file, end to end: ticket, direct upload, proof, receipt, link; and what is no ticket's business."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.apps import make_pass, open_receipt
from gateway.errors import Code
from gateway.uploads import Uploads
from tests.gateways import APP_SECRET, calling, make_app
from tests.http.routes.flow import (
    NOW,
    NOWHERE,
    PNG,
    PNG_ETAG,
    PNG_SHA256,
    READER_KEY,
    TENANTS,
    UPLOADER_KEY,
    WISH,
    assert_refused,
    bearer,
    complete,
    issue,
    put,
    store,
)
from tests.memory_storage import MemoryStorage
from tests.servers.s3 import S3Server

NOT_AS_DOCUMENTED = Code.INVALID_REQUEST.sentence


def invalid(complaint: str) -> str:
    return f"{NOT_AS_DOCUMENTED} ({complaint})"


async def test_a_fresh_link_and_receipt_are_good_though_the_clock_of_the_store_runs_ahead(
    ministack: S3Server, bucket: httpx.AsyncClient
) -> None:
    late = int(time.time()) - 400  # beyond the 300 seconds that a token may come from the future
    async with calling(make_app(ministack, clock=lambda: late, tenants=TENANTS)) as client:
        stored = await store(client, bucket)
        receipt = open_receipt(stored["status"]["receipt"], [APP_SECRET], clock=lambda: late)
        assert (receipt.stored_at, receipt.expires_at) == (late, late + 604_800)
        assert (await client.get(stored["status"]["link"])).status_code == 307
        assert (await complete(client, stored)).json() == stored["status"]


async def test_a_picture_goes_up_and_comes_back_through_its_link(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, metadata={"album": "holidays"}, on_behalf_of="alice")
    assert (await put(bucket, ticket)).status_code == 200

    answer = await complete(client, ticket)

    assert answer.status_code == 200, answer.text
    status = answer.json()
    assert status == {
        "status": "stored",
        "parts": [],
        "object": {
            "key": ticket["key"],
            "size": len(PNG),
            "content_type": "image/png",
            "filename": "dot.png",
            "checksum_sha256": PNG_SHA256,
            "checksum_type": "full",
            "etag": PNG_ETAG,
            "principal": "alice",
            "metadata": {"album": "holidays"},
            "stored_at": status["object"]["stored_at"],
        },
        "receipt": status["receipt"],
        "link": status["link"],
        "problem": None,
        "retry_after": None,
    }
    receipt = open_receipt(status["receipt"], [APP_SECRET])
    assert (receipt.key.key, receipt.size, receipt.checksum_sha256, receipt.principal) == (
        ticket["key"],
        len(PNG),
        PNG_SHA256,
        "alice",
    )
    redirect = await client.get(status["link"])
    assert redirect.status_code == 307
    download = await bucket.get(redirect.headers["location"])
    assert (download.status_code, download.content) == (200, PNG)
    assert download.headers["content-type"] == "image/png"
    assert download.headers["content-disposition"] == 'inline; filename="dot.png"'


async def test_a_ticket_has_exactly_the_documented_shape(offline: httpx.AsyncClient) -> None:
    ticket = await issue(offline)
    url = f"http://127.0.0.1/v1/uploads/{ticket['ticket']}"
    grant_token = ticket["upload"]["headers"]["x-amz-meta-grant"]
    assert ticket == {
        "ticket": ticket["ticket"],
        "key": ticket["key"],
        "upload_key": ticket["key"].replace("objects/", "incoming/"),
        "expires_at": "2027-01-15T09:00:00Z",
        "server_time": "2027-01-15T08:00:00Z",
        "upload": {
            "method": "PUT",
            "url": ticket["upload"]["url"],
            "headers": {
                "content-type": "image/png",
                "if-none-match": "*",
                "x-amz-checksum-sha256": PNG_SHA256,
                "x-amz-meta-grant": grant_token,
                "x-amz-sdk-checksum-algorithm": "SHA256",
            },
            "expires_at": "2027-01-15T08:15:00Z",
        },
        "multipart": None,
        "status_url": url,
        "complete_url": f"{url}/complete",
        "abort_url": url,
    }
    assert re.fullmatch(r"objects/default/default/[0-9a-f]{32}\.png", ticket["key"])
    assert re.fullmatch(
        rf"http://127\.0\.0\.1:9/gateway-test/{ticket['upload_key']}\?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        r"&X-Amz-Credential=AKIANOBODY0000000000%2F20270115%2Fus-east-1%2Fs3%2Faws4_request"
        r"&X-Amz-Date=20270115T080000Z&X-Amz-Expires=900"
        r"&X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256"
        r"%3Bx-amz-meta-grant%3Bx-amz-sdk-checksum-algorithm&X-Amz-Signature=[0-9a-f]{64}",
        ticket["upload"]["url"],
    )


async def test_without_a_checksum_none_is_signed(offline: httpx.AsyncClient) -> None:
    ticket = await issue(offline, checksum_sha256=None)
    assert set(ticket["upload"]["headers"]) == {"content-type", "if-none-match", "x-amz-meta-grant"}


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"policy": "nothing"}, Code.POLICY_UNKNOWN, None),
        ({"policy": "hidden"}, Code.FORBIDDEN, "These credentials do not allow that policy."),
        ({"content_type": "image/svg+xml"}, Code.TYPE_NOT_ALLOWED, None),
        ({"content_type": "text/html"}, Code.TYPE_NOT_ALLOWED, None),
        ({"content_type": ""}, Code.TYPE_NOT_ALLOWED, None),
        ({"policy": "photos", "content_type": "text/plain", "filename": "a.txt"}, Code.TYPE_NOT_ALLOWED, None),
        ({"filename": "dot.jpg"}, Code.EXTENSION_MISMATCH, None),
        ({"filename": "dot.png.html"}, Code.EXTENSION_MISMATCH, None),
        ({"filename": "x" * 256}, Code.INVALID_FILENAME, None),
        ({"filename": "\u202e\u200b"}, Code.INVALID_FILENAME, None),
        ({"policy": "proved", "checksum_sha256": None}, Code.CHECKSUM_REQUIRED, None),
        ({"metadata": {str(number): "" for number in range(11)}}, Code.METADATA_TOO_LARGE, None),
        ({"metadata": {"a": "x" * 512}}, Code.METADATA_TOO_LARGE, None),
        ({"metadata": {"a": "\0" * 500}}, Code.METADATA_TOO_LARGE, None),  # six bytes each in JSON: over 2,000 in all
        ({"metadata": {"a": 1}}, Code.INVALID_REQUEST, invalid("metadata: string_type")),
        ({"on_behalf_of": ""}, Code.INVALID_REQUEST, "A principal is 1 to 128 bytes of printable text."),
        ({"on_behalf_of": "a\nb"}, Code.INVALID_REQUEST, "A principal is 1 to 128 bytes of printable text."),
        ({"on_behalf_of": "x" * 129}, Code.INVALID_REQUEST, "A principal is 1 to 128 bytes of printable text."),
    ],
)
async def test_what_no_policy_allows_is_refused_with_its_code(
    offline: httpx.AsyncClient, changes: dict[str, object], code: Code, detail: str | None
) -> None:
    assert_refused(await offline.post("/v1/uploads", json={**WISH, **changes}), code, detail)


@pytest.mark.threat(10)
@pytest.mark.parametrize(
    ("size", "code", "detail"),
    [
        ("0", Code.INVALID_REQUEST, "This policy takes files of at least 1 bytes."),
        ("1001", Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
        (str(2**63), Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
        ("1" + "0" * 400, Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
        ("-1", Code.INVALID_REQUEST, invalid("size: greater_than_equal")),
        ("1.5", Code.INVALID_REQUEST, invalid("size: int_type")),
        ("1.0", Code.INVALID_REQUEST, invalid("size: int_type")),
        ("true", Code.INVALID_REQUEST, invalid("size: int_type")),
        ('"1"', Code.INVALID_REQUEST, invalid("size: int_type")),
    ],
)
async def test_a_size_that_lies_gets_no_ticket(
    offline: httpx.AsyncClient, size: str, code: Code, detail: str | None
) -> None:
    body = f'{{"filename": "a.png", "content_type": "image/png", "policy": "photos", "size": {size}}}'
    answer = await offline.post("/v1/uploads", content=body, headers={"content-type": "application/json"})
    assert_refused(answer, code, detail)


@pytest.mark.threat(11)
@pytest.mark.parametrize(
    "checksum",
    [
        "",
        "x",
        PNG_SHA256[:-1],
        PNG_SHA256 + "=",
        PNG_SHA256[:-2] + "f=",
        "Zg==",
        PNG_SHA256[:40],
        "é" * 44,
        " " + PNG_SHA256,
    ],
)
async def test_a_checksum_is_the_one_spelling_of_32_bytes(offline: httpx.AsyncClient, checksum: str) -> None:
    answer = await offline.post("/v1/uploads", json={**WISH, "checksum_sha256": checksum})
    assert_refused(answer, Code.INVALID_REQUEST, "checksum_sha256 is the base64 of the 32 bytes of a SHA-256.")


@pytest.mark.threat(5)
@pytest.mark.parametrize(
    "field",
    ["key", "upload_key", "upload_id", "uploadId", "tenant", "bucket", "principal", "prefix", "expires_in", "acl"],
)
async def test_a_client_names_no_key_no_upload_and_no_tenant(offline: httpx.AsyncClient, field: str) -> None:
    answer = await offline.post("/v1/uploads", json={**WISH, field: "objects/other/default/x.png"})
    assert_refused(answer, Code.INVALID_REQUEST, invalid("body: extra_forbidden"))
    ticket = await issue(offline)
    parts_url = f"{ticket['status_url']}/parts"
    for url, body in (
        (ticket["complete_url"], {field: "x"}),
        (ticket["complete_url"], {"parts": [{"part_number": 1, "etag": '"e"', field: "x"}]}),
        (parts_url, {"part_numbers": [1], field: "x"}),
    ):
        answer = await offline.post(url, json=body)
        assert answer.status_code == 422, field
        assert answer.json()["detail"].endswith("extra_forbidden)")


@pytest.mark.threat(42)
async def test_a_body_that_is_wrong_in_thousands_of_places_is_not_told_them(offline: httpx.AsyncClient) -> None:
    for wrong, detail in ((1000, invalid("; ".join(["body: extra_forbidden"] * 3))), (1001, NOT_AS_DOCUMENTED)):
        answer = await offline.post("/v1/uploads", json={**WISH, **{f"field{number}": 1 for number in range(wrong)}})
        assert_refused(answer, Code.INVALID_REQUEST, detail)


@pytest.mark.threat(5)
@pytest.mark.parametrize("number", ["0", "-1", "10001", '"1e3"', "1.5", "true", "null"])
async def test_a_part_number_is_one_to_ten_thousand(offline: httpx.AsyncClient, number: str) -> None:
    ticket = await issue(offline)
    body = f'{{"parts": [{{"part_number": {number}, "etag": "e"}}]}}'
    answer = await offline.post(ticket["complete_url"], content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{NOT_AS_DOCUMENTED} (parts[0].part_number: ")


async def test_a_single_put_has_no_parts_to_complete(offline: httpx.AsyncClient) -> None:
    answer = await offline.post((await issue(offline))["complete_url"], json={"parts": []})
    assert_refused(answer, Code.INVALID_REQUEST, "This upload is a single request and has no parts.")


@pytest.mark.threat(15, 16)
@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../x",
        "a//b",
        "/a",
        ".",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "%2e%2e%2f",
        "\u202egnp",
        "e\u0301",
        "\uff0e\uff0e\uff0f",
        "..\\..\\x",
        "soap",
        "x" * 1025,
        "é" * 513,
        "${filename}",
        "$key",
        "*",
        "?versionId=1",
        "#",
        "objects/other/default/0123456789abcdef0123456789abcdef",
    ],
)
async def test_no_filename_reaches_a_key(offline: httpx.AsyncClient, name: str) -> None:
    answer = await offline.post("/v1/uploads", json={**WISH, "filename": f"{name}.png"})
    if answer.status_code == 422:
        assert_refused(answer, Code.INVALID_FILENAME)
        return
    ticket = answer.json()
    assert re.fullmatch(r"objects/default/default/[0-9a-f]{32}\.png", ticket["key"])
    assert ticket["upload"]["method"] == "PUT"  # and no form whose policy could say "starts-with"
    assert ticket["upload"]["url"].partition("?")[0] == f"http://127.0.0.1:9/gateway-test/{ticket['upload_key']}"


@pytest.mark.threat(1, 15)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    metadata=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.just("x"), max_size=2),
)
async def test_nothing_that_a_client_says_reaches_a_key_but_the_extension_of_its_type(
    offline: httpx.AsyncClient, text: str, metadata: dict[str, str]
) -> None:
    wish = {"filename": text, "content_type": "image/jpeg", "size": 1, "on_behalf_of": text[:20], "metadata": metadata}
    answer = await offline.post("/v1/uploads", json=wish)
    assert answer.status_code in {201, 422}
    if answer.status_code == 201:
        assert re.fullmatch(r"objects/default/default/[0-9a-f]{32}\.jpg", answer.json()["key"])


async def test_an_uploader_speaks_for_nobody_else(offline: httpx.AsyncClient) -> None:
    answer = await offline.post("/v1/uploads", json={**WISH, "on_behalf_of": "bob"}, headers=bearer(UPLOADER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials may not act on behalf of someone else.")
    answer = await offline.post("/v1/uploads", json=WISH, headers=bearer(UPLOADER_KEY))
    assert answer.status_code == 201


async def test_a_reader_gets_no_ticket_and_completes_nothing(offline: httpx.AsyncClient) -> None:
    answer = await offline.post("/v1/uploads", json=WISH, headers=bearer(READER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials do not allow that policy.")
    key = {"upload_key": f"incoming/default/default/{'0' * 32}.png"}
    answer = await offline.post("/v1/uploads/complete", json=key, headers=bearer(READER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials do not allow the action 'upload'.")


# The life of an upload


def waiting(status: str) -> dict[str, object]:
    nothing: dict[str, object] = dict.fromkeys(("object", "receipt", "link", "problem", "retry_after"))
    return {"status": status, "parts": [], **nothing}


async def status_of(client: httpx.AsyncClient, ticket: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(ticket["status_url"])
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    return status


@pytest.mark.threat(33)
async def test_each_step_has_its_time(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    ticket = await issue(client)
    assert await status_of(client, ticket) == waiting("waiting")
    assert_refused(await complete(client, ticket), Code.NOT_UPLOADED)

    assert (await put(bucket, ticket)).status_code == 200
    assert await status_of(client, ticket) == waiting("uploaded")

    first = await complete(client, ticket)
    assert first.json()["status"] == "stored"
    again = await complete(client, ticket)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert await status_of(client, ticket) == first.json()
    assert_refused(await client.delete(ticket["abort_url"]), Code.ALREADY_STORED)
    assert await status_of(client, ticket) == first.json()


@pytest.mark.threat(33)
async def test_an_aborted_upload_can_neither_arrive_nor_be_completed(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    early, late = await issue(client), await issue(client)
    assert (await put(bucket, late)).status_code == 200
    for ticket in (early, late):
        for _ in range(2):
            answer = await client.delete(ticket["abort_url"])
            assert (answer.status_code, answer.content) == (204, b"")
        assert (await put(bucket, ticket)).status_code == 412
        assert await status_of(client, ticket) == waiting("aborted")
        for _ in range(2):
            assert_refused(
                await complete(client, ticket), Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket."
            )


async def test_an_upload_is_completed_by_its_key_as_by_its_ticket(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, on_behalf_of="alice")
    named = {"upload_key": ticket["upload_key"]}
    assert_refused(await client.post("/v1/uploads/complete", json=named), Code.NOT_UPLOADED)
    assert (await put(bucket, ticket)).status_code == 200
    by_key = await client.post("/v1/uploads/complete", json=named)
    assert by_key.status_code == 200
    assert by_key.json()["object"]["principal"] == "alice"
    assert (await complete(client, ticket)).content == by_key.content
    assert (await client.post("/v1/uploads/complete", json=named)).content == by_key.content


@pytest.mark.threat(1)
async def test_a_pass_completes_by_key_only_what_its_own_principal_uploaded(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    done = await store(client, bucket, on_behalf_of="alice")
    named = {"upload_key": done["upload_key"]}
    alice, mallory = (bearer(make_pass([APP_SECRET], name)) for name in ("alice", "mallory"))
    own = await client.post("/v1/uploads/complete", json=named, headers=alice)
    assert own.json() == done["status"]
    assert_refused(await client.post("/v1/uploads/complete", json=named, headers=mallory), Code.NOT_FOUND)


@pytest.mark.threat(1)
async def test_a_key_that_only_uploads_is_told_of_others_uploads_that_they_are_stored_and_no_more(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    done = await store(client, bucket, on_behalf_of="alice")
    named = {"upload_key": done["upload_key"]}
    answer = await client.post("/v1/uploads/complete", json=named, headers=bearer(UPLOADER_KEY))
    assert answer.json() == {**done["status"], "object": None, "receipt": None, "link": None}
    photo = await store(client, bucket, policy="photos")
    elsewhere = {"upload_key": photo["upload_key"]}
    answer = await client.post("/v1/uploads/complete", json=elsewhere, headers=bearer(UPLOADER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials do not allow that policy.")


@pytest.mark.threat(42)
async def test_a_body_is_not_read_for_whoever_holds_no_ticket(offline: httpx.AsyncClient) -> None:
    for path in ("/v1/uploads/x/complete", "/v1/uploads/x/parts"):
        answer = await offline.post(path, content=b"[" * 60_000, headers={"content-type": "application/json"})
        assert_refused(answer, Code.NOT_FOUND)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "objects/default/default/0123456789abcdef0123456789abcdef.png",
        "incoming/default/default/../default/0123456789abcdef0123456789abcdef.png",
        "incoming/default/default/0123456789abcdef0123456789abcdef.png/",
        "incoming/default/default/short.png",
    ],
)
async def test_only_an_upload_key_names_an_upload(offline: httpx.AsyncClient, key: str) -> None:
    assert_refused(await offline.post("/v1/uploads/complete", json={"upload_key": key}), Code.NOT_FOUND)


async def test_an_empty_file_is_stored_where_its_policy_takes_one(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored = await store(client, bucket, b"", filename="empty.txt", content_type="text/plain")
    assert stored["status"]["object"]["size"] == 0
    download = await bucket.get((await client.get(stored["status"]["link"])).headers["location"])
    assert (download.status_code, download.content) == (200, b"")


@pytest.mark.threat(32)
async def test_metadata_of_a_client_is_kept_and_believed_nothing(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    metadata = {
        "state": "stored",
        "status": "deleted",
        "code": "infected",
        "grant": "x",
        "tenant": "other",
        "sub": "root",
        "x-amz-meta-state": "aborted",
        "description": "e30=",
        "identified": "true",
    }
    ticket = await issue(client, metadata=metadata, on_behalf_of="alice")
    sent = [name for name in ticket["upload"]["headers"] if name.startswith("x-amz-meta-")]
    assert sent == ["x-amz-meta-grant"]
    assert await status_of(client, ticket) == waiting("waiting")
    # MiniStack takes metadata that nobody signed: even then a state is nothing but a marker's.
    forged = {"x-amz-meta-state": "stored", "x-amz-meta-code": "infected"}
    assert (await put(bucket, ticket, more=forged)).status_code == 200
    assert await status_of(client, ticket) == waiting("uploaded")
    stored = (await complete(client, ticket)).json()["object"]
    assert (stored["key"], stored["principal"], stored["metadata"]) == (ticket["key"], "alice", metadata)


async def test_a_filename_of_every_kind_survives(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    name = 'Zürich "am See" 100 % 🏔.png'
    stored = await store(client, bucket, filename=name)
    assert stored["status"]["object"]["filename"] == name
    assert stored["status"]["link"].endswith("/Z%C3%BCrich%20%22am%20See%22%20100%20%25%20%F0%9F%8F%94.png")
    download = await bucket.get((await client.get(stored["status"]["link"])).headers["location"])
    assert download.headers["content-disposition"] == (
        'inline; filename="Zurich _am See_ 100 _ _.png"; '
        "filename*=UTF-8''Z%C3%BCrich%20%22am%20See%22%20100%20%25%20%F0%9F%8F%94.png"
    )


class Stalled(MemoryStorage):
    """A bucket in which copies begin and do not end."""

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await asyncio.sleep(3600)
        await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)


async def test_a_completion_that_took_seconds_is_answered_like_its_repeat() -> None:
    moment = NOW

    class Slow(MemoryStorage):
        """A bucket in which a copy takes seven seconds."""

        async def copy(
            self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
        ) -> None:
            nonlocal moment
            self.now = moment = NOW + 7
            await super().copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    storage, app = Slow(NOW), make_app(NOWHERE, clock=lambda: moment, tenants=TENANTS)
    gateway = app.state.gateway
    uploads = Uploads(storage, gateway.tokens, lambda: "nonce")
    app.state.gateway = replace(gateway, storage=storage, uploads=uploads)
    async with calling(app) as client:
        ticket = await issue(client)
        metadata = {"grant": ticket["upload"]["headers"]["x-amz-meta-grant"]}
        storage.upload(
            ticket["upload_key"], PNG, content_type="image/png", metadata=metadata, checksum_sha256=PNG_SHA256
        )
        first = await complete(client, ticket)
        assert first.json()["object"]["stored_at"] == "2027-01-15T08:00:07Z"
        assert (await complete(client, ticket)).content == first.content


async def test_a_promotion_that_takes_long_is_202_and_says_when_to_ask_again() -> None:
    storage, app = Stalled(NOW), make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)
    gateway = app.state.gateway
    uploads = Uploads(storage, gateway.tokens, lambda: "nonce", answer_within=0.02)
    app.state.gateway = replace(gateway, storage=storage, uploads=uploads)
    async with calling(app) as client:
        ticket = await issue(client)
        metadata = {"grant": ticket["upload"]["headers"]["x-amz-meta-grant"]}
        storage.upload(
            ticket["upload_key"], PNG, content_type="image/png", metadata=metadata, checksum_sha256=PNG_SHA256
        )
        for _ in range(2):
            answer = await complete(client, ticket)
            assert (answer.status_code, answer.json()) == (202, {**waiting("promoting"), "retry_after": 3})
        assert await status_of(client, ticket) == {**waiting("promoting"), "retry_after": 3}
        for task in uploads._running.values():
            task.cancel()
