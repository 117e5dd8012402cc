"""What the bucket itself refuses: the ticket's PUT and the link's GET, changed in every way a client may think of."""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.errors import Code
from tests.gateways import calling, make_app
from tests.http.routes.flow import PNG, TENANTS, assert_refused, complete, issue, put, store
from tests.servers.known import enforces
from tests.servers.s3 import S3Server

OTHER_PNG = PNG[:-1] + b"\x83"  # as long, and not what was promised
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!doctype html><script>alert(document.domain)</script>"

Request = dict[str, Any]


def put_request(ticket: dict[str, Any]) -> Request:
    upload = ticket["upload"]
    return {"method": "PUT", "url": upload["url"], "headers": dict(upload["headers"]), "content": PNG}


def header(name: str, value: str | None) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        del request["headers"][name]
        if value is not None:
            request["headers"][name] = value

    return change


def url(old: str, new: str) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        assert request["url"].count(old) == 1, old
        request["url"] = request["url"].replace(old, new)

    return change


def added(**parts: Any) -> Callable[[Request], None]:  # noqa: ANN401 - parts of a request
    return lambda request: request.update(parts)


def last_character_changed(request: Request) -> None:
    request["url"] = request["url"][:-1] + ("0" if request["url"][-1] != "0" else "1")


CHANGES: Mapping[str, tuple[Callable[[Request], None], int]] = {
    "a byte more": (added(content=PNG + b"!"), 403),
    "a byte less": (added(content=PNG[:-1]), 403),
    "no bytes": (added(content=b""), 403),
    "other bytes, as many": (added(content=OTHER_PNG), 400),
    "another checksum": (header("x-amz-checksum-sha256", base64.b64encode(bytes(32)).decode()), 403),
    "no checksum": (header("x-amz-checksum-sha256", None), 403),
    "another type": (header("content-type", "text/html"), 403),
    "no type": (header("content-type", None), 403),
    "may overwrite": (header("if-none-match", None), 403),
    "overwrites one version": (header("if-none-match", '"0"'), 403),
    "another grant": (header("x-amz-meta-grant", "forged"), 403),
    "no grant": (header("x-amz-meta-grant", None), 403),
    "another signature": (last_character_changed, 403),
    "a longer life": (url("X-Amz-Expires=900", "X-Amz-Expires=901"), 403),
    "fewer signed headers": (url("%3Bif-none-match", ""), 403),
    "another place": (url("/incoming/", "/objects/"), 403),
    "another tenant": (url("/incoming/default/", "/incoming/other/"), 403),
    "as a part of a multipart upload": (url("?X-Amz-Algorithm", "?partNumber=1&uploadId=u&X-Amz-Algorithm"), 403),
    "a read": (added(method="GET", content=b""), 403),
    "a deletion": (added(method="DELETE", content=b""), 403),
}


@pytest.mark.threat(2, 5, 10, 11)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_bucket_refuses_every_put_but_the_granted_one(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, change: str
) -> None:
    ticket = await issue(strict_client)
    request = put_request(ticket)
    spoil, status = CHANGES[change]
    spoil(request)
    assert (await bucket.request(**request)).status_code == status
    assert (await strict_client.get(ticket["status_url"])).json()["status"] == "waiting"
    assert (await bucket.request(**put_request(ticket))).status_code == 200


@pytest.mark.threat(10)
async def test_a_put_of_unknown_length_is_refused(strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    ticket = await issue(strict_client)

    async def chunks() -> Any:  # noqa: ANN401 - an asynchronous iterator of bytes
        yield PNG

    answer = await bucket.put(ticket["upload"]["url"], content=chunks(), headers=ticket["upload"]["headers"])
    assert 400 <= answer.status_code < 500
    assert (await strict_client.get(ticket["status_url"])).json()["status"] == "waiting"


@pytest.mark.threat(18)
async def test_a_put_is_dead_when_its_ticket_says_so(strict: S3Server, bucket: httpx.AsyncClient) -> None:
    async with calling(make_app(strict, clock=lambda: time.time() - 901, tenants=TENANTS)) as client:
        ticket = await issue(client)
        assert (await put(bucket, ticket)).status_code == 403
    async with calling(make_app(strict, clock=lambda: time.time() - 800, tenants=TENANTS)) as client:
        ticket = await issue(client)
        assert (await put(bucket, ticket)).status_code == 200


@pytest.mark.threat(2, 3)
async def test_what_is_served_never_changes_and_a_used_key_is_never_free(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(strict_client, checksum_sha256=None)
    assert (await put(bucket, ticket)).status_code == 200
    assert (await put(bucket, ticket, OTHER_PNG)).status_code == 412
    link = (await complete(strict_client, ticket)).json()["link"]
    assert (await put(bucket, ticket, OTHER_PNG)).status_code == 412
    assert (await bucket.get((await strict_client.get(link)).headers["location"])).content == PNG

    assert (await strict_client.delete(f"/v1/objects/{ticket['key']}")).status_code == 204
    assert (await put(bucket, ticket)).status_code == 412
    assert (await bucket.get((await strict_client.get(link)).headers["location"])).status_code == 404
    status = (await strict_client.get(ticket["status_url"])).json()
    assert status["status"] == "deleted"
    assert_refused(
        await complete(strict_client, ticket), Code.NOT_UPLOADED, "The upload was deleted: ask for a new ticket."
    )
    assert (await bucket.get((await strict_client.get(link)).headers["location"])).status_code == 404


@pytest.mark.threat(9)
async def test_headers_that_nobody_signed_vanish_at_promotion(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue(strict_client)
    hostile = {
        "content-encoding": "gzip",
        "content-disposition": 'inline; filename="evil.html"',
        "cache-control": "public, max-age=31536000",
        "content-language": "tlh",
        "expires": "Sun, 01 Jan 2040 00:00:00 GMT",
    }
    assert (await put(bucket, ticket, more=hostile)).status_code == 200
    status = (await complete(strict_client, ticket)).json()

    head = strict.admin_s3().head_object(Bucket=strict.bucket, Key=ticket["key"])
    assert {name: head.get(name) for name in ("CacheControl", "ContentDisposition", "ContentLanguage", "Expires")} == (
        dict.fromkeys(("CacheControl", "ContentDisposition", "ContentLanguage", "Expires"))
    )
    assert head.get("ContentEncoding", "") == ""
    assert (head["ContentType"], list(head["Metadata"])) == ("image/png", ["description"])

    download = await bucket.get((await strict_client.get(status["link"])).headers["location"])
    served = {name: download.headers.get(name) for name in (*hostile, "content-type")}
    assert served == {
        "content-encoding": None,
        "content-disposition": 'inline; filename="dot.png"',
        "cache-control": "private, max-age=300",
        "content-language": None,
        "expires": None,
        "content-type": "image/png",
    }
    assert download.content == PNG


UNSIGNED = {
    "x-amz-acl": "public-read",
    "x-amz-meta-state": "stored",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-tagging": "a=b",
    "x-amz-website-redirect-location": "/evil",
}


@pytest.mark.threat(9)
@pytest.mark.parametrize("name", UNSIGNED)
async def test_what_s3_would_act_on_has_to_be_signed_or_is_not_copied(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, name: str
) -> None:
    ticket = await issue(strict_client)
    answer = await put(bucket, ticket, more={name: UNSIGNED[name]})
    assert answer.status_code == 403 or not enforces(strict, "no unsigned metadata")
    if answer.status_code == 200:
        assert (await complete(strict_client, ticket)).status_code == 200
        head = strict.admin_s3().head_object(Bucket=strict.bucket, Key=ticket["key"])
        assert list(head["Metadata"]) == ["description"]
        assert "WebsiteRedirectLocation" not in head
    else:
        assert 400 <= answer.status_code < 500


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize(
    ("body", "wish", "code"),
    [
        (HTML, {"filename": "a.png", "content_type": "image/png"}, Code.ACTIVE_CONTENT),
        (SVG, {"filename": "a.png", "content_type": "image/png"}, Code.ACTIVE_CONTENT),
        (HTML, {"filename": "a.txt", "content_type": "text/plain"}, Code.ACTIVE_CONTENT),
        (b"GIF89a", {"filename": "a.gif", "content_type": "image/gif"}, Code.CONTENT_MISMATCH),
        (b"MZ\x90\0" * 20, {"filename": "a.jpg", "content_type": "image/jpeg"}, Code.CONTENT_MISMATCH),
    ],
)
async def test_bytes_that_are_not_what_they_are_called_are_rejected_for_good(  # noqa: PLR0913, PLR0917 - three for the case
    strict: S3Server,
    strict_client: httpx.AsyncClient,
    bucket: httpx.AsyncClient,
    body: bytes,
    wish: dict[str, str],
    code: Code,
) -> None:
    checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
    ticket = await issue(strict_client, size=len(body), checksum_sha256=checksum, **wish)
    assert (await put(bucket, ticket, body)).status_code == 200
    for _ in range(2):
        assert_refused(await complete(strict_client, ticket), code)
        assert_refused(
            await strict_client.post("/v1/uploads/complete", json={"upload_key": ticket["upload_key"]}), code
        )
    status = await strict_client.get(ticket["status_url"])
    assert status.json() == {
        "status": "rejected",
        "parts": [],
        "object": None,
        "receipt": None,
        "link": None,
        "problem": {
            "type": f"urn:signed-url-gateway:problem:{code.code}",
            "title": code.code.replace("-", " ").capitalize(),
            "status": 422,
            "detail": code.sentence,
            "code": code.code,
            "request_id": status.headers["x-request-id"],
        },
        "retry_after": None,
    }
    assert (await put(bucket, ticket, body)).status_code == 412
    kept = strict.admin_s3().get_object(Bucket=strict.bucket, Key=ticket["upload_key"])
    assert body not in kept["Body"].read()  # a marker took their place
    assert_refused(await strict_client.get(f"/v1/objects/{ticket['key']}"), Code.NOT_FOUND)


LINK_CHANGES: Mapping[str, Callable[[str], str]] = {
    "shown as a page": lambda link: link.replace("image%2Fpng", "text%2Fhtml"),
    "with an override that nobody signed": lambda link: link + "&response-content-encoding=gzip",
    "under another name": lambda link: link.replace("dot.png", "dot.html"),
    "without a disposition": lambda link: link.replace("&response-content-disposition=", "&x="),
    "cached for ever": lambda link: link.replace("max-age%3D300", "max-age%3D301"),
    "for longer": lambda link: link.replace("X-Amz-Expires=600", "X-Amz-Expires=601"),
    "from quarantine": lambda link: link.replace("/objects/", "/incoming/"),
    "from another tenant": lambda link: link.replace("/objects/default/", "/objects/other/"),
}


@pytest.mark.threat(1, 8, 18)
@pytest.mark.parametrize("change", LINK_CHANGES)
async def test_the_bucket_refuses_a_get_that_was_changed(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, change: str
) -> None:
    link = (await store(strict_client, bucket))["status"]["link"]
    location = (await strict_client.get(link)).headers["location"]
    changed = LINK_CHANGES[change](location)
    assert changed != location
    assert (await bucket.get(changed)).status_code == 403
    assert (await bucket.get(location)).status_code == 200


@pytest.mark.threat(8)
async def test_a_type_added_to_a_link_is_never_served(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    link = (await store(strict_client, bucket))["status"]["link"]
    location = (await strict_client.get(link)).headers["location"]
    answer = await bucket.get(f"{location}&response-content-type=text/html")
    # LocalStack reads the first of two parameters and signs that one alone; AWS signs both.
    assert answer.status_code == 403 or answer.headers["content-type"] == "image/png"


@pytest.mark.threat(4)
async def test_a_get_writes_nothing_and_a_presigned_head_reads_nothing(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    link = (await store(strict_client, bucket))["status"]["link"]
    get = (await strict_client.get(link)).headers["location"]
    head = (await strict_client.head(link)).headers["location"]
    assert (await bucket.head(head)).status_code == 200
    refused = {method: (await bucket.request(method, get)).status_code for method in ("PUT", "DELETE", "POST", "HEAD")}
    assert set(refused.values()) <= {403, 405}, refused
    assert (await bucket.get(head)).status_code == 403
    assert (await bucket.get(get)).content == PNG


async def test_a_picture_is_cached_within_its_window(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    link = (await store(strict_client, bucket))["status"]["link"]
    location = (await strict_client.get(link)).headers["location"]
    first = await bucket.get(location)
    again = await bucket.get(location, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = await bucket.get(location, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, PNG[:4])


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    "name",
    [
        "a\r\nX-Evil: 1.png",
        'a"; filename="evil.html',
        "é€",
        "\u202egnp.exe",
        "😀" * 300,
        "CON.txt",
        "%0d%0a",
        "a\0b",
        "a\\b",
    ],
)
async def test_a_name_of_any_kind_is_one_header_of_the_store(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, name: str
) -> None:
    key = (await store(strict_client, bucket))["key"]
    wanted = {"links": [{"key": key, "filename": name}]}
    made = (await strict_client.post("/v1/links", json=wanted)).json()["links"][0]
    download = await bucket.get((await strict_client.get(made["url"])).headers["location"])
    disposition = download.headers.get_list("content-disposition")
    assert len(disposition) == 1
    assert disposition[0].isascii()
    assert disposition[0].startswith('attachment; filename="')
    assert disposition[0].count('"') == 2
    assert "x-evil" not in download.headers
    assert download.headers["content-type"] == "application/octet-stream"
    if name == "😀" * 300:
        assert disposition[0].endswith(f"filename*=UTF-8''{quote(name)}")
