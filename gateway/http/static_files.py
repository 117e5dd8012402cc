"""Files of a folder, as they are served: found by plain names, known by their content, and hashed names for a year.

A script with a folder of its name beside it (`app.js` and `app/`) is a set, with one hash over all of it: its hashed
name is `app.<hash>/app.js`, so that what it imports by relative paths comes from `app.<hash>/app/`: the same version.

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
_IN_SET = re.compile(r"(?P<stem>(?:.+/)?(?P<name>[^/]+))\.(?P<hash>[0-9a-f]{8,64})/(?P=name)(?P<rest>\.js|/.*[^/])")


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
        return plain or self._find_in_set(path) or self._find_hashed(path)

    def hashed_path(self, path: str) -> str:
        """Return `demo/app.<hash>.js` for `demo/app.js`, in a set `demo/app.<hash>/app.js`; else FileNotFoundError."""
        file = self.find(path)
        if file is None or path.endswith("/") or not path:
            raise FileNotFoundError(path)
        whole = self._set_of(path)
        folder, slash, name = (whole or path).rpartition("/")
        if whole is not None:
            return f"{whole}.{self._sha256_of_set(whole)[:_HASH_LENGTH]}/{path.removeprefix(folder + slash)}"
        stem, dot, suffix = name.rpartition(".")
        return f"{folder}{slash}{stem or suffix}.{file.sha256[:_HASH_LENGTH]}{dot + suffix if dot else ''}"

    def _find_hashed(self, path: str) -> StaticFile | None:
        match = _HASHED.fullmatch(path)
        if match is None:
            return None
        plain = match["stem"] + (match["suffix"] or "")
        file = self._read(plain, immutable=True)
        known = file is not None and file.sha256.startswith(match["hash"])
        return file if known and self._set_of(plain) is None else None

    def _find_in_set(self, path: str) -> StaticFile | None:
        match = _IN_SET.fullmatch(path)
        if match is None:
            return None
        plain = match["stem"] + match["rest"]
        if self._set_of(plain) != match["stem"] or not self._sha256_of_set(match["stem"]).startswith(match["hash"]):
            return None
        return self._read(plain, immutable=True)

    def _set_of(self, path: str) -> str | None:
        """Return `app` for `app.js` and `app/parts.js`, when there are both that script and that folder."""
        names = path.removesuffix(".js").split("/")
        stems = ("/".join(names[:depth]) for depth in range(1, len(names) + 1))
        return next((stem for stem in stems if self._is_file(f"{stem}.js") and (self._root / stem).is_dir()), None)

    def _sha256_of_set(self, stem: str) -> str:
        inside = sorted(file.relative_to(self._root).as_posix() for file in (self._root / stem).rglob("*"))
        digest = hashlib.sha256()
        for path in filter(_PATH.fullmatch, [f"{stem}.js", *inside]):
            file = self._read(path, immutable=True)
            if file is not None:
                digest.update(f"{path.removeprefix(stem)} {file.sha256}\n".encode())
        return digest.hexdigest()

    def _is_file(self, path: str) -> bool:
        return self._read(path, immutable=False) is not None

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
    """Return `/static/app.<hash>.js` for `app.js`, kept by browsers for a year; FileNotFoundError if there is none.

    With a folder `app/` beside it, it is `/static/app.<hash>/app.js`.
    """
    return f"/static/{Folder(directory).hashed_path(path)}"
