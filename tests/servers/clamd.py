"""clamd, Debian's, on a Unix socket, as `infra/clamd.conf` sets it up, with signatures that are made here."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.cli.child import POLL, Child, StartError, spawn

CONFIG = Path(__file__).parents[2] / "infra" / "clamd.conf"
READY_WITHIN = 60.0  # seconds
# https://www.eicar.org/download-anti-malware-testfile/, in pieces, so that no scanner takes this file for it.
EICAR: Final = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}" + rb"$EICAR-STANDARD-" + rb"ANTIVIRUS-TEST-FILE!" + rb"$H+H*"
MARKER: Final = b"GATEWAY-TEST-MALWARE-MARKER-" + b"1f3a"


@dataclass(frozen=True, slots=True)
class ClamdServer:
    """A running clamd: where it listens, and its process."""

    socket: Path
    child: Child
    pid_file: Path

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text("ascii"))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Keep it from doing anything within the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would, its socket file left behind."""
        os.kill(self.pid, signal.SIGKILL)
        self.child.process.wait(READY_WITHIN)


@contextmanager
def running(folder: Path, changes: Mapping[str, str] | None = None) -> Iterator[ClamdServer]:
    """Run it with its state in `folder`; `changes` are options that differ from `infra/clamd.conf`."""
    database, unpacked, pid_file = folder / "database", folder / "unpacked", folder / "clamd.pid"
    for made in (database, unpacked):
        made.mkdir(exist_ok=True)
    _write_signatures(database)
    listening = folder / "clamd.sock"
    options = {
        "DatabaseDirectory": str(database),
        "TemporaryDirectory": str(unpacked),
        "LocalSocket": str(listening),
        "PidFile": str(pid_file),
        **(changes or {}),
    }
    config = folder / "clamd.conf"
    config.write_text(configured(CONFIG.read_text("utf-8"), options), "utf-8")
    child = spawn([_clamd(), "--config-file", str(config)], env=os.environ, log=folder / "clamd.log")
    try:
        _wait(listening, child)
        yield ClamdServer(listening, child, pid_file)
    finally:
        child.stop()


def configured(text: str, options: Mapping[str, str]) -> str:
    """Set the options in a configuration; without the user and the group that clamd would need root for."""
    dropped = {"User", "LocalSocketGroup", *options}
    kept = [line for line in text.splitlines() if line.partition(" ")[0] not in dropped]
    return "\n".join([*kept, *(f"{name} {value}" for name, value in options.items())]) + "\n"


def _write_signatures(database: Path) -> None:
    """Write what clamd is to find: https://docs.clamav.net/manual/Signatures.html."""
    bodies = {"Local.Test.EICAR-Body": EICAR, "Local.Test.Marker": MARKER}
    (database / "local.ndb").write_text("".join(f"{name}:0:*:{body.hex()}\n" for name, body in bodies.items()), "ascii")
    (database / "local.hsb").write_text(f"{sha256(EICAR).hexdigest()}:68:Local.Test.EICAR-Hash\n", "ascii")


def _wait(listening: Path, child: Child) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(listening):
        if child.process.poll() is not None or time.monotonic() > deadline:
            raise StartError(child.log.read_text("utf-8"))
        time.sleep(POLL)


def _answers(listening: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(READY_WITHIN)
        try:
            probe.connect(str(listening))
            probe.sendall(b"zPING\0")
            return probe.recv(16) == b"PONG\0"
        except OSError:
            return False


def _clamd() -> str:
    found = shutil.which("clamd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise StartError("clamd is not installed: apt-get install clamav-daemon")
    return found
