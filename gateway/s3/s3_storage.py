"""The calls we make to the bucket. With clients.py and credentials.py the only user of boto3.

The permissions these calls need: s3:GetObject, s3:PutObject and s3:DeleteObject on the objects, and s3:ListBucket on
the bucket without a condition (else HEAD of a missing key, and HeadBucket, are 403).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError
from botocore.parsers import ResponseParserError

from gateway.errors import Code, Refusal
from gateway.s3.clients import Patience, Place, make_client
from gateway.s3.storage import Changed, Head, Page
from gateway.s3.threads import Busy, Threads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef, HeadObjectOutputTypeDef, PutObjectRequestTypeDef

T = TypeVar("T")
log = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds
CONFLICT_PAUSES = (0.05, 0.2)  # seconds before the second and third try of a put that met another one
STRANGER = "not an answer of S3"
NO_LONGER = {"PreconditionFailed", "412", "NoSuchKey", "404"}


class S3Storage:
    """A bucket behind S3's API, called by boto3 in threads of its own."""

    def __init__(self, session: boto3.Session, place: Place, patience: Patience | None = None) -> None:
        """Connect to nothing yet."""
        self._session = session
        self._place = place
        self._patience = patience = patience or Patience()
        self._threads = Threads(patience.threads, "storage")
        self._copiers = Threads(patience.threads, "copies")  # of their own: each is taken for up to minutes
        self._making = threading.Lock()
        self._made: dict[float, S3Client] = {}
        self._checking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let idle threads and connections go."""
        self._threads.close()
        self._copiers.close()
        for client in self._made.values():
            client.close()

    async def head(self, key: str) -> Head | None:
        """See Storage."""
        return await self._call(partial(self._head, key))

    async def read(self, key: str, *, if_match: str, size: int) -> bytes:
        """See Storage."""
        return await self._call(partial(self._read, key, if_match, size))

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """See Storage."""
        work = partial(self._copy, source, target, if_match, content_type, metadata)
        await self._call(work, self._copiers, self._patience.copy_deadline)

    async def put(  # noqa: PLR0913 - see Storage
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        create: bool = False,
    ) -> None:
        """See Storage."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self._place.bucket,
            "Key": key,
            "Body": body,
            "ContentType": content_type,
            "Metadata": metadata,
        }
        if create:
            request["IfNoneMatch"] = "*"
        elif if_match is not None:
            request["IfMatch"] = if_match
        await self._call(partial(self._put, request))

    async def delete(self, key: str) -> None:
        """See Storage."""
        await self._call(partial(self._delete, key))

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        """See Storage."""
        return await self._call(partial(self._list, prefix, limit, after))

    async def check(self) -> None:
        """See Storage. Checks at the same time are one: anybody may ask /readyz, and as often as they like."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
        await asyncio.shield(self._checking)

    async def _check(self) -> None:
        region = await self._call(lambda: self._client().head_bucket(Bucket=self._place.bucket).get("BucketRegion"))
        if region in {None, self._place.region}:
            return
        log.error("the bucket lies in region %s, but requests are signed for %s", region, self._place.region)
        if self._place.endpoint is None:  # other stores call their one region by several names
            raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER)

    def _head(self, key: str) -> Head | None:
        try:
            return _described(self._client().head_object(Bucket=self._place.bucket, Key=key, ChecksumMode="ENABLED"))
        except ClientError as error:
            # 403 is never read as "missing": AWS says it of a missing key to whoever may not list.
            if _code(error) in {"404", "NoSuchKey"}:
                return None
            raise

    def _read(self, key: str, if_match: str, size: int) -> bytes:
        request: GetObjectRequestTypeDef = {"Bucket": self._place.bucket, "Key": key, "IfMatch": if_match}
        if size:
            request["Range"] = f"bytes=0-{size - 1}"
        with _changed():
            for _ in range(self._patience.attempts - 1):
                try:
                    return self._front(request, size)
                except (
                    IncompleteReadError,
                    ResponseStreamingError,
                ):  # botocore repeats a call, but not the reading of its body
                    continue
            return self._front(request, size)

    def _front(self, request: "GetObjectRequestTypeDef", size: int) -> bytes:
        try:
            answer = self._client().get_object(**request)
        except ClientError as error:
            if _code(error) not in {"InvalidRange", "416"}:
                raise
            # No range of an empty object can be satisfied; asked without one, the store checks If-Match too.
            unranged = request.copy()
            del unranged["Range"]
            answer = self._client().get_object(**unranged)
        with closing(answer["Body"]) as body:
            _expect(answer, "ContentLength", "ETag")
            if answer["ETag"] != request["IfMatch"]:
                raise Changed  # a store that takes no notice of If-Match
            front, whole = body.read(size), min(size, answer["ContentLength"])
        if len(front) < whole:  # botocore looks at the length only of a body that is read to its end
            raise IncompleteReadError(actual_bytes=len(front), expected_bytes=whole)
        return front

    def _copy(self, source: str, target: str, if_match: str, content_type: str, metadata: Mapping[str, str]) -> None:
        with _changed():
            answer = self._client(self._patience.copy_read).copy_object(
                Bucket=self._place.bucket,
                Key=target,
                CopySource={"Bucket": self._place.bucket, "Key": source},
                CopySourceIfMatch=if_match,
                MetadataDirective="REPLACE",
                ContentType=content_type,
                ContentEncoding="",  # else MiniStack keeps the uploader's, in spite of REPLACE
                Metadata=metadata,
            )
        # A copy can fail after its status line. botocore minds an <Error> there, but takes silence for success.
        _expect(answer.get("CopyObjectResult", {}), "ETag")

    def _put(self, request: "PutObjectRequestTypeDef") -> None:
        with _changed("ConditionalRequestConflict"):
            for pause in CONFLICT_PAUSES:
                try:
                    return self._put_once(request)
                except ClientError as error:
                    # Amazon S3 user guide, "Conditional writes": 409 while another write to the key is under way.
                    if _code(error) != "ConditionalRequestConflict":
                        raise
                    time.sleep(pause)
            return self._put_once(request)

    def _put_once(self, request: "PutObjectRequestTypeDef") -> None:
        _expect(self._client().put_object(**request), "ETag")

    def _delete(self, key: str) -> None:
        answer = self._client().delete_object(Bucket=self._place.bucket, Key=key)
        if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NO_CONTENT:
            raise ResponseParserError(STRANGER)  # "HTTP/1.1 200" and a broken line is an answer to botocore

    def _list(self, prefix: str, limit: int, after: str) -> Page:
        answer = self._client().list_objects_v2(
            Bucket=self._place.bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after
        )
        _expect(answer, "IsTruncated")
        return Page(tuple(each["Key"] for each in answer.get("Contents", ())), answer["IsTruncated"])

    async def _call(self, work: Callable[[], T], threads: Threads | None = None, deadline: float | None = None) -> T:
        try:
            return await (threads or self._threads).run(work, deadline or self._patience.deadline)
        except (BotoCoreError, ClientError, ResponseParserError, TimeoutError, Busy) as error:
            _report(error)
            raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER) from error

    def _client(self, read_timeout: float | None = None) -> "S3Client":
        """Return the client for a read timeout. Making one takes time and may ask for credentials: not at the start."""
        patience = self._patience if read_timeout is None else replace(self._patience, read=read_timeout)
        with self._making:
            if patience.read not in self._made:
                self._made[patience.read] = make_client(self._session, self._place, patience)
            return self._made[patience.read]


def _expect(answer: Mapping[str, object], *names: str) -> None:
    """Refuse a 200 that S3 would not give: something between us and the store has answered."""
    if not all(name in answer for name in names):
        raise ResponseParserError(STRANGER)


def _described(answer: "HeadObjectOutputTypeDef") -> Head:
    _expect(answer, "ContentLength", "ETag", "LastModified")
    checksum = answer.get("ChecksumSHA256")
    composite = answer.get("ChecksumType") == "COMPOSITE" or "-" in (checksum or "")
    return Head(
        size=answer["ContentLength"],
        etag=answer["ETag"],
        content_type=answer.get("ContentType", ""),
        checksum_sha256=checksum,
        checksum_type=None if checksum is None else "composite" if composite else "full",
        metadata=answer["Metadata"],
        last_modified=int(answer["LastModified"].timestamp()),
    )


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _changed(*more: str) -> Iterator[None]:
    """Turn the store's word that something is no longer as it was into Changed."""
    try:
        yield
    except ClientError as error:
        if _code(error) in {*NO_LONGER, *more}:
            raise Changed from error
        raise


def _report(error: Exception) -> None:
    """Log what went wrong, without botocore's text: it holds URLs."""
    if not isinstance(error, ClientError):
        log.warning("the storage does not answer: %s", type(error).__name__)
        return
    answer = error.response["ResponseMetadata"]
    log.log(
        logging.WARNING if answer["HTTPStatusCode"] >= 500 else logging.ERROR,  # noqa: PLR2004 - 4xx does not heal by itself
        "the storage refuses %s: %s, status %s, request %s, after %s retries, the bucket's region %s",
        error.operation_name,
        _code(error),
        answer["HTTPStatusCode"],
        answer.get("RequestId"),
        answer.get("RetryAttempts"),
        answer.get("HTTPHeaders", {}).get("x-amz-bucket-region", "unknown"),
    )
