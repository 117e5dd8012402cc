"""Commands in processes that are forked from one that has imported everything already: they start in no time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any, cast

from tests.cli.commands import Running
from tests.crashes.processes import CONTEXT

ENDED_WITHIN = 60.0  # seconds


class _Forked:
    """As much of a Popen as a running command needs."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = ENDED_WITHIN) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("gateway", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: Sequence[str], env: Mapping[str, str], outputs: Sequence[Any]) -> None:
    """Be the command, in the new process."""
    for number, output in enumerate(outputs, start=1):
        os.dup2(output.detach(), number)
    os.environ.update(env)
    sys.argv = ["gateway", *arguments]
    from gateway.cli import app  # noqa: PLC0415 - as `python -m gateway` does

    app()


@contextmanager
def forked(*arguments: str, env: Mapping[str, str]) -> Iterator[Running]:
    """Run a command, as `tests.cli.commands.running` does; it is killed at the end if it has not ended."""
    reads, writes = zip(os.pipe(), os.pipe(), strict=True)
    process = CONTEXT.Process(target=_run, args=(arguments, env, [DupFd(end) for end in writes]), daemon=True)
    process.start()
    for end in writes:
        os.close(end)
    command = Running(cast("subprocess.Popen[str]", _Forked(process)))
    streams = [os.fdopen(end, encoding="utf-8") for end in reads]
    readers = [
        threading.Thread(target=command.read, args=(stream, lines))
        for stream, lines in zip(streams, (command.stdout, command.stderr), strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        yield command
    finally:
        process.kill()
        process.join(ENDED_WITHIN)
        for reader, stream in zip(readers, streams, strict=True):
            reader.join(ENDED_WITHIN)
            stream.close()
        process.close()
