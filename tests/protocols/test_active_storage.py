"""Active Storage's direct uploads: a record as Rails writes it, a PUT that the bucket enforces, and its completion."""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.apps import make_pass
from gateway.errors import Code
from tests.gateways import (
    ALL_TYPES,
    API_KEY,
    APP_SECRET,
    OTHER_API_KEY,
    OTHER_APP_SECRET,
    api_key,
    tenant,
)
from tests.http.routes.conftest import AppOver, speaking
from tests.http.routes.flow import NOW, NOWHERE, PNG, bearer
from tests.http.routes.flow import assert_refused as assert_problem
from tests.protocols.kept import apps
from tests.servers.known import enforces
from tests.servers.s3 import S3Server

Checksum = Callable[[bytes], str]

PATH = "/rails/active_storage/direct_uploads"
OCTETS = "application/octet-stream"
OFF_KEY = "gwk_eeeeeeee_0123456789abcdef0123456789abcdef"  # whose one policy does not speak to Active Storage
READ_KEY = "gwk_ffffffff_0123456789abcdef0123456789abcdef"  # which uploads nothing
SPOKEN = {"content_types": [*ALL_TYPES, OCTETS], "min_size": 0, "max_size": "1 MiB", "protocols": ["active-storage"]}
POLICIES = {
    "default": SPOKEN,
    "small": {**SPOKEN, "content_types": ["text/plain"], "min_size": 2, "max_size": 1000, "ticket_expires_in": 60},
    "sealed": {**SPOKEN, "checksum": "required"},
    "native": {"content_types": ["text/plain"], "max_size": 1000},
}
TENANTS = {
    "default": tenant(
        API_KEY,
        APP_SECRET,
        api_keys=[
            api_key(API_KEY, policies=list(POLICIES), on_behalf_of=True),
            api_key(OFF_KEY, policies=["native"]),
            api_key(READ_KEY, actions=["read", "link"]),
        ],
        policies=POLICIES,
    ),
    "other": tenant(OTHER_API_KEY, OTHER_APP_SECRET, policies={"default": SPOKEN}),
}
BODY = b"Dear Ann, all is well."
OTHER_BODY = b"Dear Bob, all is well."  # as long
OFF = "No policy that these credentials allow takes uploads by this protocol."


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def sha256(body: bytes) -> str:
    return "sha256:" + base64.b64encode(hashlib.sha256(body).digest()).decode()


BLOB = {"filename": "notes.txt", "content_type": "text/plain", "byte_size": len(BODY), "checksum": md5(BODY)}


@pytest.fixture(scope="module")
def app_over() -> Iterator[AppOver]:
    with apps(TENANTS) as find:
        yield find


@pytest.fixture
async def strict_client(strict: S3Server, app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway over each server that verifies what is signed."""
    async with speaking(app_over(strict)) as client:
        yield client


@pytest.fixture
async def client(ministack: S3Server, app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway, with an API key that may do everything."""
    async with speaking(app_over(ministack)) as client:
        yield client


@pytest.fixture
async def offline(app_over: AppOver) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that has no bucket: what it answers, it answers by itself."""
    async with speaking(app_over(NOWHERE)) as client:
        yield client


async def send(client: httpx.AsyncClient, path: str = PATH, **blob: object) -> httpx.Response:
    """Ask as the package does."""
    headers = {"accept": "application/json", "x-requested-with": "XMLHttpRequest", "x-csrf-token": "any"}
    return await client.post(path, json={"blob": {**BLOB, **blob}}, headers=headers)


async def ask(client: httpx.AsyncClient, path: str = PATH, **blob: object) -> dict[str, Any]:
    answer = await send(client, path, **blob)
    assert answer.status_code == 200, answer.text
    record: dict[str, Any] = answer.json()
    return record


async def put(bucket: httpx.AsyncClient, record: Mapping[str, Any], body: bytes, **more: str) -> httpx.Response:
    """Send the bytes as the package does: with exactly the headers of the record."""
    upload = record["direct_upload"]
    return await bucket.put(upload["url"], content=body, headers={**upload["headers"], **more})


async def complete(client: httpx.AsyncClient, record: Mapping[str, Any], **more: Any) -> httpx.Response:  # noqa: ANN401 - any argument of httpx
    """Do what a back end does with the form."""
    return await client.post(f"/v1/uploads/{record['signed_id']}/complete", json={}, **more)


def assert_refused(answer: httpx.Response, code: Code, detail: str | None = None) -> None:
    """Compare the whole body of an error with what the table of refusals says."""
    assert (answer.status_code, answer.headers["content-type"]) == (code.status, "application/json"), answer.text
    assert answer.json() == {
        "message": detail or code.sentence,
        "error": detail or code.sentence,
        "code": code.code,
        "status": code.status,
        "request_id": answer.headers["x-request-id"],
    }


async def test_a_record_is_answered_as_rails_writes_it(offline: httpx.AsyncClient) -> None:
    record = await ask(offline)
    name, signed_id, upload = record["id"], record.pop("signed_id"), record.pop("direct_upload")
    assert record == {
        "id": name,
        "key": f"objects/default/default/{name}.txt",
        "filename": "notes.txt",
        "content_type": "text/plain",
        "metadata": {},
        "service_name": "gateway",
        "byte_size": len(BODY),
        "checksum": md5(BODY),
        "created_at": "2027-01-15T08:00:00Z",
    }
    assert len(signed_id) > 100
    assert upload.keys() == {"url", "headers"}
    place = f"{NOWHERE.endpoint}/{NOWHERE.bucket}/incoming/default/default/{name}.txt?"
    assert upload["url"].startswith(place)
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-md5%3Bcontent-type%3Bhost%3Bif-none-match" in upload["url"]
    assert len(upload["headers"].pop("x-amz-meta-grant")) > 100
    assert upload["headers"] == {"content-md5": md5(BODY), "content-type": "text/plain", "if-none-match": "*"}


@pytest.mark.parametrize("checksum", [md5, sha256])
async def test_what_was_put_is_completed_by_the_signed_id_of_the_form_and_served(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, checksum: Checksum
) -> None:
    record = await ask(strict_client, checksum=checksum(BODY))
    assert (await put(bucket, record, BODY)).status_code == 200
    async with httpx.AsyncClient(transport=strict_client._transport, base_url=strict_client.base_url) as back_end:
        done = await complete(back_end, record)
        assert (await complete(back_end, record)).json() == done.json()
    found = done.json()["object"]
    assert (found["key"], found["size"], found["filename"]) == (record["key"], len(BODY), "notes.txt")
    location = (await strict_client.get(urlsplit(done.json()["link"]).path)).headers["location"]
    assert (await bucket.get(location)).content == BODY


@pytest.mark.threat(5, 10, 11)
@pytest.mark.parametrize("checksum", [md5, sha256])
async def test_the_bucket_refuses_what_differs_from_the_record(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, checksum: Checksum
) -> None:
    record = await ask(strict_client, checksum=checksum(BODY))
    header = "content-md5" if checksum is md5 else "x-amz-checksum-sha256"
    changes: Mapping[str, tuple[bytes, dict[str, str], int]] = {
        "other bytes, as many": (OTHER_BODY, {}, 400),
        "a byte more": (BODY + b"!", {}, 403),
        "a byte less": (BODY[:-1], {}, 403),
        "nothing": (b"", {}, 403),
        "another checksum": (OTHER_BODY, {header: checksum(OTHER_BODY).removeprefix("sha256:")}, 403),
        "another type": (BODY, {"content-type": "text/html"}, 403),
        "another grant": (BODY, {"x-amz-meta-grant": "forged"}, 403),
    }
    assert enforces(strict, "content-md5" if checksum is md5 else "checksum")
    for change, (body, more, status) in changes.items():
        answer = await put(bucket, record, body, **more)
        assert answer.status_code == status, (change, answer.text)
    del record["direct_upload"]["headers"][header]
    assert (await put(bucket, record, BODY)).status_code == 403
    assert_problem(await complete(strict_client, record), Code.NOT_UPLOADED)


@pytest.mark.threat(2)
async def test_what_has_arrived_is_not_written_over(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    record = await ask(strict_client)
    assert (await put(bucket, record, BODY)).status_code == 200
    assert (await put(bucket, record, BODY)).status_code == 412
    assert (await complete(strict_client, record)).status_code == 200
    assert (await put(bucket, record, BODY)).status_code == 412


async def test_an_empty_file_is_stored(strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    record = await ask(strict_client, byte_size=0, checksum=md5(b""))
    assert (await put(bucket, record, b"")).status_code == 200
    assert (await complete(strict_client, record)).json()["object"]["size"] == 0


@pytest.mark.threat(12)
async def test_a_file_that_is_not_what_it_says_is_rejected_when_the_form_is_taken(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = b"no picture"
    record = await ask(client, filename="a.png", content_type="image/png", byte_size=len(body), checksum=md5(body))
    await put(bucket, record, body)
    assert_problem(await complete(client, record), Code.CONTENT_MISMATCH)


async def test_a_policy_that_asks_for_checksums_is_not_content_with_an_md5(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    answer = await send(client, metadata={"policy": "sealed"})
    sentence = "This policy asks for a SHA-256 (base64, after 'sha256:'), not an MD5."
    assert_refused(answer, Code.CHECKSUM_REQUIRED, sentence)
    record = await ask(client, checksum=sha256(BODY), metadata={"policy": "sealed"})
    assert "content-md5" not in record["direct_upload"]["headers"]
    assert record["checksum"] == sha256(BODY)
    await put(bucket, record, BODY)
    assert (await complete(client, record)).json()["object"]["checksum_sha256"] == sha256(BODY).removeprefix("sha256:")


async def test_metadata_is_kept_as_far_as_it_is_text_and_fits(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    told = {
        "policy": "default",
        "album": "Zoë",
        "identified": True,
        "width": 100,
        "custom": {"a": "b"},
        "none": None,
        "long": "x" * 600,
        "line": "a\nb",
        "last": "kept",
    }
    record = await ask(client, metadata=told)
    assert record["metadata"] == {"album": "Zoë", "last": "kept"}
    await put(bucket, record, BODY)
    assert (await complete(client, record)).json()["object"]["metadata"] == {"album": "Zoë", "last": "kept"}
    many = {f"pair{number}": "x" for number in range(20)}
    assert len((await ask(client, metadata=many))["metadata"]) == 10


@pytest.mark.parametrize(
    ("blob", "content_type", "extension"),
    [
        ({"filename": "a.png", "content_type": OCTETS}, "image/png", "png"),
        ({"filename": "a.PNG", "content_type": ""}, "image/png", "png"),
        ({"filename": "a.png", "content_type": None}, "image/png", "png"),
        ({"filename": "a.exe", "content_type": OCTETS}, OCTETS, "bin"),
        ({"filename": "a", "content_type": "Text/Plain; charset=utf-8"}, "text/plain", "txt"),
    ],
)
async def test_a_type_that_the_browser_did_not_know_is_told_by_the_filename(
    offline: httpx.AsyncClient, blob: dict[str, Any], content_type: str, extension: str
) -> None:
    record = await ask(offline, **blob)
    assert record["content_type"] == record["direct_upload"]["headers"]["content-type"] == content_type
    assert record["key"].endswith(f".{extension}")


async def test_a_pass_in_the_path_says_who_uploads(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    ann = make_pass([APP_SECRET], "ann", max_size=len(BODY))
    async with httpx.AsyncClient(transport=client._transport, base_url=client.base_url) as page:
        record = await ask(page, f"/u/{ann}{PATH}")
        too_large = await send(page, f"/u/{ann}{PATH}", byte_size=len(BODY) + 1)
        assert_refused(too_large, Code.TOO_LARGE, f"This policy takes files of at most {len(BODY)} bytes.")
        await put(bucket, record, BODY)
        assert (await complete(page, record)).json()["object"]["principal"] == "ann"


@pytest.mark.threat(4, 6)
async def test_what_is_no_live_pass_of_ours_is_not_found_in_a_path(offline: httpx.AsyncClient) -> None:
    record = await ask(offline)
    ann = make_pass([APP_SECRET], "ann", clock=lambda: NOW)
    late = make_pass([APP_SECRET], "ann", clock=lambda: NOW - 4000)
    foreign = make_pass([OTHER_APP_SECRET], "ann", clock=lambda: NOW)
    changed = ann[:-1] + ("A" if ann[-1] != "A" else "B")
    for access in (API_KEY, record["signed_id"], late, foreign, changed, "x"):
        assert_refused(await send(offline, f"/u/{access}{PATH}"), Code.NOT_FOUND)


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic eDp5"])
async def test_strangers_are_told_to_authenticate(offline: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(transport=offline._transport, base_url=offline.base_url, headers=headers) as stranger:
        answer = await send(stranger)
    assert_refused(answer, Code.UNAUTHENTICATED)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.threat(1, 4)
async def test_a_record_is_completed_by_its_own_signed_id_alone(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ann, bob = (make_pass([APP_SECRET], name) for name in ("ann", "bob"))
    record = await ask(client, f"/u/{ann}{PATH}")
    await put(bucket, record, BODY)
    for stranger in (bob, OTHER_API_KEY):
        assert_problem(await complete(client, record, headers=bearer(stranger)), Code.NOT_FOUND)
    for token in (ann, record["direct_upload"]["headers"]["x-amz-meta-grant"], record["id"]):
        assert_problem(await complete(client, {"signed_id": token}), Code.NOT_FOUND)
    assert (await complete(client, record, headers=bearer(ann))).status_code == 200


async def test_a_named_policy_rules_and_its_lifetimes_as_well(offline: httpx.AsyncClient) -> None:
    record = await ask(offline, metadata={"policy": "small"})
    assert record["key"].startswith("objects/default/small/")
    assert "X-Amz-Expires=60&" in record["direct_upload"]["url"]
    assert (await ask(offline, metadata={"policy": 1}))["key"].startswith("objects/default/default/")


@pytest.mark.parametrize(
    ("key", "metadata", "code", "detail"),
    [
        (OFF_KEY, None, Code.FORBIDDEN, OFF),
        (API_KEY, {"policy": "native"}, Code.FORBIDDEN, "That policy takes no uploads by this protocol."),
        (API_KEY, {"policy": "nowhere"}, Code.POLICY_UNKNOWN, None),
        (OTHER_API_KEY, {"policy": "small"}, Code.POLICY_UNKNOWN, None),
        (READ_KEY, {"policy": "small"}, Code.FORBIDDEN, "These credentials do not allow that policy."),
        (READ_KEY, None, Code.FORBIDDEN, "These credentials do not allow the action 'upload'."),
    ],
)
async def test_active_storage_is_off_unless_a_policy_names_it(
    offline: httpx.AsyncClient, key: str, metadata: dict[str, str] | None, code: Code, detail: str | None
) -> None:
    offline.headers.update(bearer(key))
    assert_refused(await send(offline, metadata=metadata), code, detail)


NOT_MD5 = "The checksum is the base64 of the 16 bytes of an MD5."
NOT_SHA256 = "checksum_sha256 is the base64 of the 32 bytes of a SHA-256."


@pytest.mark.parametrize(
    ("blob", "code", "detail"),
    [
        ({"filename": ""}, Code.INVALID_FILENAME, None),
        ({"filename": "x" * 300}, Code.INVALID_FILENAME, None),
        ({"filename": "a.html", "content_type": "text/html"}, Code.TYPE_NOT_ALLOWED, None),
        ({"filename": "a.png"}, Code.EXTENSION_MISMATCH, None),
        ({"byte_size": 2**20 + 1}, Code.TOO_LARGE, "This policy takes files of at most 1048576 bytes."),
        ({"byte_size": 10**30}, Code.TOO_LARGE, "This policy takes files of at most 1048576 bytes."),
        ({"checksum": ""}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": "x"}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": hashlib.md5(BODY, usedforsecurity=False).hexdigest()}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": md5(BODY).replace("==", "")}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": md5(BODY) + "\n"}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": "md5:" + md5(BODY)}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": "SHA256:" + md5(BODY)}, Code.INVALID_REQUEST, NOT_MD5),
        ({"checksum": "sha256:"}, Code.INVALID_REQUEST, NOT_SHA256),
        ({"checksum": "sha256:" + md5(BODY)}, Code.INVALID_REQUEST, NOT_SHA256),
        ({"checksum": sha256(BODY) + "\n"}, Code.INVALID_REQUEST, NOT_SHA256),
    ],
)
async def test_a_file_that_the_policy_does_not_take_is_refused(
    offline: httpx.AsyncClient, blob: dict[str, Any], code: Code, detail: str | None
) -> None:
    assert_refused(await send(offline, **blob), code, detail)


@pytest.mark.parametrize(
    ("blob", "complaint"),
    [
        ({"byte_size": "22"}, "blob.byte_size: int_type"),
        ({"byte_size": True}, "blob.byte_size: int_type"),
        ({"byte_size": -1}, "blob.byte_size: greater_than_equal"),
        ({"byte_size": 1.5}, "blob.byte_size: int_type"),
        ({"byte_size": None}, "blob.byte_size: int_type"),
        ({"checksum": None}, "blob.checksum: string_type"),
        ({"checksum": "x" * 65}, "blob.checksum: string_too_long"),
        ({"filename": None}, "blob.filename: string_type"),
        ({"filename": "x" * 4097}, "blob.filename: string_too_long"),
        ({"content_type": "x" * 256}, "blob.content_type: string_too_long"),
        ({"metadata": []}, "blob.metadata: dict_type"),
        ({"metadata": "x"}, "blob.metadata: dict_type"),
    ],
)
async def test_a_blob_of_the_wrong_shape_is_refused(
    offline: httpx.AsyncClient, blob: dict[str, Any], complaint: str
) -> None:
    assert_refused(await send(offline, **blob), Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} ({complaint})")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"{}", b'{"blob": null}', b'{"blob": []}', b'{"blob": {"filename": "\\ud800"}}']
)
async def test_a_body_that_holds_no_blob_is_refused(offline: httpx.AsyncClient, body: bytes) -> None:
    answer = await offline.post(PATH, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


@pytest.mark.threat(29)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_page_of_another_site_can_send_is_refused(offline: httpx.AsyncClient, content_type: str) -> None:
    answer = await offline.post(PATH, content=b"{}", headers={"content-type": content_type})
    assert_refused(answer, Code.UNSUPPORTED_MEDIA_TYPE)


async def test_what_another_version_may_add_is_left_alone(offline: httpx.AsyncClient) -> None:
    body = {"blob": {**BLOB, "service_name": "amazon", "key": "objects/other/default/x.txt"}, "direct_upload": {}}
    record = (await offline.post(PATH, json=body)).json()
    assert record["service_name"] == "gateway"
    assert record["key"] == f"objects/default/default/{record['id']}.txt"


async def test_a_picture_keeps_its_type(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    blob: dict[str, Any] = {
        "filename": "dot.png",
        "content_type": "image/png",
        "byte_size": len(PNG),
        "checksum": md5(PNG),
    }
    record = await ask(client, **blob)
    await put(bucket, record, PNG)
    assert (await complete(client, record)).json()["object"]["content_type"] == "image/png"
