"""docs/how-to/quotas.md and the fields in docs/protocol.md show what the code writes, and its numbers."""

import re
from collections.abc import Sequence

import pytest
from httpx import Headers

from gateway.circuit import DEADLINE, LOG_EVERY, PAUSE, Circuit
from gateway.client import patience
from gateway.http.rate_limits import rate_limits
from gateway.metrics import UNCOUNTED
from gateway.quotas import KEY_PREFIX, Count
from tests.docs.pages import blocks, page

PAGE = page("docs/how-to/quotas.md")
QUOTA = {"uploads": 500, "bytes": 5_000_000_000}


def shown(name: str) -> Headers:
    (block,) = blocks(page(name), "http")
    return Headers(re.findall(r"^(\S+): (.*)$", block, re.MULTILINE))


def counts(uploads: int, size: int, whole_in: int) -> Sequence[Count]:
    return [
        Count("uploads", QUOTA["uploads"], 3600, uploads, whole_in),
        Count("bytes", QUOTA["bytes"], 3600, size, whole_in),
    ]


def test_the_fields_are_those_that_are_sent() -> None:
    granted = Headers(list(rate_limits("photos", counts(499, 4_980_000_000, 7200), None)))
    assert granted == shown("docs/protocol.md")
    refused = Headers(list(rate_limits("photos", counts(0, 3_120_000_000, 7200), 1741)))
    assert Headers({**refused, "retry-after": "1741"}) == shown("docs/how-to/quotas.md")


def test_nothing_is_sent_where_nobody_counts() -> None:
    assert rate_limits("photos", [], 5) == ()


async def test_the_lines_of_the_log_are_those_that_are_written(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    circuit = Circuit("the store of quotas", (), lambda: now)

    async def refuses() -> str:
        raise ConnectionError

    async def answers() -> str:
        return "yes"

    for _ in range(312):
        await circuit.ask(refuses)
    now += PAUSE
    await circuit.ask(answers)
    assert re.findall(r'"event": "(.*?)"', PAGE) == [record.getMessage() for record in caplog.records]


def test_the_numbers_and_names_are_those_of_the_code() -> None:
    assert (DEADLINE, PAUSE, LOG_EVERY, patience.LONGEST_WAIT) == (0.5, 5, 60, 60)
    assert "An answer has half a second." in PAGE
    assert "nobody asks for five seconds" in PAGE
    assert f"`Retry-After: {PAUSE}`" in PAGE
    assert "tells of it once a minute" in PAGE
    assert "wait up to a minute for a 429" in PAGE
    assert f"`{next(iter(UNCOUNTED.collect())).name}_total`" in PAGE
    assert f"`{KEY_PREFIX}:{{uploads/default/photos/500/3600/second}}`" in PAGE
