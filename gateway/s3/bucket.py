"""From a grant or a link to a presigned request. Pure: credentials and time are arguments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.content.filenames import Filename, content_disposition
from gateway.content.media_types import BY_EXTENSION
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.s3.sigv4 import Credentials, Signer, encode_path, lifetime

WINDOW = 300  # seconds: links signed within one window are one URL, so that a browser can cache what it gets
GRANT_METADATA = "grant"
KEPT_SIGNERS = 16  # one for the running second, one for the running window, and room for late ones
MAX_METADATA = 2000  # bytes of user-defined metadata, Amazon S3 user guide, "Working with object metadata"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where presigned requests go: scheme, host (with port unless it is the default), and the path before a key."""

    scheme: Literal["http", "https"]
    host: str
    path: str

    @property
    def origin(self) -> str:
        """`https://host`, as a Content-Security-Policy or a CORS rule names it."""
        return f"{self.scheme}://{self.host}"


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """A request that whoever holds it can make until `expires_at`: `headers` are those the client has to set."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: int


class Bucket:
    """The bucket as clients see it."""

    def __init__(self, endpoint: Endpoint, region: str) -> None:
        """Take the public endpoint, which is the one that browsers reach."""
        self.endpoint = endpoint
        self._base = endpoint.origin
        self._region = region
        self._credentials: Credentials | None = None
        self._signers: dict[int, Signer] = {}

    def put_object(
        self,
        grant: Grant,
        grant_token: str,
        credentials: Credentials,
        *,
        now: int,
        expires_in: int,
    ) -> PresignedRequest:
        """Presign the one PUT that the grant allows. Content-length is signed too, and every client sends it by itself.

        Every header is signed, never hoisted into the query, where S3 would ignore it (aws/aws-sdk#480); Ceph and moto
        need x-amz-sdk-checksum-algorithm beside the checksum. Raises `metadata-too-large`.
        """
        if len(GRANT_METADATA) + len(grant_token) > MAX_METADATA:
            raise Refusal(Code.METADATA_TOO_LARGE)
        headers = {"content-type": grant.content_type, "if-none-match": "*"}
        if grant.checksum_sha256 is not None:
            headers["x-amz-checksum-sha256"] = grant.checksum_sha256
        headers[f"x-amz-meta-{GRANT_METADATA}"] = grant_token
        if grant.checksum_sha256 is not None:
            headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
        expires_in = lifetime(credentials, now, expires_in)
        url = self._url(
            self._signer_at(credentials, now),
            "PUT",
            grant.key.upload_key,
            expires_in=expires_in,
            headers=(("content-length", str(grant.size)), *headers.items()),
        )
        return PresignedRequest("PUT", url, headers, now + expires_in)

    def get_object(  # noqa: PLR0913 - what a download is: object, name, form, method, and for how long
        self,
        key: ObjectKey,
        filename: Filename | None,
        disposition: Literal["inline", "attachment"],
        credentials: Credentials,
        *,
        now: int,
        expires_in: int,
        method: Literal["GET", "HEAD"] = "GET",
    ) -> PresignedRequest:
        """Presign a GET whose type, disposition and caching are ours, whatever the object claims.

        Only types that cannot run script are shown inline; all else is an attachment of octets. The extension tells.
        """
        media_type = BY_EXTENSION.get(key.extension)
        inline = disposition == "inline" and media_type is not None and media_type.inline
        name = filename or Filename(f"{key.name[:16]}.{key.extension}")
        expires_in = lifetime(credentials, now, expires_in)
        query = (
            ("response-cache-control", f"private, max-age={min(expires_in, WINDOW)}"),
            ("response-content-disposition", content_disposition("inline" if inline else "attachment", name)),
            ("response-content-type", media_type.name if inline and media_type else "application/octet-stream"),
        )
        # A HEAD is answered without regard to response-* parameters, so that it does without them.
        url = self._url(
            self._signer_at(credentials, now),
            method,
            key.key,
            expires_in=expires_in,
            query=query if method == "GET" else (),
        )
        return PresignedRequest(method, url, {}, now + expires_in)

    def _url(  # noqa: PLR0913 - what SigV4 signs
        self,
        signer: Signer,
        method: str,
        key: str,
        *,
        expires_in: int,
        query: Iterable[tuple[str, str]] = (),
        headers: Iterable[tuple[str, str]] = (),
    ) -> str:
        path = self.endpoint.path + encode_path(key)
        return f"{self._base}{path}?{signer.presign(method, self.endpoint.host, path, query, headers, expires_in)}"

    def _signer_at(self, credentials: Credentials, now: int) -> Signer:
        if self._credentials is not credentials or len(self._signers) >= KEPT_SIGNERS:
            self._credentials, self._signers = credentials, {}
        signer = self._signers.get(now)
        if signer is None:
            signer = self._signers[now] = Signer(credentials, self._region, now)
        return signer
