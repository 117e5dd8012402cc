"""What an application makes offline is what the gateway takes, and what the gateway states is what it can open."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from gateway.apps import Linker, make_pass, open_receipt, verify_webhook
from gateway.errors import Code
from gateway.grants.app_tokens import Receipt
from gateway.grants.keys import ObjectKey
from gateway.standard_webhooks import Webhook, signature
from tests.gateways import APP_SECRET, BASE_URL, OTHER_APP_SECRET, calling, make_app, settings, tenant
from tests.http.routes.flow import (
    NOW,
    NOWHERE,
    PNG,
    PNG_ETAG,
    PNG_SHA256,
    TENANTS,
    WISH,
    assert_refused,
    bearer,
    complete,
    put,
)
from tests.servers.s3 import S3Server

NAME = "0123456789abcdef0123456789abcdef"
KEY = f"objects/default/default/{NAME}.png"
NEWER_SECRET = "a-newer-app-secret-of-the-tenant-of-32-bytes"


@pytest.fixture
async def offline() -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that has no bucket, at a time that stands still."""
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)) as client:
        yield client


def assert_unusable(work: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        work()


def linker(**changes: object) -> Linker:
    given: dict[str, object] = {"app_secrets": [APP_SECRET], "clock": lambda: NOW, **changes}
    return Linker(BASE_URL, **given)  # type: ignore[arg-type]  # as a test wants it


async def test_an_upload_by_an_applications_own_pass_link_and_receipt(
    ministack: S3Server,
) -> None:
    async with (
        calling(make_app(ministack, tenants=TENANTS), api_key=None) as browser,
        httpx.AsyncClient() as bucket,
    ):
        made = make_pass([APP_SECRET], "alice", policy="photos", max_size=100, content_types=["image/png"])
        answer = await browser.post("/v1/uploads", json={**WISH, "policy": "photos"}, headers=bearer(made))
        ticket = answer.json()
        assert (await put(bucket, ticket)).status_code == 200
        status = (await complete(browser, ticket)).json()

        receipt = open_receipt(status["receipt"], [APP_SECRET])
        assert receipt == Receipt(
            ObjectKey.parse_key(ticket["key"]),
            len(PNG),
            "image/png",
            PNG_SHA256,
            "full",
            PNG_ETAG,
            "alice",
            receipt.stored_at,
            receipt.stored_at + 604_800,
        )
        url = Linker(BASE_URL, [APP_SECRET]).link(ticket["key"], "Zürich am See.png", disposition="inline")
        redirect = await browser.get(url)
        download = await bucket.get(redirect.headers["location"])
        assert (download.status_code, download.content) == (200, PNG)
        assert download.headers["content-disposition"] == (
            "inline; filename=\"Zurich am See.png\"; filename*=UTF-8''Z%C3%BCrich%20am%20See.png"
        )


async def test_the_gateway_and_the_application_make_the_same_link(offline: httpx.AsyncClient) -> None:
    for filename, disposition, expires_in in ((None, "attachment", 86_400), ("é b.png", "inline", 60)):
        wanted = {"key": KEY, "filename": filename, "disposition": disposition, "expires_in": expires_in}
        answer = await offline.post("/v1/links", json={"links": [wanted]})
        made = linker().link(KEY, filename, disposition=disposition, expires_in=expires_in)  # type: ignore[arg-type]  # a literal
        assert answer.json()["links"][0]["url"] == made


async def test_a_link_without_an_end_works_where_the_tenant_says_so(offline: httpx.AsyncClient) -> None:
    endless = linker().link(KEY, expires_in=None)
    assert_refused(await offline.get(endless), Code.NOT_FOUND)
    tenants = {"default": {**TENANTS["default"], "unlimited_links": True}}
    async with calling(make_app(NOWHERE, clock=lambda: NOW + 10**9, tenants=tenants)) as client:
        assert (await client.get(endless)).status_code == 307


@pytest.mark.threat(47)
async def test_a_linker_that_knows_the_new_epoch_makes_the_links_that_live() -> None:
    tenants = {"default": {**TENANTS["default"], "link_epoch": 3}}
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=tenants)) as client:
        statuses = {epoch: (await client.get(linker(link_epoch=epoch).link(KEY))).status_code for epoch in (0, 2, 3, 4)}
    assert statuses == {0: 404, 2: 404, 3: 307, 4: 307}


@pytest.mark.threat(46)
async def test_secrets_are_rotated_without_a_moment_in_which_nothing_works() -> None:
    old, both, new = [APP_SECRET], [APP_SECRET, NEWER_SECRET], [NEWER_SECRET]
    taken = {}
    for name, configured in (("old", old), ("both", both), ("new", new)):
        tenants = {"default": tenant("gwk_aaaaaaaa_0123456789abcdef0123456789abcdef", "", app_secrets=configured)}
        async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=tenants), api_key=None) as client:
            taken[name] = [
                (
                    (await client.get(linker(app_secrets=sealed_by).link(KEY))).status_code,
                    (
                        await client.post(
                            "/v1/uploads",
                            json=WISH,
                            headers=bearer(make_pass(sealed_by, "alice", clock=lambda: NOW)),
                        )
                    ).status_code,
                )
                for sealed_by in (old, both, new)
            ]
    good, refused = (307, 201), (404, 401)
    assert taken == {
        "old": [good, refused, refused],
        "both": [good, good, good],
        "new": [refused, good, good],
    }


@pytest.mark.threat(1)
async def test_the_secret_of_one_tenant_is_nothing_to_another(offline: httpx.AsyncClient) -> None:
    with pytest.raises(ValueError, match="not one of this tenant's objects"):
        linker(tenant="other").link(KEY)
    forged = linker(app_secrets=[OTHER_APP_SECRET]).link(KEY)
    assert_refused(await offline.get(forged), Code.NOT_FOUND)
    as_default = make_pass([OTHER_APP_SECRET], "alice", clock=lambda: NOW)
    assert_refused(await offline.post("/v1/uploads", json=WISH, headers=bearer(as_default)), Code.UNAUTHENTICATED)


@pytest.mark.threat(4, 6)
def test_a_receipt_opens_for_its_tenant_for_seven_days_and_nothing_else_does() -> None:
    receipt = Receipt(ObjectKey.parse_key(KEY), 1, "image/png", None, None, '"e"', "alice", NOW, NOW + 604_800)
    app = settings(NOWHERE, tenants=TENANTS).tokens().app("default")
    sealed = app.seal_receipt(receipt)
    assert open_receipt(sealed, [NEWER_SECRET, APP_SECRET], clock=lambda: NOW + 604_799) == receipt
    refused: list[Callable[[], object]] = [
        lambda: open_receipt(sealed, [APP_SECRET], clock=lambda: NOW + 604_800),
        lambda: open_receipt(sealed, [APP_SECRET], clock=lambda: NOW - 301),
        lambda: open_receipt(sealed, [NEWER_SECRET], clock=lambda: NOW),
        lambda: open_receipt(sealed, [APP_SECRET], tenant="other", clock=lambda: NOW),
        lambda: open_receipt(sealed[:-1] + "A", [APP_SECRET], clock=lambda: NOW),
        lambda: open_receipt(linker().link(KEY).rpartition("/")[2], [APP_SECRET], clock=lambda: NOW),
        lambda: open_receipt(make_pass([APP_SECRET], "alice", clock=lambda: NOW), [APP_SECRET], clock=lambda: NOW),
        lambda: open_receipt("", [APP_SECRET], clock=lambda: NOW),
    ]
    for work in refused:
        assert_unusable(work, "not a live receipt of this tenant")


@pytest.mark.parametrize(
    "key", ["", "x", KEY.replace("objects", "incoming"), KEY.replace("default", "other", 1), KEY + "/", "../" + KEY]
)
def test_a_link_is_made_for_a_key_of_the_tenant_and_nothing_else(key: str) -> None:
    with pytest.raises(ValueError, match="not one of this tenant's objects"):
        linker().link(key)


def test_a_link_takes_300_characters_of_four_bytes_and_no_more() -> None:
    assert linker().link(KEY, "😀" * 300).endswith("%F0%9F%98%80" * 300)
    with pytest.raises(ValueError, match="the filename is unusable"):
        linker().link(KEY, "😀" * 300 + "x")


@pytest.mark.parametrize("secrets", [[], [""], ["short"], [APP_SECRET, "short"]])
def test_a_secret_of_an_application_is_long_everywhere(secrets: list[str]) -> None:
    works: list[Callable[[], object]] = [
        lambda: Linker(BASE_URL, secrets),
        lambda: make_pass(secrets, "alice"),
        lambda: open_receipt("x", secrets),
    ]
    for work in works:
        assert_unusable(work, "at least 32 bytes each")


@pytest.mark.parametrize("expires_in", [59, 0, -1, 86_401])
def test_a_pass_lives_a_minute_to_a_day(expires_in: int) -> None:
    assert make_pass([APP_SECRET], "alice", expires_in=60)
    assert make_pass([APP_SECRET], "alice", expires_in=86_400)
    with pytest.raises(ValueError, match="60 to 86,400 seconds"):
        make_pass([APP_SECRET], "alice", expires_in=expires_in)


@pytest.mark.parametrize("principal", ["", "é" * 65, "a\nb", "a\ud800"])
def test_a_pass_names_somebody(principal: str) -> None:
    with pytest.raises(ValueError, match="names a principal"):
        make_pass([APP_SECRET], principal)


def test_a_pass_has_limits_that_the_gateway_can_apply() -> None:
    plain, spelled = (
        make_pass([APP_SECRET], "alice", max_size=0, content_types=types, clock=lambda: NOW)
        for types in (["image/png"], ["Image/PNG; q=1"])
    )
    assert plain == spelled
    with pytest.raises(ValueError, match="0 bytes or more"):
        make_pass([APP_SECRET], "alice", max_size=-1)
    with pytest.raises(ValueError, match="a media type that no policy can take"):
        make_pass([APP_SECRET], "alice", content_types=["text/html"])


def test_the_address_of_the_gateway_may_end_in_a_slash_or_have_a_path() -> None:
    made = {
        url: Linker(url, [APP_SECRET], clock=lambda: NOW).link(KEY)
        for url in ("https://a", "https://a/", "https://a/b/")
    }
    token = made["https://a"].rpartition("/")[2]
    assert made == {
        "https://a": f"https://a/d/{token}",
        "https://a/": f"https://a/d/{token}",
        "https://a/b/": f"https://a/b/d/{token}",
    }


@pytest.mark.threat(31)
def test_a_webhook_is_proved_by_its_secret_for_five_minutes() -> None:
    secret, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3ZXItc2VjcmV0LW9mLTI0LWJ5dGVzISEh"
    body = b'{"type":"object.deleted","timestamp":"2027-01-15T07:59:00Z","data":{"key":"k"}}'
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(NOW),
        "Webhook-Signature": signature([secret], "msg_1", NOW, body),
    }
    told = Webhook("msg_1", "object.deleted", NOW - 60, {"key": "k"})
    assert verify_webhook(body, headers, [other, secret], clock=lambda: NOW + 300.9) == told
    refused: list[Callable[[], object]] = [
        lambda: verify_webhook(body, headers, [other], clock=lambda: NOW),
        lambda: verify_webhook(body[1:], headers, [secret], clock=lambda: NOW),
        lambda: verify_webhook(body, headers, [secret], clock=lambda: NOW + 301),
        lambda: verify_webhook(body, {}, [secret], clock=lambda: NOW),
    ]
    for work in refused:
        assert_unusable(work, "webhook")
