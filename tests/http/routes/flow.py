"""What clients do: ask for a ticket, put the bytes, complete; and a gateway whose bucket nobody serves."""

import base64
import hashlib
import random
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from gateway.cli.provision import AccessKey
from gateway.errors import Code
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, OTHER_API_KEY, OTHER_APP_SECRET, api_key, tenant
from tests.servers.s3 import REGION, S3Server

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z
READER_KEY = "gwk_cccccccc_0123456789abcdef0123456789abcdef"  # reads, and nothing else
UPLOADER_KEY = "gwk_dddddddd_0123456789abcdef0123456789abcdef"  # uploads under one policy, for nobody but itself

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_SHA256 = base64.b64encode(hashlib.sha256(PNG).digest()).decode()
PNG_ETAG = f'"{hashlib.md5(PNG, usedforsecurity=False).hexdigest()}"'
WISH = {"filename": "dot.png", "content_type": "image/png", "size": len(PNG), "checksum_sha256": PNG_SHA256}

# Nobody listens at port 9: whatever is answered over this bucket was answered without it.
NOWHERE = S3Server(
    name="nowhere",
    endpoint="http://127.0.0.1:9",
    region=REGION,
    bucket="gateway-test",
    access_key_id="AKIANOBODY0000000000",
    secret_access_key="a-secret-that-signs-and-opens-nothing",
    admin=AccessKey("", ""),
)
MIB = 2**20
DIVIDED_TYPES = ["application/octet-stream", "text/plain"]
TENANTS = {
    "default": tenant(
        API_KEY,
        APP_SECRET,
        api_keys=[
            api_key(API_KEY, policies=["default", "photos", "proved", "films", "sealed"], on_behalf_of=True),
            api_key(READER_KEY, actions=["read"], policies=[]),
            api_key(UPLOADER_KEY, actions=["upload"], policies=["default"]),
        ],
        policies={
            "default": {"content_types": ALL_TYPES, "min_size": 0, "max_size": "5 GiB"},
            "photos": {"content_types": ["image/png", "image/jpeg"], "max_size": 1000},
            "proved": {"content_types": ["image/png"], "max_size": 1000, "checksum": "required", "inline": False},
            "films": {"content_types": DIVIDED_TYPES, "max_size": 40 * MIB, "multipart_from": 1},
            "sealed": {
                "content_types": DIVIDED_TYPES,
                "max_size": 40 * MIB,
                "multipart_from": 1,
                "checksum": "required",
            },
            "hidden": {"content_types": ["image/png"], "max_size": 1000},
        },
    ),
    "other": tenant(OTHER_API_KEY, OTHER_APP_SECRET),
}


def bearer(credentials: str) -> dict[str, str]:
    """Return the header that sends an API key, a JWT or a pass."""
    return {"authorization": f"Bearer {credentials}"}


async def issue(client: httpx.AsyncClient, **wish: object) -> dict[str, Any]:
    """Ask for a ticket, for a small picture unless `wish` says otherwise."""
    answer = await client.post("/v1/uploads", json={**WISH, **wish})
    assert answer.status_code == 201, answer.text
    ticket: dict[str, Any] = answer.json()
    return ticket


async def put(
    bucket: httpx.AsyncClient, ticket: dict[str, Any], body: bytes = PNG, more: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send the bytes as the ticket says, with what more headers a client may think of."""
    upload = ticket["upload"]
    headers = {**upload["headers"], **(more or {})}
    return await bucket.request(upload["method"], upload["url"], content=body, headers=headers)


async def complete(client: httpx.AsyncClient, ticket: dict[str, Any]) -> httpx.Response:
    """Say that the bytes are there."""
    return await client.post(ticket["complete_url"], json={})


async def store(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient, body: bytes = PNG, **wish: object
) -> dict[str, Any]:
    """Upload and complete; return the ticket with the status that the completion answered."""
    size = {"size": len(body)} if body != PNG else {}
    checksum = {} if body == PNG else {"checksum_sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()}
    ticket = await issue(client, **{**size, **checksum, **wish})
    assert (await put(bucket, ticket, body)).status_code == 200
    answer = await complete(client, ticket)
    assert answer.status_code == 200, answer.text
    return {**ticket, "status": answer.json()}


def film(size: int) -> bytes:
    """Return bytes that any two parts of differ."""
    return random.Random(size).randbytes(size)  # noqa: S311 - not for secrets


def sha256(body: bytes) -> str:
    """Return the checksum as S3 writes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


async def issue_divided(client: httpx.AsyncClient, size: int | None, **wish: object) -> dict[str, Any]:
    """Ask for the ticket of a multipart upload; without a size it is a stream."""
    named = {"filename": "film.bin", "content_type": "application/octet-stream", "policy": "films"}
    return await issue(client, **{**named, "size": size, "checksum_sha256": None, **wish})


async def sign(client: httpx.AsyncClient, ticket: dict[str, Any], *numbers: int, **more: object) -> list[Any]:
    """Ask for presigned parts."""
    answer = await client.post(ticket["multipart"]["parts_url"], json={"part_numbers": list(numbers), **more})
    assert answer.status_code == 200, answer.text
    parts: list[Any] = answer.json()["parts"]
    return parts


async def put_part(bucket: httpx.AsyncClient, part: dict[str, Any], body: bytes) -> httpx.Response:
    """Send one part as it was presigned."""
    return await bucket.request(part["method"], part["url"], content=body, headers=part["headers"])


def piece(ticket: dict[str, Any], body: bytes, number: int) -> bytes:
    """Return the bytes of one part."""
    part_size = ticket["multipart"]["part_size"]
    return body[(number - 1) * part_size : number * part_size]


async def send(
    bucket: httpx.AsyncClient, ticket: dict[str, Any], body: bytes, parts: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Send parts of the body; return what a completion that names them says."""
    sent = []
    for part in parts:
        answer = await put_part(bucket, part, piece(ticket, body, part["part_number"]))
        assert answer.status_code == 200, answer.text
        sent.append({"part_number": part["part_number"], "etag": answer.headers["etag"]})
    return sent


def assert_refused(answer: httpx.Response, code: Code, detail: str | None = None) -> None:
    """Compare a whole problem document with what the table of refusals says."""
    assert (answer.status_code, answer.headers["content-type"]) == (code.status, "application/problem+json"), (
        answer.text
    )
    assert answer.json() == {
        "type": f"urn:signed-url-gateway:problem:{code.code}",
        "title": code.code.replace("-", " ").capitalize(),
        "status": code.status,
        "detail": detail or code.sentence,
        "code": code.code,
        "request_id": answer.headers["x-request-id"],
    }
