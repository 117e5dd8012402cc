"""The calls we make to the bucket, behind a small Protocol. With credentials.py the only user of boto3.

The permissions these calls need: s3:GetObject, s3:PutObject and s3:DeleteObject on the objects, and s3:ListBucket on
the bucket without a condition (else HEAD of a missing key, and HeadBucket, are 403).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError
from botocore.parsers import ResponseParserError

from gateway.errors import Code, Refusal
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


class Changed(Exception):  # noqa: N818 - an answer that callers go on from, not a fault
    """A precondition (If-Match, If-None-Match) did not hold, or the source is gone."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the store says of an object: `size` in bytes, `etag` with its quotes, `last_modified` in seconds (UTC)."""

    size: int
    etag: str
    content_type: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    metadata: Mapping[str, str]
    last_modified: int


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in the order of their UTF-8 bytes; `more` when others follow."""

    keys: tuple[str, ...]
    more: bool


class Storage(Protocol):
    """The bucket as the use cases need it. Every call raises `storage-unavailable` when the store does not answer."""

    async def head(self, key: str) -> Head | None:
        """Describe an object; None when there is none."""

    async def read(self, key: str, *, if_match: str, size: int) -> bytes:
        """Return the first `size` bytes, all when there are fewer; raises Changed."""

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Copy an object's bytes and checksum; nothing else that its uploader said survives. Raises Changed."""

    async def put(  # noqa: PLR0913 - one object and its condition
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        create: bool = False,
    ) -> None:
        """Write an object: over exactly `if_match`, only where there is none (`create`), or whatever is there.

        Raises Changed. After a lost reply a repeat inside this very call can meet its own first try and raise Changed
        too: look what is there.
        """

    async def delete(self, key: str) -> None:
        """Remove an object, if there is one."""

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        """Return at most `limit` (1 … 1,000) keys that begin with `prefix` and come after `after` ("" for all)."""

    async def check(self) -> None:
        """Return when the bucket can be reached and lies in the region we sign for."""

    def close(self) -> None:
        """Let threads and connections go."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bucket is. Without an endpoint it is AWS's own of the region; `owner` is a 12-digit account id."""

    bucket: str
    region: str
    endpoint: str | None = None
    address_style: Literal["auto", "path", "virtual"] = "auto"
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, in seconds, and how often it is tried in all; `threads` calls run at once.

    A copy takes as long as the store needs to move 5 GiB, so it has its own numbers, and as many threads of its own.
    """

    threads: int = 16
    deadline: float = 10.0
    connect: float = 2.0
    read: float = 3.0
    copy_deadline: float = 300.0
    copy_read: float = 60.0
    attempts: int = 3


class S3Storage:
    """A bucket behind S3's API, called by boto3 in threads of its own."""

    def __init__(self, session: boto3.Session, place: Place, patience: Patience = Patience()) -> None:
        """Connect to nothing yet."""
        self._session = session
        self._place = place
        self._patience = patience
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
                self._made[patience.read] = _make_client(self._session, self._place, patience)
            return self._made[patience.read]


def _make_client(session: boto3.Session, place: Place, patience: Patience) -> "S3Client":
    config = Config(  # type: ignore[call-arg]  # the stubs do not know ignore_configured_endpoint_urls yet
        signature_version="s3v4",
        s3={"addressing_style": place.address_style, "us_east_1_regional_endpoint": "regional"},
        retries={"total_max_attempts": patience.attempts, "mode": "standard"},  # max_attempts=3 would mean four
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        max_pool_connections=patience.threads,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL would part our calls from the URLs we sign
        proxies={},
    )
    client: S3Client = session.client("s3", region_name=place.region, endpoint_url=place.endpoint, config=config)
    client.meta.events.register_last("before-parameter-build.s3", _stay_in_region)
    if place.owner is not None:
        expect = partial(_expect_owner, place.owner)
        client.meta.events.register("provide-client-params.s3", expect)  # type: ignore[arg-type]  # its answer counts
    return client


def _stay_in_region(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from following a redirect to another region.

    What we presign could not follow it, and a store that redirects without end made botocore call itself 84 times deep.
    """
    context.get("s3_redirect", {})["redirected"] = True


def _expect_owner(owner: str, params: dict[str, Any], model: Any, **_: object) -> dict[str, Any]:  # noqa: ANN401 - botocore's own
    """Name the account that must own the bucket, so that a name somebody else took over is refused."""
    source = {"ExpectedSourceBucketOwner": owner} if model.name == "CopyObject" else {}
    return {**params, "ExpectedBucketOwner": owner, **source}


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
