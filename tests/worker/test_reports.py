"""What the log and the metrics are told of scans."""

from collections.abc import AsyncIterator, Mapping

import pytest

from gateway.errors import Code, Refusal
from gateway.worker.reports import ReportedScanner


class Scanner:
    """Finds what it was told to find, in a second and a half."""

    def __init__(self, found: str | Refusal | None) -> None:
        self.now = 100.0
        self._found = found

    async def found(self, blocks: AsyncIterator[bytes]) -> str | None:
        assert [block async for block in blocks] == [b"a", b"b"]
        self.now += 1.5
        if isinstance(self._found, Refusal):
            raise self._found
        return self._found


async def blocks() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


@pytest.mark.parametrize(
    ("found", "clean", "line"),
    [
        (None, True, {"verdict": "clean"}),
        ("Win.Test.EICAR_HDB-1", False, {"verdict": "infected", "signature": "Win.Test.EICAR_HDB-1"}),
    ],
)
async def test_a_scan_is_told_with_what_was_found(found: str | None, clean: object, line: Mapping[str, object]) -> None:
    told: list[Mapping[str, object]] = []
    scanner = Scanner(found)
    assert await ReportedScanner(scanner, lambda: scanner.now, told.append).is_clean(blocks()) is clean
    assert told == [{"event": "scan", **line, "ms": 1500.0}]


async def test_a_scan_without_a_verdict_is_told_and_refused() -> None:
    told: list[Mapping[str, object]] = []
    scanner = Scanner(Refusal(Code.SCANNER_UNAVAILABLE))
    with pytest.raises(Refusal, match="scanner-unavailable"):
        await ReportedScanner(scanner, lambda: scanner.now, told.append).is_clean(blocks())
    assert told == [{"event": "scan", "verdict": "unavailable", "ms": 1500.0}]
