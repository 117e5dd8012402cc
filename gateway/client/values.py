"""What the gateway answers, read once into values; what opens something is left out of their representation."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from gateway.client.errors import RefusedError, from_problem, unexpected
from gateway.s3.parts import MAX_PART, MIN_PART

Json = Mapping[str, Any]
Value = TypeVar("Value")

_CONFLICT = 409  # the status of an upload that was rejected, aborted or deleted, where no problem says another


@dataclass(frozen=True, slots=True)
class Object:
    """A stored object; `size` in bytes, `checksum_sha256` in base64."""

    key: str
    size: int
    content_type: str
    filename: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    etag: str
    principal: str
    metadata: Mapping[str, str]
    stored_at: datetime

    @classmethod
    def read(cls, body: Json) -> "Object":
        """Read the gateway's Object."""
        return cls(
            _text(body["key"]),
            _count(body["size"]),
            _text(body["content_type"]),
            _text(body["filename"]),
            _none_or(_text, body["checksum_sha256"]),
            body["checksum_type"],
            _text(body["etag"]),
            _text(body["principal"]),
            {_text(name): _text(value) for name, value in body["metadata"].items()},
            datetime.fromisoformat(body["stored_at"]),
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload that was proved and stored: the object, the receipt for a back end, and a link to it."""

    object: Object
    receipt: str = field(repr=False)
    link: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ArrivedPart:
    """A part that lies in the bucket."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where an upload stands; `retry_after` in seconds."""

    state: str
    parts: Sequence[ArrivedPart]
    stored: Stored | None
    problem: RefusedError | None
    retry_after: int | None

    @classmethod
    def read(cls, body: Json) -> "Status":
        """Read the gateway's Status."""
        found, problem = body["object"], body["problem"]
        return cls(
            _text(body["status"]),
            tuple(
                ArrivedPart(_count(part["part_number"]), _count(part["size"]), _text(part["etag"]))
                for part in body["parts"]
            ),
            None if found is None else Stored(Object.read(found), _text(body["receipt"]), _text(body["link"])),
            None if problem is None else from_problem(problem, _count(problem["status"])),
            _none_or(_count, body["retry_after"]),
        )

    def refusal(self) -> RefusedError:
        """Return the error of an upload that will never be stored."""
        if self.state in {"waiting", "uploading"}:  # what had arrived is gone
            return RefusedError("aborted", "The storage no longer has what was sent: upload it again.", _CONFLICT)
        return self.problem or RefusedError(self.state, f"The upload was {self.state}.", _CONFLICT)


@dataclass(frozen=True, slots=True)
class Link:
    """The address of an object, and when it ends."""

    key: str
    url: str = field(repr=False)
    expires_at: datetime | None = None

    @classmethod
    def read(cls, body: Json) -> "Link":
        """Read one link of a batch; raises for a key that none can be made for."""
        if "error" in body:
            raise RefusedError(_text(body["error"]), "No link can be made for that key, filename or lifetime.", 422)
        expires_at = body["expires_at"]
        end = None if expires_at is None else datetime.fromisoformat(expires_at)
        return cls(_text(body["key"]), _text(body["url"]), end)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that was fetched. `verified` says that its bytes have the SHA-256 under which they were stored."""

    path: Path
    size: int
    etag: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Presigned:
    """A request to the bucket, to be sent as it stands."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, body: Json) -> "Presigned":
        """Read an Upload or a Part."""
        headers = {_text(name): _text(value) for name, value in body["headers"].items()}
        return cls(_text(body["method"]), _text(body["url"]), headers)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What spends a grant: a single request, or parts of `part_size` bytes."""

    token: str = field(repr=False)
    single: Presigned | None
    part_size: int | None

    @classmethod
    def read(cls, body: Json) -> "Ticket":
        """Read the gateway's Ticket."""
        single, multipart = body["upload"], body["multipart"]
        if (single is None) == (multipart is None):
            raise ValueError
        part_size = None if multipart is None else _count(multipart["part_size"])
        if part_size is not None and not MIN_PART <= part_size <= MAX_PART:
            raise ValueError
        return cls(_text(body["ticket"]), None if single is None else Presigned.read(single), part_size)


def parsed(text: bytes | str) -> Any:  # noqa: ANN401 - whatever JSON can say
    """Parse JSON; raises ValueError, also for what is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def read(reader: Callable[[Json], Value], body: Json) -> Value:
    """Read an answer; raises `unexpected` for one that is not of the documented shape."""
    try:
        return reader(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise unexpected() from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate, which JSON can spell, is a ValueError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _none_or(reader: Callable[[object], Value], value: object) -> Value | None:
    return None if value is None else reader(value)
