"""Reports: one line for each scan and each webhook, for the log and for metrics, beside that of each event."""

from collections.abc import AsyncIterator, Callable, Mapping

from gateway.proof import Scanner
from gateway.worker.announcements import Announcement, Delivery
from gateway.worker.webhooks import Undelivered

Report = Callable[[Mapping[str, object]], None]
Clock = Callable[[], float]  # seconds, from anywhere on


def milliseconds(seconds: float) -> float:
    """Return seconds as lines tell them."""
    return round(seconds * 1000, 1)


class ReportedScanner:
    """A scanner whose verdicts are told, `unavailable` among them."""

    def __init__(self, scanner: Scanner, clock: Clock, report: Report) -> None:
        """Take what scans; `report` gets event, verdict and ms."""
        self._scanner = scanner
        self._clock = clock
        self._report = report

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        """See Scanner."""
        began, verdict = self._clock(), "unavailable"
        try:
            clean = await self._scanner.is_clean(blocks)
            verdict = "clean" if clean else "infected"
        finally:
            self._report({"event": "scan", "verdict": verdict, "ms": milliseconds(self._clock() - began)})
        return clean


class ReportedDelivery:
    """A delivery of webhooks whose results are told."""

    def __init__(self, delivery: Delivery, clock: Clock, report: Report) -> None:
        """Take what delivers; `report` gets event, id, type, tenant, result and ms."""
        self._delivery = delivery
        self._clock = clock
        self._report = report

    def hears(self, tenant: str) -> bool:
        """See Delivery."""
        return self._delivery.hears(tenant)

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        """See Delivery."""
        began, told = self._clock(), {"result": "failed"}
        try:
            await self._delivery.deliver(tenant, announcement)
            told = {"result": "delivered"}
        except Undelivered as undelivered:
            told = {"result": "undelivered", "why": str(undelivered)}
            raise
        finally:
            names = {"id": announcement.id, "type": announcement.type, "tenant": tenant}
            self._report({"event": "webhook", **names, **told, "ms": milliseconds(self._clock() - began)})
