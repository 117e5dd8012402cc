"""What probes and Prometheus are told of a worker."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import httpx
import pytest

from gateway.errors import Code, Refusal
from gateway.metrics import Work
from gateway.worker.health import ALIVE_WITHIN, Check, health_app
from tests.worker.hours import played

NAMES = ("queue", "storage", "scanner")


class Part:
    """Something to reach for: a queue, a bucket, a scanner."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.asked = 0
        self._error = error
        self._seconds = seconds

    async def check(self) -> None:
        self.asked += 1
        await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error


def asking(
    *checks: Check, alive: Callable[[float], bool] = lambda _: True, work: Work | None = None
) -> httpx.AsyncClient:
    """Ask a worker whose queue, storage and scanner, in this order, are reached by these."""
    app = health_app(alive, dict(zip(NAMES, checks, strict=False)), (work or Work()).text)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9090")


async def test_a_worker_whose_loop_goes_round_is_alive() -> None:
    asked: list[float] = []

    def alive(within: float) -> bool:
        asked.append(within)
        return True

    async with asking(Part(ZeroDivisionError()).check, alive=alive) as client:
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json(), asked) == (200, {"status": "alive"}, [ALIVE_WITHIN])


async def test_a_worker_whose_loop_stands_still_is_not_alive() -> None:
    async with asking(alive=lambda _: False) as client:
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")


async def test_a_worker_that_reaches_everything_is_ready() -> None:
    parts = [Part(), Part(), Part()]
    async with asking(*(part.check for part in parts)) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert [part.asked for part in parts] == [1, 1, 1]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("code", [Code.STORAGE_UNAVAILABLE, Code.SCANNER_UNAVAILABLE])
async def test_a_worker_that_does_not_reach_something_is_not_ready_and_names_it(
    place: int, code: Code, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [Part(), Part(), Part()]
    parts[place] = Part(Refusal(code, retry_after=5))
    async with asking(*(part.check for part in parts)) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.json()["code"], answer.headers["retry-after"]) == (code.code, "5")
    assert answer.json()["detail"] == f"The worker does not reach its {NAMES[place]}: the log tells why."
    told = [(record.levelno, record.message) for record in caplog.records if record.name.startswith("gateway")]
    assert told == [(logging.WARNING, f"not ready: the worker does not reach its {NAMES[place]}")]


async def test_all_that_is_not_reached_is_named_under_the_first_one_s_code() -> None:
    refusals = [Refusal(Code.STORAGE_UNAVAILABLE, retry_after=5), Refusal(Code.SCANNER_UNAVAILABLE, retry_after=7)]
    async with asking(Part(refusals[0]).check, Part().check, Part(refusals[1]).check) as client:
        answer = await client.get("/readyz")
    problem = answer.json()
    assert (problem["code"], answer.headers["retry-after"]) == ("storage-unavailable", "5")
    assert problem["detail"] == "The worker does not reach its queue and scanner: the log tells why."


async def test_a_check_that_is_broken_is_a_bug_and_says_nothing_of_it() -> None:
    async with asking(Part(ZeroDivisionError("the queue's password")).check) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "password" not in answer.text


def test_a_check_that_never_ends_is_given_up() -> None:
    async def scenario() -> tuple[int, str, float]:
        async with asking(Part().check, Part(seconds=3600).check) as client:
            answer = await client.get("/readyz")
        return answer.status_code, answer.json()["detail"], asyncio.get_running_loop().time()

    status, detail, seconds = played(scenario)
    assert (status, seconds <= 30) == (503, True)
    assert detail == "The worker does not reach its storage: the log tells why."


async def test_questions_at_the_same_time_are_one() -> None:
    part = Part(seconds=0.05)
    async with asking(part.check) as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert part.asked == 1
        await client.get("/readyz")
    assert part.asked == 2


def counted(work: Work, lines: Sequence[dict[str, object]]) -> dict[str, float]:
    for line in lines:
        work.observe(line)
    text = work.text()[0].decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


async def test_metrics_count_what_was_reported_and_name_no_tenant_and_no_key() -> None:
    work = Work()
    upload = {"event": "upload", "key": "incoming/acme/photos/x.png", "tenant": "acme", "policy": "photos"}
    numbers = counted(
        work,
        [
            {**upload, "outcome": "stored", "ms": 40.0, "deliveries": 1},
            {**upload, "outcome": "stored", "ms": 60.0, "deliveries": 2},
            {**upload, "outcome": "storage-unavailable", "ms": 4000.0, "deliveries": 1, "again_in": 5},
            {"event": "scan", "verdict": "clean", "ms": 700.0},
            {"event": "webhook", "result": "undelivered", "why": "answered 500", "tenant": "acme", "ms": 9.0},
        ],
    )
    expected = {
        'gateway_worker_uploads_total{outcome="stored"}': 2,
        'gateway_worker_uploads_total{outcome="storage-unavailable"}': 1,
        'gateway_worker_scans_total{verdict="clean"}': 1,
        'gateway_worker_webhooks_total{result="undelivered"}': 1,
        'gateway_worker_uploads_seconds_bucket{le="0.05"}': 1,
        "gateway_worker_uploads_seconds_count": 3,
        "gateway_worker_scans_seconds_sum": 0.7,
    }
    assert {name: numbers[name] for name in expected} == expected
    async with asking(work=work) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "acme" not in answer.text
    assert "photos" not in answer.text


@pytest.mark.threat(54)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/healthz/", 404),
        ("GET", "/v1/uploads", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("HEAD", "/healthz", 200),
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
    ],
)
async def test_nothing_else_is_answered_and_all_answers_carry_our_headers(method: str, path: str, status: int) -> None:
    async with asking() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    names = {"x-content-type-options": "nosniff", "cache-control": "no-store", "referrer-policy": "no-referrer"}
    assert {name: answer.headers.get(name) for name in names} == names
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_probe_may_name_any_host() -> None:
    async with asking() as client:
        answer = await client.get("/healthz", headers={"host": "10.1.2.3:9090"})
    assert answer.status_code == 200
