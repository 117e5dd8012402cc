"""What Prometheus may ask: what was answered, or done by a worker, and how long that took. No paths, no tenants.

Several processes of `gateway serve` count into one folder, which PROMETHEUS_MULTIPROC_DIR has to name before this
module is imported.
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, exposition, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.http.heads import METHODS

REQUESTS = Counter("gateway_requests", "Requests answered.", ["method", "status"])
SECONDS = Histogram(
    "gateway_request_seconds",
    "Time to answer, of requests that reached a route or a refusal.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 20),
)
UNCOUNTED = Counter(
    "gateway_uncounted_uploads",
    "Uploads that no quota counted, since the store of quotas did not answer: granted, or refused if so configured.",
)


def observe(line: Mapping[str, object]) -> None:
    """Count one request from its log line. A method that we do not serve is `other`: anybody can make one up."""
    method, milliseconds = str(line["method"]), line["ms"]
    REQUESTS.labels(method if method in METHODS else "other", str(line["status"])).inc()
    if isinstance(milliseconds, int | float):
        SECONDS.observe(milliseconds / 1000)


def uncounted(uploads: int) -> None:
    """Count uploads that no quota counted."""
    UNCOUNTED.inc(uploads)


def expose(address: str, port: int) -> None:
    """Answer GET /metrics on a port of its own, for this process and the workers that share its folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it ships without
    start_http_server(port, address, registry)


class Work:
    """What one worker counts, from the lines that it reports. No keys, no tenants."""

    def __init__(self) -> None:
        """Make counters of their own, which no process that serves the API has."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._kinds = {
            "upload": self._kind("uploads", "Events of uploads and markers that were handled.", "outcome"),
            "scan": self._kind("scans", "Scans for malware.", "verdict"),
            "webhook": self._kind("webhooks", "Attempts to bring an announcement to an application.", "result"),
        }

    def observe(self, line: Mapping[str, object]) -> None:
        """Count what a line tells of."""
        member, counter, seconds = self._kinds[str(line["event"])]
        counter.labels(str(line[member])).inc()
        if isinstance(milliseconds := line["ms"], int | float):
            seconds.observe(milliseconds / 1000)

    def text(self) -> tuple[bytes, str]:
        """Return all of it as Prometheus reads it, and its content type."""
        return exposition.generate_latest(self._registry), exposition.CONTENT_TYPE_LATEST

    def _kind(self, name: str, what: str, member: str) -> tuple[str, Counter, Histogram]:
        """Return the member of a line that tells its kind apart, its counter, and its seconds."""
        counter = Counter(f"gateway_worker_{name}", what, [member], registry=self._registry)
        buckets = (0.01, 0.05, 0.25, 1, 5, 30, 120, 600)  # seconds; a scan may take minutes
        seconds = Histogram(f"gateway_worker_{name}_seconds", what, buckets=buckets, registry=self._registry)
        return member, counter, seconds
