"""Silence: what httpx would log of our requests, whose addresses are secrets, is kept out of every log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_OURS: ContextVar[bool] = ContextVar("a_request_of_the_gateway_s_client", default=False)
_SPEAKERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")


class _Unheard(logging.Filter):
    """Passes what is logged of everybody else's requests."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - all that is logged in such a moment is meant
        return not _OURS.get()


for _name in _SPEAKERS:
    logging.getLogger(_name).addFilter(_Unheard())


@contextmanager
def unlogged() -> Iterator[None]:
    """Let nobody log what this task asks within."""
    token = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(token)
