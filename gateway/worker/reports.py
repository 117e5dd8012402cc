"""Reports: one line for each scan and each webhook, for the log and for metrics, beside that of each event."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from gateway.worker.announcements import Announcement, Delivery
from gateway.worker.webhooks import Undelivered

Report = Callable[[Mapping[str, object]], None]
Clock = Callable[[], float]  # seconds, from anywhere on


def milliseconds(seconds: float) -> float:
    """Return seconds as lines tell them."""
    return round(seconds * 1000, 1)


class Searching(Protocol):
    """Looks for malware."""

    async def found(self, blocks: AsyncIterator[bytes]) -> str | None:
        """Return the name of what was found, None where all is clean; raises as `Scanner.is_clean` does."""


class ReportedScanner:
    """A scanner (`gateway.proof.Scanner`) whose verdicts are told, `unavailable` among them."""

    def __init__(self, scanner: Searching, clock: Clock, report: Report) -> None:
        """Take what scans; `report` gets event, verdict, signature? and ms."""
        self._scanner = scanner
        self._clock = clock
        self._report = report

    async def is_clean(self, blocks: AsyncIterator[bytes]) -> bool:
        """See Scanner."""
        began, told = self._clock(), {"verdict": "unavailable"}
        try:
            found = await self._scanner.found(blocks)
            told = {"verdict": "clean"} if found is None else {"verdict": "infected", "signature": found}
        finally:
            self._report({"event": "scan", **told, "ms": milliseconds(self._clock() - began)})
        return found is None


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
