"""The calls about whole objects, as boto3 makes them: they block, so S3Storage runs them in threads."""

import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from gateway.s3.answers import CONFLICT, code_of, expect, expect_status, insist, understood
from gateway.s3.clients import Clients
from gateway.s3.storage import Changed, Head, Listed, Page

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CopyObjectRequestTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        ObjectTypeDef,
        PutObjectRequestTypeDef,
    )

CONFLICT_PAUSES = (0.05, 0.2)  # seconds before the second and third try of a put that met another one


class ObjectCalls:
    """Head, read, copy, put, delete and list."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        """Connect to nothing yet."""
        self._clients = clients
        self._bucket = bucket

    def region(self) -> str | None:
        """Return the region that the bucket says it is in; None from stores that do not say."""
        return self._clients.usual().head_bucket(Bucket=self._bucket).get("BucketRegion")

    def head(self, key: str) -> Head | None:
        """See Storage."""
        try:
            return _described(self._clients.usual().head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"))
        except ClientError as error:
            # 403 is never read as "missing": AWS says it of a missing key to whoever may not list.
            if code_of(error) in {"404", "NoSuchKey"}:
                return None
            raise

    def read(self, key: str, if_match: str, size: int, first: int = 0) -> bytes:
        """See Storage."""
        request: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": key, "IfMatch": if_match}
        if size:
            request["Range"] = f"bytes={first}-{first + size - 1}"
        with understood(Changed):
            for _ in range(self._clients.patience.attempts - 1):
                try:
                    return self._range(request, size, first)
                except (IncompleteReadError, ResponseStreamingError):
                    continue  # botocore repeats a call, but not the reading of its body
            return self._range(request, size, first)

    def _range(self, request: "GetObjectRequestTypeDef", size: int, first: int) -> bytes:
        try:
            answer = self._clients.usual().get_object(**request)
        except ClientError as error:
            if code_of(error) not in {"InvalidRange", "416"}:
                raise
            if first:
                raise Changed from None  # it lies within what was seen
            # No range of an empty object can be satisfied; asked without one, the store checks If-Match too.
            unranged = request.copy()
            del unranged["Range"]
            answer = self._clients.usual().get_object(**unranged)
        with closing(answer["Body"]) as body:
            expect(answer, "ContentLength", "ETag", *["ContentRange"] * bool(first))
            if answer["ETag"] != request["IfMatch"]:
                raise Changed  # a store that takes no notice of If-Match
            found, whole = body.read(size), min(size, answer["ContentLength"])
        if len(found) < whole:  # botocore looks at the length only of a body that is read to its end
            raise IncompleteReadError(actual_bytes=len(found), expected_bytes=whole)
        return found

    def copy(self, source: str, target: str, if_match: str, content_type: str, metadata: Mapping[str, str]) -> None:
        """See Storage."""
        request: CopyObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": target,
            "CopySource": {"Bucket": self._bucket, "Key": source},
            "CopySourceIfMatch": if_match,
            "MetadataDirective": "REPLACE",
            "ContentType": content_type,
            "ContentEncoding": "",  # else MiniStack keeps the uploader's, in spite of REPLACE
            "Metadata": metadata,
        }
        with understood(Changed):
            insist(self._clients.patience.attempts, partial(self._copy, request))

    def _copy(self, request: "CopyObjectRequestTypeDef") -> None:
        answer = self._clients.patient().copy_object(**request)
        # A copy can fail after its status line. botocore minds an <Error> there, but takes silence for success.
        expect(answer.get("CopyObjectResult", {}), "ETag")

    def put(  # noqa: PLR0913 - one object and its condition
        self,
        key: str,
        body: bytes,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        if_match: str | None,
        create: bool,
    ) -> None:
        """See Storage."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": body,
            "ContentType": content_type,
            "Metadata": metadata,
        }
        if create:
            request["IfNoneMatch"] = "*"
        elif if_match is not None:
            # Ceph 16 compares it with the bare ETag. S3 API reference, PutObject: "Expects the ETag value as a string."
            request["IfMatch"] = if_match.strip('"')
        with understood(Changed):
            self._put(request)

    def _put(self, request: "PutObjectRequestTypeDef") -> None:
        for pause in CONFLICT_PAUSES:
            try:
                return self._put_once(request)
            except ClientError as error:
                # Amazon S3 user guide, "Conditional writes": 409 while another write to the key is under way.
                if code_of(error) != CONFLICT:
                    raise
                time.sleep(pause)
        return self._put_once(request)

    def _put_once(self, request: "PutObjectRequestTypeDef") -> None:
        expect(self._clients.usual().put_object(**request), "ETag")

    def delete(self, key: str) -> None:
        """See Storage."""
        expect_status(self._clients.usual().delete_object(Bucket=self._bucket, Key=key), HTTPStatus.NO_CONTENT)

    def list(self, prefix: str, limit: int, after: str) -> Page:
        """See Storage."""
        answer = self._clients.usual().list_objects_v2(
            Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, StartAfter=after
        )
        expect(answer, "IsTruncated")
        return Page(tuple(map(_listed, answer.get("Contents", ()))), answer["IsTruncated"])


def _listed(each: "ObjectTypeDef") -> Listed:
    expect(each, "Key", "Size", "LastModified")
    return Listed(each["Key"], each["Size"], int(each["LastModified"].timestamp()))


def _described(answer: "HeadObjectOutputTypeDef") -> Head:
    expect(answer, "ContentLength", "ETag", "LastModified")
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
