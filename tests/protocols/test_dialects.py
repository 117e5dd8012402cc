"""What dialects share: off unless a policy names them, passes in paths, errors for JavaScript, nothing in the log."""

from typing import Any

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code
from gateway.http.guard import redact
from tests.gateways import API_KEY, APP_SECRET, OTHER_APP_SECRET, calling, make_app
from tests.http.routes.flow import NOW, NOWHERE, bearer
from tests.protocols.uppy_flow import OFF_KEY, SEVERAL_KEY, SINGLE_KEY, TENANTS, assert_refused, form_for

ASK = {"filename": "notes.txt", "type": "text/plain"}


def a_pass(secret: str = APP_SECRET, **more: Any) -> str:  # noqa: ANN401 - any argument of make_pass
    return make_pass([secret], **{"principal": "ann", "clock": lambda: NOW, **more})


async def ask(client: httpx.AsyncClient, credentials: str, **query: str) -> httpx.Response:
    return await client.get("/s3/params", params={**ASK, **query}, headers=bearer(credentials))


async def policy_of(client: httpx.AsyncClient, credentials: str, **query: str) -> str:
    answer = await ask(client, credentials, **query)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["fields"]["key"].split("/")[2])


async def test_a_dialect_that_no_policy_of_the_caller_names_is_forbidden(offline: httpx.AsyncClient) -> None:
    off = "No policy that these credentials allow takes uploads by this protocol."
    assert_refused(await ask(offline, OFF_KEY), Code.FORBIDDEN, off)
    assert_refused(await ask(offline, OFF_KEY, **{"metadata[policy]": "native"}), Code.FORBIDDEN, off)


async def test_a_dialect_that_is_off_says_no_more_to_a_stranger_than_any_route(offline: httpx.AsyncClient) -> None:
    for key in ("gwk_zzzzzzzz_0123456789abcdef0123456789abcdef", "nonsense"):
        answer = await ask(offline, key)
        assert_refused(answer, Code.UNAUTHENTICATED)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_policy_is_the_named_one_else_default_else_the_only_one(offline: httpx.AsyncClient) -> None:
    assert await policy_of(offline, API_KEY) == "default"
    assert await policy_of(offline, API_KEY, **{"metadata[policy]": "small"}) == "small"
    assert await policy_of(offline, SINGLE_KEY) == "small"
    assert await policy_of(offline, SEVERAL_KEY, **{"metadata[policy]": "small"}) == "small"
    several = "Several policies take uploads by this protocol: name one of them."
    assert_refused(await ask(offline, SEVERAL_KEY), Code.POLICY_UNKNOWN, several)


async def test_a_policy_that_is_not_the_callers_or_does_not_speak_the_dialect_is_refused(
    offline: httpx.AsyncClient,
) -> None:
    not_theirs = "These credentials do not allow that policy."
    silent = "That policy takes no uploads by this protocol."
    assert_refused(await ask(offline, API_KEY, **{"metadata[policy]": "nobody"}), Code.POLICY_UNKNOWN)
    assert_refused(await ask(offline, API_KEY, **{"metadata[policy]": "native"}), Code.FORBIDDEN, silent)
    assert_refused(await ask(offline, SINGLE_KEY, **{"metadata[policy]": "default"}), Code.FORBIDDEN, not_theirs)


async def test_a_pass_in_the_path_says_who_calls_within_its_limits(offline: httpx.AsyncClient) -> None:
    del offline.headers["authorization"]
    form = await form_for(offline, f"/u/{a_pass()}")
    assert form["fields"]["key"].startswith("incoming/default/default/")
    narrow = a_pass(content_types=["application/pdf"])
    assert_refused(await offline.get(f"/u/{narrow}/s3/params", params=ASK), Code.TYPE_NOT_ALLOWED)
    native = a_pass(policy="native")
    off = "No policy that these credentials allow takes uploads by this protocol."
    assert_refused(await offline.get(f"/u/{native}/s3/params", params=ASK), Code.FORBIDDEN, off)


@pytest.mark.parametrize("headers", [{}, bearer(API_KEY)], ids=["alone", "with a key beside it"])
async def test_whatever_is_no_live_pass_in_a_path_is_the_same_404(
    offline: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    del offline.headers["authorization"]
    good = a_pass()
    swapped = "default" + a_pass(OTHER_APP_SECRET, tenant="other").removeprefix("other")
    ticket = (await offline.post("/v1/uploads", json=NATIVE, headers=bearer(API_KEY))).json()["ticket"]
    wrong = [
        good[:-1] + ("A" if good[-1] != "A" else "E"),
        a_pass(expires_in=60, clock=lambda: NOW - 61),
        a_pass(clock=lambda: NOW + 400),
        swapped,
        a_pass(OTHER_APP_SECRET),
        API_KEY,
        ticket,
        "eyJhbGciOiJub25lIn0.e30.",
        "%00",
        "%F0%9F%94%91",
    ]
    for access in wrong:
        assert_refused(await offline.get(f"/u/{access}/s3/params", params=ASK, headers=headers), Code.NOT_FOUND)


NATIVE = {"filename": "notes.txt", "content_type": "text/plain", "size": 5, "policy": "native"}


async def test_a_pass_in_the_path_outweighs_the_header(offline: httpx.AsyncClient) -> None:
    access = a_pass(policy="small")
    form = await form_for(offline, f"/u/{access}")  # with an API key that may do everything
    assert form["fields"]["key"].startswith("incoming/default/small/")


async def test_routes_of_no_dialect_have_no_passes_in_their_paths(offline: httpx.AsyncClient) -> None:
    assert (await offline.get(f"/u/{a_pass()}/v1/policies")).status_code == 404
    assert (await offline.get(f"/u/{a_pass()}/s3/sts")).status_code == 404
    assert (await offline.get("/s3/sts")).status_code == 404


@pytest.mark.threat(25)
@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/u/default.abc.def/s3/params", "/u/…/s3/params"),
        ("/u/default.abc.def/s3/multipart/tok.en/7", "/u/…/s3/multipart/…/7"),
        ("/s3/multipart/tok.en/complete", "/s3/multipart/…/complete"),
        ("/s3/multipart/tok.en/batch", "/s3/multipart/…/batch"),
        ("/s3/multipart/tok.en", "/s3/multipart/…"),
        ("/u/default.abc.def/rails/active_storage/direct_uploads", "/u/…/rails/active_storage/direct_uploads"),
        ("/u/default.abc.def", "/u/…"),
    ],
)
def test_no_pass_and_no_ticket_of_a_dialect_is_logged(path: str, logged: str) -> None:
    assert redact(path) == logged


async def test_dialects_are_found_also_where_the_gateway_is_mounted() -> None:
    app = make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)
    async with calling(app) as client:
        transport = httpx.ASGITransport(app=app, root_path="/files")
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/files") as mounted:
            form = await form_for(mounted, f"/u/{a_pass()}")
            assert form["method"] == "POST"
            assert_refused(await mounted.get("/u/nonsense/s3/params", params=ASK), Code.NOT_FOUND)
        assert (await form_for(client)).keys() == form.keys()


async def test_dialects_stand_in_no_document_of_our_own_interface() -> None:
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, docs=True)) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if path.startswith(("/s3", "/u/", "/rails", "/lfs"))] == []
    assert "/v1/uploads" in paths
