"""The fields that tell of a quota: draft-ietf-httpapi-ratelimit-headers-11, "RateLimit header fields for HTTP"."""

from collections.abc import Sequence
from typing import Any

from gateway.http.headers import Header
from gateway.quotas import Count

# As the OpenAPI document tells of them; neither comes where nobody counts.
DOCUMENTED: dict[str, Any] = {
    "RateLimit-Policy": {"description": "The quotas of the policy.", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of them.", "schema": {"type": "string"}},
}
_UNITS = {"uploads": "", "bytes": ';qu="content-bytes"'}  # section 3.1.2; what is left out means requests


def rate_limits(policy: str, counts: Sequence[Count], retry_after: int | None) -> Sequence[Header]:
    """Return RateLimit-Policy and RateLimit, structured fields (RFC 9651), or nothing where nobody counts.

    The window that RateLimit tells ends when all of the quota is there again, but not after what Retry-After tells, as
    section 6 demands.
    """
    if not counts:
        return ()
    policies, limits = [], []
    for count in counts:
        name = f'"{policy}.{count.unit}"'
        seconds = count.whole_in if retry_after is None else min(count.whole_in, retry_after)
        policies.append(f"{name};q={count.quota}{_UNITS[count.unit]};w={count.window}")
        limits.append(f"{name};r={count.remaining};t={seconds}")
    return (b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(limits).encode())
