"""Presign S3 requests with AWS Signature Version 4 in the query string. Pure: no I/O, no clock.

The steps carry AWS's names: canonical request, string to sign, signing key, signature. All of it is
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html for what is not S3's own.
"""

import hmac
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256

from gateway.errors import Code, Refusal
from gateway.mac import Mac

ALGORITHM = "AWS4-HMAC-SHA256"
PAYLOAD = "UNSIGNED-PAYLOAD"  # a presigned request cannot know its body
MIN_LIFETIME = 60  # seconds; less is lost to clocks that differ and slow connections
MAX_LIFETIME = 604_800  # seconds, seven days: the limit AWS states for X-Amz-Expires
RETRY_AFTER = 30  # seconds: credentials are renewed well before they expire, so this near the end something is amiss

_UNRESERVED = frozenset((string.ascii_letters + string.digits + "-._~").encode())  # RFC 3986 section 2.3
_ESCAPES = tuple(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256))
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*").fullmatch  # our own keys: three times as fast as the table
_PATH_ESCAPES = tuple("/" if byte == ord("/") else escape for byte, escape in enumerate(_ESCAPES))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The store's credentials; `expires_at` in seconds since the epoch, None when they last."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: int | None = None


def lifetime(credentials: Credentials, now: int, expires_in: int) -> int:
    """Shorten `expires_in` (seconds from `now`) to what the credentials and AWS's seven days leave.

    Raises the `storage-unavailable` refusal when the credentials live less than 60 s more.
    """
    if credentials.expires_at is None:
        return min(expires_in, MAX_LIFETIME)
    remaining = credentials.expires_at - now
    if remaining < MIN_LIFETIME:
        raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_AFTER)
    return min(expires_in, remaining, MAX_LIFETIME)


@lru_cache(maxsize=1024)  # most are names and media types, which are few
def encode(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters, with upper-case hex: AWS's UriEncode()."""
    # Read as Latin-1, each byte of the UTF-8 is one character, which the table replaces.
    return text.encode().decode("latin-1").translate(_ESCAPES)


def encode_path(key: str) -> str:
    """UriEncode() for an object key: slashes stay, and S3 alone normalises no dot segments or double slashes."""
    return key if _PLAIN_PATH(key) else key.encode().decode("latin-1").translate(_PATH_ESCAPES)


def canonical_headers(host: str, headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Sort and fold into `name:value` lines, and list the names: CanonicalHeaders and SignedHeaders."""
    if not headers:
        return f"host:{host}\n", "host"
    ordered = sorted([("host", host), *headers])
    lines = "".join([f"{name}:{' '.join(value.split())}\n" for name, value in ordered])
    return lines, ";".join([name for name, _ in ordered])


def canonical_request(method: str, path: str, query: str, lines: str, names: str) -> str:
    """Join what the store will rebuild from the request it gets."""
    return f"{method}\n{path or '/'}\n{query}\n{lines}\n{names}\n{PAYLOAD}"


def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of one day (`YYYYMMDD`), region and service from the secret."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class Signer:
    """All that depends only on credentials, region and second, computed once: build one a second and reuse it."""

    __slots__ = ("_form_fields", "_longest", "_mac", "_query_end", "_query_start", "_string_to_sign_start")

    def __init__(self, credentials: Credentials, region: str, now: int, service: str = "s3") -> None:
        """Date all signatures `now`, in seconds since the epoch."""
        timestamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
        credential = encode(f"{credentials.access_key_id}/{scope}")
        token = credentials.session_token
        self._query_start = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={timestamp}&X-Amz-Expires="
        )
        self._query_end = f"{f'&X-Amz-Security-Token={encode(token)}' if token else ''}&X-Amz-SignedHeaders="
        self._form_fields = {
            "x-amz-algorithm": ALGORITHM,
            "x-amz-credential": f"{credentials.access_key_id}/{scope}",
            "x-amz-date": timestamp,
            **({"x-amz-security-token": token} if token else {}),
        }
        self._string_to_sign_start = f"{ALGORITHM}\n{timestamp}\n{scope}\n"
        self._mac = Mac(signing_key(credentials.secret_access_key, timestamp[:8], region, service))
        expires_at = credentials.expires_at
        self._longest = MAX_LIFETIME if expires_at is None else min(MAX_LIFETIME, expires_at - now)

    def presign(  # noqa: PLR0913, PLR0917 - the parts of an HTTP request, and its lifetime
        self,
        method: str,
        host: str,
        path: str,
        query: Iterable[tuple[str, str]],
        headers: Iterable[tuple[str, str]],
        expires_in: int,
    ) -> str:
        """Return the whole query string of the presigned request, `X-Amz-Signature` included.

        `host` with its port unless that is the scheme's own; `path` as `encode_path` gives it, "/" when empty;
        `query` unencoded pairs beside the X-Amz-* ones; `headers` that the caller has to send as they stand, each
        lower-case name once and without host; `expires_in` in seconds.
        Raises ValueError when that is below 1, beyond seven days, or beyond the credentials (see `lifetime`).
        """
        if not 1 <= expires_in <= self._longest:
            raise ValueError(f"expires_in must be 1 to {self._longest} seconds, not {expires_in}")
        lines, names = canonical_headers(host, headers)
        canonical_query = self.canonical_query(query, names, expires_in)
        return self.sign(method, path, canonical_query, lines, names)

    def sign(self, method: str, path: str, canonical_query: str, lines: str, names: str) -> str:
        """Return the query string of a request whose canonical parts the caller has ready, as `presign` joins them."""
        request = canonical_request(method, path, canonical_query, lines, names)
        return f"{canonical_query}&X-Amz-Signature={self.signature(self.string_to_sign(request))}"

    def canonical_query(self, query: Iterable[tuple[str, str]], names: str, expires_in: int) -> str:
        """Encode and sort by name, then by value: CanonicalQueryString, and what the URL says as well."""
        authentication = f"{self._query_start}{expires_in}{self._query_end}{encode(names)}"
        if not query:
            return authentication
        pairs = sorted([(encode(name), encode(value)) for name, value in query])
        if pairs and pairs[0][0] < "X-Amz-SignedHeaders":  # which few names do: ours have to move between them
            pairs = sorted([*pairs, *(_pair(parameter) for parameter in authentication.split("&"))])
            return "&".join([f"{name}={value}" for name, value in pairs])
        return authentication + "".join([f"&{name}={value}" for name, value in pairs])

    def form_fields(self) -> Mapping[str, str]:
        """Return the fields by which a form names algorithm, credential and second; its policy is what is signed."""
        return self._form_fields

    def string_to_sign(self, request: str) -> str:
        """Name the algorithm, the second and the scope, and the canonical request by its hash."""
        return self._string_to_sign_start + sha256(request.encode()).hexdigest()

    def signature(self, string_to_sign: str) -> str:
        """HMAC-SHA256 of the string to sign under the signing key, in hex."""
        return self._mac.hexdigest(string_to_sign.encode())


def _pair(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name, value
