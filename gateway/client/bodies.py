"""What is sent: a slice of a file on the disk, or what an application has generated so far."""

import asyncio
import base64
import hashlib
import os
import stat
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Protocol

from gateway.client.errors import FileError

PIECE = 2**20  # bytes that are read and sent at a time
IN_MEMORY = 16 * PIECE  # bytes of a generated part that are kept there; larger ones go to a temporary file


class Body(Protocol):
    """Bytes of a known number that can be sent as often as need be."""

    @property
    def size(self) -> int: ...
    def pieces(self) -> AsyncGenerator[bytes]: ...
    async def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was found; what it is now is held against that whenever it is read."""

    path: Path
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def find(cls, path: Path) -> "LocalFile":
        """Look at a file; raises FileError for what is none, or cannot be read."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for somebody who writes to it
                raise FileError("file-unreadable", "The file cannot be read: it is a folder, or no plain file.")
            with path.open("rb", buffering=0) as handle:
                return cls(path, *_identity(handle))
        except OSError as error:
            raise FileError("file-unreadable", _why(error)) from None

    def open_at(self, offset: int) -> IO[bytes]:
        """Open it for reading from there; raises FileError when it is not what it was."""
        try:
            handle = self.path.open("rb", buffering=0)
        except OSError as error:
            raise FileError("file-unreadable", _why(error)) from None
        try:
            self.check(handle)
            handle.seek(offset)
        except BaseException:
            handle.close()
            raise
        return handle

    def check(self, handle: IO[bytes]) -> None:
        """Raise FileError when the open file is not what was found."""
        if _identity(handle) != (self.size, self.mtime_ns, self.inode):
            raise _changed()

    def slice(self, offset: int, size: int) -> "Slice":
        """Return a part of it."""
        return Slice(self, offset, size)

    def whole(self) -> "Slice":
        """Return all of it."""
        return Slice(self, 0, self.size)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some bytes of a file, a Body."""

    file: LocalFile
    offset: int
    size: int

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Read it piece by piece; raises FileError when the file changes meanwhile."""
        with await asyncio.to_thread(self.file.open_at, self.offset) as handle:
            left = self.size
            while left:
                piece = await asyncio.to_thread(_read, handle, min(PIECE, left))
                left -= len(piece)
                if left == 0:
                    self.file.check(handle)
                yield piece

    async def sha256(self) -> str:
        """Return the SHA-256 in base64."""
        return await asyncio.to_thread(self._sha256)

    def _sha256(self) -> str:
        digest, left = hashlib.sha256(), self.size
        with self.file.open_at(self.offset) as handle:
            while left:
                piece = _read(handle, min(PIECE, left))
                digest.update(piece)
                left -= len(piece)
            self.file.check(handle)
        return base64.b64encode(digest.digest()).decode()


class Spool:
    """Bytes that an application has generated, a Body; whoever writes to it has stopped before it is sent."""

    def __init__(self) -> None:
        """Begin with none."""
        self.size = 0
        self._blocks: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Add some bytes: to memory, or with all before them to the disk when they become many."""
        if self._file is None and self.size + len(data) > IN_MEMORY:
            self._file = TemporaryFile()  # noqa: SIM115 - `close` ends it
            self._file.writelines(self._blocks)
            self._blocks.clear()
        if self._file is None:
            self._blocks.append(bytes(data))
        else:
            self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Give it piece by piece, from the start."""
        for block in self._blocks:
            yield block
        if self._file is not None:
            for position in range(0, self.size, PIECE):
                yield await asyncio.to_thread(self._read, self._file, position)

    async def sha256(self) -> str:
        """Return the SHA-256 in base64."""
        return base64.b64encode(self._digest.digest()).decode()

    def close(self) -> None:
        """Free what it takes."""
        self._blocks.clear()
        if self._file is not None:
            self._file.close()

    @staticmethod
    def _read(file: IO[bytes], position: int) -> bytes:
        file.seek(position)
        return file.read(PIECE)


def _identity(handle: IO[bytes]) -> tuple[int, int, int]:
    found = os.fstat(handle.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read(handle: IO[bytes], size: int) -> bytes:
    try:
        piece = handle.read(size)
    except OSError as error:
        raise FileError("file-unreadable", _why(error)) from None
    if not piece:
        raise _changed()
    return piece


def _changed() -> FileError:
    return FileError("file-changed", "The file changed while it was being sent: send it again.")


def _why(error: OSError) -> str:
    return f"The file cannot be read: {error.strerror or type(error).__name__}."
