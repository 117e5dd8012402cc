"""A thousand uploads that no browser completed, two workers, and one of them killed on the way: 0 lost, 0 doubled."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from secrets import token_hex

import pytest

from gateway.content.filenames import Filename
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tokens import Tokens
from tests.gateways import SECRET_KEY
from tests.servers.receivers import Receiver, receiving
from tests.servers.s3 import S3Server
from tests.worker.workers import ended, heard, lines, queued, until, until_quiet, variables, working

UPLOADS = 1000
KILLED_AFTER = 250  # announcements
AT_ONCE = 8  # calls of the test itself
TAKE_OVER = "5"  # seconds
BOUND = 240  # seconds, on a machine that has much else to do; half a minute is usual
TOKENS = Tokens([SECRET_KEY.encode()], {})


@pytest.fixture
def server(ministack: S3Server) -> Iterator[S3Server]:
    with queued(ministack) as server:
        yield server


def abandoned(server: S3Server) -> Mapping[ObjectKey, bytes]:
    """Upload, each with its grant as a ticket's PUT carries it, and complete none."""
    keys = [ObjectKey("default", "default", token_hex(16), "txt") for _ in range(UPLOADS)]
    bodies = {key: f"This is what {key.name} holds.".encode() for key in keys}
    s3, now = server.admin_s3(), int(time.time())

    def put(key: ObjectKey) -> None:
        grant = Grant("alice", key, "text/plain", len(bodies[key]), None, Filename("a.txt"), {}, now, now + 3600)
        s3.put_object(
            Bucket=server.bucket,
            Key=key.upload_key,
            Body=bodies[key],
            ContentType="text/plain",
            Metadata={"grant": TOKENS.seal_grant_token(grant)},
            IfNoneMatch="*",
        )

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(put, keys))
    s3.close()
    return bodies


def listed(server: S3Server, prefix: str) -> Mapping[str, str]:
    """Return the ETags of all objects under a prefix, by their keys."""
    s3 = server.admin_s3()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=server.bucket, Prefix=prefix)
    found = {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}
    s3.close()
    return found


def states(server: S3Server, keys: Mapping[ObjectKey, bytes]) -> Counter[str]:
    """Count the markers by their states."""
    s3 = server.admin_s3()

    def state(key: ObjectKey) -> str:
        return s3.head_object(Bucket=server.bucket, Key=key.upload_key)["Metadata"].get("state", "none")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = Counter(threads.map(state, keys))
    s3.close()
    return found


async def test_a_thousand_abandoned_uploads_are_each_stored_and_announced_once_though_a_worker_is_killed(
    server: S3Server,
) -> None:
    bodies = await asyncio.to_thread(abandoned, server)
    async with receiving() as receiver:
        env = variables(server, receiver)
        async with working(env, "--take-over", TAKE_OVER) as one, working(env, "--take-over", TAKE_OVER) as other:
            await until(lambda: len(receiver.received) >= KILLED_AFTER, BOUND)
            one.process.send_signal(signal.SIGKILL)
            assert await ended(one) == -signal.SIGKILL
            await until(lambda: len(ids(receiver)) >= UPLOADS, BOUND)
            await until_quiet(server)
            other.process.send_signal(signal.SIGTERM)
            assert await ended(other) == 0
        told = ids(receiver)
    expected = {key.key: f'"{md5(body, usedforsecurity=False).hexdigest()}"' for key, body in bodies.items()}
    assert await asyncio.to_thread(listed, server, "objects/") == expected
    assert (await asyncio.to_thread(listed, server, "incoming/")).keys() == {key.upload_key for key in bodies}
    assert await asyncio.to_thread(states, server, bodies) == {"stored": UPLOADS}
    assert told.keys() == expected.keys()
    assert {len(found) for found in told.values()} == {1}
    assert len({announced for found in told.values() for announced in found}) == UPLOADS
    assert {kind for kind, _ in heard(receiver)} == {"upload.stored"}
    handled = [line for line in lines(other) if line["event"] == "upload"]
    assert any(line["deliveries"] > 1 for line in handled), "nothing was in the hands of the one that was killed"
    assert {line["outcome"] for line in handled} <= {"stored", "superseded", "announced"}


def ids(receiver: Receiver) -> Mapping[str, set[str]]:
    """Return the ids under which each object was announced."""
    found: dict[str, set[str]] = {}
    for told in list(receiver.received):
        found.setdefault(json.loads(told.body)["data"]["key"], set()).add(told.headers["webhook-id"])
    return found
