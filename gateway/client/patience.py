"""Patience: a call that failed for now is made again, a bounded number of times and further apart each time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.client.errors import GatewayError
from gateway.client.progress import BUSY, NO_ANSWER, mention

Value = TypeVar("Value")

ATTEMPTS = 5  # per call, the first included
BACK_OFF = 0.5  # seconds; doubles with each attempt
LONGEST_WAIT = 60.0  # seconds, however long a Retry-After is
TOO_MANY = 429


async def patiently(call: Callable[[], Awaitable[Value]]) -> Value:
    """Call until it succeeds, fails for good or has failed too often; raises GatewayError."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await call()
        except GatewayError as failure:
            if attempt == ATTEMPTS or not failure.passing or _is_used_up(failure):
                raise
            await pause(attempt, failure.retry_after, answered=failure.status != 0)
    raise AssertionError  # the last attempt returns or raises


def _is_used_up(failure: GatewayError) -> bool:
    """Whether a quota is used up for so long that to ask any sooner is in vain."""
    return failure.status == TOO_MANY and (failure.retry_after or 0) > LONGEST_WAIT


async def pause(attempt: int, wait: float | None = None, *, answered: bool = True) -> None:
    """Wait as long as was asked for, else longer with each attempt; spread, so that not all come back at once."""
    mention(BUSY if answered else NO_ANSWER)
    back_off = BACK_OFF * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - chance, not a secret
    await asyncio.sleep(min(back_off if wait is None else wait, LONGEST_WAIT))
