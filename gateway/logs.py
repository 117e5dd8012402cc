"""Logs: one JSON object a line on standard error, with nothing in it that signs, unlocks or identifies a token."""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import structlog

from gateway.errors import Refusal
from gateway.grants.keys import ObjectKey


def configure(level: str) -> None:
    """Send our lines and those of the libraries through one renderer.

    botocore's DEBUG prints session tokens and signatures, httpx's INFO prints URLs: both stay at WARNING at any level.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("boto3", "botocore", "s3transfer", "urllib3", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def access(line: Mapping[str, object]) -> None:
    """Write one line for one request."""
    structlog.get_logger().info(**{str(name): value for name, value in line.items()})


def about(text: str) -> AbstractContextManager[None]:
    """Name the upload in every line within the block, by the text of its key, or of what lies right below it."""
    try:
        key = ObjectKey.parse_below(text)
    except Refusal:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(key=key.upload_key, tenant=key.tenant, policy=key.policy)
