"""Events: what S3 tells a queue of objects that appeared. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Appeared:
    """An object appeared under a key, or was written over; `etag` is without quotes, None where it is not told."""

    key: str
    etag: str | None


def appeared(body: str) -> Sequence[Appeared]:
    """Read a notification; S3's test event, other events and what is no notification tell of nothing."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return []
    records = message.get("Records") if isinstance(message, dict) else None
    found = map(_appeared, records) if isinstance(records, list) else ()
    return [each for each in found if each is not None]


def is_test(body: str) -> bool:
    """Whether this is the event that S3 sends when notifications are set up."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("Event") == "s3:TestEvent"


def _appeared(record: object) -> Appeared | None:
    match record:
        case {"eventName": str(name), "s3": {"object": {"key": str(key), **told}}} if "ObjectCreated:" in name:
            return Appeared(unquote_plus(key), _etag(told))
        case _:
            return None


def _etag(told: Mapping[object, object]) -> str | None:
    etag = told.get("eTag")
    return etag.strip('"') if isinstance(etag, str) else None
