"""Files of a folder, as they are served: found by plain names, known by their content, and hashed names for a year.

A path consists of names of RFC 3986's unreserved characters and `@`, none beginning with a dot, so that it can be
written without percent-encoding and none can mean another folder; every other path is not found.
"""

import hashlib
import re
import stat
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

STATIC_DIR = Path(__file__).parent.parent / "static"
ROOT_DIR = Path(__file__).parent.parent / "root"
INDEX = "index.html"

_HASH_LENGTH = 16  # hexadecimal digits in the names we write
_PATH = re.compile(r"(?:[A-Za-z0-9_~@-][A-Za-z0-9._~@-]{0,127}/){0,16}(?:[A-Za-z0-9_~@-][A-Za-z0-9._~@-]{0,127})?")
_HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{8,64})(?P<suffix>\.[^./]+)?")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that may be served; `immutable` when it was asked for under its content's hash."""

    path: Path
    status: stat_result
    sha256: str
    immutable: bool


class Folder:
    """A folder whose files are served. Every path from outside goes through `find`; it reads the disk and may block."""

    def __init__(self, directory: Path) -> None:
        """Take an existing directory; OSError when there is none."""
        self._root = directory.resolve(strict=True)
        if not self._root.is_dir():
            raise NotADirectoryError("not a directory")
        self._hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def find(self, path: str) -> StaticFile | None:
        """Return the file at a decoded path such as `demo/app.js`, `demo/app.<hash>.js` or, for its index, `demo/`."""
        if _PATH.fullmatch(path) is None:
            return None
        plain = self._read(path + INDEX if path.endswith("/") or not path else path, immutable=False)
        if plain is not None:
            return plain
        match = _HASHED.fullmatch(path)
        if match is None:
            return None
        hashed = self._read(match["stem"] + (match["suffix"] or ""), immutable=True)
        return hashed if hashed is not None and hashed.sha256.startswith(match["hash"]) else None

    def hashed_path(self, path: str) -> str:
        """Return `demo/app.<hash>.js` for `demo/app.js`; FileNotFoundError when it is not served."""
        file = self.find(path)
        if file is None or path.endswith("/") or not path:
            raise FileNotFoundError(path)
        folder, slash, name = path.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        return f"{folder}{slash}{stem or suffix}.{file.sha256[:_HASH_LENGTH]}{dot + suffix if dot else ''}"

    def _read(self, path: str, *, immutable: bool) -> StaticFile | None:
        try:
            found = (self._root / path).resolve(strict=True)
            status = found.stat()
            if not found.is_relative_to(self._root) or not stat.S_ISREG(status.st_mode):
                return None
            return StaticFile(found, status, self._sha256(found, status), immutable)
        except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links, before Python 3.13
            return None

    def _sha256(self, path: Path, status: stat_result) -> str:
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._hashes.get(path)
        if known is not None and known[0] == version:
            return known[1]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._hashes[path] = (version, digest)
        return digest


def static_url(path: str, directory: Path = STATIC_DIR) -> str:
    """Return `/static/app.<hash>.js` for `app.js`, kept by browsers for a year; FileNotFoundError if there is none."""
    return f"/static/{Folder(directory).hashed_path(path)}"
