"""Files of the corpus through a real bucket: what is refused leaves a marker and no way to its bytes."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.apps import Linker
from gateway.content.media_types import MEDIA_TYPES
from gateway.markers import MARKER_TYPE
from tests.content.corpus import BOMBS, POLYGLOTS, WELL_FORMED
from tests.content.corpus_dressed import CUT, DRESSED
from tests.content.corpus_samples import ALL, Sample
from tests.gateways import API_KEY, APP_SECRET, BASE_URL, calling, make_app, tenant
from tests.http.routes.flow import assert_refused, complete, issue, put
from tests.servers.s3 import S3Server

TENANT = "corpus"
AT_ONCE = 8  # as many calls to the store as a gateway makes at a time
# Each type as it should be, and once as something else; all bombs and polyglots; the same ones in every run.
CHOICE = random.Random("corpus")  # noqa: S311 - not for secrets
FILES = [
    *(next(sample for sample in WELL_FORMED if sample.media_type == kind) for kind in ALL),
    *(CHOICE.choice([sample for sample in (*DRESSED, *CUT) if sample.media_type == kind]) for kind in ALL),
    *POLYGLOTS,
    *BOMBS,
]


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was uploaded, and what its completion and its status answered."""

    sample: Sample
    ticket: dict[str, Any]
    answer: httpx.Response
    status: dict[str, Any]


@pytest.fixture
async def client(ministack: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    policy = {"content_types": ALL, "min_size": 0, "max_size": "1 MiB"}
    tenants = {TENANT: tenant(API_KEY, APP_SECRET, policies={"default": policy})}
    async with calling(make_app(ministack, tenants=tenants)) as client:
        yield client


async def send(client: httpx.AsyncClient, bucket: httpx.AsyncClient, sample: Sample) -> Sent:
    """Upload a file as a browser does, and complete it twice: a repeat is answered alike."""
    extension = MEDIA_TYPES[sample.media_type].extensions[0]
    wish = {"filename": f"a.{extension}", "content_type": sample.media_type, "size": len(sample.content)}
    ticket = await issue(client, **wish, checksum_sha256=None)
    assert (await put(bucket, ticket, sample.content)).status_code == 200
    answers = [await complete(client, ticket) for _ in range(2)]
    assert answers[0].status_code == answers[1].status_code
    status = await client.get(ticket["status_url"])
    return Sent(sample, ticket, answers[0], status.json())


async def read_by_link(client: httpx.AsyncClient, bucket: httpx.AsyncClient, key: str) -> httpx.Response:
    """Follow a link that the application has made by itself, without asking whether anything was stored."""
    link = Linker(BASE_URL, [APP_SECRET], tenant=TENANT).link(key)
    redirect = await client.get(link)
    assert redirect.status_code == 307
    return await bucket.get(redirect.headers["location"])


async def listed(client: httpx.AsyncClient) -> set[str]:
    """List all that the tenant has."""
    keys: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get("/v1/objects", params={"cursor": cursor} if cursor else {})).json()
        keys |= {found["key"] for found in page["objects"]}
        cursor = page["cursor"]
    return keys


@pytest.mark.threat(8, 12, 14)
async def test_what_is_refused_is_rejected_for_good_and_what_is_proved_is_stored(
    ministack: S3Server, client: httpx.AsyncClient
) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient() as bucket:

        async def send_in_turn(sample: Sample) -> Sent:
            async with turns:
                return await send(client, bucket, sample)

        sent = await asyncio.gather(*map(send_in_turn, FILES))
        kept = ministack.admin_s3()
        for each in sent:
            marker = kept.get_object(Bucket=ministack.bucket, Key=each.ticket["upload_key"])
            assert marker["ContentType"] == MARKER_TYPE  # and so the bytes are no longer there
            found = await read_by_link(client, bucket, each.ticket["key"])
            assert_as_promised(each, marker["Metadata"], found)
    stored = {each.ticket["key"] for each in sent if each.sample.verdict is None}
    assert await listed(client) == stored
    assert len(stored) >= len(ALL)
    assert len(sent) - len(stored) >= 100


def assert_as_promised(sent: Sent, marker: Mapping[str, str], found: httpx.Response) -> None:
    sample = sent.sample
    if sample.verdict is None:
        assert sent.answer.json() == sent.status, sample.name
        assert (sent.status["status"], marker["state"]) == ("stored", "stored"), sample.name
        assert found.content == sample.content
        return
    assert_refused(sent.answer, sample.verdict)
    told = (sent.status["status"], sent.status["problem"]["code"], sent.status["link"], sent.status["receipt"])
    assert told == ("rejected", sample.verdict.code, None, None), sample.name
    assert (marker["state"], marker["code"]) == ("rejected", sample.verdict.code)
    assert found.status_code == 404
