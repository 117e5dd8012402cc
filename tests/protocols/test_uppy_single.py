"""Uppy's single uploads: a form that the bucket enforces, and a completion that takes one of the files it brought."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code
from tests.gateways import API_KEY, APP_SECRET, OTHER_API_KEY, calling, make_app
from tests.http.routes.flow import NOW, NOWHERE, bearer
from tests.http.routes.flow import assert_refused as assert_problem
from tests.protocols.uppy_flow import TENANTS, assert_refused, form_for, post
from tests.servers.known import enforces
from tests.servers.s3 import S3Server

SMALL = {"metadata[policy]": "small"}  # 2 to 1,000 bytes
BODY = b"Dear Ann, all is well."


async def complete(client: httpx.AsyncClient, form: Mapping[str, Any], **more: Any) -> httpx.Response:  # noqa: ANN401 - any argument of httpx
    """Do what the page does when Uppy tells of a success: hand over the form's key."""
    return await client.post("/v1/uploads/complete", json={"upload_key": form["fields"]["key"]}, **more)


async def served(client: httpx.AsyncClient, bucket: httpx.AsyncClient, link: str) -> bytes:
    location = (await client.get(urlsplit(link).path)).headers["location"]
    return (await bucket.get(location)).content


async def test_a_form_is_answered_as_companion_answers(offline: httpx.AsyncClient) -> None:
    form = await form_for(offline)
    fields = form.pop("fields")
    assert form == {"method": "POST", "url": f"{NOWHERE.endpoint}/{NOWHERE.bucket}/", "expires": 900}
    assert list(fields) == [
        "key",
        "success_action_status",
        "Content-Type",
        "x-amz-meta-grant",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "policy",
        "x-amz-signature",
    ]
    assert fields["success_action_status"] == "201"
    assert fields["Content-Type"] == "text/plain"
    assert fields["key"].startswith("incoming/default/default/")
    assert fields["key"].endswith("form.txt")


async def test_no_form_outlives_the_ticket_of_its_policy() -> None:
    policy = {"content_types": ["text/plain"], "max_size": 10, "protocols": ["uppy"], "ticket_expires_in": 60}
    tenants = {"default": {**TENANTS["default"], "policies": {"default": policy}, "api_keys": []}}
    access = make_pass([APP_SECRET], "ann", clock=lambda: NOW)
    async with calling(make_app(NOWHERE, clock=lambda: NOW, tenants=tenants), api_key=None) as client:
        assert (await form_for(client, f"/u/{access}"))["expires"] == 60


async def test_a_posted_file_is_completed_by_its_key_and_served(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    pairs = {"metadata[name]": "notes.txt", "metadata[relativePath]": "null", "metadata[album]": "Zoë & +1"}
    form = await form_for(strict_client, **pairs)
    answer = await post(bucket, form, BODY)
    assert answer.status_code == 201
    assert answer.headers["etag"]  # Uppy 5 waits for it
    done = await complete(strict_client, form)
    assert done.status_code == 200, done.text
    found = done.json()["object"]
    assert (found["size"], found["filename"], found["metadata"]) == (len(BODY), "notes.txt", {"album": "Zoë & +1"})
    assert await served(strict_client, bucket, done.json()["link"]) == BODY
    assert (await complete(strict_client, form)).json() == done.json()


async def test_a_page_completes_with_its_pass_and_nobody_elses_does(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ann, bob = make_pass([APP_SECRET], "ann"), make_pass([APP_SECRET], "bob")
    form = await form_for(client, f"/u/{ann}")
    await post(bucket, form, BODY)
    for stranger in (bob, OTHER_API_KEY):
        assert_problem(await complete(client, form, headers=bearer(stranger)), Code.NOT_FOUND)
    assert (await complete(client, form, headers=bearer(ann))).json()["status"] == "stored"


async def test_nothing_is_completed_before_a_file_has_come(client: httpx.AsyncClient) -> None:
    assert_problem(await complete(client, await form_for(client)), Code.NOT_UPLOADED)


KEY = "incoming/default/small/0123456789abcdef0123456789abcdefform.txt"
CHANGES: Mapping[str, tuple[str, bytes, dict[str, str | None]]] = {
    "another key": ("form", BODY, {"key": KEY}),
    "a key that is served": ("form", BODY, {"key": KEY.replace("incoming", "objects")}),
    "a key made of the filename": ("form", BODY, {"key": "incoming/default/small/${filename}"}),
    "another type": ("form", BODY, {"Content-Type": "text/html"}),
    "no type": ("form", BODY, {"Content-Type": None}),
    "another grant": ("form", BODY, {"x-amz-meta-grant": "forged"}),
    "no grant": ("form", BODY, {"x-amz-meta-grant": None}),
    "a byte too many": ("form", b"x" * 1001, {}),
    "a byte too few": ("form", b"x", {}),
    "another signature": ("signature of a form", BODY, {"x-amz-signature": "0" * 64}),
    "more metadata": ("no field beside a form's", BODY, {"x-amz-meta-more": "x"}),
    "an access control list": ("no field beside a form's", BODY, {"acl": "public-read"}),
    "a redirect": ("no field beside a form's", BODY, {"success_action_redirect": "http://127.0.0.1:9/"}),
    "an encoding": ("no field beside a form's", BODY, {"content-encoding": "gzip"}),
}


@pytest.mark.threat(5, 10, 16)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_bucket_refuses_a_form_that_was_changed(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, change: str
) -> None:
    feature, body, changes = CHANGES[change]
    form = await form_for(strict_client, **SMALL)
    answer = await post(bucket, form, body, **changes)
    assert (answer.status_code in {400, 403}) is enforces(strict, feature), answer.text
    if enforces(strict, feature):
        assert_problem(await complete(strict_client, form), Code.NOT_UPLOADED)


async def test_the_bucket_takes_what_lies_just_within_the_limits(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    for size in (2, 1000):
        form = await form_for(strict_client, **SMALL)
        assert (await post(bucket, form, b"x" * size)).status_code == 201
        assert (await complete(strict_client, form)).json()["object"]["size"] == size


async def test_the_bucket_refuses_a_form_after_its_time(strict: S3Server, bucket: httpx.AsyncClient) -> None:
    async with calling(make_app(strict, lambda: time.time() - 901, tenants=TENANTS)) as late:
        assert (await post(bucket, await form_for(late), BODY)).status_code == 403


@pytest.mark.threat(2)
async def test_a_form_that_is_posted_again_changes_nothing_that_is_served(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    form = await form_for(strict_client)
    await post(bucket, form, BODY)
    done = (await complete(strict_client, form)).json()
    for other in (b"Another text, as long.", b"<script>alert(1)</script>", b""):
        await post(bucket, form, other or b"?")
        assert (await complete(strict_client, form)).json() == done
        assert await served(strict_client, bucket, done["link"]) == BODY


@pytest.mark.threat(2, 34)
@pytest.mark.parametrize("attempt", range(4))
async def test_completions_that_race_with_another_post_store_one_content(
    strict: S3Server, bucket: httpx.AsyncClient, attempt: int
) -> None:
    """Two gateways that share nothing but the bucket complete, and the form is posted again between."""
    async with calling(make_app(strict, tenants=TENANTS)) as one, calling(make_app(strict, tenants=TENANTS)) as two:
        form = await form_for(one)
        first, second = b"first text %d" % attempt, b"second text %d, longer" % attempt
        await post(bucket, form, first)

        async def again() -> None:
            await post(bucket, form, second)

        *answers, _ = await asyncio.gather(complete(one, form), complete(two, form), again())
        # Whoever met the post in the middle of its own work asks again, as `content-changed` says.
        bodies = [(await complete(client, form)).json() for client in (one, two)]
        assert bodies[0] == bodies[1]
        assert bodies[0]["status"] == "stored"
        assert {answer.json()["object"]["etag"] for answer in answers if answer.status_code == 200} <= {
            bodies[0]["object"]["etag"]
        }
        content = await served(one, bucket, bodies[0]["link"])
        assert content in {first, second}
        assert bodies[0]["object"]["size"] == len(content)
        await post(bucket, form, b"third")
        assert await served(two, bucket, bodies[1]["link"]) == content


@pytest.mark.threat(12)
async def test_a_file_that_is_not_what_its_form_says_is_rejected_for_good(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    form = await form_for(client, filename="dot.png", type="image/png")
    await post(bucket, form, b"no picture")
    assert_problem(await complete(client, form), Code.CONTENT_MISMATCH)
    await post(bucket, form, b"\x89PNG\r\n\x1a\n")
    assert_problem(await complete(client, form), Code.CONTENT_MISMATCH)


@pytest.mark.parametrize(
    ("query", "code", "detail"),
    [
        ({"filename": ""}, Code.INVALID_FILENAME, None),
        ({"filename": "a.exe", "type": "application/x-msdownload"}, Code.TYPE_NOT_ALLOWED, None),
        ({"filename": "a.html", "type": ""}, Code.TYPE_NOT_ALLOWED, None),
        ({"filename": "a.png"}, Code.EXTENSION_MISMATCH, None),
        (
            {"metadata[policy]": "sealed"},
            Code.CHECKSUM_REQUIRED,
            "This policy asks for checksums, and Uppy sends none.",
        ),
    ],
    ids=["no filename", "a type that is not allowed", "no type known", "another extension", "checksums required"],
)
async def test_a_form_that_no_policy_allows_is_refused_with_a_message_and_an_error(
    offline: httpx.AsyncClient, query: dict[str, str], code: Code, detail: str | None
) -> None:
    small = {"metadata[policy]": "small"}  # which knows no octets
    asked = {"filename": "notes.txt", "type": "text/plain", **small, **query}
    if query.get("filename") == "a.png":
        del asked["metadata[policy]"]
    assert_refused(await offline.get("/s3/params", params=asked), code, detail)


async def test_a_form_without_a_filename_or_credentials_is_refused(offline: httpx.AsyncClient) -> None:
    assert_refused(await offline.get("/s3/params"), Code.INVALID_FILENAME)
    del offline.headers["authorization"]
    assert_refused(await offline.get("/s3/params"), Code.UNAUTHENTICATED)
    ticket = (await offline.post("/v1/uploads", json=NATIVE, headers=bearer(API_KEY))).json()["ticket"]
    assert_refused(await offline.get("/s3/params", headers=bearer(ticket)), Code.UNAUTHENTICATED)


NATIVE = {"filename": "notes.txt", "content_type": "text/plain", "size": 5}


async def test_an_http_bucket_behind_an_https_page_is_a_502_that_says_so() -> None:
    app = make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, public_url="https://files.example")
    async with calling(app) as client:
        answer = await client.get("/s3/params", params={"filename": "notes.txt", "type": "text/plain"})
        assert_refused(answer, Code.INSECURE_STORAGE, status=502)
