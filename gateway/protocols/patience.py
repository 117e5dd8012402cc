"""Patience with the store and the scanner, for clients that ask the gateway once and then give their upload up.

Uppy 6 shows an error after the first answer that is none, and Uppy 5 throws away all that it has sent when a completion
fails. Neither limits how long an answer may take, but proxies do: after 30 seconds without a byte (infra/nginx.conf).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.responses import Response, StreamingResponse

from gateway.errors import Code, Refusal
from gateway.markers import State
from gateway.uploads import RETRY_AFTER, Outcome

ASK_FOR = 25.0  # seconds during which what does not answer is asked again
FIRST_BYTE = 27.0  # seconds until an answer has to begin
PAUSE = 1.0  # seconds between two tries
BEAT = 10.0  # seconds between two spaces that keep a connection open
MAX_BEATS = 360  # an hour, in which S3 copies a few TiB by parts
_SPACE = b" "
_PASSING = {
    Code.STORAGE_UNAVAILABLE: "The object storage takes too long: try again later.",
    Code.SCANNER_UNAVAILABLE: "The scanner takes too long: try again later.",
}
_T = TypeVar("_T")


async def patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask until there is an answer, for a bounded time; raises `storage-unavailable` or `scanner-unavailable`."""
    silent = Code.STORAGE_UNAVAILABLE
    try:
        async with asyncio.timeout(ASK_FOR):
            while True:
                try:
                    return await ask()
                except Refusal as refusal:
                    if refusal.code not in _PASSING:
                        raise
                    silent = refusal.code
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise Refusal(silent, _PASSING[silent]) from None


async def concluded(complete: Callable[[], Awaitable[Outcome]], seconds: float | None = None) -> Outcome:
    """Complete until the upload is copied and scanned; after `seconds`, return how far it is."""
    outcome = Outcome(State.PROMOTING, retry_after=RETRY_AFTER)
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            outcome = await complete()
            while outcome.retry_after is not None:
                # For a copy, `complete` itself waits; a scan is a worker's, and every look for it reads the bucket.
                await asyncio.sleep(PAUSE if outcome.state is State.PROMOTING else outcome.retry_after)
                outcome = await complete()
    except TimeoutError:
        if not timeout.expired():
            raise
    return outcome


async def answered(work: Awaitable[Mapping[str, str]]) -> Response:
    """Answer with the JSON that the work gives, or raise its refusal; what takes longer is kept open by spaces.

    S3's own CompleteMultipartUpload does so, with the same catch: the status is 200 before the outcome is known. What
    fails then ends in text that no client can read as JSON, so that none takes it for a success.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=FIRST_BYTE)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return Response(_json(task.result()), media_type="application/json")
    return StreamingResponse(_beats(task), media_type="application/json")


async def _beats(task: "asyncio.Future[Mapping[str, str]]") -> AsyncIterator[bytes]:
    try:
        for _ in range(MAX_BEATS):
            yield _SPACE
            await asyncio.wait({task}, timeout=BEAT)
            if task.done():
                yield _json(task.result())
                return
        yield b"This takes too long: try again later."
    except Refusal as refusal:
        yield refusal.detail.encode()
    finally:
        task.cancel()


def _json(fields: Mapping[str, str]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
