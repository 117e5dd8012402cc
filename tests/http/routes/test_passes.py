"""Passes: made by API keys alone, good for uploads under one policy and within limits."""

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code
from gateway.grants.principals import Action, Kind, Limits, Principal
from tests.gateways import API_KEY, APP_SECRET, calling, make_app, settings
from tests.http.routes.flow import (
    NOW,
    NOWHERE,
    PNG,
    READER_KEY,
    TENANTS,
    UPLOADER_KEY,
    WISH,
    assert_refused,
    bearer,
    complete,
    issue,
    put,
)


def opened(token: str) -> Principal:
    return settings(NOWHERE, tenants=TENANTS).tokens().open_pass(token, NOW)


async def test_a_pass_says_what_was_asked_for_and_when_it_ends(offline: httpx.AsyncClient) -> None:
    wanted = {
        "policy": "photos",
        "principal": "alice",
        "max_size": 100,
        "content_types": ["Image/PNG; q=1", "image/jpeg"],
        "expires_in": 86_400,
    }
    answer = await offline.post("/v1/passes", json=wanted)
    assert answer.status_code == 201
    assert answer.json() == {"pass": answer.json()["pass"], "expires_at": "2027-01-16T08:00:00Z"}
    assert opened(answer.json()["pass"]) == Principal(
        "default",
        "alice",
        Kind.PASS,
        frozenset({Action.UPLOAD}),
        frozenset({"photos"}),
        limits=Limits(100, frozenset({"image/png", "image/jpeg"})),
    )
    short = await offline.post("/v1/passes", json={})
    assert short.json()["expires_at"] == "2027-01-15T09:00:00Z"
    assert opened(short.json()["pass"]).name == "key:aaaaaaaa"
    assert opened(short.json()["pass"]).limits == Limits()


async def test_the_gateway_and_the_application_make_the_same_pass(offline: httpx.AsyncClient) -> None:
    wanted = {"policy": "photos", "principal": "alice", "max_size": 100, "content_types": ["image/png"]}
    answer = await offline.post("/v1/passes", json=wanted)
    assert answer.json()["pass"] == make_pass(
        [APP_SECRET], "alice", policy="photos", max_size=100, content_types=["image/png"], clock=lambda: NOW
    )


@pytest.mark.parametrize(
    ("wanted", "code", "detail"),
    [
        ({"policy": "nothing"}, Code.POLICY_UNKNOWN, None),
        ({"policy": "hidden"}, Code.FORBIDDEN, "These credentials do not allow that policy."),
        ({"policy": "photos", "content_types": ["text/plain"]}, Code.TYPE_NOT_ALLOWED, None),
        ({"content_types": ["text/html"]}, Code.TYPE_NOT_ALLOWED, None),
        ({"principal": ""}, Code.INVALID_REQUEST, "A principal is 1 to 128 bytes of printable text."),
        ({"principal": "é" * 65}, Code.INVALID_REQUEST, "A principal is 1 to 128 bytes of printable text."),
        ({"expires_in": 59}, Code.INVALID_REQUEST, "expires_in: greater_than_equal"),
        ({"expires_in": 86_401}, Code.INVALID_REQUEST, "expires_in: less_than_equal"),
        ({"max_size": -1}, Code.INVALID_REQUEST, "max_size: greater_than_equal"),
        ({"max_size": True}, Code.INVALID_REQUEST, "max_size: int_type"),
        ({"actions": ["delete"]}, Code.INVALID_REQUEST, "body: extra_forbidden"),
    ],
)
async def test_no_pass_reaches_further_than_its_maker(
    offline: httpx.AsyncClient, wanted: dict[str, object], code: Code, detail: str | None
) -> None:
    if detail is not None and "_" in detail:
        detail = f"{Code.INVALID_REQUEST.sentence} ({detail})"
    assert_refused(await offline.post("/v1/passes", json=wanted), code, detail)


async def test_only_an_api_key_that_may_upload_makes_passes(offline: httpx.AsyncClient) -> None:
    answer = await offline.post("/v1/passes", json={}, headers=bearer(READER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials do not allow the action 'upload'.")
    answer = await offline.post("/v1/passes", json={"principal": "alice"}, headers=bearer(UPLOADER_KEY))
    assert_refused(answer, Code.FORBIDDEN, "These credentials may not act on behalf of someone else.")
    mine = make_pass([APP_SECRET], "alice", clock=lambda: NOW)
    answer = await offline.post("/v1/passes", json={}, headers=bearer(mine))
    assert_refused(answer, Code.FORBIDDEN, "Only an API key makes passes.")


@pytest.mark.threat(10)
@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"policy": "default"}, Code.FORBIDDEN, "These credentials do not allow that policy."),
        ({"policy": "proved"}, Code.FORBIDDEN, "These credentials do not allow that policy."),
        ({"size": 101}, Code.TOO_LARGE, "This policy takes files of at most 100 bytes."),
        ({"size": 0}, Code.INVALID_REQUEST, "This policy takes files of at least 1 bytes."),
        ({"content_type": "image/jpeg", "filename": "a.jpg"}, Code.TYPE_NOT_ALLOWED, None),
        ({"on_behalf_of": "bob"}, Code.FORBIDDEN, "These credentials may not act on behalf of someone else."),
    ],
)
async def test_a_pass_uploads_only_under_its_policy_and_within_its_limits(
    offline: httpx.AsyncClient, changes: dict[str, object], code: Code, detail: str | None
) -> None:
    limits = {"policy": "photos", "principal": "alice", "max_size": 100, "content_types": ["image/png"]}
    made = (await offline.post("/v1/passes", json=limits)).json()["pass"]
    wish = {**WISH, "policy": "photos"}
    assert (await offline.post("/v1/uploads", json=wish, headers=bearer(made))).status_code == 201
    assert (
        await offline.post("/v1/uploads", json={**wish, "on_behalf_of": "alice"}, headers=bearer(made))
    ).status_code == 201
    assert_refused(await offline.post("/v1/uploads", json={**wish, **changes}, headers=bearer(made)), code, detail)


async def test_a_pass_cannot_widen_its_policy(offline: httpx.AsyncClient) -> None:
    wide = {"policy": "photos", "max_size": 10**9, "content_types": ["image/png"]}
    made = (await offline.post("/v1/passes", json=wide)).json()["pass"]
    answer = await offline.post("/v1/uploads", json={**WISH, "policy": "photos", "size": 1001}, headers=bearer(made))
    assert_refused(answer, Code.TOO_LARGE, "This policy takes files of at most 1000 bytes.")
    offline_made = make_pass(
        [APP_SECRET], "alice", policy="photos", content_types=["application/pdf"], clock=lambda: NOW
    )
    paper = {"filename": "a.pdf", "content_type": "application/pdf", "size": 1, "policy": "photos"}
    answer = await offline.post("/v1/uploads", json=paper, headers=bearer(offline_made))
    assert_refused(answer, Code.TYPE_NOT_ALLOWED)


async def test_a_browser_with_a_pass_goes_all_the_way(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/passes", json={"policy": "photos", "principal": "alice"})).json()["pass"]
    browser = bearer(made)
    answer = await client.post("/v1/uploads", json={**WISH, "policy": "photos"}, headers=browser)
    ticket = answer.json()
    assert (await put(bucket, ticket)).status_code == 200
    status = await client.post(ticket["complete_url"], json={}, headers=browser)
    stored = status.json()["object"]
    assert (status.status_code, stored["principal"], stored["size"]) == (200, "alice", len(PNG))
    assert (await client.get(ticket["status_url"], headers=browser)).json() == status.json()
    assert_refused(
        await client.get(f"/v1/objects/{ticket['key']}", headers=browser),
        Code.FORBIDDEN,
        "These credentials do not allow the action 'read'.",
    )


async def test_a_back_end_asks_for_the_ticket_and_a_browser_completes_it(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, on_behalf_of="alice")
    assert (await put(bucket, ticket)).status_code == 200
    del client.headers["authorization"]
    answer = await complete(client, ticket)
    assert (answer.status_code, answer.json()["object"]["principal"]) == (200, "alice")


@pytest.mark.threat(6)
async def test_a_pass_dies_in_the_second_it_says() -> None:
    now = NOW
    async with calling(make_app(NOWHERE, clock=lambda: now, tenants=TENANTS)) as client:
        made = (await client.post("/v1/passes", json={"expires_in": 60})).json()["pass"]
        now = NOW + 59
        assert (await client.post("/v1/uploads", json=WISH, headers=bearer(made))).status_code == 201
        now = NOW + 60
        answer = await client.post("/v1/uploads", json=WISH, headers=bearer(made))
        assert_refused(answer, Code.UNAUTHENTICATED)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.post("/v1/uploads", json=WISH, headers=bearer(API_KEY))).status_code == 201
