"""The API is killed after every step of every kind of completion: a repeat ends where all others do."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.crashes import Crashing
from tests.crashes.journeys import FLAGS, JOURNEYS, Arrived, Journey, by_put, check_bucket
from tests.crashes.processes import ENDED_WITHIN, serving
from tests.gateways import API_KEY, make_app
from tests.http.routes.conftest import speaking
from tests.http.routes.flow import bearer
from tests.servers.s3 import S3Server

KILLED = -9


@pytest.fixture
async def app(ministack: S3Server) -> AsyncIterator[FastAPI]:
    """Count every call to the bucket, and never die."""
    app = make_app(ministack, crash_at="storage.never:1", **FLAGS)
    yield app
    await app.state.gateway.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with speaking(app) as client:
        yield client


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - the store speaks http
        yield client


def steps_between(storage: Crashing, before: dict[str, int]) -> Iterable[str]:
    """Name every call to the bucket since then, as a fresh process counts them."""
    for name, calls in storage.calls.items():
        for number in range(calls - before.get(name, 0)):
            yield f"storage.{name}:{number + 1}"


async def completed(client: httpx.AsyncClient, arrived: Arrived) -> dict[str, Any]:
    """Complete, as often as it takes; return the answer."""
    while True:
        answer = await client.post(arrived.path, json=arrived.asked)
        if answer.status_code != 202:
            return {"status_code": answer.status_code, **answer.json()}
        await asyncio.sleep(0.1)


async def check_end(client: httpx.AsyncClient, server: S3Server, arrived: Arrived) -> None:
    """Check that completions, however often, tell of the one end there is."""
    first, second = await completed(client, arrived), await completed(client, arrived)
    if arrived.body is None:
        assert (
            (first["status_code"], first["code"]) == (second["status_code"], second["code"]) == (422, "active-content")
        )
    else:
        assert (first["status_code"], first["status"], first["object"]["size"]) == (200, "stored", len(arrived.body))
        assert first == second
        assert (await client.get(first["link"])).status_code == 307
    check_bucket(server, arrived)


async def check_nothing_is_told_early(client: httpx.AsyncClient, arrived: Arrived) -> None:
    """Check that a killed completion leaves no link but to what is proved and marked."""
    if arrived.path.endswith("/v1/uploads/complete"):
        return  # a client that never saw a ticket cannot ask for the status
    status = (await client.get(arrived.path.removesuffix("/complete"))).json()
    assert (status["link"] is None) == (status["receipt"] is None) == (status["status"] != "stored")
    assert status["status"] in {"uploading", "uploaded", "rejected" if arrived.body is None else "stored"}


async def kill(server: S3Server, arrived: Arrived, step: str) -> None:
    """Complete by a process that dies after the step, without an answer."""
    with serving(server, {**FLAGS, "crash_at": step}) as (process, url):
        async with httpx.AsyncClient(base_url=url, headers=bearer(API_KEY), timeout=ENDED_WITHIN) as doomed:
            with pytest.raises(httpx.TransportError):
                await doomed.post(arrived.path, json=arrived.asked)
        await asyncio.to_thread(process.join, ENDED_WITHIN)
        assert process.exitcode == KILLED, step


@pytest.mark.threat(33)
@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS)
async def test_an_api_that_is_killed_after_any_step_leaves_what_a_repeat_brings_to_its_end(
    ministack: S3Server, app: FastAPI, client: httpx.AsyncClient, bucket: httpx.AsyncClient, journey: Journey
) -> None:
    storage: Crashing = app.state.gateway.storage
    undisturbed = await journey(client, bucket)
    before = dict(storage.calls)
    await completed(client, undisturbed)
    steps = list(steps_between(storage, before))
    await check_end(client, ministack, undisturbed)
    assert {"storage.head:1", "storage.put:1"} <= set(steps)
    for step in steps:
        arrived = await journey(client, bucket)
        await kill(ministack, arrived, step)
        await check_nothing_is_told_early(client, arrived)
        await check_end(client, ministack, arrived)


@dataclass(frozen=True, slots=True)
class Removal:
    """A way to take back an upload: what was done before, what is called, and the marker that it leaves."""

    stored: bool
    state: str

    def path(self, arrived: Arrived) -> str:
        return f"/v1/objects/{arrived.key.key}" if self.stored else arrived.path.removesuffix("/complete")


REMOVALS = {"deletion": Removal(stored=True, state="deleted"), "abort": Removal(stored=False, state="aborted")}


async def prepared(client: httpx.AsyncClient, bucket: httpx.AsyncClient, removal: Removal) -> Arrived:
    arrived = await by_put(client, bucket)
    if removal.stored:
        await completed(client, arrived)
    return arrived


async def steps_of(removal: Removal, app: FastAPI, client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> list[str]:
    """Name every step of a removal that nobody disturbs."""
    storage: Crashing = app.state.gateway.storage
    arrived = await prepared(client, bucket, removal)
    before = dict(storage.calls)
    assert (await client.delete(removal.path(arrived))).status_code == 204
    return list(steps_between(storage, before))


async def kill_removing(server: S3Server, path: str, step: str) -> None:
    """Remove by a process that dies after the step."""
    with serving(server, {**FLAGS, "crash_at": step}) as (process, url):
        async with httpx.AsyncClient(base_url=url, headers=bearer(API_KEY), timeout=ENDED_WITHIN) as doomed:
            with pytest.raises(httpx.TransportError):
                await doomed.delete(path)
        await asyncio.to_thread(process.join, ENDED_WITHIN)
        assert process.exitcode == KILLED, step


def check_gone(server: S3Server, arrived: Arrived, removal: Removal) -> None:
    s3, key = server.admin_s3(), arrived.key
    assert "Contents" not in s3.list_objects_v2(Bucket=server.bucket, Prefix=key.key)
    assert s3.head_object(Bucket=server.bucket, Key=key.state_key)["Metadata"]["state"] == removal.state


@pytest.mark.threat(3)
@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS)
async def test_an_api_that_is_killed_while_it_removes_an_upload_has_removed_it_after_a_repeat(
    ministack: S3Server, app: FastAPI, client: httpx.AsyncClient, bucket: httpx.AsyncClient, removal: Removal
) -> None:
    steps = await steps_of(removal, app, client, bucket)
    assert {"storage.put:1", "storage.delete:1"} <= set(steps)
    for step in steps:
        arrived = await prepared(client, bucket, removal)
        await kill_removing(ministack, removal.path(arrived), step)
        assert [(await client.delete(removal.path(arrived))).status_code for _ in range(2)] == [204, 204], step
        check_gone(ministack, arrived, removal)
