"""The real `gateway worker`, over the queues and buckets of real servers: what it ends, and how it ends."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from gateway.apps import verify_webhook
from tests.cli.commands import Running, running
from tests.crashes.journeys import FLAGS, JOURNEYS, Arrived, by_put, check_bucket, in_parts
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, api_key, make_app
from tests.http.routes.conftest import speaking
from tests.http.routes.flow import issue, put, sha256
from tests.servers.clamd import EICAR, ClamdServer
from tests.servers.queues import dead_letters
from tests.servers.receivers import Receiver, receiving, status
from tests.servers.s3 import S3Server
from tests.worker.workers import (
    WEBHOOK_SECRET,
    address,
    ended,
    heard,
    hold,
    lines,
    queued,
    told_to_stop,
    until,
    until_quiet,
    variables,
    waiting,
    working,
)


@pytest.fixture(params=["ministack", "localstack"])
def real(request: pytest.FixtureRequest) -> S3Server:
    """Each server that has queues."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def server(real: S3Server) -> Iterator[S3Server]:
    with queued(real) as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def bucket() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
async def client(server: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to an API over the same bucket."""
    app = make_app(server, **FLAGS)
    async with speaking(app) as client:
        yield client
    await app.state.gateway.close()


def join(server: S3Server, arrived: Arrived) -> None:
    """Join the parts of an upload, as the API does, and die before anything else."""
    s3, key = server.admin_s3(), arrived.key.upload_key
    (upload,) = s3.list_multipart_uploads(Bucket=server.bucket, Prefix=key)["Uploads"]
    parts = s3.list_parts(Bucket=server.bucket, Key=key, UploadId=upload["UploadId"])["Parts"]
    joined = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    s3.complete_multipart_upload(
        Bucket=server.bucket,
        Key=key,
        UploadId=upload["UploadId"],
        MultipartUpload={"Parts": joined},  # type: ignore[typeddict-item] # plain dicts
        IfNoneMatch="*",
    )
    s3.close()


@pytest.mark.threat(25)
async def test_uploads_of_every_kind_that_nobody_completed_are_proved_and_announced(
    server: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    all_arrived = [await journey(client, bucket) for journey in JOURNEYS.values()]
    for arrived, journey in zip(all_arrived, JOURNEYS.values(), strict=True):
        if journey is in_parts:
            join(server, arrived)
    env = variables(server, receiver, log_level="debug")
    async with working(env, run=running) as worker:
        await until(lambda: len({announced for _, announced in heard(receiver)}) == len(all_arrived))
        await until_quiet(server)
        numbers = await _numbers(worker)
        worker.process.send_signal(signal.SIGTERM)
        assert await ended(worker) == 0
    for arrived in all_arrived:
        check_bucket(server, arrived)
    assert sorted(kind for kind, _ in set(heard(receiver))) == ["upload.rejected", *["upload.stored"] * 3]
    for told in receiver.received:
        assert verify_webhook(told.body, told.headers, [WEBHOOK_SECRET]).type.startswith("upload.")
    assert numbers['gateway_worker_uploads_total{outcome="announced"}'] == 4
    assert numbers['gateway_worker_uploads_total{outcome="active-content"}'] == 1
    assert numbers['gateway_worker_webhooks_total{result="delivered"}'] == 4
    _check_log(worker, server, all_arrived)


async def _numbers(worker: Running) -> dict[str, float]:
    """Ask the worker how it is, and return what it has counted."""
    async with httpx.AsyncClient(base_url=address(worker), timeout=60) as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        text = (await client.get("/metrics")).text
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


def _check_log(worker: Running, server: S3Server, all_arrived: list[Arrived]) -> None:
    """See that the log tells of each upload, and of nothing that opens or signs."""
    told = lines(worker)
    assert {line["event"] for line in told} >= {"working", "upload", "webhook", "stopped"}
    upload_keys = {line.get("key") for line in told if line["event"] == "upload"}
    assert upload_keys - {None} == {arrived.key.upload_key for arrived in all_arrived}
    for line in told:
        if line["event"] == "upload" and "key" in line:
            took = line["ms"] > 0 or line["outcome"] == "foreign"  # a form's copy, at which nobody looks
            assert (line["tenant"], line["deliveries"] >= 1, took) == ("default", True, True)
    log = "\n".join(worker.stderr)
    secrets = (API_KEY, APP_SECRET, SECRET_KEY, WEBHOOK_SECRET, server.access_key_id, server.secret_access_key)
    assert [secret for secret in secrets if secret in log] == []
    assert not re.search(r"eyJ[A-Za-z0-9_-]{20}|X-Amz|[Ss]ignature|[Bb]earer", log)


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(
    server: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    released = hold(receiver)
    arrived = await by_put(client, bucket)
    async with working(variables(server, receiver), "--take-over", "600") as worker:
        await until(lambda: len(receiver.received) == 1)
        worker.process.send_signal(signal.SIGTERM)
        await told_to_stop(worker)
        later = await by_put(client, bucket)
        assert worker.process.poll() is None
        released.set()
        assert await ended(worker) == 0
    check_bucket(server, arrived)
    assert lines(worker)[-1]["event"] == "stopped"
    assert len(receiver.received) == 1
    async with working(variables(server, receiver)):  # which the first left to others, not hidden any more
        await until(lambda: len(receiver.received) == 2)
        await until_quiet(server)
    check_bucket(server, later)


async def test_another_worker_takes_over_from_one_that_was_killed(
    server: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    released = hold(receiver)
    arrived = await by_put(client, bucket)
    env = variables(server, receiver)
    async with working(env, "--take-over", "2") as first:
        await until(lambda: len(receiver.received) == 1)
        first.process.send_signal(signal.SIGKILL)
        assert await ended(first) == -signal.SIGKILL
    released.set()
    async with working(env, "--take-over", "2") as second:
        await until_quiet(server)
        assert second.process.poll() is None
    check_bucket(server, arrived)
    assert heard(receiver) == [heard(receiver)[0]] * 2


@pytest.mark.parametrize("real", ["ministack"], indirect=True)
async def test_a_worker_that_is_killed_over_an_upload_leaves_it_to_another(
    server: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    arrived = await by_put(client, bucket)
    env = variables(server, receiver)
    async with working({**env, "GATEWAY_CRASH_AT": "storage.copy:1"}, "--take-over", "2") as first:
        assert await ended(first) == -signal.SIGKILL
    async with working(env, "--take-over", "2", "--no-health") as second:
        await until(lambda: len(receiver.received) == 1)
        await until_quiet(server)
    check_bucket(server, arrived)
    assert lines(second)[0]["health"] is None


async def test_what_no_worker_can_bring_to_its_end_lies_in_the_queue_of_dead_letters(
    real: S3Server, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answer = status("500 Internal Server Error")
    with queued(real, deliveries=1) as server:
        app = make_app(server, **FLAGS)
        async with speaking(app) as client:
            arrived = await by_put(client, bucket)
        await app.state.gateway.close()
        sqs = server.admin_sqs()
        async with working(variables(server, receiver)) as worker:
            await until(lambda: waiting(sqs, dead_letters(server)) == 1)
        (letter,) = sqs.receive_message(QueueUrl=dead_letters(server), WaitTimeSeconds=20)["Messages"]
        sqs.close()
        check_bucket(server, arrived)
    assert arrived.key.name in letter["Body"]
    (line,) = [line for line in lines(worker) if line.get("outcome") == "undelivered"]
    assert (line["key"], line["deliveries"]) == (arrived.key.upload_key, 1)
    assert 3 <= line["again_in"] <= 5


@pytest.mark.parametrize("real", ["ministack"], indirect=True)
async def test_a_second_signal_waits_for_nothing_and_hands_back_what_is_in_hand(
    server: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient, receiver: Receiver
) -> None:
    released = hold(receiver)
    arrived = await by_put(client, bucket)
    async with working(variables(server, receiver), "--take-over", "600") as worker:
        await until(lambda: len(receiver.received) == 1)
        worker.process.send_signal(signal.SIGINT)
        await told_to_stop(worker)
        worker.process.send_signal(signal.SIGINT)
        assert await ended(worker) == 0
    released.set()
    async with working(variables(server, receiver)):  # at once, and not in ten minutes
        await until(lambda: len(receiver.received) == 2)
        await until_quiet(server)
    check_bucket(server, arrived)
    assert len(set(heard(receiver))) == 1


@pytest.mark.threat(13)
@pytest.mark.parametrize("real", ["ministack"], indirect=True)
async def test_what_has_to_be_scanned_waits_for_the_worker_and_what_is_infected_is_never_stored(
    server: S3Server, bucket: httpx.AsyncClient, receiver: Receiver, clamd: ClamdServer
) -> None:
    policies = {"default": {"content_types": ["text/plain"], "max_size": 1000, "scan": True}}
    tenant = {**FLAGS["tenants"]["default"], "api_keys": [api_key(API_KEY)], "policies": policies}
    flags: dict[str, Any] = {"events_queue": server.queue, "clamd_socket": clamd.socket}
    app = make_app(server, tenants={"default": tenant}, **flags)
    async with speaking(app) as client:
        tickets = [await _sent(client, bucket, body) for body in (b"harmless", EICAR)]
        answers = [await client.post(httpx.URL(ticket["complete_url"]).path, json={}) for ticket in tickets]
        assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(202, "scanning")] * 2
        tenant = {**tenant, "webhook": {"url": f"http://127.0.0.1:{receiver.port}/", "secrets": [WEBHOOK_SECRET]}}
        env = variables(server, receiver, **{**flags, "clamd_socket": str(clamd.socket)}, tenants={"default": tenant})
        async with working(env) as worker:
            await until(lambda: len(set(heard(receiver))) == 2)
            numbers = await _numbers(worker)
        _check_scans(worker, *(ticket["upload_key"] for ticket in tickets))
        answers = [await client.post(httpx.URL(ticket["complete_url"]).path, json={}) for ticket in tickets]
    await app.state.gateway.close()
    assert answers[0].json()["status"] == "stored"
    assert (answers[1].status_code, answers[1].json()["code"]) == (422, "infected")
    assert {verdict: numbers[f'gateway_worker_scans_total{{verdict="{verdict}"}}'] for verdict in SCANNED} == SCANNED
    s3 = server.admin_s3()
    assert s3.list_objects_v2(Bucket=server.bucket, Prefix="objects/")["KeyCount"] == 1
    s3.close()


SCANNED = {"clean": 1.0, "infected": 1.0}


def _check_scans(worker: Running, good: str, bad: str) -> None:
    """See that each line about a scan tells of which upload."""
    place, told = {"tenant": "default", "policy": "default"}, lines(worker)
    scans = {line["verdict"]: line for line in told if line["event"] == "scan"}
    assert {name: scans["clean"][name] for name in ("key", *place)} == {"key": good, **place}
    assert {name: scans["infected"][name] for name in ("key", *place)} == {"key": bad, **place}
    signature = scans["infected"]["signature"]
    assert "EICAR" in signature
    (found,) = [line for line in told if line["event"] == f"the scanner found {signature}"]
    assert (found["key"], found["level"]) == (bad, "warning")
    assert {line["key"] for line in told if line["event"] == "webhook"} == {good, bad}


async def _sent(client: httpx.AsyncClient, bucket: httpx.AsyncClient, body: bytes) -> dict[str, Any]:
    ticket = await issue(
        client, filename="a.txt", content_type="text/plain", size=len(body), checksum_sha256=sha256(body)
    )
    assert (await put(bucket, ticket, body)).status_code == 200
    return ticket


async def test_readiness_says_which_of_queue_bucket_and_scanner_is_out(ministack: S3Server, receiver: Receiver) -> None:
    with queued(ministack) as server:
        async with working(variables(server, receiver, clamd_socket="/nonexistent/clamd.sock")) as worker:
            scanner = await asyncio.to_thread(httpx.get, f"{address(worker)}/readyz", timeout=60)
            server.admin_sqs().delete_queue(QueueUrl=str(server.queue))
            queue = await asyncio.to_thread(httpx.get, f"{address(worker)}/readyz", timeout=60)
            alive = await asyncio.to_thread(httpx.get, f"{address(worker)}/healthz", timeout=60)
            head = await asyncio.to_thread(httpx.head, f"{address(worker)}/healthz", timeout=60)
            worker.process.send_signal(signal.SIGTERM)
            assert await ended(worker) == 0
        server.admin_sqs().create_queue(QueueName=str(server.queue).rpartition("/")[2])  # for whoever clears up
    problems = [json.loads(answer.content) for answer in (scanner, queue)]
    assert [(problem["code"], problem["detail"]) for problem in problems] == [
        ("scanner-unavailable", "The worker does not reach its scanner: the log tells why."),
        ("storage-unavailable", "The worker does not reach its queue and scanner: the log tells why."),
    ]
    assert [answer.status_code for answer in (scanner, queue, alive, head)] == [503, 503, 200, 200]
    assert (head.content, head.headers["content-length"]) == (b"", alive.headers["content-length"])
    told = [line["event"] for line in lines(worker)]
    assert "not ready: the worker does not reach its queue and scanner" in told
    refused = [event for event in told if "NonExistentQueue" in event]
    assert refused
    assert [event for event in refused if "bucket" in event or not event.startswith("the queue refuses ")] == []
