"""Python environments for servers whose pins would fight ours: made once per lock file, hashes checked."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.child import StartError

STAMP = "installed.sha256"


def environment(folder: Path, lock: Path) -> Path:
    """Make the virtual environment `folder` hold what `lock` pins, unless it does, and answer its Python.

    uv does it where this environment has it, in a second; else venv and pip. Raises StartError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    with _turn(folder.parent):
        if not _has(folder, wanted):
            _install(folder, lock)
            (folder / STAMP).write_text(wanted)
    return _python(folder)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other process installs into `folder`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _has(folder: Path, wanted: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == wanted and _python(folder).is_file()


def _install(folder: Path, lock: Path) -> None:
    python, uv = _python(folder), Path(sys.executable).with_name("uv")
    if uv.is_file():
        _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([str(uv), "pip", "install", "--quiet", "--require-hashes", "--python", str(python), "-r", str(lock)])
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise StartError(f"'{Path(command[0]).name} {command[1]}' failed: {last}")


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
