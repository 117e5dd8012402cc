"""Active Storage's direct uploads over Ceph: the bucket holds each to its MD5, its length and its type."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.gateways import API_KEY, APP_SECRET, calling, make_app, tenant
from tests.http.routes.flow import PNG
from tests.servers.s3 import ORIGIN, S3Server

POLICIES = {"default": {"content_types": ["image/png"], "max_size": 1000, "protocols": ["active-storage"]}}
OTHER_PNG = PNG[:-1] + b"\x83"  # as long
# What is sent instead, with which headers, and what the bucket answers.
SPOILED: dict[str, tuple[bytes, dict[str, str], int]] = {
    "other bytes": (OTHER_PNG, {}, 400),
    "a byte more": (PNG + b"!", {}, 403),
    "another type": (PNG, {"content-type": "text/html"}, 403),
    "another md5": (OTHER_PNG, {"content-md5": base64.b64encode(bytes(16)).decode()}, 403),
}


@pytest.fixture
async def client(ceph: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    tenants = {"default": tenant(API_KEY, APP_SECRET, policies=POLICIES)}
    async with calling(make_app(ceph, tenants=tenants)) as client:
        yield client


async def begin(client: httpx.AsyncClient) -> dict[str, Any]:
    md5 = base64.b64encode(hashlib.md5(PNG, usedforsecurity=False).digest()).decode()
    blob = {"filename": "dot.png", "content_type": "image/png", "byte_size": len(PNG), "checksum": md5}
    answer = await client.post("/rails/active_storage/direct_uploads", json={"blob": blob})
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def put(bucket: httpx.AsyncClient, begun: dict[str, Any], body: bytes, **more: str) -> int:
    upload = begun["direct_upload"]
    return (await bucket.put(upload["url"], content=body, headers={**upload["headers"], **more})).status_code


async def test_a_blob_is_put_completed_by_its_signed_id_and_served(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    begun = await begin(client)
    assert await put(bucket, begun, PNG) == 200
    answer = await client.post(f"/v1/uploads/{begun['signed_id']}/complete", json={})
    assert answer.json()["object"]["key"] == begun["key"]
    link = (await client.get(answer.json()["link"])).headers["location"]
    assert (await bucket.get(link)).content == PNG


@pytest.mark.parametrize("change", SPOILED)
async def test_the_bucket_refuses_every_blob_but_the_announced_one(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient, change: str
) -> None:
    body, headers, status = SPOILED[change]
    begun = await begin(client)
    assert await put(bucket, begun, body, **headers) == status
    assert await put(bucket, begun, PNG) == 200


async def test_a_page_may_send_what_a_blob_signs(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = (await begin(client))["direct_upload"]
    asks = {
        "origin": ORIGIN,
        "access-control-request-method": "PUT",
        "access-control-request-headers": ",".join(sorted(upload["headers"], key=str.lower)).lower(),
    }
    answer = await bucket.options(upload["url"], headers=asks)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    refused = await bucket.options(upload["url"], headers={**asks, "origin": "https://evil.example"})
    assert refused.status_code == 403
