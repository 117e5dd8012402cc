"""The file beside a download's target that grows until it is whole: `<name>.<ETag>.gateway-part`."""

import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from gateway.client.errors import FileError

LONGEST_STEM = 160  # bytes; with an ETag and the suffix at most 255, which is all that most file systems take
_KEPT = 120  # bytes of a longer name that are still shown
_ETAG = re.compile(r'"([0-9A-Za-z-]{1,80})"')
_REST = re.compile(r"\.([0-9A-Za-z-]{1,80})\.gateway-part")
# By a descriptor, so that it is neither truncated nor appended to; no link is followed, and no pipe waited for.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


class Partial:
    """What has arrived of one content, which the name tells, so that another process can go on.

    Whoever answers chooses the target's name. So only a plain file of this user's is taken up, written to or removed.
    """

    def __init__(self, target: Path) -> None:
        """Find the most that earlier tries have left, and remove the rest; raises FileError where nothing can lie."""
        self._target = target
        self._stem = _stem(target.name)
        self._path: Path | None = None
        self.etag = ""
        with unwritable():
            sizes = {path: _size(path) for path in target.parent.iterdir() if self._etag_in(path) and _is_ours(path)}
            for path in sorted(sizes, key=lambda path: sizes[path], reverse=True):
                if self._path is None:
                    self._path, self.etag = path, f'"{self._etag_in(path)}"'
                else:
                    path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """Where it lies."""
        assert self._path is not None  # noqa: S101 - asked for once it was opened
        return self._path

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return 0 if self._path is None else _size(self._path)

    def open(self, etag: str, first: int) -> IO[bytes]:
        """Open it to be written from there on, beginning anew for another content."""
        if self._path is None or etag != self.etag:
            self.forget()
            match = _ETAG.fullmatch(etag)
            # An ETag that fits into no name is asked for in vain by the next process, which then begins anew.
            self._path = self._target.with_name(f"{self._stem}.{match[1] if match else 'unknown'}.gateway-part")
            self.etag = etag
        with unwritable():
            handle = open(os.open(self._path, _FLAGS, 0o666), "wb", buffering=0)  # noqa: PTH123, SIM115 - the caller closes it
            if not _ours(os.fstat(handle.fileno())):
                handle.close()
                raise FileError("file-unwritable", "The file cannot be written: what lies beside it is another's.")
            handle.seek(first)
        return handle

    def forget(self) -> None:
        """Remove it."""
        if self._path is not None and _is_ours(self._path):
            with unwritable():
                self._path.unlink(missing_ok=True)
        self._path, self.etag = None, ""

    def settle(self) -> None:
        """Give it the name of the target."""
        with unwritable():
            self.path.replace(self._target)

    def _etag_in(self, path: Path) -> str | None:
        match = _REST.fullmatch(path.name, len(self._stem)) if path.name.startswith(self._stem) else None
        return match[1] if match else None


def _stem(name: str) -> str:
    """Return a name, or in the place of a long one its beginning and a digest."""
    spelt = os.fsencode(name)
    if len(spelt) <= LONGEST_STEM:
        return name
    return f"{spelt[:_KEPT].decode('utf-8', 'ignore')}.{hashlib.sha256(spelt).hexdigest()[:32]}"


def _is_ours(path: Path) -> bool:
    with suppress(OSError):
        return _ours(path.lstat())
    return False


def _ours(found: os.stat_result) -> bool:
    """Whether it is a plain file of this user's, under one name."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_size
    return 0


class unwritable:  # noqa: N801 - reads as a function
    """Raises FileError for what the system says about a file that is to be written."""

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Say it in our words."""
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            raise FileError("file-unwritable", f"The file cannot be written: {reason}.") from None
