"""Objects: listed in pages, described, deleted for good; each tenant its own."""

import secrets
from typing import Any

import httpx
import pytest

from gateway.errors import Code
from gateway.objects import page_of
from gateway.s3.storage import Head
from tests.gateways import API_KEY, calling, make_app, tenant
from tests.http.routes.flow import PNG, PNG_ETAG, PNG_SHA256, TENANTS, assert_refused, bearer, issue, put, store
from tests.memory_storage import MemoryStorage, Stored
from tests.servers.s3 import S3Server

HEAD = Head(0, '"etag"', "text/plain", None, None, {}, 0)


async def test_an_object_is_described_as_its_completion_said(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored = await store(client, bucket, metadata={"album": "Zürich"}, on_behalf_of="alice")
    answer = await client.get(f"/v1/objects/{stored['key']}")
    assert (answer.status_code, answer.json()) == (200, stored["status"]["object"])
    assert answer.json() == {
        "key": stored["key"],
        "size": len(PNG),
        "content_type": "image/png",
        "filename": "dot.png",
        "checksum_sha256": PNG_SHA256,
        "checksum_type": "full",
        "etag": PNG_ETAG,
        "principal": "alice",
        "metadata": {"album": "Zürich"},
        "stored_at": stored["status"]["object"]["stored_at"],
    }


async def test_without_a_checksum_there_is_none_to_tell(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    stored = await store(client, bucket, checksum_sha256=None)
    found = (await client.get(f"/v1/objects/{stored['key']}")).json()
    assert (found["checksum_sha256"], found["checksum_type"]) == (None, None)


@pytest.mark.threat(3, 33)
async def test_deleted_is_deleted_also_the_second_time(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    stored = await store(client, bucket)
    for _ in range(2):
        answer = await client.delete(f"/v1/objects/{stored['key']}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert_refused(await client.get(f"/v1/objects/{stored['key']}"), Code.NOT_FOUND)
    status = (await client.get(stored["status_url"])).json()
    assert (status["status"], status["object"], status["link"], status["receipt"]) == ("deleted", None, None, None)
    assert (await put(bucket, stored)).status_code == 412


@pytest.mark.threat(3)
async def test_bytes_that_come_back_late_under_a_dead_key_are_not_found_and_a_second_delete_removes_them(
    ministack: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored, aborted = await store(client, bucket), await issue(client)
    assert (await client.delete(f"/v1/objects/{stored['key']}")).status_code == 204
    assert (await client.delete(aborted["abort_url"])).status_code == 204
    for key in (stored["key"], aborted["key"]):
        late_copy = {"Bucket": ministack.bucket, "Key": key}
        ministack.admin_s3().put_object(**late_copy, Body=PNG)
        assert_refused(await client.get(f"/v1/objects/{key}"), Code.NOT_FOUND)
        assert (await client.delete(f"/v1/objects/{key}")).status_code == 204
        assert "Contents" not in ministack.admin_s3().list_objects_v2(Bucket=ministack.bucket, Prefix=key)


@pytest.fixture
def fresh() -> dict[str, Any]:
    """Define a tenant that nobody has stored anything for."""
    name = f"t{secrets.token_hex(8)}"
    return {name: tenant(API_KEY, "an-app-secret-of-a-fresh-tenant-of-32-bytes")}


async def test_a_listing_comes_in_pages_in_the_order_of_the_keys(
    ministack: S3Server, bucket: httpx.AsyncClient, fresh: dict[str, Any]
) -> None:
    async with calling(make_app(ministack, tenants=fresh)) as client:
        assert (await client.get("/v1/objects")).json() == {"objects": [], "cursor": None}
        stored = [(await store(client, bucket))["status"]["object"] for _ in range(5)]
        in_order = sorted(stored, key=lambda found: str(found["key"]))
        assert (await client.get("/v1/objects")).json() == {"objects": in_order, "cursor": None}

        pages: list[Any] = []
        cursor = None
        while not pages or cursor:
            params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/v1/objects", params=params)).json()
            pages.append(page["objects"])
            cursor = page["cursor"]
        assert pages == [in_order[:2], in_order[2:4], in_order[4:]]

        prefix = in_order[3]["key"].removeprefix(f"objects/{next(iter(fresh))}/")
        assert (await client.get("/v1/objects", params={"prefix": prefix})).json()["objects"] == [in_order[3]]
        assert (await client.get("/v1/objects", params={"prefix": "photos/"})).json()["objects"] == []


@pytest.mark.threat(1)
async def test_a_cursor_is_good_for_its_own_listing(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    for _ in range(2):
        await store(client, bucket)
    cursor = (await client.get("/v1/objects", params={"limit": 1})).json()["cursor"]
    other_prefix = await client.get("/v1/objects", params={"cursor": cursor, "prefix": "photos/"})
    assert_refused(other_prefix, Code.NOT_FOUND)
    other_tenant = await client.get(
        "/v1/objects", params={"cursor": cursor}, headers=bearer("gwk_bbbbbbbb_0123456789abcdef0123456789abcdef")
    )
    assert_refused(other_tenant, Code.NOT_FOUND)


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ("limit=0", "limit: greater_than_equal"),
        ("limit=101", "limit: less_than_equal"),
        ("limit=x", "limit: int_parsing"),
        ("limit=1.5", "limit: int_parsing"),
        ("prefix=%00", "prefix: string_pattern_mismatch"),
        ("prefix=%0A", "prefix: string_pattern_mismatch"),
        ("prefix=a%0A", "prefix: string_pattern_mismatch"),
        ("prefix=A", "prefix: string_pattern_mismatch"),
        ("tenant=other", "body: extra_forbidden"),
        ("cursor=" + "x" * 4097, "cursor: string_too_long"),
    ],
)
async def test_a_listing_takes_only_what_is_documented(offline: httpx.AsyncClient, params: str, complaint: str) -> None:
    answer = await offline.get(f"/v1/objects?{params}")
    assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} ({complaint})")


@pytest.mark.threat(15)
@pytest.mark.parametrize(
    "key",
    [
        "..",
        "objects/default/default/../../other/default/0123456789abcdef0123456789abcdef.png",
        "objects/default/default/%2e%2e/0123456789abcdef0123456789abcdef.png",
        "objects//default/0123456789abcdef0123456789abcdef.png",
        "objects/default/default/0123456789abcdef0123456789abcdef.png%00",
        "objects/default/default/0123456789abcdef0123456789abcdef.png%0A0",
        "objects/default/default/0123456789ABCDEF0123456789ABCDEF.png",
        "objects/default/default/0123456789abcdef0123456789abcde%C3%A9.png",
        "incoming/default/default/0123456789abcdef0123456789abcdef.png",
        "elsewhere/default/default/0123456789abcdef0123456789abcdef.png",
        "x" * 1025,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_not_a_key_is_not_found_and_never_asked_for(
    offline: httpx.AsyncClient, method: str, key: str
) -> None:
    assert_refused(await offline.request(method, f"/v1/objects/{key}"), Code.NOT_FOUND)


async def test_a_listing_passes_over_what_the_gateway_did_not_name(
    ministack: S3Server, bucket: httpx.AsyncClient, fresh: dict[str, Any]
) -> None:
    name = next(iter(fresh))
    async with calling(make_app(ministack, tenants=fresh)) as client:
        stored = await store(client, bucket)
        for foreign in ("readme.txt", "default/Holiday.JPG"):
            ministack.admin_s3().put_object(Bucket=ministack.bucket, Key=f"objects/{name}/{foreign}", Body=b"x")
        answer = await client.get("/v1/objects")
        assert answer.json() == {"objects": [stored["status"]["object"]], "cursor": None}


async def test_what_an_operator_put_under_a_good_key_is_described_as_far_as_it_goes(
    ministack: S3Server, fresh: dict[str, Any]
) -> None:
    key = f"objects/{next(iter(fresh))}/imported/{'0' * 32}.png"
    ministack.admin_s3().put_object(Bucket=ministack.bucket, Key=key, Body=PNG, ContentType="text/html")
    async with calling(make_app(ministack, tenants=fresh)) as client:
        found = (await client.get(f"/v1/objects/{key}")).json()
    assert found == {
        "key": key,
        "size": len(PNG),
        "content_type": "image/png",
        "filename": f"{'0' * 32}.png",
        "checksum_sha256": None,
        "checksum_type": None,
        "etag": PNG_ETAG,
        "principal": "",
        "metadata": {},
        "stored_at": found["stored_at"],
    }


async def test_a_policy_that_is_gone_leaves_its_objects_readable(
    ministack: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored = await store(client, bucket, policy="photos")
    gone = {**TENANTS, "default": tenant(API_KEY, "an-app-secret-of-the-tenant-default-32-bytes")}
    async with calling(make_app(ministack, tenants=gone)) as later:
        assert (await later.get(f"/v1/objects/{stored['key']}")).json() == stored["status"]["object"]
        status = (await later.get(stored["status_url"])).json()
        assert status["status"] == "stored"
        assert (await later.get(status["link"])).headers["location"].count("attachment%3B") == 1


@pytest.mark.parametrize("foreign", ["hello", "hello world", "WzFd", "/w=="])
async def test_an_entry_of_our_name_that_somebody_else_wrote_says_nothing(
    ministack: S3Server, fresh: dict[str, Any], foreign: str
) -> None:
    name = next(iter(fresh))
    key = f"objects/{name}/default/0123456789abcdef0123456789abcdef.txt"
    async with calling(make_app(ministack, tenants=fresh)) as client:
        ministack.admin_s3().put_object(Bucket=ministack.bucket, Key=key, Body=b"x", Metadata={"description": foreign})
        found = (await client.get(f"/v1/objects/{key}")).json()
        assert (found["filename"], found["principal"], found["metadata"]) == (key.rpartition("/")[2], "", {})
        assert (await client.get("/v1/objects")).json() == {"objects": [found], "cursor": None}


async def test_a_few_long_listings_leave_the_store_to_others() -> None:
    at_once = most = 0

    class Counting(MemoryStorage):
        async def head(self, key: str) -> Head | None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            found = await super().head(key)
            at_once -= 1
            return found

    storage = Counting()
    for number in range(100):
        storage.objects[f"objects/default/default/{number:032d}.txt"] = Stored(b"", HEAD)
    objects, after = await page_of(storage, "objects/default/", limit=100, after="")
    assert ([each.key.name for each in objects], after) == ([f"{number:032d}" for number in range(100)], None)
    assert most <= 8
