"""Links: made in batches, in order, without a look at the bucket; followed by redirect, or handed out direct."""

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from gateway.errors import Code
from tests.gateways import calling, make_app
from tests.http.routes.flow import NOW, NOWHERE, TENANTS, assert_refused, store

NAME = "0123456789abcdef0123456789abcdef"
KEY = f"objects/default/default/{NAME}.png"
WINDOW_START = NOW - NOW % 300


async def made(client: httpx.AsyncClient, *links: dict[str, Any], via: str = "redirect") -> list[dict[str, Any]]:
    answer = await client.post("/v1/links", json={"links": links, "via": via})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["links"]
    found: list[dict[str, Any]] = answer.json()["links"]
    return found


async def location(client: httpx.AsyncClient, url: str, method: str = "GET") -> str:
    answer = await client.request(method, url)
    assert (answer.status_code, answer.content) == (307, b"")
    return answer.headers["location"]


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


async def test_a_batch_answers_in_its_order_with_an_error_for_each_key_that_cannot_be(
    offline: httpx.AsyncClient,
) -> None:
    wanted: list[dict[str, Any]] = [
        {"key": KEY},
        {"key": KEY.replace("/default/", "/other/", 1)},
        {"key": KEY.replace("objects/", "incoming/")},
        {"key": ""},
        {"key": "objects/default/default/../default/" + NAME + ".png"},
        {"key": KEY, "filename": "\u202e"},
        {"key": KEY, "filename": "x" * 1201},
        {"key": KEY, "filename": "a b.png", "disposition": "inline", "expires_in": 60},
    ]
    links = await made(offline, *wanted)
    assert [link["key"] for link in links] == [each["key"] for each in wanted]
    assert [link.get("error") for link in links] == [
        None,
        "not-found",
        "not-found",
        "not-found",
        "not-found",
        "invalid-filename",
        "invalid-filename",
        None,
    ]
    assert links[0] == {"key": KEY, "url": links[0]["url"], "expires_at": "2027-01-16T08:00:00Z"}
    assert links[7] == {"key": KEY, "url": links[7]["url"], "expires_at": "2027-01-15T08:01:00Z"}
    assert re.fullmatch(r"http://127\.0\.0\.1/d/default\.[\w-]+\.[\w-]{43}", links[0]["url"])
    assert re.fullmatch(r"http://127\.0\.0\.1/d/default\.[\w-]+\.[\w-]{43}/a%20b\.png", links[7]["url"])


@pytest.mark.parametrize("via", ["redirect", "direct"])
async def test_a_thousand_links_are_one_request(offline: httpx.AsyncClient, via: str) -> None:
    keys = [f"objects/default/default/{number:032x}.png" for number in range(1000)]
    links = await made(offline, *({"key": key, "filename": "a picture of the sea.png"} for key in keys), via=via)
    assert [link["key"] for link in links] == keys
    assert len({link["url"] for link in links}) == 1000


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"links": []}, "links: too_short"),
        ({"links": [{"key": KEY}] * 1001}, "links: too_long"),
        ({}, "links: missing"),
        ({"links": [{"key": KEY, "expires_in": 59}]}, "links[0].expires_in: greater_than_equal"),
        ({"links": [{"key": KEY, "expires_in": 0}]}, "links[0].expires_in: greater_than_equal"),
        ({"links": [{"key": KEY, "expires_in": -1}]}, "links[0].expires_in: greater_than_equal"),
        ({"links": [{"key": KEY, "expires_in": 10**9}]}, "links[0].expires_in: less_than_equal"),
        ({"links": [{"key": KEY, "expires_in": True}]}, "links[0].expires_in: int_type"),
        ({"links": [{"key": KEY, "expires_in": 60.5}]}, "links[0].expires_in: int_type"),
        ({"links": [{"key": KEY, "disposition": "page"}]}, "links[0].disposition: literal_error"),
        ({"links": [{"key": KEY, "content_type": "text/html"}]}, "links[0]: extra_forbidden"),
        ({"links": [{"key": KEY}], "via": "proxy"}, "via: literal_error"),
        ({"links": [{"key": KEY}], "to": "https://evil.example"}, "body: extra_forbidden"),
    ],
)
@pytest.mark.threat(18)
async def test_a_batch_that_is_not_as_documented_is_refused_whole(
    offline: httpx.AsyncClient, body: dict[str, Any], complaint: str
) -> None:
    answer = await offline.post("/v1/links", json=body)
    assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} ({complaint})")


@pytest.mark.threat(18)
async def test_a_direct_link_lives_an_hour_or_as_asked_but_no_more_than_seven_days(offline: httpx.AsyncClient) -> None:
    links = await made(
        offline,
        {"key": KEY},
        {"key": KEY, "expires_in": 60},
        {"key": KEY, "expires_in": 604_800},
        {"key": KEY, "expires_in": 604_801},
        via="direct",
    )
    assert [(link.get("expires_at"), link.get("error")) for link in links] == [
        ("2027-01-15T09:00:00Z", None),
        ("2027-01-15T08:01:00Z", None),
        ("2027-01-22T08:00:00Z", None),
        (None, "invalid-request"),
    ]
    assert [query(link["url"])["X-Amz-Expires"] for link in links[:3]] == ["3600", "60", "604800"]
    assert {query(link["url"])["X-Amz-Date"] for link in links[:3]} == {"20270115T080000Z"}


async def test_a_direct_link_gives_the_object(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    stored = await store(client, bucket)
    link = (await made(client, {"key": stored["key"], "disposition": "inline"}, via="direct"))[0]
    download = await bucket.get(link["url"])
    assert (download.status_code, download.headers["content-type"]) == (200, "image/png")


@pytest.mark.threat(8)
@pytest.mark.parametrize("via", ["redirect", "direct"])
@pytest.mark.parametrize(
    ("extension", "asked", "disposition", "media_type"),
    [
        ("png", "inline", "inline", "image/png"),
        ("jpg", "inline", "inline", "image/jpeg"),
        ("gif", "inline", "inline", "image/gif"),
        ("webp", "inline", "inline", "image/webp"),
        ("mp4", "inline", "inline", "video/mp4"),
        ("mp3", "inline", "inline", "audio/mpeg"),
        ("png", "attachment", "attachment", "application/octet-stream"),
        ("pdf", "inline", "attachment", "application/octet-stream"),
        ("txt", "inline", "attachment", "application/octet-stream"),
        ("csv", "inline", "attachment", "application/octet-stream"),
        ("json", "inline", "attachment", "application/octet-stream"),
        ("svg", "inline", "attachment", "application/octet-stream"),
        ("zip", "inline", "attachment", "application/octet-stream"),
        ("docx", "inline", "attachment", "application/octet-stream"),
        ("epub", "inline", "attachment", "application/octet-stream"),
        ("html", "inline", "attachment", "application/octet-stream"),
    ],
)
async def test_only_what_cannot_run_script_is_shown_inline(  # noqa: PLR0913, PLR0917 - a row of the table
    offline: httpx.AsyncClient, via: str, extension: str, asked: str, disposition: str, media_type: str
) -> None:
    key = f"objects/default/default/{NAME}.{extension}"
    url = (await made(offline, {"key": key, "filename": "a", "disposition": asked}, via=via))[0]["url"]
    if via == "redirect":
        url = await location(offline, url)
    shown = query(url)
    assert (shown["response-content-disposition"], shown["response-content-type"]) == (
        f'{disposition}; filename="a"',
        media_type,
    )


async def test_a_link_without_a_filename_is_named_after_its_key(offline: httpx.AsyncClient) -> None:
    url = (await made(offline, {"key": KEY}))[0]["url"]
    shown = query(await location(offline, url))
    assert shown["response-content-disposition"] == 'attachment; filename="0123456789abcdef.png"'


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("filename", "segment", "disposition"),
    [
        ("a\r\nX-Evil: 1", "aX-Evil%3A%201", 'filename="aX-Evil: 1"'),
        ('a"; filename="evil.html', "a%22%3B%20filename%3D%22evil.html", None),
        ("€", "%E2%82%AC", "filename=\"_\"; filename*=UTF-8''%E2%82%AC"),
        ("\u202egnp.exe", "gnp.exe", 'filename="gnp.exe"'),
        ("../../etc/passwd", "passwd", 'filename="passwd"'),
        ("😀" * 300, quote("😀" * 300), None),
    ],
)
async def test_a_filename_is_one_segment_and_one_disposition(
    offline: httpx.AsyncClient, filename: str, segment: str, disposition: str | None
) -> None:
    url = (await made(offline, {"key": KEY, "filename": filename}))[0]["url"]
    assert url.rpartition("/")[2] == segment
    shown = query(await location(offline, url))["response-content-disposition"]
    assert shown.count('"') == 2
    assert shown.isascii()
    assert shown.isprintable()
    if disposition is not None:
        assert shown == f"attachment; {disposition}"


async def test_the_last_segment_of_a_link_decides_nothing(offline: httpx.AsyncClient) -> None:
    url = (await made(offline, {"key": KEY, "filename": "a.png"}))[0]["url"]
    expected = await location(offline, url)
    for other in ("", "/", "/evil.html", "/..%2f..%2f", "/%00"):
        answer = await offline.get(url.rpartition("/")[0] + other)
        assert answer.headers.get("location", expected) == expected
        assert answer.status_code in {307, 404}


@pytest.mark.threat(23, 48)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_link_leads_to_the_bucket_and_nowhere_else(offline: httpx.AsyncClient, method: str) -> None:
    url = (await made(offline, {"key": KEY, "filename": "a.png"}))[0]["url"]
    plain = await offline.request(method, url)
    for more in ("?url=https://evil.example", "?to=//evil.example", "?next=javascript:alert(1)", "?X-Amz-Expires=9"):
        answer = await offline.request(method, url + more)
        assert (answer.status_code, answer.headers["location"]) == (307, plain.headers["location"])
    assert plain.headers["location"].startswith(
        f"http://127.0.0.1:9/gateway-test/{KEY}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    )
    assert dict(plain.headers) == {
        "location": plain.headers["location"],
        "x-request-id": plain.headers["x-request-id"],
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "cross-origin-resource-policy": "cross-origin",
        "x-robots-tag": "noindex",
        "content-length": "0",
    }


async def test_a_head_is_redirected_to_a_presigned_head(offline: httpx.AsyncClient) -> None:
    url = (await made(offline, {"key": KEY}))[0]["url"]
    get, head = await location(offline, url), await location(offline, url, "HEAD")
    assert set(query(get)) - set(query(head)) == {
        "response-cache-control",
        "response-content-disposition",
        "response-content-type",
    }
    assert query(get)["X-Amz-Signature"] != query(head)["X-Amz-Signature"]


async def test_a_link_leads_to_one_address_for_five_minutes_and_it_lives_five_more() -> None:
    now = WINDOW_START
    seen = []
    async with calling(make_app(NOWHERE, clock=lambda: now, tenants=TENANTS)) as client:
        url = (await made(client, {"key": KEY}))[0]["url"]
        for later in (0, 1, 299, 300, 599):
            now = WINDOW_START + later
            seen.append(await location(client, url))
    assert seen[0] == seen[1] == seen[2] != seen[3] == seen[4]
    assert [query(url)["X-Amz-Expires"] for url in seen] == ["600"] * 5


@pytest.mark.threat(47)
async def test_raising_the_link_epoch_revokes_the_links_before_it() -> None:
    urls = {}
    for epoch in (0, 1):
        tenants = {**TENANTS, "default": {**TENANTS["default"], "link_epoch": epoch}}
        async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=tenants)) as client:
            urls[epoch] = (await made(client, {"key": KEY}))[0]["url"]
            if epoch == 1:
                assert_refused(await client.get(urls[0]), Code.NOT_FOUND)
            await location(client, urls[epoch])
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)) as client:
        await location(client, urls[1])  # a gateway that has not yet heard of the new epoch


async def test_the_link_of_a_status_is_as_its_policy_says(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    shown, saved = await store(client, bucket), await store(client, bucket, policy="proved")
    assert (await location(client, shown["status"]["link"])).count("inline%3B") == 1
    assert (await location(client, saved["status"]["link"])).count("attachment%3B") == 1
    assert shown["status"]["link"].endswith("/dot.png")


@pytest.mark.threat(21)
async def test_links_carry_the_origin_that_the_browser_used() -> None:
    settings: dict[str, Any] = {
        "trusted_proxies": ["127.0.0.1/32"],
        "allowed_hosts": ["gw.example"],
        "public_storage_endpoint": "https://s3.example",
        "tenants": TENANTS,
    }
    async with calling(make_app(NOWHERE, **settings), base_url="http://gw.example") as client:
        for scheme in ("http", "https"):
            answer = await client.post(
                "/v1/links", json={"links": [{"key": KEY}]}, headers={"x-forwarded-proto": scheme}
            )
            assert answer.json()["links"][0]["url"].startswith(f"{scheme}://gw.example/d/")
            assert answer.headers.get("strict-transport-security") == (
                "max-age=31536000" if scheme == "https" else None
            )


@pytest.mark.threat(21)
async def test_a_page_on_https_is_handed_no_http_address() -> None:
    proxies = ["127.0.0.1/32"]
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, trusted_proxies=proxies)) as client:
        url = (await made(client, {"key": KEY}))[0]["url"]
        secure = {"x-forwarded-proto": "https"}
        direct = {"links": [{"key": KEY}], "via": "direct"}
        assert_refused(await client.get(url, headers=secure), Code.INSECURE_STORAGE)
        assert_refused(await client.post("/v1/links", json=direct, headers=secure), Code.INSECURE_STORAGE)
        wish = {"filename": "a.png", "content_type": "image/png", "size": 1}
        assert_refused(await client.post("/v1/uploads", json=wish, headers=secure), Code.INSECURE_STORAGE)
