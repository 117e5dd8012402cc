"""Standard Webhooks: how a message is signed, and what its receiver takes. Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

TOLERANCE = 300  # seconds that a message may be old, or come from the future: what the specification's libraries take
PREFIX = "whsec_"
MIN_KEY = 24  # bytes, the specification's lower bound
_TIMESTAMP = re.compile(r"[0-9]{1,12}").fullmatch


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message that was proved: `id` is the same at every repeat, `timestamp` when it happened (seconds, UTC)."""

    id: str
    type: str
    timestamp: int
    data: Mapping[str, Any]


def signature(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret, the newest, which is the last, first."""
    content = _signed(message_id, str(timestamp), body)
    return " ".join(_sign(secret, content) for secret in reversed(secrets))


def opened(body: bytes, headers: Mapping[str, str], secrets: Iterable[str], now: int) -> Webhook:
    """Return the message that the headers prove; raises ValueError."""
    named = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    if not message_id or not _TIMESTAMP(sent_at):
        raise ValueError("the headers are not those of a webhook")
    content = _signed(message_id, sent_at, body)
    given = [text.encode(errors="replace") for text in named.get("webhook-signature", "").split()]
    expected = [_sign(secret, content).encode() for secret in secrets]
    # A list, so that the time does not tell which of them fits.
    if not any([hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]):  # noqa: C419 - see above
        raise ValueError("no secret of ours has signed this webhook")
    if abs(now - int(sent_at)) > TOLERANCE:
        raise ValueError(f"the webhook was not sent within {TOLERANCE} seconds of now: it is a replay, or a clock errs")
    return _read(message_id, body)


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode(errors="replace") + body


def _sign(secret: str, content: bytes) -> str:
    return f"v1,{b64encode(hmac.digest(_key(secret), content, 'sha256')).decode()}"


def _key(secret: str) -> bytes:
    """Return the bytes of a secret; raises ValueError without repeating it."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else b""
    except ValueError:
        key = b""
    if len(key) < MIN_KEY:
        raise ValueError(f"a webhook secret is '{PREFIX}' and the base64 of at least {MIN_KEY} bytes")
    return key


def _read(message_id: str, body: bytes) -> Webhook:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    match message:
        case {"type": str(kind), "timestamp": str(timestamp), "data": dict(data)}:
            return Webhook(message_id, kind, _seconds(timestamp), data)
        case _:
            raise ValueError("the webhook has no type, timestamp and data")


def _seconds(timestamp: str) -> int:
    happened = datetime.fromisoformat(timestamp)
    if happened.tzinfo is None:
        raise ValueError("the webhook's timestamp has no time zone")
    return int(happened.timestamp())
