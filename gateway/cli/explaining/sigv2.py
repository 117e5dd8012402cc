"""Presigned with Signature Version 2, which S3 retires: what it leaves unsigned is most of the request."""

import re
from urllib.parse import SplitResult

from gateway.cli.explaining.explanation import Explanation, Known, moment, shortened
from gateway.cli.explaining.hosts import host_problems
from gateway.cli.explaining.query import Query

OLD = (
    "SigV2: regions opened since 2014, KMS and most other stores refuse it, and it leaves host, content-length and "
    "all but a few headers unsigned; sign with version 4"
)


def explain_sigv2(url: SplitResult, query: Query, now: int, known: Known | None) -> Explanation:
    """Explain a presigned request; its signature is left out."""
    expires = query.get("Expires") or ""
    expires_at = int(expires) if re.fullmatch(r"[0-9]{1,12}", expires, re.ASCII) else None
    facts = {
        "address": f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
        "path": url.path,
        "method": "signed, but not told by the URL: only the one it was made for works",
        "headers to send": "content-type and content-md5, if they were given to the signer: the URL does not tell",
    }
    if overrides := query.overrides():
        facts["response"] = "; ".join(f"{name}: {value}" for name, value in overrides)
    if access_key_id := query.get("AWSAccessKeyId"):
        facts["signed by"] = shortened(access_key_id)
    if expires_at is not None:
        facts["dies at"] = moment(expires_at, now)
    problems = [*query.problems, *query.missing(("AWSAccessKeyId", "Expires", "Signature"))]
    if expires and expires_at is None:
        problems.append("Expires is not a time in seconds since 1970")
    if expires_at is not None and expires_at <= now:
        problems.append("it has expired")
    return Explanation("presigned S3 request (SigV2)", facts, [*problems, OLD, *host_problems(url, None, known)])
