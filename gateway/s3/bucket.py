"""From a grant or a link to a presigned request. Pure: credentials and time are arguments."""

from gateway.errors import Code, Refusal
from gateway.grants.policies import MAX_SINGLE_PUT, Grant
from gateway.grants.tickets import Ticket
from gateway.s3.downloads import Downloads
from gateway.s3.endpoints import Endpoint
from gateway.s3.forms import presigned_form
from gateway.s3.part_uploads import PartUploads
from gateway.s3.presigned import PresignedForm, PresignedRequest
from gateway.s3.sigv4 import Credentials, Signer, lifetime

WINDOW = 300  # seconds: links signed within one window are one URL, so that a browser can cache what it gets
GRANT_METADATA = "grant"
_GRANT_HEADER = f"x-amz-meta-{GRANT_METADATA}"
KEPT_SIGNERS = 16  # one for the running second, one for the running window, and room for late ones
MAX_METADATA = 2000  # bytes of user-defined metadata, Amazon S3 user guide, "Working with object metadata"


def check_grant_token(grant_token: str) -> None:
    """Raise `metadata-too-large` for a grant token that S3 would not keep."""
    if len(GRANT_METADATA) + len(grant_token) > MAX_METADATA:
        raise Refusal(Code.METADATA_TOO_LARGE)


class Bucket:
    """The bucket as clients see it."""

    def __init__(self, endpoint: Endpoint, region: str) -> None:
        """Take the public endpoint, which is the one that browsers reach."""
        self.endpoint = endpoint
        self._region = region
        self._credentials: Credentials | None = None
        self._signers: dict[int, Signer] = {}
        self._downloads: dict[tuple[int, int], Downloads] = {}

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
        check_grant_token(grant_token)
        sha256 = grant.checksum_sha256
        headers = {"content-length": str(grant.size)}  # in the order of their names, as they are signed
        if grant.content_md5 is not None:
            headers["content-md5"] = grant.content_md5
        headers["content-type"] = grant.content_type
        headers["host"] = self.endpoint.host
        headers["if-none-match"] = "*"
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = sha256
        headers[_GRANT_HEADER] = grant_token
        if sha256 is not None:
            headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
        names = ";".join(headers)
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        del headers["content-length"], headers["host"]  # which no browser lets a page set
        expires_in = lifetime(credentials, now, expires_in)
        path = self.endpoint.path + grant.key.upload_key  # which needs no encoding
        signer = self._signer_at(credentials, now)
        query = signer.sign("PUT", path, signer.canonical_query((), names, expires_in), lines, names)
        return PresignedRequest("PUT", f"{self.endpoint.origin}{path}?{query}", headers, now + expires_in)

    def parts(self, ticket: Ticket, credentials: Credentials, *, now: int, expires_in: int) -> PartUploads:
        """Return what presigns the parts of a multipart upload; raises `invalid-request` for a ticket without one."""
        return PartUploads(
            self.endpoint,
            ticket.grant.key.upload_key,
            ticket.divided().upload_id,
            self._signer_at(credentials, now),
            now=now,
            expires_in=lifetime(credentials, now, expires_in),
        )

    def form(
        self,
        grant: Grant,
        grant_token: str,
        credentials: Credentials,
        *,
        now: int,
        expires_in: int,
    ) -> PresignedForm:
        """Presign a form POST of the grant: exactly its key, type and grant token, and a size within its limits.

        Raises `metadata-too-large`.
        """
        check_grant_token(grant_token)
        fields = {
            "key": grant.key.upload_key,
            "success_action_status": "201",  # with the Location and the ETag that Uppy 5 waits for
            "Content-Type": grant.content_type,  # spelt as AWS writes it: LocalStack knows no other
            _GRANT_HEADER: grant_token,
        }
        sizes = grant.at_least, min(grant.size, MAX_SINGLE_PUT)
        expires_at = now + lifetime(credentials, now, expires_in)
        signer = self._signer_at(credentials, now)
        return presigned_form(self.endpoint, fields, sizes, signer, expires_at=expires_at)

    def downloads(self, credentials: Credentials, *, now: int, expires_in: int, window: int = 0) -> Downloads:
        """Return what presigns downloads that live `expires_in` seconds, or as long as the credentials do.

        With a `window` (seconds) all that is asked for within one is the same, and lives up to a window longer.
        """
        start = now - now % window if window else now
        expires_at = now + lifetime(credentials, now, start + window + expires_in - now)
        signer = self._signer_at(credentials, start)
        downloads = self._downloads.get((start, expires_at))
        if downloads is None:
            downloads = self._downloads[start, expires_at] = Downloads(
                self.endpoint, signer, expires_in=expires_at - start, expires_at=expires_at
            )
        return downloads

    def _signer_at(self, credentials: Credentials, now: int) -> Signer:
        if self._credentials is not credentials or len(self._signers) >= KEPT_SIGNERS:
            self._credentials, self._signers, self._downloads = credentials, {}, {}
        signer = self._signers.get(now)
        if signer is None:
            signer = self._signers[now] = Signer(credentials, self._region, now)
        return signer
