"""The calls about multipart uploads, as boto3 makes them: they block, so S3Storage runs them in threads."""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.s3.answers import code_of, expect, expect_status, insist, understood
from gateway.s3.clients import Clients
from gateway.s3.storage import ArrivedPart, Changed, Gone, UnfinishedPage, UnfinishedUpload

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        CopyPartResultTypeDef,
        CreateMultipartUploadRequestTypeDef,
        ListMultipartUploadsRequestTypeDef,
        ListPartsRequestTypeDef,
        PartTypeDef,
        UploadPartCopyRequestTypeDef,
    )


class MultipartCalls:
    """Create, list, copy, complete and abort."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        """Connect to nothing yet."""
        self._clients = clients
        self._bucket = bucket

    def create(self, key: str, content_type: str, metadata: Mapping[str, str], *, checksums: bool) -> str:
        """See Storage."""
        request: CreateMultipartUploadRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": content_type,
            "Metadata": metadata,
        }
        if checksums:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html: SHA-256 of
            # a multipart upload is always composite.
            request |= {"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}
        answer = self._clients.usual().create_multipart_upload(**request)
        expect(answer, "UploadId")
        return answer["UploadId"]

    def parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
        """See Storage."""
        try:
            with understood():
                return self._parts({"Bucket": self._bucket, "Key": key, "UploadId": upload_id})
        except Changed as error:  # Ceph 16 calls it NoSuchKey
            raise Gone from error

    def _parts(self, request: "ListPartsRequestTypeDef") -> Sequence[ArrivedPart]:
        found: list[PartTypeDef] = []
        while True:
            answer = self._clients.usual().list_parts(**request)
            expect(answer, "IsTruncated")
            found += answer.get("Parts", [])
            if not answer["IsTruncated"]:
                return [_arrived(part) for part in sorted(found, key=lambda part: part["PartNumber"])]
            expect(answer, "Parts")  # or a store that says "more" and gives nothing is asked for ever
            request["PartNumberMarker"] = answer["Parts"][-1]["PartNumber"]

    def copy_part(  # noqa: PLR0913 - see Storage
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        """See Storage."""
        request: UploadPartCopyRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": target,
            "UploadId": upload_id,
            "PartNumber": number,
            "CopySource": {"Bucket": self._bucket, "Key": source},
            "CopySourceIfMatch": if_match,
            "CopySourceRange": f"bytes={first}-{last}",
        }
        with understood():
            try:
                copied = insist(self._clients.patience.attempts, partial(self._copy_part, request))
            except ClientError as error:
                # A source that is short now, a marker, can be told as a wrong range before its ETag is looked at.
                if code_of(error) in {"InvalidArgument", "InvalidRange", "InvalidRequest"}:
                    self._clients.usual().head_object(Bucket=self._bucket, Key=source, IfMatch=if_match)
                raise
        etag = '"' + copied["ETag"].strip('"') + '"'  # Ceph 16 gives it bare here
        return ArrivedPart(number, last - first + 1, etag, copied.get("ChecksumSHA256"))

    def _copy_part(self, request: "UploadPartCopyRequestTypeDef") -> "CopyPartResultTypeDef":
        copied = self._clients.patient().upload_part_copy(**request).get("CopyPartResult", {})
        expect(copied, "ETag")  # silence under a status 200, as with CopyObject
        return copied

    def complete(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        """See Storage."""
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "UploadId": upload_id,
            "IfNoneMatch": "*",
            "MpuObjectSize": sum(part.size for part in parts),
            "MultipartUpload": {"Parts": [_named(part) for part in parts]},
        }
        # S3 API reference, CompleteMultipartUpload: after a 409 (conflict) the parts have to be uploaded anew.
        with understood():
            insist(self._clients.patience.attempts, partial(self._complete, request))

    def _complete(self, request: "CompleteMultipartUploadRequestTypeDef") -> None:
        # S3 sends the status at once, and the rest when it is done or has failed.
        expect(self._clients.patient().complete_multipart_upload(**request), "ETag")

    def abort(self, key: str, upload_id: str) -> None:
        """See Storage."""
        try:
            with understood():
                answer = self._clients.usual().abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except (Gone, Changed):
            return
        expect_status(answer, HTTPStatus.NO_CONTENT)

    def uploads(self, key: str) -> Sequence[str]:
        """See Storage."""
        request: ListMultipartUploadsRequestTypeDef = {"Bucket": self._bucket, "Prefix": key}
        found = []
        while True:
            answer = self._clients.usual().list_multipart_uploads(**request)
            expect(answer, "IsTruncated")
            page = answer.get("Uploads", [])
            found += [upload for upload in page if upload["Key"] == key]
            # The keys are in order, so that other keys with this prefix come behind.
            if not answer["IsTruncated"] or any(upload["Key"] != key for upload in page):
                found.sort(key=lambda upload: (upload["Initiated"], upload["UploadId"]))
                return [upload["UploadId"] for upload in found]
            expect(answer, "Uploads", "NextKeyMarker", "NextUploadIdMarker")
            request["KeyMarker"], request["UploadIdMarker"] = answer["NextKeyMarker"], answer["NextUploadIdMarker"]

    def unfinished(self, prefix: str, limit: int, after: tuple[str, str] | None) -> UnfinishedPage:
        """See Storage."""
        request: ListMultipartUploadsRequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": prefix,
            "MaxUploads": limit,
        }
        if after is not None:
            request["KeyMarker"], request["UploadIdMarker"] = after
        try:
            answer = self._clients.usual().list_multipart_uploads(**request)
        except ClientError as error:
            if "UploadIdMarker" not in request or code_of(error) != "InvalidArgument":
                raise
            del request["UploadIdMarker"]  # LocalStack does not know the upload any more
            answer = self._clients.usual().list_multipart_uploads(**request)
        expect(answer, "IsTruncated")
        found = tuple(
            UnfinishedUpload(each["Key"], each["UploadId"], int(each["Initiated"].timestamp()))
            for each in answer.get("Uploads", [])
        )
        if not answer["IsTruncated"]:
            return UnfinishedPage(found, None)
        expect(answer, "Uploads", "NextKeyMarker", "NextUploadIdMarker")  # as in _parts
        return UnfinishedPage(found, (answer["NextKeyMarker"], answer["NextUploadIdMarker"]))


def _arrived(part: "PartTypeDef") -> ArrivedPart:
    return ArrivedPart(part["PartNumber"], part["Size"], part["ETag"], part.get("ChecksumSHA256"))


def _named(part: ArrivedPart) -> "CompletedPartTypeDef":
    named: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": part.etag}
    if part.checksum_sha256 is not None:
        named["ChecksumSHA256"] = part.checksum_sha256
    return named
