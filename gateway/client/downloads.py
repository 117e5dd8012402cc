"""Downloads: gone on with where a connection broke off, checked, and only then given their name."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from gateway.client.checksums import Checksum
from gateway.client.errors import FileError, GatewayError, RefusedError, UnreachableError, unexpected
from gateway.client.partial import Partial, unwritable
from gateway.client.patience import ATTEMPTS, patiently, pause
from gateway.client.progress import OnProgress, Progress
from gateway.client.values import Downloaded, parsed
from gateway.client.wire import Wire, read_error, refusal
from gateway.content.filenames import Filename
from gateway.errors import Refusal

PIECE = 2**20  # bytes that are written at a time
EXPIRED = "link-expired"
CHANGES = 3  # times that an object may become another while it is being fetched
NAMELESS = "download"  # the name of what has none
_LEADING = re.compile(r"^[.\s]+")
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})")


class ChangedError(GatewayError):
    """What is fetched is no longer what was begun."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("object-changed", "The object changes again and again while it is fetched.", 412)


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer tells of the object: `size` of all of it, and from which byte on the answer has it."""

    etag: str
    size: int
    first: int
    filename: str
    checksum: Checksum | None

    @classmethod
    def of(cls, answer: httpx.Response) -> "Found":
        """Read the head of an answer to a GET; raises GatewayError for one that is no object's."""
        headers = answer.headers
        length, match = headers.get("content-length", ""), _RANGE.fullmatch(headers.get("content-range", ""))
        if answer.status_code == httpx.codes.PARTIAL_CONTENT and match:
            first, size = int(match[1]), int(match[2])
        elif answer.status_code == httpx.codes.OK and length.isdecimal():
            first, size = 0, int(length)
        else:
            raise unexpected()
        description = _description(headers.get("x-amz-meta-description", ""))
        name = _safe_name(description.get("name"), answer.url.path)
        return cls(headers.get("etag", ""), size, first, name, Checksum.stated(description))


class Download:
    """One object on its way into one file."""

    def __init__(self, wire: Wire, link: str, target: Path, on_progress: OnProgress | None) -> None:
        """Take the link; nothing is asked yet. Raises FileError."""
        self._wire = wire
        self._link = link
        self._target = target
        self._on_progress = on_progress
        self._told = -1
        self._partial = Partial(target)

    async def run(self) -> Downloaded:
        """Fetch it, again from where it broke off while more arrives, and check it; raises GatewayError."""
        attempt = changes = 1
        while True:
            before = self._partial.size
            try:
                return await self._settle(await self._fetch())
            except ChangedError:
                self._partial.forget()
                changes += 1
                if changes > CHANGES:
                    raise
            except GatewayError as failure:
                attempt = 1 if self._partial.size > before else attempt + 1
                # A redirect that has expired on the way is followed afresh.
                if attempt > ATTEMPTS or not (failure.passing or failure.code == EXPIRED):
                    raise
                await pause(attempt, failure.retry_after, answered=failure.status != 0)

    async def _fetch(self) -> Found:
        headers = {}
        if size := self._partial.size:
            # The last byte is fetched again: a range behind the end would be refused.
            headers = {"range": f"bytes={size - 1}-", "if-match": self._partial.etag}
        async with opened(self._wire, self._link, headers) as answer:
            found = Found.of(answer)
            if found.first and (found.first != size - 1 or found.etag != self._partial.etag):
                raise ChangedError
            await self._receive(answer, found)
            return found

    async def _receive(self, answer: httpx.Response, found: Found) -> None:
        done = found.first
        with await asyncio.to_thread(self._partial.open, found.etag, found.first) as handle:
            self._tell(done, found.size)
            async for piece in answer.aiter_raw(PIECE):
                await asyncio.to_thread(_write, handle, piece)
                done += len(piece)
                self._tell(done, found.size)

    def _tell(self, done: int, size: int) -> None:
        if self._on_progress is not None and done > self._told:
            self._told = done
            self._on_progress(Progress(done, size))

    async def _settle(self, found: Found) -> Downloaded:
        path = self._partial.path
        agrees: bool | None = None
        if self._partial.size == found.size:
            agrees = None if found.checksum is None else await asyncio.to_thread(found.checksum.agrees, path)
        if self._partial.size != found.size or agrees is False:
            self._partial.forget()
            raise FileError("damaged", "What was fetched is not what was stored: its size or its SHA-256 differs.")
        self._partial.settle()
        return Downloaded(self._target, found.size, found.etag, agrees is True)


@asynccontextmanager
async def opened(wire: Wire, link: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
    """Follow a link by hand, and give the answer of where it leads; raises GatewayError, also while it is read."""
    try:
        async with wire.stream("GET", link, headers) as answer:
            location = answer.headers.get("location") if answer.is_redirect else None
            if location is None:
                yield await _accepted(answer)
                return
        async with wire.stream("GET", str(httpx.URL(link).join(location)), headers) as answer:
            yield await _accepted(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise unexpected() from None
    except httpx.RequestError:
        raise UnreachableError("storage-unreachable", "The connection failed.") from None


async def filename_of(wire: Wire, link: str) -> str:
    """Return the name under which the object behind a link may be saved; raises GatewayError."""

    async def look() -> str:
        async with opened(wire, link, {}) as answer:
            return Found.of(answer).filename

    return await patiently(look)


async def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    if answer.status_code in {412, 416}:
        raise ChangedError
    body = await read_error(answer)
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        raise refusal(answer, body)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise RefusedError("not-found", "There is nothing behind that key or link, or no longer.", 404)
    if answer.status_code in {400, 403} and b"expired" in body.lower():
        raise RefusedError(EXPIRED, "The link has expired.", answer.status_code)
    raise RefusedError("storage-refused", f"The storage answered {answer.status_code}.", answer.status_code)


def _write(handle: IO[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    with unwritable():
        while rest:
            rest = rest[handle.write(rest) :]


def _description(text: str) -> Mapping[str, Any]:
    """Read what the gateway wrote down of the object; what somebody else wrote there says nothing."""
    try:
        description = parsed(base64.urlsafe_b64decode(text))
    except ValueError:
        return {}
    return description if isinstance(description, dict) else {}


def _safe_name(*candidates: object) -> str:
    """Return the first that is a name which stays in its folder and is not hidden there."""
    for candidate in candidates:
        if isinstance(candidate, str):
            with suppress(Refusal):
                seen = _LEADING.sub("", Filename.parse(candidate).text)
                return Filename.parse(seen).text  # without its dots it may be the name of a device
    return NAMELESS
