"""Who may spend what: tenants that see nothing of each other, and tokens that open one door each."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code
from gateway.grants.principals import Limits
from gateway.grants.tokens import Tokens
from tests.faults.store import failing, found
from tests.gateways import API_KEY, APP_SECRET, OTHER_API_KEY, OTHER_APP_SECRET, SECRET_KEY, calling, make_app, settings
from tests.http.routes.flow import (
    NOW,
    NOWHERE,
    READER_KEY,
    TENANTS,
    UPLOADER_KEY,
    WISH,
    assert_refused,
    bearer,
    issue,
    put,
    store,
)

UNKNOWN = f"objects/default/default/{'0' * 32}.png"
MINE = f"objects/default/default/{'1' * 32}.png"


def without_request_id(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """Return all that a caller sees, but for the identifier that differs with every request."""
    identifier = answer.headers["x-request-id"]
    headers = {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}
    return answer.status_code, answer.content.replace(identifier.encode(), b"-"), headers


@pytest.mark.threat(1, 35)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_object_of_another_tenant_is_told_from_none_by_nothing(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient, method: str
) -> None:
    stored = await store(client, bucket)
    missing = stored["key"].replace("objects/default/", "objects/other/").replace(".png", ".jpg")
    as_other = bearer(OTHER_API_KEY)
    theirs = await client.request(method, f"/v1/objects/{stored['key']}", headers=as_other)
    nobodys = await client.request(method, f"/v1/objects/{UNKNOWN}", headers=as_other)
    malformed = await client.request(method, "/v1/objects/objects/default/x", headers=as_other)
    assert_refused(theirs, Code.NOT_FOUND)
    assert without_request_id(theirs) == without_request_id(nobodys) == without_request_id(malformed)
    if method == "GET":
        assert without_request_id(await client.get(f"/v1/objects/{missing}", headers=as_other)) == (
            without_request_id(theirs)
        )
    assert (await client.get(f"/v1/objects/{stored['key']}")).status_code == 200


@pytest.mark.threat(1, 35)
async def test_what_is_another_tenants_is_refused_without_a_look_into_the_bucket() -> None:
    with failing(found()) as spy:
        server = replace(NOWHERE, endpoint=spy.endpoint)
        async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS)) as client:
            ticket, as_other = await issue(client), bearer(OTHER_API_KEY)
            answers = [
                await client.get(f"/v1/objects/{MINE}", headers=as_other),
                await client.delete(f"/v1/objects/{MINE}", headers=as_other),
                await client.get(ticket["status_url"], headers=as_other),
                await client.post(f"{ticket['status_url']}/parts", json={"part_numbers": [1]}, headers=as_other),
                await client.post(ticket["complete_url"], json={}, headers=as_other),
                await client.delete(ticket["abort_url"], headers=as_other),
                await client.post("/v1/uploads/complete", json={"upload_key": ticket["upload_key"]}, headers=as_other),
                await client.get("/v1/uploads/not-a-ticket", headers=as_other),
                await client.get("/d/not-a-link"),
            ]
        assert {without_request_id(answer)[:2] for answer in answers} == {without_request_id(answers[0])[:2]}
        assert_refused(answers[0], Code.NOT_FOUND)
        assert spy.requests == []


@pytest.mark.threat(1)
async def test_links_and_listings_stay_within_the_tenant(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    stored, as_other = await store(client, bucket), bearer(OTHER_API_KEY)
    wanted = {"links": [{"key": stored["key"]}]}
    for via in ("redirect", "direct"):
        answer = await client.post("/v1/links", json={**wanted, "via": via}, headers=as_other)
        assert answer.json() == {"links": [{"key": stored["key"], "error": "not-found"}]}
    listed = (await client.get("/v1/objects", headers=as_other)).json()["objects"]
    assert [found["key"] for found in listed if not found["key"].startswith("objects/other/")] == []
    for prefix in ("../default/", "/", "objects/default/"):
        answer = await client.get("/v1/objects", params={"prefix": prefix}, headers=as_other)
        assert answer.json() == {"objects": [], "cursor": None}


async def test_a_ticket_is_enough_by_itself_and_whoever_comes_along_has_to_speak_for_it(
    client: httpx.AsyncClient,
) -> None:
    ticket = await issue(client, on_behalf_of="alice")
    ours, theirs = [make_pass([APP_SECRET], name) for name in ("alice", "bob")]
    of_the_other_alice = make_pass([OTHER_APP_SECRET], "alice", tenant="other")
    statuses = {}
    async with calling(make_app_like(client), api_key=None) as anonymous:
        for who, credentials in {
            "nobody": None,
            "alice": ours,
            "bob": theirs,
            "who may act for others": API_KEY,
            "who may not": UPLOADER_KEY,
            "another tenant": OTHER_API_KEY,
            "another tenant's alice": of_the_other_alice,
        }.items():
            headers = bearer(credentials) if credentials else {}
            statuses[who] = (await anonymous.get(ticket["status_url"], headers=headers)).status_code
        assert statuses == {
            "nobody": 200,
            "alice": 200,
            "bob": 404,
            "who may act for others": 200,
            "who may not": 404,
            "another tenant": 404,
            "another tenant's alice": 404,
        }
        wrong = await anonymous.get(ticket["status_url"], headers=bearer("gwk_aaaaaaaa_wrong"))
        assert_refused(wrong, Code.UNAUTHENTICATED)


def make_app_like(client: httpx.AsyncClient) -> Any:  # noqa: ANN401 - the application behind the transport
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app


# Each kind of token at each place that takes one


def tokens() -> Tokens:
    return settings(NOWHERE, tenants=TENANTS).tokens()


async def every_token(client: httpx.AsyncClient) -> dict[str, str]:
    ticket = await issue(client)
    made = await client.post("/v1/links", json={"links": [{"key": MINE}]})
    listing = tokens().seal_cursor("default", "objects/default/", MINE)
    receipt = tokens().app("default")._receipt.seal(b"e30")
    return {
        "ticket": ticket["ticket"],
        "grant": ticket["upload"]["headers"]["x-amz-meta-grant"],
        "pass": tokens().app("default").seal_pass("alice", "default", Limits(), now=NOW, expires_in=3600),
        "link": made.json()["links"][0]["url"].rpartition("/")[2],
        "receipt": receipt,
        "cursor": listing,
        "API key": API_KEY,
        "secret": APP_SECRET,
        "nonsense": "default.e30.e30",
    }


DOORS: dict[str, tuple[str, int]] = {
    "status": ("ticket", 404),
    "parts": ("ticket", 404),
    "complete": ("ticket", 404),
    "abort": ("ticket", 404),
    "link": ("link", 404),
    "upload": ("pass", 401),
    "cursor": ("cursor", 404),
}


async def knock(client: httpx.AsyncClient, door: str, token: str) -> httpx.Response:
    if door == "status":
        return await client.get(f"/v1/uploads/{token}")
    if door in {"parts", "complete"}:
        body = {"part_numbers": [1]} if door == "parts" else {}
        return await client.post(f"/v1/uploads/{token}/{door}", json=body)
    if door == "abort":
        return await client.delete(f"/v1/uploads/{token}")
    if door == "link":
        return await client.get(f"/d/{token}/dot.png")
    if door == "upload":
        return await client.post("/v1/uploads", json=WISH, headers=bearer(token))
    return await client.get("/v1/objects", params={"cursor": token}, headers=bearer(API_KEY))


@pytest.fixture
async def anonymous() -> AsyncIterator[httpx.AsyncClient]:
    """Speak without credentials to a gateway whose bucket holds, whatever is asked for, an empty picture."""
    with failing(found()) as bucket:
        server = replace(NOWHERE, endpoint=bucket.endpoint)
        async with calling(make_app(server, clock=lambda: NOW, tenants=TENANTS), api_key=None) as client:
            yield client


@pytest.mark.threat(4, 6)
@pytest.mark.parametrize("door", DOORS)
async def test_a_token_of_one_kind_opens_no_other_door(
    offline: httpx.AsyncClient, anonymous: httpx.AsyncClient, door: str
) -> None:
    fits, refused = DOORS[door]
    for kind, token in (await every_token(offline)).items():
        answer = await knock(anonymous, door, token)
        if kind == fits:
            assert answer.status_code not in {401, 404}, (kind, answer.text)
        elif (door, kind) == ("upload", "API key"):
            assert answer.status_code == 201
        else:
            assert_refused(answer, Code.NOT_FOUND if refused == 404 else Code.UNAUTHENTICATED)


@pytest.mark.threat(4)
async def test_a_pass_asks_for_tickets_and_for_nothing_else(offline: httpx.AsyncClient) -> None:
    mine = bearer((await every_token(offline))["pass"])
    link = {"links": [{"key": MINE}]}
    answers = {
        "link": await offline.post("/v1/links", json=link, headers=mine),
        "list": await offline.get("/v1/objects", headers=mine),
        "read": await offline.get(f"/v1/objects/{MINE}", headers=mine),
        "delete": await offline.delete(f"/v1/objects/{MINE}", headers=mine),
        "pass": await offline.post("/v1/passes", json={}, headers=mine),
    }
    assert {name: (answer.status_code, answer.json()["detail"]) for name, answer in answers.items()} == {
        "link": (403, "These credentials do not allow the action 'link'."),
        "list": (403, "These credentials do not allow the action 'read'."),
        "read": (403, "These credentials do not allow the action 'read'."),
        "delete": (403, "These credentials do not allow the action 'delete'."),
        "pass": (403, "Only an API key makes passes."),
    }


@pytest.mark.threat(6)
async def test_a_ticket_and_a_link_die_in_the_second_they_say_and_are_then_like_any_forged_one() -> None:
    now = NOW
    async with calling(make_app(NOWHERE, clock=lambda: now, tenants=TENANTS)) as client:
        every, forged = await every_token(client), await client.get("/v1/uploads/forged")
        now = NOW + 3599
        assert (await client.get(f"/v1/uploads/{every['ticket']}")).status_code == 503  # alive: the bucket was asked
        now = NOW + 3600
        assert without_request_id(await client.get(f"/v1/uploads/{every['ticket']}")) == without_request_id(forged)
        now = NOW + 86_399
        assert (await client.get(f"/d/{every['link']}")).status_code == 307
        now = NOW + 86_400
        assert_refused(await client.get(f"/d/{every['link']}"), Code.NOT_FOUND)


@pytest.mark.threat(6, 46)
async def test_a_token_is_good_under_an_older_secret_and_dead_once_that_is_gone(offline: httpx.AsyncClient) -> None:
    every = await every_token(offline)
    newer = "a-newer-secret-key-of-the-gateway-32-bytes-up"
    rotated = {"secret_keys": [SECRET_KEY, newer]}, {"secret_keys": [newer]}
    statuses = []
    for secrets in rotated:
        async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, **secrets), api_key=None) as client:
            statuses.append((await client.get(f"/v1/uploads/{every['ticket']}")).status_code)
    assert statuses == [503, 404]  # 503: opened, and asked the bucket that is not there


@pytest.mark.threat(49)
async def test_a_ticket_from_a_clock_five_minutes_ahead_is_good(offline: httpx.AsyncClient) -> None:
    every, statuses = await every_token(offline), {}
    for behind in (2, 300, 301, 600):
        app = make_app(NOWHERE, clock=lambda behind=behind: NOW - behind, tenants=TENANTS)  # type: ignore[misc]
        async with calling(app, api_key=None) as client:
            answers = await asyncio.gather(
                client.get(f"/v1/uploads/{every['ticket']}"),
                client.get(f"/d/{every['link']}"),
                client.post("/v1/uploads", json=WISH, headers=bearer(every["pass"])),
            )
        statuses[behind] = [answer.status_code for answer in answers]
    assert statuses == {2: [503, 307, 201], 300: [503, 307, 201], 301: [404, 404, 401], 600: [404, 404, 401]}


async def test_a_reader_reads_what_others_uploaded(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    ticket = await issue(client, on_behalf_of="alice")
    await put(bucket, ticket)
    await client.post(ticket["complete_url"], json={})
    answer = await client.get(f"/v1/objects/{ticket['key']}", headers=bearer(READER_KEY))
    assert answer.json()["principal"] == "alice"
    assert_refused(
        await client.delete(f"/v1/objects/{ticket['key']}", headers=bearer(READER_KEY)),
        Code.FORBIDDEN,
        "These credentials do not allow the action 'delete'.",
    )
