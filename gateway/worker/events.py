"""Events: what S3 tells a queue of objects that appeared, itself or through SNS. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
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
    """Read a notification; other events tell of nothing, and neither does the one with which S3 tries the queue.

    Raises ValueError for what is no notification of S3's.
    """
    match _parsed(body):
        case {"Type": "Notification", "Message": str(inner)}:
            return _told(_parsed(inner))
        case message:
            return _told(message)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None


def _told(message: object) -> Sequence[Appeared]:
    match message:
        case {"Event": "s3:TestEvent"}:
            return []
        case {"Records": [*records]}:
            found = map(_appeared, records)
            return [each for each in found if each is not None]
        case _:
            raise ValueError("no notification")


def _appeared(record: object) -> Appeared | None:
    match record:
        case {"eventName": str(name), "s3": {"object": {"key": str(key), **told}}}:
            return Appeared(unquote_plus(key), _etag(told)) if "ObjectCreated:" in name else None
        case _:
            raise ValueError("no event of S3's")


def _etag(told: Mapping[object, object]) -> str | None:
    etag = told.get("eTag")
    return etag.strip('"') if isinstance(etag, str) else None
