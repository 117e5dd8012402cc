"""Presigned parts of one multipart upload. Pure: all but number, length and checksum is canonical once."""

from collections.abc import Mapping

from gateway.s3.endpoints import Endpoint
from gateway.s3.presigned import PresignedRequest
from gateway.s3.sigv4 import Signer, encode

_NONE: Mapping[str, str] = {}


class PartUploads:
    """Requests that all begin and end at the same time."""

    def __init__(  # noqa: PLR0913 - an upload, and the time of its requests
        self, endpoint: Endpoint, upload_key: str, upload_id: str, signer: Signer, *, now: int, expires_in: int
    ) -> None:
        """Count `expires_in` (seconds) from the signer's second, `now`."""
        self._signer = signer
        self._host_line = f"host:{endpoint.host}\n"
        self._path = endpoint.path + upload_key  # which needs no encoding
        self._url = f"{endpoint.origin}{self._path}?"
        self._query_end = f"&uploadId={encode(upload_id)}"
        self._expires_in = expires_in
        self._expires_at = now + expires_in
        self._queries: dict[str, str] = {}

    def part(self, number: int, size: int | None, checksum_sha256: str | None = None) -> PresignedRequest:
        """Presign the PUT of part `number`: exactly `size` bytes unless that is None, and of that SHA-256 if given.

        Content-length is sent by every client itself, so it is signed and not among the headers to set.
        """
        names, lines = "host", self._host_line
        if size is not None:
            names, lines = "content-length;host", f"content-length:{size}\n{lines}"
        headers = _NONE
        if checksum_sha256 is not None:
            # Ceph and moto mind the checksum only where the algorithm is named, too.
            headers = {"x-amz-checksum-sha256": checksum_sha256, "x-amz-sdk-checksum-algorithm": "SHA256"}
            names += ";x-amz-checksum-sha256;x-amz-sdk-checksum-algorithm"
            lines += f"x-amz-checksum-sha256:{checksum_sha256}\nx-amz-sdk-checksum-algorithm:SHA256\n"
        start = self._queries.get(names) or self._query_start(names)
        query = self._signer.sign("PUT", self._path, f"{start}{number}{self._query_end}", lines, names)
        return PresignedRequest("PUT", self._url + query, headers, self._expires_at)

    def _query_start(self, names: str) -> str:
        """Return CanonicalQueryString up to the part number: `partNumber` and `uploadId` sort behind all X-Amz-*."""
        start = self._queries[names] = self._signer.canonical_query((), names, self._expires_in) + "&partNumber="
        return start
