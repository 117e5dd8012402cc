"""LocalStack for all workers of a run: started by the process that leads the run, when the first worker asks for it.

It takes five seconds and 200 MB to start, so there is one, and it lives as long as the leader.
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Client, Listener
from pathlib import Path

from tests.servers import localstack
from tests.servers.s3 import S3Server

WORKERS = 64  # that may wait at the door


class Leader:
    """Starts the server at the first question, and answers the questions of workers one after the other."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which only this run may look into, for the state of the server and for the door."""
        self._folder = folder
        self._running = ExitStack()
        self._server: S3Server | None = None
        self._door: Listener | None = None

    def localstack(self) -> S3Server:
        """Answer the server, started if need be."""
        if self._server is None:
            self._server = self._running.enter_context(localstack.running(self._folder))
        return self._server

    def door(self) -> str:
        """Answer the address that workers `ask` at, open from now on."""
        if self._door is None:
            self._door = Listener(str(self._folder / "door"), "AF_UNIX", backlog=WORKERS)
            threading.Thread(target=_answer, args=(self._door, self.localstack), daemon=True).start()
        return str(self._door.address)

    def stop(self) -> None:
        """Close the door, and stop the server, if it runs."""
        if self._door is not None:
            self._door.close()
        self._running.close()


def ask(address: str) -> S3Server:
    """Ask the leader of this run for the server; a worker does."""
    with Client(address, "AF_UNIX") as line:
        answer = line.recv()
    if isinstance(answer, S3Server):
        return answer
    raise RuntimeError(f"LocalStack did not start: {answer}")


def _answer(door: Listener, server: Callable[[], S3Server]) -> None:
    with suppress(OSError):  # closed at the end of the run
        while True:
            with door.accept() as line, suppress(BrokenPipeError):
                line.send(_attempt(server))


def _attempt(server: Callable[[], S3Server]) -> S3Server | str:
    try:
        return server()
    except Exception as error:  # noqa: BLE001 - the worker that asked shows it
        return f"{error!r}, process {os.getpid()}"
