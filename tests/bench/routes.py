"""The routes under load, each against its baselines: the same requests, each one different from the one before.

What has a bound is CPU time for an answer, which changes little with what else runs on the machine. The same ratio of
requests per second stands beside it without one; the two agree as long as every server keeps its core busy.
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times as fast as a baseline the gateway has to be on a route (issue 2), if anything is said of it."""

    name: str
    route: str
    baseline: str
    at_least: float | None = None


COMPARISONS = [
    Comparison("ticket_x_noop", "ticket", "no-op", 1.0),
    Comparison("ticket_x_naive", "ticket", "plain", 5),
    Comparison("redirect_x_noop", "redirect", "no-op"),
    Comparison("redirect_x_naive", "redirect", "plain"),
    Comparison("links100_x_boto3", "100 links", "plain", 30),
    Comparison("links1000_x_boto3", "1000 links", "plain", 30),
]


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
    return series, [figure for comparison in COMPARISONS for figure in _figures(comparison, measured)]


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


def _figures(comparison: Comparison, measured: Mapping[str, Mapping[str, Sequence[Result]]]) -> list[Figure]:
    results = measured[comparison.route]
    pairs = list(zip(results["gateway"], results[comparison.baseline], strict=True))
    by_cpu = [other.cpu_microseconds / gateway.cpu_microseconds for gateway, other in pairs]
    by_rate = [gateway.per_second / other.per_second for gateway, other in pairs]
    return [
        Figure(comparison.name, by_cpu, at_least=comparison.at_least),
        Figure(f"{comparison.name}_per_second", by_rate),
    ]
