"""The value that all explaining comes to, what it may know of the settings, and its words for time and keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.s3.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class Explanation:
    """What it is, what it says, in the order to be read, and what is wrong with it: sentences, the worst first."""

    kind: str
    facts: Mapping[str, str]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class TenantKnown:
    """What the settings tell of a tenant; app secrets oldest first."""

    app_secrets: Sequence[bytes] = field(repr=False)
    link_epoch: int = 0
    unlimited_links: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the settings tell: where presigned requests go, and what seals tokens, oldest first."""

    endpoint: Endpoint
    secret_keys: Sequence[bytes] = field(repr=False)
    tenants: Mapping[str, TenantKnown]


def printable(text: str) -> str:
    """Return the text with each character escaped that is not to be seen as it stands: controls, bidi marks."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def moment(at: int, now: int) -> str:
    """Write a time, in seconds since the epoch, as RFC 3339, and how far away it is."""
    try:
        written = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{at} s after 1970, beyond any calendar"
    return f"{written}, {_span(at - now)} from now" if at > now else f"{written}, {_span(now - at)} ago"


def _span(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def shortened(access_key_id: str) -> str:
    """Tell which access key it is to those who have it: its first and its last four characters."""
    kind = {"AKIA": ", long-lived", "ASIA": ", temporary"}.get(access_key_id[:4], "")
    if len(access_key_id) < 12:  # noqa: PLR2004 - so that half of it stays hidden
        return "…" + kind
    return f"{access_key_id[:4]}…{access_key_id[-4:]}{kind}"
