"""The file beside a download's target that grows until it is whole: `<name>.<ETag>.part`."""

import os
import re
from pathlib import Path
from typing import IO

from gateway.client.errors import FileError

_ETAG = re.compile(r'"([0-9A-Za-z-]{1,80})"')
_SUFFIX = re.compile(r"\.([0-9A-Za-z-]{1,80})\.part")


class Partial:
    """What has arrived of one content, which the name tells, so that another process can go on."""

    def __init__(self, target: Path) -> None:
        """Find the most that earlier tries have left, and remove the rest; raises FileError where nothing can lie."""
        self._target = target
        self._path: Path | None = None
        self.etag = ""
        with unwritable():
            beside = [path for path in target.parent.iterdir() if path.name.startswith(target.name)]
            for path in sorted(beside, key=_size, reverse=True):
                match = _SUFFIX.fullmatch(path.name, len(target.name))
                if match and self._path is None:
                    self._path, self.etag = path, f'"{match[1]}"'
                elif match:
                    path.unlink()

    @property
    def path(self) -> Path:
        """Where it lies."""
        assert self._path is not None  # noqa: S101 - asked for once it was opened
        return self._path

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self._path.stat().st_size if self._path and self._path.exists() else 0

    def open(self, etag: str, first: int) -> IO[bytes]:
        """Open it to be written from there on, beginning anew for another content."""
        if self._path is None or etag != self.etag:
            self.forget()
            match = _ETAG.fullmatch(etag)
            # An ETag that fits into no name is asked for in vain by the next process, which then begins anew.
            self._path = self._target.with_name(f"{self._target.name}.{match[1] if match else 'unknown'}.part")
            self.etag = etag
        with unwritable():
            # By a descriptor, so that it is neither truncated nor appended to.
            handle = open(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666), "wb")  # noqa: PTH123, SIM115 - the caller closes it
            handle.seek(first)
        return handle

    def forget(self) -> None:
        """Remove it."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path, self.etag = None, ""

    def settle(self) -> None:
        """Give it the name of the target."""
        with unwritable():
            self.path.replace(self._target)


def _size(path: Path) -> int:
    return path.stat().st_size


class unwritable:  # noqa: N801 - reads as a function
    """Raises FileError for what the system says about a file that is to be written."""

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Say it in our words."""
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            raise FileError("file-unwritable", f"The file cannot be written: {reason}.") from None
