"""Redis, Debian's, on a Unix socket, with nothing kept on disk."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli.child import POLL, Child, StartError, spawn

READY_WITHIN = 60.0  # seconds
_OPTIONS = {"port": "0", "save": "", "appendonly": "no"}


@dataclass(slots=True)
class RedisServer:
    """A Redis whose state, such as it is, lies in a folder; it may go and come back."""

    folder: Path
    password: str | None = None
    _children: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What GATEWAY_LIMITS_URL says."""
        user = "" if self.password is None else f":{self.password}@"
        return f"redis+unix://{user}{self.folder}/redis.sock"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        more = {} if self.password is None else {"requirepass": self.password}
        files = {"dir": str(self.folder), "unixsocket": f"{self.folder}/redis.sock", "pidfile": f"{self.folder}/pid"}
        options = [word for name, value in {**_OPTIONS, **files, **more}.items() for word in (f"--{name}", value)]
        child = spawn([_program(), *options], env=os.environ, log=self.folder / "redis.log")
        self._children.append(child)
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            if child.process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"Redis did not start: see {child.log}")
            time.sleep(POLL)

    def kill(self) -> None:
        """End it as a crash would, its socket file left behind."""
        os.kill(self._pid, signal.SIGKILL)
        self._children[-1].process.wait(READY_WITHIN)

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Keep it from doing anything within the block."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)

    def say(self, command: str) -> str:
        """Return what it answers to a command, one line or several."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(READY_WITHIN)
            line.connect(f"{self.folder}/redis.sock")
            if self.password is not None:
                line.sendall(f"AUTH {self.password}\r\n".encode())
                line.recv(65536)
            line.sendall(f"{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: line.recv(65536), b"")).decode()

    def keys(self) -> list[str]:
        """List its keys."""
        return sorted(text for text in self.say("KEYS *").splitlines() if text.startswith("signed-url-gateway"))

    def stop(self) -> None:
        """End it for good."""
        for child in self._children:
            child.stop()

    @property
    def _pid(self) -> int:
        return int((self.folder / "pid").read_text("ascii"))

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.say("PING").startswith("+PONG")
        return False


@contextmanager
def running(folder: Path, password: str | None = None) -> Iterator[RedisServer]:
    """Run it with its socket in `folder`."""
    server = RedisServer(folder, password)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        raise StartError("redis-server is missing: `make test` installs it")
    return found
