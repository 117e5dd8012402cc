"""One file, end to end: ticket, direct upload, proof, receipt, link."""

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest

from gateway.apps import open_receipt
from tests.gateways import APP_SECRET

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_SHA256 = base64.b64encode(hashlib.sha256(PNG).digest()).decode()
WISH = {"filename": "dot.png", "content_type": "image/png", "size": len(PNG), "checksum_sha256": PNG_SHA256}


async def issue(client: httpx.AsyncClient, **wish: object) -> dict[str, Any]:
    answer = await client.post("/v1/uploads", json={**WISH, **wish})
    assert answer.status_code == 201, answer.text
    ticket: dict[str, Any] = answer.json()
    return ticket


async def put(bucket: httpx.AsyncClient, ticket: dict[str, Any], body: bytes = PNG, **headers: str) -> httpx.Response:
    upload = ticket["upload"]
    return await bucket.request(
        upload["method"], upload["url"], content=body, headers={**upload["headers"], **headers}
    )


async def test_a_picture_goes_up_and_comes_back_through_its_link(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(client, metadata={"album": "holidays"}, on_behalf_of="alice")
    assert (await put(bucket, ticket)).status_code == 200

    answer = await client.post(ticket["complete_url"], json={})

    assert answer.status_code == 200, answer.text
    status = answer.json()
    assert status["object"] == {
        "key": ticket["key"],
        "size": len(PNG),
        "content_type": "image/png",
        "filename": "dot.png",
        "checksum_sha256": PNG_SHA256,
        "checksum_type": "full",
        "etag": f'"{hashlib.md5(PNG, usedforsecurity=False).hexdigest()}"',
        "principal": "alice",
        "metadata": {"album": "holidays"},
        "stored_at": status["object"]["stored_at"],
    }
    assert {name: status[name] for name in ("status", "parts", "problem", "retry_after")} == {
        "status": "stored",
        "parts": [],
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


async def test_a_ticket_has_exactly_the_documented_shape(client: httpx.AsyncClient) -> None:
    ticket = await issue(client)
    url = f"http://127.0.0.1/v1/uploads/{ticket['ticket']}"
    grant_token = ticket["upload"]["headers"]["x-amz-meta-grant"]
    assert ticket == {
        "ticket": ticket["ticket"],
        "key": ticket["key"],
        "upload_key": ticket["key"].replace("objects/", "incoming/"),
        "expires_at": ticket["expires_at"],
        "server_time": ticket["server_time"],
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
            "expires_at": ticket["upload"]["expires_at"],
        },
        "multipart": None,
        "status_url": url,
        "complete_url": f"{url}/complete",
        "abort_url": url,
    }
    assert re.fullmatch(r"objects/default/default/[0-9a-f]{32}\.png", ticket["key"])
