"""Running `gateway …` as a user does: as a process of its own, or in this one where only text is at stake."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.dev_files import as_variables
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant

GATEWAY = (sys.executable, "-m", "gateway")

# All that commands without a running gateway need.
SETTINGS: dict[str, object] = {
    "secret_keys": [SECRET_KEY],
    "tenants": {"default": tenant(API_KEY, APP_SECRET)},
    "bucket": "photos",
    "region": "eu-central-1",
}
OFFLINE = {**as_variables(SETTINGS), "GATEWAY_URL": "http://127.0.0.1:8000"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and the code it ended with."""

    stdout: str
    stderr: str
    exit_code: int


def say(*arguments: str, env: Mapping[str, str] | None = None) -> Said:
    """Run a command in this process; not those that serve."""
    result = CliRunner().invoke(app, list(arguments), env=dict(env or {}))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.stdout, result.stderr, result.exit_code)


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Said:
    """Run a command as a process, to its end."""
    done = subprocess.run(
        [*GATEWAY, *arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.stdout, done.stderr, done.returncode)


@dataclass(slots=True)
class Running:
    """A command that serves, and the lines it has printed so far."""

    process: subprocess.Popen[str]
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, told: Callable[[str], bool], seconds: float = 60) -> str:
        """Return the first line of either stream that `told` is true of."""
        deadline = time.monotonic() + seconds
        with self._news:
            while self._find(told) is None and self.process.poll() is None and time.monotonic() < deadline:
                self._news.wait(0.1)
        line = self._find(told)
        assert line is not None, [*self.stdout, *self.stderr]
        return line

    def signal(self, number: int, seconds: float = 15) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def _find(self, told: Callable[[str], bool]) -> str | None:
        return next((line for line in [*self.stdout, *self.stderr] if told(line)), None)

    def read(self, stream: IO[str], lines: list[str]) -> None:
        """Collect the lines of a stream until it ends."""
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()


@contextmanager
def running(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[Running]:
    """Run a command that serves; it is stopped at the end if it has not ended."""
    process = subprocess.Popen(
        [*GATEWAY, *arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command = Running(process)
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=command.read, args=(process.stdout, command.stdout)),
        threading.Thread(target=command.read, args=(process.stderr, command.stderr)),
    ]
    for reader in readers:
        reader.start()
    try:
        yield command
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        for reader in readers:
            reader.join(30)
        process.stdout.close()
        process.stderr.close()
