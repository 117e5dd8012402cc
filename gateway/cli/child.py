"""Server processes of development and tests: started on a lifeline, waited for, stopped; none outlives its starter."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.cli import lifeline

POLL = 0.05  # seconds between two looks


class StartError(Exception):
    """A server could not be started; the text is one plain line that says why and where its log is."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running command, its log, and the line it hangs on."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, url: str, seconds: float) -> None:
        """Return as soon as `url` answers 200; StartError when the command ends before or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartError(f"the server ended with exit code {self.process.returncode}: see {self.log}")
            if _answers(url):
                return
            time.sleep(POLL)
        raise StartError(f"the server was not ready within {seconds:.0f} s: see {self.log}")

    def stop(self) -> None:
        """Let go of the line, and wait until the command has ended."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(lifeline.GRACE + 5)


def spawn(command: Sequence[str], *, env: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()) -> Child:
    """Start `command` in a session of its own (Ctrl-C does not reach it), writing to `log`, and ending when we end."""
    with log.open("ab") as sink:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-I", lifeline.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(env),
            pass_fds=pass_fds,
            start_new_session=True,
        )
    return Child(process, log)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - the address is ours, on loopback
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's own number
    except (urllib.error.URLError, OSError):
        return False
