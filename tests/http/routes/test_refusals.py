"""Refusals on the wire, each by its bytes; and what a failing bucket, a page of another site and a log never learn."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.content.filenames import Filename
from gateway.errors import Code
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from tests.faults.store import Fault, answer, closed_port, error, failing, found
from tests.gateways import calling, make_app, settings
from tests.http.routes.flow import MIB, NOW, NOWHERE, PNG, TENANTS, WISH, assert_refused, complete, issue, put, store

KEY = f"objects/default/default/{'0' * 32}.png"

GRANT = Grant("alice", ObjectKey.parse_key(KEY), "image/png", 1, None, Filename("a.png"), {}, NOW, NOW + 60)
DIVIDED = settings(NOWHERE, tenants=TENANTS).tokens().seal_ticket(Ticket(GRANT, Multipart("an-upload-id", 8 * MIB)))

Call = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def wished(**changes: object) -> Call:
    return lambda client: client.post("/v1/uploads", json={**WISH, **changes})


async def abort_stored(client: httpx.AsyncClient) -> httpx.Response:
    async with httpx.AsyncClient() as bucket:
        return await client.delete((await store(client, bucket))["abort_url"])


async def complete_bytes(client: httpx.AsyncClient, body: bytes, **wish: object) -> httpx.Response:
    async with httpx.AsyncClient() as bucket:
        ticket = await issue(client, size=len(body), checksum_sha256=None, **wish)
        await put(bucket, ticket, body)
        return await complete(client, ticket)


async def complete_nothing(client: httpx.AsyncClient) -> httpx.Response:
    return await complete(client, await issue(client))


def document(code: str, status: int, detail: str) -> bytes:
    title = code.replace("-", " ").capitalize()
    members = f'"title":"{title}","status":{status},"detail":"{detail}","code":"{code}","request_id":"%"'
    return f'{{"type":"urn:signed-url-gateway:problem:{code}",{members}}}'.encode()


REFUSALS: dict[str, tuple[int, Call]] = {
    "bad-request": (400, lambda client: client.get("/healthz", headers=[("origin", "https://a"), ("origin", "b")])),
    "unauthenticated": (401, lambda client: client.get("/v1/policies", headers={"authorization": "Bearer x"})),
    "forbidden": (403, wished(policy="hidden")),
    "not-found": (404, lambda client: client.get("/v1/uploads/forged")),
    "method-not-allowed": (405, lambda client: client.put("/v1/uploads")),
    "not-uploaded": (409, complete_nothing),
    "already-stored": (409, abort_stored),
    "payload-too-large": (413, lambda client: client.post("/v1/uploads", content=b" " * 65_537)),
    "uri-too-long": (414, lambda client: client.get("/" + "x" * 8192)),
    "unsupported-media-type": (415, lambda client: client.post("/v1/uploads", content=b"{}")),
    "invalid-request": (422, lambda client: client.post("/v1/uploads", json={**WISH, "size": 0, "policy": "photos"})),
    "policy-unknown": (422, wished(policy="nothing")),
    "type-not-allowed": (422, wished(content_type="text/html")),
    "extension-mismatch": (422, wished(filename="a.exe")),
    "too-large": (422, wished(policy="photos", size=1001)),
    "checksum-required": (422, wished(policy="proved", checksum_sha256=None)),
    "invalid-filename": (422, wished(filename="\u200b")),
    "metadata-too-large": (422, wished(metadata={"a": "x" * 512})),
    "content-mismatch": (422, lambda client: complete_bytes(client, b"\0" * 20)),
    "active-content": (422, lambda client: complete_bytes(client, b"<script>alert(1)</script>")),
    "headers-too-large": (431, lambda client: client.get("/healthz", headers={"x-large": "x" * 32_768})),
}
OWN_DETAILS = {
    "bad-request": "A header that may come only once was repeated.",
    "forbidden": "These credentials do not allow that policy.",
    "too-large": "This policy takes files of at most 1000 bytes.",
    "invalid-request": "This policy takes files of at least 1 bytes.",
}
BY_NAME = {code.code: code for code in Code}


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_these_bytes(client: httpx.AsyncClient, code: str) -> None:
    status, call = REFUSALS[code]
    refused = await call(client)
    expected = document(code, status, OWN_DETAILS.get(code, BY_NAME[code].sentence))
    assert refused.content == expected.replace(b"%", refused.headers["x-request-id"].encode())
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_the_codes_and_their_statuses_never_change() -> None:
    assert {code.code: code.status for code in Code} == {
        "unauthenticated": 401,
        "forbidden": 403,
        "not-found": 404,
        "method-not-allowed": 405,
        "request-timeout": 408,
        "not-uploaded": 409,
        "content-changed": 409,
        "already-stored": 409,
        "payload-too-large": 413,
        "uri-too-long": 414,
        "unsupported-media-type": 415,
        "bad-request": 400,
        "invalid-request": 422,
        "policy-unknown": 422,
        "type-not-allowed": 422,
        "extension-mismatch": 422,
        "too-large": 422,
        "checksum-required": 422,
        "invalid-filename": 422,
        "metadata-too-large": 422,
        "size-mismatch": 422,
        "content-mismatch": 422,
        "active-content": 422,
        "archive-too-large": 422,
        "infected": 422,
        "too-many-requests": 429,
        "headers-too-large": 431,
        "storage-unavailable": 503,
        "scanner-unavailable": 503,
        "insecure-storage": 503,
    }


# A bucket that fails


S3_ERRORS: dict[str, Fault] = {
    f"{status} {code}": error(status, code)
    for status, code in (
        (400, "BadDigest"),
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (400, "KeyTooLongError"),
        (400, "EntityTooLarge"),
        (400, "AuthorizationHeaderMalformed"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccountProblem"),
        (404, "NoSuchBucket"),
        (404, "NoSuchUpload"),
        (405, "MethodNotAllowed"),
        (409, "OperationAborted"),
        (500, "InternalError"),
        (501, "NotImplemented"),
        (503, "ServiceUnavailable"),
        (503, "SlowDown"),
    )
} | {
    "301 PermanentRedirect": error(301, "PermanentRedirect", x_amz_bucket_region="sa-east-1"),
    "307 TemporaryRedirect": error(307, "TemporaryRedirect", location="http://127.0.0.1:9/"),
    "200 that is a page": answer(200, b"<html>secret-bucket", content_type="text/html"),
}
STORAGE_CALLS: dict[str, Call] = {
    "begin": lambda client: client.post("/v1/uploads", json={**WISH, "size": None}),
    "status": lambda client: _ticketed(client, "GET", "status_url"),
    "complete": lambda client: _ticketed(client, "POST", "complete_url"),
    "abort": lambda client: _ticketed(client, "DELETE", "abort_url"),
    "status of parts": lambda client: client.get(f"/v1/uploads/{DIVIDED}"),
    "complete parts": lambda client: client.post(f"/v1/uploads/{DIVIDED}/complete", json={}),
    "abort parts": lambda client: client.delete(f"/v1/uploads/{DIVIDED}"),
    "list": lambda client: client.get("/v1/objects"),
    "read": lambda client: client.get(f"/v1/objects/{KEY}"),
    "delete": lambda client: client.delete(f"/v1/objects/{KEY}"),
    "ready": lambda client: client.get("/readyz"),
}


async def _ticketed(client: httpx.AsyncClient, method: str, place: str) -> httpx.Response:
    more: dict[str, Any] = {"json": {}} if method == "POST" else {}
    return await client.request(method, (await issue(client))[place], **more)


@pytest.mark.threat(45)
@pytest.mark.parametrize("fault", S3_ERRORS)
async def test_an_error_of_the_store_is_told_as_one_refusal_that_names_nothing(fault: str) -> None:
    with failing(S3_ERRORS[fault]) as bucket:
        server = replace(NOWHERE, endpoint=bucket.endpoint, bucket="the-name-of-it")
        async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS)) as client:
            for name, call in STORAGE_CALLS.items():
                refused = await call(client)
                text = refused.text + repr(refused.headers)
                for secret in (
                    "secret",
                    "the-name-of-it",
                    bucket.endpoint.removeprefix("http://"),
                    KEY,
                    server.access_key_id,
                    fault.partition(" ")[2],
                    "Traceback",
                    "boto",
                ):
                    assert secret not in text, name
                if refused.status_code == 503:
                    assert_refused(refused, Code.STORAGE_UNAVAILABLE)
                    assert refused.headers["retry-after"] == "5"
                else:  # a HEAD that answers 404 is a missing key, and a 200 is a bucket that is there
                    assert (fault[:3], refused.status_code) in {
                        ("404", 200),
                        ("404", 204),
                        ("404", 404),
                        ("404", 409),
                        ("200", 200),
                    }, (name, refused.text)


@pytest.mark.threat(45)
async def test_a_size_that_is_not_the_granted_one_is_told_without_either() -> None:
    there = found(PNG, content_type="image/png")
    missing = answer(404)
    with failing(there, missing, found()) as bucket:
        server = replace(NOWHERE, endpoint=bucket.endpoint)
        async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS)) as client:
            ticket = await issue(client, size=len(PNG) + 1, checksum_sha256=None)
            assert_refused(await complete(client, ticket), Code.SIZE_MISMATCH)


@pytest.mark.threat(45)
async def test_a_bucket_that_is_not_there_is_the_same_refusal() -> None:
    with closed_port() as port:
        server = replace(NOWHERE, endpoint=f"http://127.0.0.1:{port}")
        async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS)) as client:
            for call in STORAGE_CALLS.values():
                refused = await call(client)
                assert_refused(refused, Code.STORAGE_UNAVAILABLE)
                assert str(port) not in refused.text


@pytest.mark.threat(49, 51)
async def test_a_clock_or_a_region_that_is_off_is_a_refusal_and_makes_the_gateway_unready() -> None:
    for fault in (error(403, "RequestTimeTooSkewed"), error(301, "PermanentRedirect", x_amz_bucket_region="sa-east-1")):
        with failing(fault) as bucket:
            server = replace(NOWHERE, endpoint=bucket.endpoint)
            async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS)) as client:
                assert_refused(await client.get("/readyz"), Code.STORAGE_UNAVAILABLE)


# A page of another site


@pytest.mark.threat(29)
@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/passes", "/v1/links", "/v1/uploads/complete", "parts", "ticket"])
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json;boundary=x",
        "application/jsonx",
        "application/problem+json",
        "application/json, text/plain",
    ],
)
async def test_what_a_form_can_send_is_not_read(
    offline: httpx.AsyncClient, path: str, content_type: str | None
) -> None:
    if path == "parts":
        path = f"{(await issue(offline))['status_url']}/parts"
    if path == "ticket":
        path = (await issue(offline))["complete_url"]
    headers = {} if content_type is None else {"content-type": content_type}
    refused = await offline.post(path, content=json.dumps(WISH).encode(), headers=headers)
    assert_refused(refused, Code.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.threat(29)
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
async def test_json_in_utf_8_is_read(offline: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type}
    answered = await offline.post("/v1/uploads", content=json.dumps(WISH).encode(), headers=headers)
    assert answered.status_code == 201


@pytest.mark.threat(29)
async def test_no_cookie_is_set_or_taken_for_credentials(offline: httpx.AsyncClient) -> None:
    credentials = offline.headers.pop("authorization")
    for headers in (
        {"cookie": f"authorization={credentials}"},
        {"x-api-key": credentials},
        {"proxy-authorization": credentials},
    ):
        refused = await offline.post("/v1/uploads", json=WISH, headers=headers)
        assert_refused(refused, Code.UNAUTHENTICATED)
        assert "set-cookie" not in refused.headers
    for query in (f"?authorization={credentials}", f"?access_token={credentials.partition(' ')[2]}"):
        assert_refused(await offline.post(f"/v1/uploads{query}", json=WISH), Code.UNAUTHENTICATED)


@pytest.mark.threat(30)
async def test_only_a_page_that_the_settings_name_may_read_an_answer() -> None:
    app = make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, allowed_origins=["https://app.example"])
    async with calling(app) as client:
        told = {}
        for origin in (
            "https://app.example",
            "http://app.example",
            "https://app.example.evil",
            "null",
            "HTTPS://APP.EXAMPLE",
        ):
            answered = await client.post("/v1/uploads", json=WISH, headers={"origin": origin})
            told[origin] = answered.headers.get("access-control-allow-origin")
            assert "access-control-allow-credentials" not in answered.headers
            assert answered.headers["vary"] == "Origin"
    assert told == {
        "https://app.example": "https://app.example",
        "http://app.example": None,
        "https://app.example.evil": None,
        "null": None,
        "HTTPS://APP.EXAMPLE": None,
    }
