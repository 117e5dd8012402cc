"""The scanner's promises, against the real clamd as `infra/clamd.conf` sets it up, and against strange ones."""

from collections.abc import AsyncIterator

import pytest

from gateway.worker.clamd import Clamd
from tests.servers.clamd import EICAR, ClamdServer


async def blocks_of(body: bytes, size: int = 2**20) -> AsyncIterator[bytes]:
    for first in range(0, len(body), size):
        yield body[first : first + size]


@pytest.fixture
def scanner(clamd: ClamdServer) -> Clamd:
    return Clamd(clamd.socket, 60)


@pytest.mark.parametrize("body", [b"", b"a", b"a" * (3 * 2**20)])
async def test_what_holds_nothing_that_clamd_knows_is_clean(scanner: Clamd, body: bytes) -> None:
    assert await scanner.is_clean(blocks_of(body))


async def test_eicar_is_not_clean(scanner: Clamd) -> None:
    assert not await scanner.is_clean(blocks_of(EICAR))
    await scanner.check()
