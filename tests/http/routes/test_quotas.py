"""Every route that grants an upload counts it once, tells what is left, and refuses what is above the quota."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway import quotas
from gateway.apps import make_pass
from gateway.circuit import PAUSE
from gateway.errors import Code
from gateway.protocols.git_lfs_messages import MEDIA_TYPE
from tests.gateways import API_KEY, APP_SECRET, BASE_URL, OTHER_API_KEY, OTHER_APP_SECRET, api_key, make_app, tenant
from tests.http.routes.conftest import speaking
from tests.http.routes.flow import MIB, NOW, NOWHERE, assert_refused, bearer
from tests.protocols.lfs_flow import Blob, push
from tests.servers import redis
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server

Asks = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]

HOUR = 3600
LARGEST = 10 * MIB  # bytes, of every policy here
OCTETS = "application/octet-stream"
ORIGIN = "https://app.example"
PATIENT = 60.0  # seconds, for a machine with better things to do


async def put(client: httpx.AsyncClient, policy: str, **more: object) -> httpx.Response:
    """Ask for the ticket of a single PUT."""
    wish = {"filename": "a.txt", "content_type": "text/plain", "size": 1000, "policy": policy}
    return await client.post("/v1/uploads", json={**wish, **more})


async def stream(client: httpx.AsyncClient, policy: str) -> httpx.Response:
    """Ask for the ticket of a multipart upload."""
    return await put(client, policy, size=None)


async def form(client: httpx.AsyncClient, policy: str) -> httpx.Response:
    """Ask as Uppy does for a single upload."""
    query = {"filename": "a.txt", "type": "text/plain", "metadata[policy]": policy}
    return await client.get("/s3/params", params=query)


async def multipart(client: httpx.AsyncClient, policy: str) -> httpx.Response:
    """Ask as Uppy does for an upload in parts."""
    body = {"filename": "a.txt", "type": "text/plain", "metadata": {"policy": policy}}
    return await client.post("/s3/multipart", json=body)


async def direct_upload(client: httpx.AsyncClient, policy: str, **more: object) -> httpx.Response:
    """Ask as Active Storage does."""
    blob = {"filename": "a.txt", "content_type": "text/plain", "byte_size": 1000, "checksum": "A" * 22 + "=="}
    body = {"blob": {**blob, "metadata": {"policy": policy}, **more}}
    return await client.post("/rails/active_storage/direct_uploads", json=body)


async def batch(client: httpx.AsyncClient, policy: str, *named: Mapping[str, Any]) -> httpx.Response:
    """Ask as git-lfs does for one object, unless more are named."""
    objects = named or [{"oid": f"{time.perf_counter_ns():064x}", "size": 1000}]
    headers = {"content-type": MEDIA_TYPE}
    body = {"operation": "upload", "objects": objects}
    return await client.post(f"/lfs/{policy}/objects/batch", json=body, headers=headers)


# What each way asks, what a grant is answered with, and how many bytes it counts: at most so many, where none are told.
WAYS: dict[str, tuple[Asks, int, int]] = {
    "put": (put, 201, 1000),
    "stream": (stream, 201, LARGEST),
    "form": (form, 200, LARGEST),
    "multipart": (multipart, 200, LARGEST),
    "rails": (direct_upload, 200, 1000),
    "lfs": (batch, 200, 1000),
}
KINDS = ("uploads", "bytes", "both", "down", "failing", "passes", "batches", "pushed", "unfit", "wrong", "more", "cors")
SPOKEN = {
    "content_types": ["text/plain", "image/png", OCTETS],
    "min_size": 0,
    "max_size": LARGEST,
    "protocols": ["uppy", "active-storage", "git-lfs"],
}


def quota(way: str, kind: str) -> dict[str, Any]:
    """Return the quota of a policy that one test has for itself: three uploads, or the bytes of as many."""
    size = max(3 * WAYS[way][2], LARGEST)
    uploads = {"uploads": 3}
    return {"uploads": uploads, "bytes": {"bytes": size}, "both": uploads | {"bytes": size}}.get(kind, {"uploads": 1})


POLICIES = {f"{way}-{kind}": {**SPOKEN, "quota": quota(way, kind)} for way in WAYS for kind in KINDS}
POLICIES["lfs-batches"] |= {"quota": {"uploads": 3, "bytes": LARGEST}}
POLICIES["lfs-more"] |= {"quota": {"uploads": 3, "bytes": LARGEST}}
POLICIES["lfs-pushed"] |= {"quota": {"uploads": 2}}
POLICIES["put-wrong"] |= {"quota": {"uploads": 2}}
POLICIES["free"] = SPOKEN
TENANTS = {
    "default": tenant(
        API_KEY, APP_SECRET, api_keys=[api_key(API_KEY, policies=list(POLICIES), on_behalf_of=True)], policies=POLICIES
    ),
    "other": tenant(
        OTHER_API_KEY, OTHER_APP_SECRET, api_keys=[api_key(OTHER_API_KEY, policies=list(POLICIES))], policies=POLICIES
    ),
}
WITH_WAYS = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass for what counts in memory: it is the beginning of an hour."""
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture(scope="module")
def app(moto: S3Server) -> FastAPI:
    return make_app(moto, tenants=TENANTS, allowed_origins=[ORIGIN])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with speaking(app) as client:
        yield client


@pytest.fixture(scope="module")
def nowhere() -> FastAPI:
    return make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, storage_timeout=1)


@pytest.fixture
async def offline(nowhere: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with speaking(nowhere) as client:
        yield client


def limits(answer: httpx.Response) -> tuple[str, str]:
    """Return the two fields that tell of quotas."""
    return answer.headers.get("ratelimit-policy", ""), answer.headers.get("ratelimit", "")


def refused(way: str, answer: httpx.Response, detail: str) -> None:
    """Compare the whole body with that of a 429 in the words of each protocol."""
    code, request_id = Code.TOO_MANY_REQUESTS, answer.headers["x-request-id"]
    if way in {"put", "stream"}:
        assert_refused(answer, code, detail)
    elif way == "lfs":
        told = answer.status_code, answer.headers["content-type"], answer.json()
        assert told == (429, MEDIA_TYPE, {"message": detail, "request_id": request_id})
    else:
        told = answer.status_code, answer.headers["content-type"], answer.json()
        body = {"message": detail, "error": detail, "code": code.code, "status": 429, "request_id": request_id}
        assert told == (429, "application/json", body)


@pytest.mark.threat(36)
@WITH_WAYS
async def test_as_many_uploads_as_the_quota_says_are_granted_and_the_next_is_refused(
    client: httpx.AsyncClient, way: str
) -> None:
    ask, granted, _ = WAYS[way]
    policy, left = f'"{way}-uploads.uploads";q=3;w=3600', '"{0}-uploads.uploads";r={1};t={2}'
    for remaining in (2, 1, 0):
        answer = await ask(client, f"{way}-uploads")
        assert (answer.status_code, limits(answer)) == (granted, (policy, left.format(way, remaining, 2 * HOUR)))
        assert "retry-after" not in answer.headers
    answer = await ask(client, f"{way}-uploads")
    refused(way, answer, "The quota of this policy is used up for now: try again in 3601 seconds.")
    assert answer.headers["retry-after"] == "3601"
    assert limits(answer) == (policy, left.format(way, 0, 3601))


@pytest.mark.threat(36)
@WITH_WAYS
async def test_bytes_are_counted_at_their_most_where_nobody_has_counted_them(
    client: httpx.AsyncClient, way: str
) -> None:
    ask, granted, size = WAYS[way]
    whole = max(3 * size, LARGEST)
    answer = await ask(client, f"{way}-bytes")
    assert (answer.status_code, limits(answer)) == (
        granted,
        (
            f'"{way}-bytes.bytes";q={whole};qu="content-bytes";w=3600',
            f'"{way}-bytes.bytes";r={whole - size};t={2 * HOUR}',
        ),
    )


@WITH_WAYS
async def test_two_limits_of_a_policy_are_told_in_one_field(client: httpx.AsyncClient, way: str) -> None:
    ask, _, size = WAYS[way]
    whole = max(3 * size, LARGEST)
    answer = await ask(client, f"{way}-both")
    assert limits(answer) == (
        f'"{way}-both.uploads";q=3;w=3600, "{way}-both.bytes";q={whole};qu="content-bytes";w=3600',
        f'"{way}-both.uploads";r=2;t=7200, "{way}-both.bytes";r={whole - size};t=7200',
    )


@WITH_WAYS
async def test_a_policy_without_a_quota_tells_of_none(client: httpx.AsyncClient, way: str) -> None:
    ask, granted, _ = WAYS[way]
    for _ in range(5):
        answer = await ask(client, "free")
        assert (answer.status_code, limits(answer)) == (granted, ("", ""))


@pytest.mark.parametrize("way", ["stream", "multipart", "lfs"])
async def test_what_the_store_keeps_from_beginning_takes_nothing(
    offline: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("gateway.protocols.patience.ASK_FOR", 0.5)
    ask, _, _ = WAYS[way]
    for _ in range(3):
        answer = await ask(offline, f"{way}-failing")
        assert answer.status_code == (502 if way == "multipart" else 503), answer.text
    assert (await put(offline, f"{way}-failing")).status_code == 201
    assert (await put(offline, f"{way}-failing")).status_code == 429


WRONG: list[tuple[dict[str, Any], Code]] = [
    ({"content_type": "image/gif", "filename": "a.gif"}, Code.TYPE_NOT_ALLOWED),
    ({"filename": "a.png"}, Code.EXTENSION_MISMATCH),
    ({"filename": ""}, Code.INVALID_FILENAME),
    ({"size": LARGEST + 1}, Code.TOO_LARGE),
    ({"size": -1}, Code.INVALID_REQUEST),
    ({"surprise": 1}, Code.INVALID_REQUEST),
    ({"checksum_sha256": "no"}, Code.INVALID_REQUEST),
    ({"on_behalf_of": "\n"}, Code.INVALID_REQUEST),
    ({"metadata": {"a": "x" * 512}}, Code.METADATA_TOO_LARGE),
    ({"metadata": {"a": "\0" * 500}}, Code.METADATA_TOO_LARGE),  # six bytes each in JSON: found when it is sealed
    ({"size": None, "metadata": {"a": "\0" * 500}}, Code.METADATA_TOO_LARGE),
]


async def test_what_the_policy_refuses_takes_nothing(client: httpx.AsyncClient) -> None:
    for wrong, code in WRONG:
        answer = await put(client, "put-wrong", **wrong)
        assert (answer.status_code, answer.json()["code"], limits(answer)) == (code.status, code.code, ("", ""))
    assert (await put(client, "put-wrong")).headers["ratelimit"] == '"put-wrong.uploads";r=1;t=7200'
    assert (await client.post("/v1/uploads", json={}, headers=bearer("gwk_nobody"))).status_code == 401
    assert (await put(client, "put-wrong")).headers["ratelimit"] == '"put-wrong.uploads";r=0;t=7200'
    for wrong, code in WRONG:  # and is told so, not that the quota is used up
        assert (await put(client, "put-wrong", **wrong)).status_code == code.status


async def test_a_page_on_https_that_no_bucket_suits_takes_nothing() -> None:
    app = make_app(NOWHERE, tenants=TENANTS, public_url="https://files.example")
    async with speaking(app) as client:
        for way in ("put", "stream", "rails"):
            ask, _, _ = WAYS[way]
            assert (await ask(client, f"{way}-unfit")).json()["code"] == "insecure-storage"
            tally = await app.state.gateway.quotas.spend("default", _policy(app, f"{way}-unfit"), 1, 1)
            assert tally.refusal is None
    await app.state.gateway.close()


def _policy(app: FastAPI, name: str) -> Any:  # noqa: ANN401 - a Policy
    return app.state.gateway.tenants["default"].policies[name]


@pytest.mark.threat(36)
async def test_all_who_upload_under_a_policy_share_its_quota_and_other_tenants_have_their_own(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    access = make_pass([APP_SECRET], "ann", policy="put-passes", max_size=1000)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=bearer(access)) as ann:
        assert (await put(ann, "put-passes")).status_code == 201
    assert (await put(client, "put-passes")).status_code == 429
    assert (await put(client, "put-passes", on_behalf_of="bob")).status_code == 429
    client.headers.update(bearer(OTHER_API_KEY))
    assert (await put(client, "put-passes")).status_code == 201


async def test_pages_may_read_what_is_left_and_when_to_come_again(client: httpx.AsyncClient) -> None:
    client.headers["origin"] = ORIGIN
    for status in (201, 429):
        answer = await put(client, "put-cors")
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {"ratelimit", "ratelimit-policy", "retry-after"} <= set(exposed)


# Git LFS asks for many at once.


def named(number: int, size: int = 1000) -> dict[str, Any]:
    return {"oid": f"{number:064x}", "size": size}


@pytest.mark.threat(36)
async def test_a_batch_is_granted_whole_or_told_when_to_come_again(client: httpx.AsyncClient) -> None:
    assert (await batch(client, "lfs-batches", named(1), named(2))).headers["ratelimit"] == (
        '"lfs-batches.uploads";r=1;t=7200, "lfs-batches.bytes";r=10483760;t=7200'
    )
    answer = await batch(client, "lfs-batches", named(3), named(4))
    refused("lfs", answer, "The quota of this policy is used up for now: try again in 3601 seconds.")
    assert answer.headers["retry-after"] == "3601"
    assert (await batch(client, "lfs-batches", named(5))).status_code == 200
    assert (await batch(client, "lfs-batches", named(6))).status_code == 429


async def test_of_more_than_a_window_takes_as_much_is_granted_as_it_does(client: httpx.AsyncClient) -> None:
    wanted = [named(1, LARGEST - 5), named(2, 10), named(3, 5), {"oid": "no", "size": 1}, named(4), named(5, 0)]
    objects = (await batch(client, "lfs-more", *wanted)).json()["objects"]
    too_much = {"code": 429, "message": "The quota of this policy grants less at once: push again for the rest, later."}
    wrong = {"code": 422, "message": "An object has its SHA-256 in lower case as oid, and a size in bytes."}
    assert [each.get("error") for each in objects] == [None, too_much, None, wrong, too_much, None]
    assert (await batch(client, "lfs-more", named(7))).status_code == 429


async def test_only_objects_that_have_to_be_uploaded_are_counted(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    stored = Blob(b"what lies there already")
    await push(client, bucket, stored, base="/lfs/lfs-pushed")
    objects = [stored.named, named(1, LARGEST + 1), {"oid": "no", "size": 1}]
    answer = await batch(client, "lfs-pushed", *objects)
    assert (answer.status_code, limits(answer)) == (200, ("", ""))
    body = {"operation": "download", "objects": [stored.named]}
    pulled = await client.post("/lfs/lfs-pushed/objects/batch", json=body, headers={"content-type": MEDIA_TYPE})
    assert (pulled.status_code, limits(pulled)) == (200, ("", ""))
    assert (await batch(client, "lfs-pushed", stored.named, named(2))).headers["ratelimit"] == (
        '"lfs-pushed.uploads";r=0;t=7200'
    )


# Many gateways count in one Redis.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.threat(36)
async def test_gateways_that_share_a_redis_share_its_counts(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.quotas.in_redis", partial(quotas.in_redis, deadline=PATIENT))
    apps = [make_app(NOWHERE, tenants=TENANTS, limits_url=server.url) for _ in range(2)]
    statuses = []
    for number in range(4):
        async with speaking(apps[number % 2]) as client:
            statuses.append((await put(client, "put-uploads")).status_code)
    assert statuses == [201, 201, 201, 429]
    for app in apps:
        await app.state.gateway.close()


async def test_what_nobody_counted_is_not_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis comes back between the grant and the failure of the store."""
    given_back = []

    async def give_back(_: object, *spent: object) -> None:
        given_back.append(spent)

    monkeypatch.setattr(quotas.Quotas, "give_back", give_back)
    for url, expected in ((f"redis+unix://{tmp_path}/nobody.sock", 0), (None, 1)):
        app = make_app(NOWHERE, tenants=TENANTS, storage_timeout=1, limits_url=url)
        async with speaking(app) as client:
            assert (await stream(client, "stream-failing")).status_code == 503
        await app.state.gateway.close()
        assert len(given_back) == expected


@pytest.mark.threat(36)
@pytest.mark.parametrize("choice", ["open", "closed"])
async def test_without_redis_uploads_are_granted_or_refused_as_the_settings_say(tmp_path: Path, choice: str) -> None:
    url = f"redis+unix://{tmp_path}/nobody.sock"
    app = make_app(NOWHERE, tenants=TENANTS, limits_url=url, limits_when_down=choice)
    async with speaking(app) as client:
        for _ in range(3):
            answer = await put(client, "put-down")
            assert limits(answer) == ("", "")
            if choice == "open":
                assert answer.status_code == 201
            else:
                refused("put", answer, "Uploads cannot be counted just now: try again in 5 seconds.")
                assert answer.headers["retry-after"] == str(PAUSE)
        assert (await put(client, "free")).status_code == 201
    await app.state.gateway.close()
