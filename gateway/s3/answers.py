"""What the store's answers mean: which are none of S3's, which callers go on from, and what of them is logged."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from gateway.s3.storage import Changed, Gone, UnfitParts

T = TypeVar("T")
log = logging.getLogger(__name__)

CONFLICT: Final = "ConditionalRequestConflict"
_MEANINGS: Final[Mapping[str, type[Exception]]] = {
    "PreconditionFailed": Changed,
    "412": Changed,
    CONFLICT: Changed,
    "NoSuchKey": Changed,
    "404": Changed,
    "NoSuchUpload": Gone,
    "InvalidPart": Changed,
    "InvalidPartOrder": UnfitParts,
    "EntityTooSmall": UnfitParts,
}
_NOT_OF_S3 = "not an answer of S3"


def expect(answer: Mapping[str, object], *names: str) -> None:
    """Refuse a 200 that S3 would not give: something between us and the store has answered."""
    if not all(name in answer for name in names):
        raise ResponseParserError(_NOT_OF_S3)


def expect_status(answer: Mapping[str, object], status: int) -> None:
    """Refuse another status than S3's: "HTTP/1.1 200" and a broken line is an answer to botocore."""
    found = answer["ResponseMetadata"]
    if not isinstance(found, dict) or found["HTTPStatusCode"] != status:
        raise ResponseParserError(_NOT_OF_S3)


def insist(attempts: int, call: Callable[[], T]) -> T:
    """Make a call anew whose answer is none of S3's: botocore repeats what failed, but not what told nothing."""
    for _ in range(attempts - 1):
        with suppress(ResponseParserError):
            return call()
    return call()


def code_of(error: ClientError) -> str:
    """Return S3's code, or the status where an answer has no body."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def understood(*meant: type[Exception]) -> Iterator[None]:
    """Raise what a refusal of the store means to callers that go on from it: any of `meant`, or of all.

    Any other stays as it is: a store that speaks of a multipart upload where there is none is not understood.
    """
    try:
        yield
    except ClientError as error:
        meaning = _MEANINGS.get(code_of(error))
        if meaning is None or (meant and meaning not in meant):
            raise
        raise meaning from error


def report(error: Exception, who: str = "storage") -> None:
    """Log what went wrong with the storage, or another service of the kind, without botocore's text: it holds URLs."""
    if not isinstance(error, ClientError):
        log.warning("the %s does not answer: %s", who, type(error).__name__)
        return
    answer = error.response["ResponseMetadata"]
    region = answer.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    log.log(
        logging.WARNING if answer["HTTPStatusCode"] >= 500 else logging.ERROR,  # noqa: PLR2004 - 4xx does not heal by itself
        "the %s refuses %s: %s, status %s, request %s, after %s retries%s",
        who,
        error.operation_name,
        code_of(error),
        answer["HTTPStatusCode"],
        answer.get("RequestId"),
        answer.get("RetryAttempts"),
        "" if region is None else f", the bucket's region {region}",
    )
