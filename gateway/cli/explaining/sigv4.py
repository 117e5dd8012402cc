"""Presigned with Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult

from gateway.cli.explaining.explanation import Explanation, Known, moment, shortened
from gateway.cli.explaining.hosts import host_problems
from gateway.cli.explaining.query import Query
from gateway.cli.explaining.uploads import checksum_problems, is_upload, upload_problems
from gateway.s3.sigv4 import ALGORITHM, MAX_LIFETIME

SKEW = 900  # seconds that S3 lets a clock be ahead: "RequestTimeTooSkewed", S3 error responses
REQUIRED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential scope: for whom, and for which day (`YYYYMMDD`), region and service the signature holds."""

    access_key_id: str
    date: str
    region: str
    service: str

    @classmethod
    def parse(cls, text: str) -> "Scope | None":
        """Read X-Amz-Credential; None where it is malformed."""
        parts = text.rsplit("/", 4)
        if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):  # noqa: PLR2004 - key and scope
            return None
        return cls(*parts[:4])


@dataclass(frozen=True, slots=True)
class Times:
    """When it was signed, and for how long, in seconds; None where the URL does not say."""

    signed_at: int | None
    expires_in: int | None

    @classmethod
    def of(cls, query: Query) -> "Times":
        """Read X-Amz-Date and X-Amz-Expires."""
        expires = query.get("X-Amz-Expires") or ""
        return cls(
            _seconds(query.get("X-Amz-Date") or ""),
            int(expires) if re.fullmatch(r"[0-9]{1,12}", expires, re.ASCII) else None,
        )

    @property
    def expires_at(self) -> int | None:
        """When it dies, in seconds since the epoch; S3 itself counts no more than seven days."""
        if self.signed_at is None or self.expires_in is None:
            return None
        return self.signed_at + self.expires_in


def explain_sigv4(url: SplitResult, query: Query, now: int, known: Known | None) -> Explanation:
    """Explain a presigned request; its signature and session token are left out."""
    scope, times = Scope.parse(query.get("X-Amz-Credential") or ""), Times.of(query)
    headers = [name.lower() for name in (query.get("X-Amz-SignedHeaders") or "").split(";") if name]
    problems = [
        *query.problems,
        *query.missing(REQUIRED),
        *_time_problems(times, now),
        *_form_problems(query, scope, headers),
        *host_problems(url, None if scope is None else scope.region, known),
        *upload_problems(query, headers),
        *checksum_problems(query),
    ]
    return Explanation("presigned S3 request (SigV4)", _facts(url, query, scope, times, headers, now), problems)


def _facts(  # noqa: PLR0913, PLR0917 - all that was read from the URL
    url: SplitResult, query: Query, scope: Scope | None, times: Times, headers: Sequence[str], now: int
) -> dict[str, str]:
    sent = [name for name in headers if name not in ("host", "content-length")]
    overrides = query.overrides()
    facts = {
        "address": f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
        "path": url.path,
        "method": _method(query, headers),
        "headers to send": ", ".join(sent) + ", exactly as signed" if sent else "none",
    }
    if "content-length" in headers:
        facts["length"] = "signed: exactly as many bytes as were granted"
    if overrides:
        facts["response"] = "; ".join(f"{name}: {value}" for name, value in overrides)
    if scope is not None:
        facts["signed by"] = shortened(scope.access_key_id)
        facts["signed for"] = f"{scope.service} in {scope.region}"
    if query.get("X-Amz-Security-Token"):
        facts["session token"] = "yes: it dies with its session, if that is earlier"
    if times.signed_at is not None:
        facts["signed at"] = moment(times.signed_at, now)
    if times.expires_at is not None:
        facts["dies at"] = moment(times.expires_at, now)
    return facts


def _method(query: Query, headers: Sequence[str]) -> str:
    if query.has_any("partNumber"):
        return "PUT of a part, as partNumber says"
    if is_upload(query, headers):
        return "PUT, as the signed headers say" if query.get("x-id") is None else "PUT, as x-id says"
    if query.overrides() or query.get("x-id") == "GetObject":
        return "GET, as the query says"
    return "signed, but not told by the URL: only the one it was made for works"


def _time_problems(times: Times, now: int) -> list[str]:
    problems = []
    if times.expires_at is not None and times.expires_at <= now:
        problems.append("it has expired")
    if times.signed_at is not None and times.signed_at > now:
        problems.append(
            "it is dated in the future, by more than the 15 minutes that S3 allows: the signer's clock is wrong"
            if times.signed_at > now + SKEW
            else "it is dated in the future: the signer's clock, or this one, is wrong"
        )
    if times.expires_in is not None and not 1 <= times.expires_in <= MAX_LIFETIME:
        problems.append("X-Amz-Expires has to be 1 to 604800 seconds, seven days: S3 refuses it")
    return problems


def _form_problems(query: Query, scope: Scope | None, headers: Sequence[str]) -> list[str]:
    """Tell what is malformed among the parameters that are there."""
    problems = []
    date, expires, signature = (query.get(name) for name in ("X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"))
    if (algorithm := query.get("X-Amz-Algorithm")) and algorithm != ALGORITHM:
        problems.append(f"X-Amz-Algorithm is not {ALGORITHM}")
    if query.get("X-Amz-Credential") and scope is None:
        problems.append("X-Amz-Credential is not <access key id>/<date>/<region>/<service>/aws4_request")
    if date and _seconds(date) is None:
        problems.append("X-Amz-Date is not of the form 20261121T020000Z")
    if expires and re.fullmatch(r"[0-9]{1,12}", expires, re.ASCII) is None:
        problems.append("X-Amz-Expires is not a number of seconds")
    if signature and re.fullmatch(r"[0-9a-f]{64}", signature) is None:
        problems.append("X-Amz-Signature is not 64 hexadecimal digits: was the URL cut off when it was copied?")
    if headers and "host" not in headers:
        problems.append("the host is not among the signed headers: S3 refuses it")
    if scope is not None:
        problems += _scope_problems(scope, query)
    return problems


def _scope_problems(scope: Scope, query: Query) -> list[str]:
    problems = []
    if scope.service != "s3":
        problems.append(f"it is signed for the service '{scope.service}', not for s3")
    if (date := query.get("X-Amz-Date")) and _seconds(date) is not None and date[:8] != scope.date:
        problems.append("X-Amz-Date is of another day than X-Amz-Credential: S3 refuses it")
    if scope.access_key_id.startswith("ASIA") and not query.get("X-Amz-Security-Token"):
        problems.append("the access key is temporary, and X-Amz-Security-Token is missing: S3 refuses it")
    return problems


def _seconds(date: str) -> int | None:
    if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", date, re.ASCII) is None:
        return None
    try:
        return int(datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
