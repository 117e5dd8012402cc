"""Git LFS's batches: what is asked for, granted, put into a bucket that enforces it, verified and served."""

import asyncio
import base64
import hashlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.apps import make_pass
from gateway.errors import Code
from gateway.protocols.git_lfs_messages import MAX_OBJECTS, MAX_TRANSFERS, MEDIA_TYPE
from gateway.uploads import Uploads
from tests.gateways import API_KEY, APP_SECRET, OTHER_API_KEY, calling, make_app
from tests.http.routes.conftest import AppOver, speaking
from tests.http.routes.flow import NOW, NOWHERE, bearer
from tests.http.routes.flow import assert_refused as assert_problem
from tests.protocols.kept import apps
from tests.protocols.lfs_flow import (
    OFF_KEY,
    PULL_KEY,
    PUSH_KEY,
    SEVERAL_KEY,
    TENANTS,
    Blob,
    ask,
    assert_refused,
    push,
    put,
    send,
    verify,
)
from tests.servers.known import enforces
from tests.servers.s3 import S3Server

NOT_HERE = {"code": 404, "message": "No object with this oid is stored here."}
NOT_AN_OBJECT = {"code": 422, "message": "An object has its SHA-256 in lower case as oid, and a size in bytes."}
ANOTHER_SIZE = {"code": 422, "message": "The object with this oid has another size."}
OFF = "No policy that these credentials allow takes uploads by this protocol."


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


def blob(size: int = 100) -> Blob:
    """Return bytes that no other test pushes."""
    return Blob(random.randbytes(size))  # noqa: S311 - not for secrets


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def test_an_upload_is_answered_as_git_lfs_reads_it(client: httpx.AsyncClient, ministack: S3Server) -> None:
    new = blob()
    (told,) = await ask(client, "upload", new)
    actions = told.pop("actions")
    assert told == {"oid": new.oid, "size": 100, "authenticated": True}
    assert actions.keys() == {"upload", "verify"}
    upload, verification = actions["upload"], actions["verify"]
    assert upload.keys() == {"href", "header", "expires_in"}
    assert upload["href"].startswith(f"{ministack.endpoint}/{ministack.bucket}/incoming/default/default/")
    assert new.oid not in upload["href"].partition("?")[0]
    grant = upload["header"].pop("x-amz-meta-grant")
    assert len(grant) > 100
    assert upload["header"] == {
        "content-type": "application/octet-stream",
        "if-none-match": "*",
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(new.body).digest()).decode(),
        "x-amz-sdk-checksum-algorithm": "SHA256",
    }
    assert upload["expires_in"] == 900
    assert verification.keys() == {"href", "expires_in"}
    assert verification["href"].startswith("http://127.0.0.1/lfs/objects/verify/")
    assert verification["expires_in"] == 3600


@pytest.mark.threat(11)
async def test_what_was_pushed_is_pulled_and_never_sent_again(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob(70_000)
    await push(strict_client, bucket, one)
    (told,) = await ask(strict_client, "download", one)
    action = told.pop("actions")["download"]
    assert told == {**one.named, "authenticated": True}
    assert (action.keys(), action["expires_in"]) == ({"href", "expires_in"}, 300)
    answer = await bucket.get(action["href"])
    assert (answer.status_code, answer.content) == (200, one.body)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert (await bucket.get(action["href"], headers={"range": "bytes=69990-"})).content == one.body[69_990:]
    assert await ask(strict_client, "upload", one) == [{**one.named, "authenticated": True}]


async def test_an_object_lies_once_under_its_content_and_is_described_like_any_other(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    await push(client, bucket, one)
    found = (await client.get(f"/v1/objects/{one.key()}")).json()
    assert (found["key"], found["size"], found["filename"]) == (one.key(), 100, f"{one.oid}.bin")
    assert found["checksum_sha256"] == base64.b64encode(hashlib.sha256(one.body).digest()).decode()
    assert found["principal"] == f"key:{API_KEY[4:12]}"


async def test_each_object_of_a_batch_gets_an_answer_of_its_own_in_the_order_asked(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    there, missing, lied = blob(10), blob(11), blob(12)
    await push(client, bucket, there)
    await push(client, bucket, lied)
    named: list[Any] = [missing.named, {"oid": "no", "size": 1}, there.named, {"oid": lied.oid, "size": 13}, {}]
    answer = await send(client, "/lfs/objects/batch", {"operation": "download", "objects": named})
    assert answer.status_code == 200
    objects = answer.json()["objects"]
    assert objects[2].pop("actions").keys() == {"download"}
    assert objects == [
        {**missing.named, "authenticated": True, "error": NOT_HERE},
        {"oid": "no", "size": 1, "authenticated": True, "error": NOT_AN_OBJECT},
        {**there.named, "authenticated": True},
        {"oid": lied.oid, "size": 13, "authenticated": True, "error": ANOTHER_SIZE},
        {"oid": "", "size": 0, "authenticated": True, "error": NOT_AN_OBJECT},
    ]


ODD_OBJECTS: list[dict[str, Any]] = [
    {"oid": "a" * 63, "size": 1},
    {"oid": "A" * 64, "size": 1},
    {"oid": "g" * 64, "size": 1},
    {"oid": "a" * 64 + "\n", "size": 1},
    {"oid": "../" + "a" * 61, "size": 1},
    {"oid": "a" * 64, "size": -1},
    {"oid": "a" * 64, "size": True},
    {"oid": "a" * 64, "size": "1"},
    {"oid": "a" * 64, "size": 1.5},
    {"oid": "a" * 64, "size": 10**30},
    {"oid": "a" * 64},
    {"oid": None, "size": 1},
    {"size": 1},
    {"oid": ["a" * 64], "size": 1},
]


@pytest.mark.parametrize("operation", ["upload", "download"])
async def test_an_object_that_is_none_is_told_so_and_never_looked_for(
    offline: httpx.AsyncClient, operation: str
) -> None:
    """Nobody serves this bucket, so that a look would be `storage-unavailable`."""
    answer = await send(offline, "/lfs/objects/batch", {"operation": operation, "objects": ODD_OBJECTS})
    assert answer.status_code == 200, answer.text
    assert [told["error"] for told in answer.json()["objects"]] == [NOT_AN_OBJECT] * len(ODD_OBJECTS)


async def test_numbers_that_no_json_has_stay_out_of_the_answer(offline: httpx.AsyncClient) -> None:
    for size in ("NaN", "Infinity", "-Infinity", "1e999"):
        for field in ("oid", "size"):
            body = f'{{"operation": "upload", "objects": [{{"oid": "{"a" * 64}", "size": 1, "{field}": {size}}}]}}'
            answer = await offline.post("/lfs/objects/batch", content=body, headers={"content-type": MEDIA_TYPE})
            sentence = f"{Code.INVALID_REQUEST.sentence} (objects[0].{field}: value_error)"
            assert_refused(answer, Code.INVALID_REQUEST, sentence)
    body = f'{{"operation": "upload", "objects": [{{"oid": "{"a" * 64}", "size": {"9" * 5000}}}]}}'
    answer = await offline.post("/lfs/objects/batch", content=body, headers={"content-type": MEDIA_TYPE})
    assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} (body: json_invalid)")


@pytest.mark.parametrize(
    ("base", "size", "error"),
    [
        ("/lfs/small", 1001, {"code": 422, "message": "This policy takes files of at most 1000 bytes."}),
        ("/lfs/small", 1, {"code": 422, "message": "This policy takes files of at least 2 bytes."}),
        ("/lfs", 20 * 2**20 + 1, {"code": 422, "message": "This policy takes files of at most 20971520 bytes."}),
        ("/lfs/pictures", 9, {"code": 422, "message": Code.TYPE_NOT_ALLOWED.sentence}),
    ],
)
async def test_what_the_policy_does_not_take_is_an_error_of_that_object_alone(
    client: httpx.AsyncClient, base: str, size: int, error: dict[str, Any]
) -> None:
    named = {"oid": blob().oid, "size": size}
    answer = await send(client, f"{base}/objects/batch", {"operation": "upload", "objects": [named]})
    assert answer.json()["objects"] == [{**named, "authenticated": True, "error": error}]


async def test_a_policy_that_asks_for_checksums_is_content_with_the_oid(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    await push(client, bucket, one, base="/lfs/small")
    assert (await client.get(f"/v1/objects/{one.key(policy='small')}")).status_code == 200
    assert [told["error"] for told in await ask(client, "download", one)] == [NOT_HERE]  # each policy has its own


@pytest.mark.threat(5, 10, 11)
async def test_the_bucket_refuses_what_is_not_the_object(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    (told,) = await ask(strict_client, "upload", one)
    other = one.body[:-1] + bytes([one.body[-1] ^ 1])
    changes: Mapping[str, tuple[bytes, dict[str, str], int]] = {
        "other bytes, as many": (other, {}, 400),
        "a byte more": (one.body + b"!", {}, 403),
        "a byte less": (one.body[:-1], {}, 403),
        "another checksum": (other, {"x-amz-checksum-sha256": Blob(other).named["oid"]}, 403),
        "another type": (one.body, {"content-type": "text/html"}, 403),
        "another grant": (one.body, {"x-amz-meta-grant": "forged"}, 403),
    }
    for change, (body, more, status) in changes.items():
        assert (await put(bucket, told, body, **more)).status_code == status, change
    assert_refused(await verify(strict_client, told), Code.NOT_UPLOADED)
    assert [each["error"] for each in await ask(strict_client, "download", one)] == [NOT_HERE]
    assert (await put(bucket, told, one.body)).status_code == 200
    assert (await put(bucket, told, one.body)).status_code == 412
    assert enforces(strict, "checksum")


async def test_a_verification_is_answered_alike_each_time_and_never_before_the_object_has_come(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    (told,) = await ask(client, "upload", one)
    assert_refused(await verify(client, told), Code.NOT_UPLOADED)
    await put(bucket, told, one.body)
    for _ in range(2):
        answer = await verify(client, told)
        assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, MEDIA_TYPE, {})


@pytest.mark.threat(5)
async def test_a_verification_of_another_object_or_size_is_not_found(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one, two = blob(), blob()
    (told,) = await ask(client, "upload", one)
    await put(bucket, told, one.body)
    for changes in ({"oid": two.oid}, {"size": 99}, {"size": 101}, {"oid": ""}):
        assert_refused(await verify(client, told, **changes), Code.NOT_FOUND, "This ticket is for another object.")
    assert [each["error"] for each in await ask(client, "download", one)] == [NOT_HERE]


@pytest.mark.parametrize("changes", [{"size": True}, {"size": "100"}, {"oid": 1}, {"size": None}])
async def test_a_verification_never_answers_422_which_git_lfs_takes_for_success(
    client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    (told,) = await ask(client, "upload", blob())
    answer = await verify(client, told, **changes)
    (field,) = changes
    kind = {"size": "int_type", "oid": "string_type"}[field]
    sentence = f"The request body or parameters are not as documented. ({field}: {kind})"
    assert_refused(answer, Code.INVALID_REQUEST, sentence, status=409)


@pytest.mark.threat(4, 6)
async def test_only_the_ticket_of_a_git_lfs_upload_is_verified(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    (told,) = await ask(client, "upload", one)
    wish = {"filename": "a.bin", "content_type": "application/octet-stream", "size": len(one.body)}
    native = (await client.post("/v1/uploads", json={**wish, "policy": "native"})).json()["ticket"]
    single = (await client.post("/v1/uploads", json={**wish, "policy": "default"})).json()["ticket"]
    named = make_pass([APP_SECRET], "ann")
    path, _, ticket = told["actions"]["verify"]["href"].rpartition("/")
    forged = ticket[:-1] + ("A" if ticket[-1] != "A" else "B")
    refused = {
        native: (Code.FORBIDDEN, OFF),
        single: (Code.NOT_FOUND, "This ticket is for another object."),
        forged: (Code.NOT_FOUND, None),
        named: (Code.NOT_FOUND, None),
        told["actions"]["upload"]["header"]["x-amz-meta-grant"]: (Code.NOT_FOUND, None),
    }
    await put(bucket, told, one.body)
    for token, (code, detail) in refused.items():
        assert_refused(await send(client, f"{path}/{token}", one.named), code, detail)
    for stranger in (bearer(OTHER_API_KEY), basic("x", OTHER_API_KEY), bearer(make_pass([APP_SECRET], "bob"))):
        assert_refused(await send(client, f"{path}/{ticket}", one.named, **stranger), Code.NOT_FOUND)
    assert_refused(await send(client, f"{path}/{ticket}", one.named, **basic("x", "wrong")), Code.UNAUTHENTICATED)
    async with httpx.AsyncClient(transport=client._transport, base_url=client.base_url) as nobody:
        assert (await send(nobody, f"{path}/{ticket}", one.named)).status_code == 200


async def test_a_ticket_is_spent_natively_too(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    one = blob()
    (told,) = await ask(client, "upload", one)
    await put(bucket, told, one.body)
    ticket = told["actions"]["verify"]["href"].rpartition("/")[2]
    done = await client.post(f"/v1/uploads/{ticket}/complete", json={})
    assert (done.json()["status"], done.json()["object"]["key"]) == ("stored", one.key())


async def test_two_pushes_of_one_object_at_once_both_succeed_and_store_it_once(
    strict: S3Server, bucket: httpx.AsyncClient
) -> None:
    """Two gateways that share nothing but the bucket."""
    one = blob()
    async with calling(make_app(strict, tenants=TENANTS)) as first, calling(make_app(strict, tenants=TENANTS)) as other:
        (a,), (b,) = await ask(first, "upload", one), await ask(other, "upload", one)
        assert a["actions"]["upload"]["href"].partition("?")[0] != b["actions"]["upload"]["href"].partition("?")[0]
        sent = await asyncio.gather(put(bucket, a, one.body), put(bucket, b, one.body))
        assert [answer.status_code for answer in sent] == [200, 200]
        verified = await asyncio.gather(verify(first, a), verify(other, b), verify(other, a))
        assert [answer.status_code for answer in verified] == [200, 200, 200]
        (told,) = await ask(first, "download", one)
        assert (await bucket.get(told["actions"]["download"]["href"])).content == one.body
    listed = strict.admin_s3().list_objects_v2(Bucket=strict.bucket, Prefix=f"objects/default/default/{one.oid}")
    assert [each["Key"] for each in listed["Contents"]] == [one.key()]


async def test_what_was_deleted_is_pushed_again(strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    one = blob()
    (first,) = await ask(strict_client, "upload", one)
    await put(bucket, first, one.body)
    assert (await verify(strict_client, first)).status_code == 200
    assert (await strict_client.delete(f"/v1/objects/{one.key()}")).status_code == 204
    assert [told["error"] for told in await ask(strict_client, "download", one)] == [NOT_HERE]
    assert_refused(await verify(strict_client, first), Code.NOT_FOUND, "The object was deleted: push it again.")
    await push(strict_client, bucket, one)
    (told,) = await ask(strict_client, "download", one)
    assert (await bucket.get(told["actions"]["download"]["href"])).content == one.body


@pytest.mark.threat(33)
async def test_an_abort_never_removes_what_another_upload_has_stored(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    one = blob()
    (first,) = await ask(strict_client, "upload", one)
    (second,) = await ask(strict_client, "upload", one)
    await put(bucket, first, one.body)
    await put(bucket, second, one.body)
    assert (await verify(strict_client, second)).status_code == 200
    ticket = first["actions"]["verify"]["href"].rpartition("/")[2]
    for _ in range(2):
        assert (await strict_client.delete(f"/v1/uploads/{ticket}")).status_code == 204
        (told,) = await ask(strict_client, "download", one)
        assert (await bucket.get(told["actions"]["download"]["href"])).content == one.body
    assert_refused(
        await verify(strict_client, first), Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket."
    )
    assert (await bucket.get(told["actions"]["download"]["href"])).content == one.body


@pytest.mark.threat(1)
async def test_a_tenant_sees_nothing_of_anothers_objects(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    one = blob()
    await push(client, bucket, one)
    other = bearer(OTHER_API_KEY)
    assert [told["error"] for told in await ask(client, "download", one, **other)] == [NOT_HERE]
    (told,) = await ask(client, "upload", one, **other)
    assert "/incoming/other/default/" in told["actions"]["upload"]["href"]
    await put(bucket, told, one.body)
    assert_refused(await verify(client, told), Code.NOT_FOUND)  # with the credentials of `default`
    assert (await send(client, told["actions"]["verify"]["href"], one.named, **other)).status_code == 200
    await client.delete(f"/v1/objects/{one.key()}")
    assert "actions" in (await ask(client, "download", one, **other))[0]


async def test_credentials_are_a_password_or_a_bearer_token(offline: httpx.AsyncClient) -> None:
    ann = make_pass([APP_SECRET], "ann", clock=lambda: NOW)
    body: dict[str, Any] = {"operation": "upload", "objects": []}
    for headers in (bearer(API_KEY), basic("git", API_KEY), basic("", API_KEY), basic("a:b", "")):
        answer = await send(offline, "/lfs/objects/batch", body, **headers)
        assert (answer.status_code == 200) is (headers != basic("a:b", "")), headers
    for headers in (bearer(ann), basic("ann", ann)):
        assert (await send(offline, "/lfs/objects/batch", body, **headers)).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic ####",
        "Basic YQ",
        basic("x", "wrong")["authorization"],
        basic(API_KEY, "")["authorization"],
        basic("x", "gwk_aaaaaaaa_" + "0" * 32)["authorization"],
        "Basic " + base64.b64encode(b"x:\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"x:" + b"a" * 9000).decode(),
        "Digest username=x",
        "Negotiate YQ==",
        "Bearer wrong",
    ],
)
async def test_without_credentials_git_lfs_is_told_to_ask_for_a_password(
    offline: httpx.AsyncClient, authorization: str | None
) -> None:
    async with httpx.AsyncClient(transport=offline._transport, base_url=offline.base_url) as nobody:
        headers = {} if authorization is None else {"authorization": authorization}
        answer = await send(nobody, "/lfs/objects/batch", {"operation": "upload", "objects": []}, **headers)
    assert_refused(answer, Code.UNAUTHENTICATED)
    assert answer.headers["lfs-authenticate"].startswith("Basic realm=")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_each_operation_needs_its_action(offline: httpx.AsyncClient) -> None:
    ann = make_pass([APP_SECRET], "ann", clock=lambda: NOW)
    for credentials, operation, action in (
        (PULL_KEY, "upload", "upload"),
        (PUSH_KEY, "download", "link"),
        (ann, "download", "link"),
    ):
        answer = await send(
            offline, "/lfs/objects/batch", {"operation": operation, "objects": []}, **basic("x", credentials)
        )
        assert_refused(answer, Code.FORBIDDEN, f"These credentials do not allow the action '{action}'.")
    for credentials, operation in ((PULL_KEY, "download"), (PUSH_KEY, "upload"), (ann, "upload")):
        body = {"operation": operation, "objects": []}
        answer = await send(offline, "/lfs/objects/batch", body, **basic("x", credentials))
        assert answer.json() == {"transfer": "basic", "objects": [], "hash_algo": "sha256"}


@pytest.mark.parametrize(
    ("key", "base", "code", "detail"),
    [
        (OFF_KEY, "/lfs", Code.FORBIDDEN, OFF),
        (API_KEY, "/lfs/native", Code.FORBIDDEN, "That policy takes no uploads by this protocol."),
        (API_KEY, "/lfs/nowhere", Code.POLICY_UNKNOWN, None),
        (PUSH_KEY, "/lfs/small", Code.FORBIDDEN, "These credentials do not allow that policy."),
        (
            SEVERAL_KEY,
            "/lfs",
            Code.POLICY_UNKNOWN,
            "Several policies take uploads by this protocol: name one of them.",
        ),
    ],
)
async def test_git_lfs_is_off_unless_a_policy_names_it(
    offline: httpx.AsyncClient, key: str, base: str, code: Code, detail: str | None
) -> None:
    answer = await send(offline, f"{base}/objects/batch", {"operation": "upload", "objects": []}, **bearer(key))
    assert_refused(answer, code, detail)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain",
        "application/vnd.git-lfs+jsonx",
        "application/vnd.git-lfs+json; charset=latin-1",
        "application/vnd.git-lfs+json; charset=utf-8; more=1",
        "",
    ],
)
async def test_another_media_type_is_refused(offline: httpx.AsyncClient, content_type: str) -> None:
    for path in ("/lfs/objects/batch", "/lfs/default/objects/batch"):
        answer = await offline.post(
            path, content=b'{"operation": "upload", "objects": []}', headers={"content-type": content_type}
        )
        sentence = "Send the body as 'Content-Type: application/vnd.git-lfs+json' in UTF-8."
        assert_refused(answer, Code.UNSUPPORTED_MEDIA_TYPE, sentence)


@pytest.mark.parametrize(
    "content_type", [MEDIA_TYPE, MEDIA_TYPE.upper(), f'{MEDIA_TYPE};charset="UTF-8"', f"{MEDIA_TYPE} ; charset=utf-8 "]
)
async def test_the_media_type_may_name_its_encoding(offline: httpx.AsyncClient, content_type: str) -> None:
    body = b'{"operation": "upload", "objects": [], "from the future": {}}'
    answer = await offline.post("/lfs/objects/batch", content=body, headers={"content-type": content_type})
    assert answer.status_code == 200, answer.text


ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"operation": "upload"}',
    b'{"operation": "delete", "objects": []}',
    b'{"operation": "upload", "objects": {}}',
    b'{"operation": "upload", "objects": [1]}',
    b'{"operation": "upload", "objects": [null]}',
    b'{"operation": "upload", "objects": [], "transfers": "basic"}',
    b'{"operation": "upload", "objects": [], "hash_algo": 256}',
    b'{"operation": "upload", "objects": [{"oid": "\\ud800", "size": 1}]}',
    b'\xef\xbb\xbf{"operation": "upload", "objects": []}',
    b'{"operation": "upload", "objects": "\xff"}',
]


@pytest.mark.parametrize("body", ODD_BODIES)
async def test_a_body_that_is_no_batch_is_refused(offline: httpx.AsyncClient, body: bytes) -> None:
    answer = await offline.post("/lfs/objects/batch", content=body, headers={"content-type": MEDIA_TYPE})
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE), answer.text
    assert answer.json().keys() == {"message", "request_id"}
    assert answer.json()["message"].startswith(Code.INVALID_REQUEST.sentence)


async def test_another_hash_or_transfer_is_refused(offline: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"operation": "upload", "objects": []}
    answer = await send(offline, "/lfs/objects/batch", {**body, "hash_algo": "sha512"})
    sentence = "Objects are known by their SHA-256 here: use hash_algo sha256."
    assert_refused(answer, Code.INVALID_REQUEST, sentence, status=409)
    answer = await send(offline, "/lfs/objects/batch", {**body, "transfers": ["tus", "ssh"]})
    sentence = "This server knows the transfer 'basic', and no other."
    assert_refused(answer, Code.INVALID_REQUEST, sentence)
    answer = await send(offline, "/lfs/objects/batch", {**body, "transfers": ["basic"] * MAX_TRANSFERS})
    assert answer.status_code == 200
    answer = await send(offline, "/lfs/objects/batch", {**body, "transfers": ["basic"] * (MAX_TRANSFERS + 1)})
    assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} (transfers: too_long)")


async def test_a_batch_has_a_thousand_objects_at_most(offline: httpx.AsyncClient) -> None:
    odd = {"oid": "", "size": 0}
    answer = await send(offline, "/lfs/objects/batch", {"operation": "upload", "objects": [odd] * MAX_OBJECTS})
    assert len(answer.json()["objects"]) == MAX_OBJECTS
    for count in (MAX_OBJECTS + 1, 10_000):
        body = {"operation": "upload", "objects": [{"oid": f"{number:064x}", "size": 1} for number in range(count)]}
        answer = await send(offline, "/lfs/objects/batch", body)
        assert_refused(answer, Code.PAYLOAD_TOO_LARGE, "Ask for at most 1000 objects at once.")


@pytest.mark.threat(42)
@pytest.mark.parametrize("field", ["objects", "transfers"])
async def test_a_batch_that_is_wrong_in_half_a_million_places_takes_no_more_memory_than_its_body(
    offline: httpx.AsyncClient, field: str
) -> None:
    begin = b'{"operation": "upload", "objects": [], "%s": [1' % field.encode()
    body = begin + b",1" * ((2**20 - len(begin) - 2) // 2) + b"]}"
    tracemalloc.start()
    answer = await offline.post("/lfs/objects/batch", content=body, headers={"content-type": MEDIA_TYPE})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if field == "objects":
        assert_refused(answer, Code.PAYLOAD_TOO_LARGE, "Ask for at most 1000 objects at once.")
    else:
        assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} (transfers: too_long)")
    assert peak < 20 * 2**20  # bytes


async def test_many_batches_at_once_leave_the_store_to_others(ministack: S3Server) -> None:
    """One thread takes 17 calls, those that wait included: two batches of eight would fill it."""
    async with calling(make_app(ministack, tenants=TENANTS, storage_threads=1)) as client:
        batches = [asyncio.create_task(ask(client, "upload", *(blob(8) for _ in range(20)))) for _ in range(20)]
        while not all(batch.done() for batch in batches):
            answer = await client.get(f"/v1/objects/{blob().key()}")
            assert_problem(answer, Code.NOT_FOUND)
        assert [len(await batch) for batch in batches] == [20] * 20


async def test_a_thousand_objects_are_looked_up_and_each_is_signed(client: httpx.AsyncClient) -> None:
    blobs = [blob(8) for _ in range(MAX_OBJECTS)]
    told = await ask(client, "upload", *blobs)
    assert [each["oid"] for each in told] == [each.oid for each in blobs]
    assert len({each["actions"]["upload"]["href"] for each in told}) == MAX_OBJECTS


async def test_the_same_object_twice_in_a_batch_is_answered_twice(client: httpx.AsyncClient) -> None:
    one = blob()
    first, second = await ask(client, "upload", one, one)
    assert first["oid"] == second["oid"] == one.oid
    assert first["actions"] != second["actions"]


async def test_a_store_that_does_not_answer_is_said_to_git_lfs(offline: httpx.AsyncClient) -> None:
    body = {"operation": "upload", "objects": [blob().named for _ in range(20)]}
    answer = await send(offline, "/lfs/objects/batch", body)
    assert_refused(answer, Code.STORAGE_UNAVAILABLE)
    assert "retry-after" in answer.headers


LOCKS = {
    "/locks": ["GET", "POST"],
    "/locks/verify": ["POST"],
    "/locks/some-lock/unlock": ["POST"],
}


@pytest.mark.parametrize("base", ["/lfs", "/lfs/default", "/lfs/nowhere"])
async def test_locks_are_said_not_to_be_there(offline: httpx.AsyncClient, base: str) -> None:
    for path, methods in LOCKS.items():
        for method in methods:
            answer = await offline.request(method, base + path, headers={"content-type": MEDIA_TYPE})
            assert (answer.status_code, answer.headers["content-type"]) == (501, MEDIA_TYPE)
            assert answer.json() == {
                "message": "This server keeps no locks: push without them.",
                "request_id": answer.headers["x-request-id"],
            }


async def test_other_methods_and_paths_are_not_git_lfs(offline: httpx.AsyncClient) -> None:
    assert_problem(await offline.get("/lfs/objects/batch"), Code.METHOD_NOT_ALLOWED)
    for path in ("/lfs", "/lfs/", "/lfs/objects", "/lfs/a/b/objects/batch", "/lfs/objects/batch/"):
        assert_problem(await offline.post(path), Code.NOT_FOUND)


async def test_a_push_that_takes_long_to_store_is_to_be_repeated_and_never_called_a_success(
    ministack: S3Server, bucket: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git-lfs takes every 2xx for success, 202 included."""
    app = make_app(ministack, tenants=TENANTS)
    gateway = app.state.gateway
    patient, impatient = gateway.uploads, Uploads(gateway.storage, gateway.tokens, lambda: "nonce", answer_within=0)
    app.state.gateway = replace(gateway, uploads=impatient)
    async with calling(app) as client:
        one = blob()
        (told,) = await ask(client, "upload", one)
        await put(bucket, told, one.body)
        with monkeypatch.context() as hurried:
            hurried.setattr("gateway.protocols.git_lfs.VERIFIED_WITHIN", 0.01)
            answer = await verify(client, told)
        sentence = "The object has arrived and is being stored, which takes a while for one so large: push again later."
        assert_refused(answer, Code.STORAGE_UNAVAILABLE, sentence)
        assert answer.headers["retry-after"] == "3"
        app.state.gateway = replace(gateway, uploads=patient)
        assert (await verify(client, told)).status_code == 200


async def test_addresses_are_those_of_the_place_where_the_gateway_is_mounted(ministack: S3Server) -> None:
    site, gateway = FastAPI(), make_app(ministack, tenants=TENANTS)
    site.mount("/files", gateway)
    site.state.gateway = gateway.state.gateway
    async with calling(site) as client:
        (told,) = await ask(client, "upload", blob(), base="/files/lfs/small")
        assert told["actions"]["verify"]["href"].startswith("http://127.0.0.1/files/lfs/objects/verify/")
        assert_refused(await verify(client, told), Code.NOT_UPLOADED)
