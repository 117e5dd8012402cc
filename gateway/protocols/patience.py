"""Patience with the store, for clients that ask the gateway once and then give their upload up.

Uppy 6 shows an error after the first answer that is none, and Uppy 5 throws away all that it has sent when a completion
fails. Neither limits how long an answer may take, but proxies do: after 30 seconds without a byte (infra/nginx.conf).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.responses import Response, StreamingResponse

from gateway.errors import Code, Refusal

ASK_FOR = 25.0  # seconds during which a store that does not answer is asked again
FIRST_BYTE = 27.0  # seconds until an answer has to begin
PAUSE = 1.0  # seconds between two tries
BEAT = 10.0  # seconds between two spaces that keep a connection open
MAX_BEATS = 360  # an hour, in which S3 copies a few TiB by parts
_SPACE = b" "
_T = TypeVar("_T")


async def patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask until the store answers, for a bounded time; raises `storage-unavailable`."""
    try:
        async with asyncio.timeout(ASK_FOR):
            while True:
                try:
                    return await ask()
                except Refusal as refusal:
                    if refusal.code is not Code.STORAGE_UNAVAILABLE:
                        raise
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise Refusal(Code.STORAGE_UNAVAILABLE, "The object storage takes too long: try again later.") from None


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
