"""What the URL of an upload leaves open to whoever holds it, and checksums that nobody will compare."""

import re
from collections.abc import Sequence

from gateway.cli.explaining.query import Query

_EMPTY_CHECKSUM = "AAAAAA=="  # CRC32 of no bytes
_CHECKSUM = re.compile(r"x-amz-checksum-(?:crc32c?|crc64nvme|sha1|sha256)|content-md5")


def is_upload(query: Query, headers: Sequence[str]) -> bool:
    """Whether it is the URL of a PUT, as far as parameters and signed headers (lower-case) tell."""
    return (
        query.get("x-id") in ("PutObject", "UploadPart")
        or query.has_any("partNumber")
        or any(name in headers for name in ("content-length", "content-type", "if-none-match"))
        or any(name.startswith(("x-amz-checksum-", "x-amz-sdk-checksum")) for name in headers)
    )


def upload_problems(query: Query, headers: Sequence[str]) -> list[str]:
    """Tell what whoever holds the URL of an upload may choose, as it is not signed."""
    if not is_upload(query, headers):
        return []
    problems = []
    if "content-length" not in headers:
        problems.append("content-length is not signed: whoever has it may store any number of bytes, up to 5 GiB")
    if query.has_any("partNumber"):
        return problems
    if "content-type" not in headers:
        problems.append("content-type is not signed: whoever has it chooses the type, text/html as well")
    if "if-none-match" not in headers:
        problems.append("if-none-match is not signed: until it dies, it can overwrite what was stored")
    return problems


def checksum_problems(query: Query) -> list[str]:
    """Tell of checksums where S3 does not look: aws/aws-sdk#480; other stores do, and compare."""
    problems = []
    for name, value in query.pairs:
        if _CHECKSUM.fullmatch(name.lower()) is None:
            continue
        if value == _EMPTY_CHECKSUM:
            problems.append(
                f"{name.lower()} in the query is that of no bytes, as the AWS SDK for JavaScript puts it: S3 ignores "
                "it, other stores refuse every upload; set requestChecksumCalculation to WHEN_REQUIRED"
            )
        else:
            problems.append(f"{name.lower()} stands in the query, where S3 ignores it: it has to be signed as a header")
    return problems
