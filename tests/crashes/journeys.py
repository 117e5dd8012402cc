"""Uploads of each kind up to the moment at which they are completed, and what has to be true of them in the end."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.grants.keys import ObjectKey
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, api_key, tenant
from tests.http.routes.flow import MIB, PNG, film, issue, issue_divided, put, send, sha256
from tests.protocols.uppy_flow import form_for, post
from tests.servers.s3 import S3Server

OCTETS = "application/octet-stream"
POLICIES = {
    "default": {"content_types": ALL_TYPES, "max_size": MIB, "protocols": ["uppy"]},
    "films": {"content_types": [OCTETS], "max_size": 40 * MIB, "multipart_from": 1},
}
KEYS = [api_key(API_KEY, policies=list(POLICIES), on_behalf_of=True)]
FLAGS: Mapping[str, Any] = {
    "tenants": {"default": tenant(API_KEY, APP_SECRET, api_keys=KEYS, policies=POLICIES)},
    "copy_threshold": 5 * MIB,
}
PAGE = b"<!doctype html><script>alert(1)</script>"
TEXT = b"a text that a form posts"
FILM = film(10 * MIB + 7)  # three parts when it is copied, and two when it is uploaded


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upload whose bytes are all there: `body` is what may be stored of it, None where nothing may."""

    key: ObjectKey
    path: str
    asked: Mapping[str, Any]
    body: bytes | None


Journey = Callable[[httpx.AsyncClient, httpx.AsyncClient], Awaitable[Arrived]]


async def by_put(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> Arrived:
    """Send a picture."""
    ticket = await issue(client)
    assert (await put(bucket, ticket)).status_code == 200
    return _by_ticket(ticket, PNG)


async def untruthful(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> Arrived:
    """Send a page for a picture."""
    ticket = await issue(client, size=len(PAGE), checksum_sha256=sha256(PAGE))
    assert (await put(bucket, ticket, PAGE)).status_code == 200
    return _by_ticket(ticket, None)


async def in_parts(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> Arrived:
    """Send a film; its promotion goes by parts as well."""
    ticket = await issue_divided(client, len(FILM))
    await send(bucket, ticket, FILM, ticket["multipart"]["parts"])
    return _by_ticket(ticket, FILM)


async def by_form(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> Arrived:
    """Post a text."""
    form = await form_for(client)
    upload_key = form["fields"]["key"]
    assert (await post(bucket, form, TEXT)).is_success
    key = ObjectKey.parse_upload_key(upload_key)
    return Arrived(key, "/v1/uploads/complete", {"upload_key": upload_key}, TEXT)


JOURNEYS: Mapping[str, Journey] = {
    "a PUT": by_put,
    "a lie": untruthful,
    "parts": in_parts,
    "a form": by_form,
}


def _by_ticket(ticket: Mapping[str, Any], body: bytes | None) -> Arrived:
    path = httpx.URL(ticket["complete_url"]).path
    return Arrived(ObjectKey.parse_key(ticket["key"]), path, {}, body)


def check_bucket(server: S3Server, arrived: Arrived) -> None:
    """Check that the one object is there, or none, and nothing that S3's lifecycle rules do not clear by themselves."""
    s3, key = server.admin_s3(), arrived.key
    objects = s3.list_objects_v2(Bucket=server.bucket, Prefix=f"objects/{key.tenant}/{key.policy}/{key.name}")
    assert [found["Key"] for found in objects.get("Contents", [])] == ([] if arrived.body is None else [key.key])
    if arrived.body is not None:
        assert s3.get_object(Bucket=server.bucket, Key=key.key)["Body"].read() == arrived.body
    marker = s3.head_object(Bucket=server.bucket, Key=key.state_key)
    assert marker["Metadata"]["state"] == ("rejected" if arrived.body is None else "stored")
    for prefix in (key.key, key.upload_key):
        assert s3.list_multipart_uploads(Bucket=server.bucket, Prefix=prefix).get("Uploads", []) == []
