"""What Prometheus may ask: requests answered, by method and status, and how long they took. No paths, no tenants.

Several workers count into one folder, which PROMETHEUS_MULTIPROC_DIR has to name before this module is imported.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.http.heads import METHODS

REQUESTS = Counter("gateway_requests", "Requests answered.", ["method", "status"])
SECONDS = Histogram(
    "gateway_request_seconds",
    "Time to answer, of requests that reached a route or a refusal.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 20),
)


def observe(line: Mapping[str, object]) -> None:
    """Count one request from its log line. A method that we do not serve is `other`: anybody can make one up."""
    method, milliseconds = str(line["method"]), line["ms"]
    REQUESTS.labels(method if method in METHODS else "other", str(line["status"])).inc()
    if isinstance(milliseconds, int | float):
        SECONDS.observe(milliseconds / 1000)


def expose(address: str, port: int) -> None:
    """Answer GET /metrics on a port of its own, for this process and the workers that share its folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it ships without
    start_http_server(port, address, registry)
