"""Uploads that were begun and not finished, remembered in a folder so that another process can go on with them."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway.client.bodies import LocalFile
from gateway.client.errors import FileError
from gateway.client.values import parsed
from gateway.client.wishes import Wish

LONGEST_TICKET = 604_800  # seconds; docs/settings.md, multipart_expires_in
_SUFFIX = ".json"
_WRITTEN_HERE = re.compile(r"[0-9a-f]{64}\.(?:json|[0-9]{1,10})")  # a ticket, or the draft of a process


class Unfinished:
    """The ticket of one upload: of this file as it is now, to this gateway, as this wish. A ticket is a secret.

    The file is for the owner's eyes only. What cannot be read, or is somebody else's, is no ticket and is removed;
    whatever else lies in the folder, and the mode of one that was there before, stays as it is.
    """

    def __init__(self, folder: Path, gateway: str, file: LocalFile, wish: Wish) -> None:
        """Name the place; nothing is looked at yet."""
        self._folder = folder
        self._about = [
            str(file.path.resolve()),
            file.size,
            file.mtime_ns,
            gateway,
            wish.policy,
            wish.filename,
            wish.content_type,
            sorted((wish.metadata or {}).items()),
        ]
        name = hashlib.sha256(_text(self._about).encode("utf-8", "surrogateescape")).hexdigest()
        self._path = folder / f"{name}{_SUFFIX}"

    def load(self) -> str | None:
        """Return the ticket that was kept, if there is one."""
        try:
            kept = parsed(_read_own(self._path))
            if kept["about"] == json.loads(_text(self._about)):
                return str(kept["ticket"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            pass
        self.forget()
        return None

    def save(self, token: str) -> None:
        """Keep the ticket; raises FileError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._path.with_suffix(f".{os.getpid()}")
            draft.unlink(missing_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:  # noqa: PTH123 - the mode must be set at birth
                handle.write(_text({"about": self._about, "ticket": token}))
            draft.replace(self._path)
            self._sweep()
        except OSError as error:
            raise FileError(
                "file-unwritable", f"The state of the upload cannot be kept: {error.strerror or type(error).__name__}."
            ) from None

    def forget(self) -> None:
        """Keep nothing any longer."""
        with suppress(OSError):  # where nothing could be removed, nothing could be kept
            self._path.unlink()

    def _sweep(self) -> None:
        """Remove our own that are older than any ticket lives, counted from what was just written."""
        now = self._path.stat().st_mtime
        for other in self._folder.iterdir():
            if _WRITTEN_HERE.fullmatch(other.name):
                with suppress(OSError):  # another process was first, or it is not ours to remove
                    _remove_if_stale(other, now - LONGEST_TICKET)


def _remove_if_stale(path: Path, since: float) -> None:
    found = path.lstat()
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_mtime < since:
        path.unlink()


def _read_own(path: Path) -> str:
    """Read a file that nobody but this user could have written."""
    # Neither a link is followed, nor a pipe waited for.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="ascii") as handle:  # noqa: PTH123 - Path.open takes no flags
        found = os.fstat(handle.fileno())
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError
        return handle.read()


def _text(value: Sequence[object] | dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
