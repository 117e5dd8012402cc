"""The routes under load, each against its baselines: the same requests, each one different from the one before.

What is compared is CPU time for an answer: as every server has one core and is kept busy, that is requests per second
turned over, but for what else happens to run on the machine. Requests per second are printed beside it.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure, Series
from tests.bench.load import Load, Result, Server, ask, run, servers
from tests.bench.place import POLICY, object_key

DIFFERENT = 500  # requests that follow one another before the first comes again
CONNECTIONS = 32
# A batch keeps the one core busy for milliseconds, and boto3's for a quarter of a second: more would only queue.
BATCH_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, and how long each time, in seconds; batches take longer, so that boto3 answers a few."""

    rounds: int
    seconds: int
    batch_rounds: int
    batch_seconds: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it is asked of every server, each with its own requests."""

    name: str
    expected: int
    loads: Mapping[str, Load]
    rounds: int


def measure(plan: Plan) -> tuple[list[Series], list[Figure]]:
    """Start the servers, ask all of them in turn and compare what they did."""
    with servers() as started, tempfile.TemporaryDirectory() as folder:
        routes = [
            _tickets(plan),
            _redirects(plan, started),
            _links(plan, 100),
            _links(plan, 1000),
        ]
        measured = {route.name: _rounds(route, started, Path(folder) / "requests") for route in routes}
    series = [_series(f"{name} {route}", results) for route, by in measured.items() for name, results in by.items()]
    ticket, redirect = measured["ticket"], measured["redirect"]
    return series, [
        Figure("ticket_x_noop", _times(ticket, "no-op"), at_least=1.0),
        Figure("ticket_x_naive", _times(ticket, "plain"), at_least=5),
        Figure("redirect_x_noop", _times(redirect, "no-op")),
        Figure("redirect_x_naive", _times(redirect, "plain")),
        Figure("links100_x_boto3", _times(measured["100 links"], "plain"), at_least=30),
        Figure("links1000_x_boto3", _times(measured["1000 links"], "plain"), at_least=30),
    ]


def _tickets(plan: Plan) -> Route:
    requests = [("/v1/uploads", json.dumps(_wish(number))) for number in range(DIFFERENT)]
    load = Load("POST", requests, CONNECTIONS, plan.seconds)
    return Route("ticket", 201, dict.fromkeys(("no-op", "gateway", "plain"), load), plan.rounds)


def _wish(number: int) -> Mapping[str, object]:
    return {
        "filename": f"holiday-{number}.png",
        "content_type": "image/png",
        "size": 100_000 + number,
        "policy": POLICY,
    }


def _redirects(plan: Plan, started: Mapping[str, Server]) -> Route:
    gateway, plain = (_link_paths(started[name]) for name in ("gateway", "plain"))
    loads = {
        name: Load("GET", [(path, "") for path in paths], CONNECTIONS, plan.seconds)
        for name, paths in (("no-op", gateway), ("gateway", gateway), ("plain", plain))
    }
    return Route("redirect", 307, loads, plan.rounds)


def _link_paths(server: Server) -> Sequence[str]:
    """Have the server make links that lead through it."""
    wanted = [{"key": object_key(number), "filename": f"holiday-{number}.png"} for number in range(DIFFERENT)]
    body = json.dumps({"links": wanted, "via": "redirect"})
    links = ask(server, "POST", "/v1/links", body, 200).json()["links"]
    return [link["url"].removeprefix(server.url) for link in links]


def _links(plan: Plan, count: int) -> Route:
    batches = 500 // (count // 100)
    requests = [("/v1/links", _batch(number * count, count)) for number in range(batches)]
    load = Load("POST", requests, BATCH_CONNECTIONS, plan.batch_seconds)
    return Route(f"{count} links", 200, dict.fromkeys(("gateway", "plain"), load), plan.batch_rounds)


def _batch(first: int, count: int) -> str:
    wanted = [{"key": object_key(number)} for number in range(first, first + count)]
    return json.dumps({"links": wanted, "via": "direct"}, separators=(",", ":"))


def _rounds(route: Route, started: Mapping[str, Server], file: Path) -> Mapping[str, Sequence[Result]]:
    """Check the answer of each server, warm it up, then let wrk ask one after the other, round by round."""
    for name, load in route.loads.items():
        for path, body in load.requests[: load.connections]:
            ask(started[name], load.method, path, body, route.expected)
    results: dict[str, list[Result]] = {name: [] for name in route.loads}
    for _ in range(route.rounds):
        for name, load in route.loads.items():
            results[name].append(run(started[name], load, file))
    return results


def _series(name: str, results: Sequence[Result]) -> Series:
    return Series(
        name,
        [result.cpu_microseconds for result in results],
        [result.per_second for result in results],
        [result.p50_ms for result in results],
        [result.p99_ms for result in results],
    )


def _times(measured: Mapping[str, Sequence[Result]], baseline: str) -> list[float]:
    pairs = zip(measured["gateway"], measured[baseline], strict=True)
    return [other.cpu_microseconds / gateway.cpu_microseconds for gateway, other in pairs]
