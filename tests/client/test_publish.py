"""Publishing what is generated: of no size known beforehand, by plain and by asynchronous generators."""

import csv
import io
import os
import sqlite3
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest

from gateway.client import AsyncClient, Client, Progress, RefusedError
from tests.client.sites import OCTETS, Site
from tests.gateways import API_KEY

MIB = 2**20
LARGE = os.urandom(30_000_000)


def pieces(data: bytes, size: int = 700_001) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def async_pieces(data: bytes, size: int = 700_001) -> AsyncIterator[bytes]:
    for piece in pieces(data, size):
        yield piece


def test_thirty_megabytes_of_a_generator_are_stored_part_by_part(strict_site: Site) -> None:
    told: list[Progress] = []
    with Client(strict_site.url, API_KEY) as client:
        stored = client.publish(pieces(LARGE), filename="generated.bin", progress=told.append)
    assert (stored.object.size, stored.object.content_type, stored.object.filename) == (
        len(LARGE),
        OCTETS,
        "generated.bin",
    )
    assert strict_site.content(stored.object.key) == LARGE
    assert stored.link.startswith(f"{strict_site.url}/d/")
    assert told[-1] == Progress(len(LARGE), None)


@pytest.mark.parametrize("policy", ["default", "divided", "vast", "proved"])
@pytest.mark.parametrize("size", [10, 8 * MIB, 8 * MIB + 1, 16 * MIB, len(LARGE)])
async def test_every_length_arrives_whole_under_every_policy(
    async_client: AsyncClient, site: Site, policy: str, size: int
) -> None:
    data = LARGE[:size]
    stored = await async_client.publish(async_pieces(data), filename="generated.bin", policy=policy)
    assert site.content(stored.object.key) == data


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_nothing_at_all_is_an_object_too(client: Client, site: Site, chunks: list[bytes]) -> None:
    stored = client.publish(chunks, filename="empty.bin")
    assert (stored.object.size, site.content(stored.object.key)) == (0, b"")


async def test_a_plain_iterable_does_not_hold_up_the_loop(async_client: AsyncClient, site: Site) -> None:
    threads = set()

    def generate() -> Iterator[bytes]:
        threads.add(threading.current_thread())
        yield b"0123456789"

    stored = await async_client.publish(generate(), filename="ten.txt", content_type="text/plain")
    assert site.content(stored.object.key) == b"0123456789"
    assert threading.main_thread() not in threads


def test_rows_of_a_cursor_become_a_csv(client: Client, site: Site) -> None:
    """The cursor is read in the thread that made it, as sqlite3 demands."""

    def rows(cursor: sqlite3.Cursor) -> Iterator[bytes]:
        for row in cursor:
            line = io.StringIO()
            csv.writer(line).writerow(row)
            yield line.getvalue().encode()

    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE numbers (n)")
        database.executemany("INSERT INTO numbers VALUES (?)", ((n,) for n in range(10_000)))
        stored = client.publish(rows(database.execute("SELECT n, n * n FROM numbers")), filename="numbers.csv")
    assert (stored.object.content_type, stored.object.filename) == ("text/csv", "numbers.csv")
    assert site.content(stored.object.key).decode().splitlines()[-1] == "9999,99980001"


async def test_what_pushes_instead_of_being_pulled_writes_to_a_publication(
    async_client: AsyncClient, site: Site
) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("large.bin", LARGE)
    async with async_client.publication(filename="archive.zip", content_type=OCTETS) as publication:
        for piece in pieces(written.getvalue()):
            await publication.add(piece)
        stored = await publication.finish()
    assert site.content(stored.object.key) == written.getvalue()


def failing(after: int) -> Iterator[bytes]:
    yield LARGE[:after]
    raise LookupError("the cursor is gone")


def test_a_generator_that_fails_leaves_nothing_behind(client: Client, site: Site) -> None:
    before = (site.keys("objects/"), site.open_uploads())
    with pytest.raises(LookupError, match="the cursor is gone"):
        client.publish(failing(20 * MIB), filename="generated.bin")
    assert (site.keys("objects/"), site.open_uploads()) == before


async def test_an_asynchronous_one_too(async_client: AsyncClient, site: Site) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in failing(20 * MIB):
            yield chunk

    before = (site.keys("objects/"), site.open_uploads())
    with pytest.raises(LookupError, match="the cursor is gone"):
        await async_client.publish(chunks(), filename="generated.bin")
    assert (site.keys("objects/"), site.open_uploads()) == before


def test_more_than_the_policy_takes_is_refused_and_leaves_nothing_behind(client: Client, site: Site) -> None:
    before = site.open_uploads()
    with pytest.raises(RefusedError) as raised:
        client.publish(iter([b"x" * 1001]), filename="notes.txt", policy="small")
    assert raised.value.code == "too-large"
    with pytest.raises(RefusedError) as raised:
        client.publish(pieces(LARGE), filename="notes.txt", policy="small")
    assert raised.value.code == "too-large"
    assert site.open_uploads() == before
