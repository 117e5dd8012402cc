"""The worker inside `gateway dev`: it ends when it is told to, and says so at once when it ends by itself."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from gateway.cli import dev_work
from gateway.cli.dev_work import say_end, work_beside
from gateway.s3.sigv4 import Credentials

if TYPE_CHECKING:
    from gateway.settings import Settings

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "a-secret-access-key-of-nobody")


class Worker:
    """Stands for a worker and its consumer: it works until it is told to stop, or dies of an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.consumer = self
        self.closed = False
        self._error = error
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.closed = True


def beside(worker: Worker, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[None]:
    monkeypatch.setattr(dev_work, "_made", lambda *_: worker)
    return asyncio.create_task(work_beside(cast("Settings", None), "http://127.0.0.1/queue", CREDENTIALS, stop))


async def test_it_works_until_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, stop = Worker(), asyncio.Event()
    working = beside(worker, stop, monkeypatch)
    assert not (await asyncio.wait({working}, timeout=0.1))[0]
    stop.set()
    await working
    say_end(working)
    assert (worker.closed, capsys.readouterr().err) == (True, "")


async def test_its_death_is_said_at_once_and_not_when_all_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, stop = Worker(ZeroDivisionError("of a test")), asyncio.Event()
    working = beside(worker, stop, monkeypatch)
    working.add_done_callback(say_end)
    await asyncio.wait({working}, timeout=60)
    await asyncio.sleep(0)  # for the callback
    said = capsys.readouterr().err
    assert said.startswith("The worker has ended, and with it webhooks: start again.\n")
    assert said.endswith("ZeroDivisionError: of a test\n")
    assert worker.closed
