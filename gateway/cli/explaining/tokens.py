"""Our own tokens: what they say is for anyone to read, and only whether they are sealed takes a secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs

from gateway.cli.explaining.explanation import Explanation, Known, TenantKnown, moment
from gateway.errors import Refusal
from gateway.grants.app_tokens import MAX_PASS_AGE
from gateway.grants.seals import CLOCK_TOLERANCE, Seal, decode

_TOKEN = re.compile(r"(?:(?P<tenant>[a-z0-9-]{1,63})\.)?(?P<payload>[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{43}")
_LABELS = {
    "key": "object",
    "name": "filename",
    "as": "shown as",
    "sub": "principal",
    "policy": "policy",
    "size": "size",
    "at_most": "size at most",
    "max_size": "size at most",
    "type": "type",
    "types": "types",
    "sha256": "SHA-256",
    "sha256_type": "SHA-256 is",
    "md5": "MD5",
    "etag": "ETag",
    "meta": "metadata",
    "upload": "name of the upload",
    "upload_id": "upload id",
    "part": "size of a part",
    "sums": "SHA-256 for every part",
    "epoch": "link epoch",
    "tenant": "tenant",
    "prefix": "prefix",
    "after": "after",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A token: its purpose, its tenant if an app sealed it, and what it says."""

    purpose: str
    tenant: str | None
    fields: Mapping[str, Any]
    text: str = field(repr=False)


def find_token(path: str, text: str, fragment: str) -> Found | None:
    """Return the token of a link, a ticket or a pass in `path`, of a pass in `fragment`, or the one that `text` is."""
    for pattern, purpose in (
        (r"/d/([^/]+)(?:/[^/]*)?", "link"),
        (r"/v1/uploads/([^/]+)(?:/(?:complete|parts))?", "ticket"),
        (r"/s3/multipart/([^/]+)(?:/(?:complete|batch|[0-9]+))?", "ticket"),
        (r"/lfs/(?:[^/]+/)?objects/verify/([^/]+)", "ticket"),
        (r"/u/([^/]+)(?:/.*)?", "pass"),
    ):
        if match := re.search(f"{pattern}$", path):
            return _read(match[1], purpose)
    if fragment:
        return _read(parse_qs(fragment).get("pass", [""])[0], "pass")
    return _read(text, None)


def _read(token: str, purpose: str | None) -> Found | None:
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    try:
        fields = decode(match["payload"].encode())
    except Refusal:
        return None
    return Found(purpose or _purpose(fields, match["tenant"]), match["tenant"], fields, token)


def _purpose(fields: Mapping[str, Any], tenant: str | None) -> str:
    """Tell the purpose by the fields that only tokens of that purpose have."""
    if tenant is None:
        return "cursor" if "after" in fields else "ticket"
    if "etag" in fields:
        return "receipt"
    return "pass" if "policy" in fields else "link"


def explain_token(found: Found, url: SplitResult | None, now: int, known: Known | None) -> Explanation:
    """Explain a token; itself and its signature are left out."""
    facts = {"tenant": found.tenant} if found.tenant is not None else {}
    if url is not None:
        facts["address"] = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    facts |= {_LABELS[name]: _said(value) for name, value in found.fields.items() if name in _LABELS}
    issued_at, expires_at = found.fields.get("iat"), found.fields.get("exp")
    if type(issued_at) is int:
        facts["issued at"] = moment(issued_at, now)
    if type(expires_at) is int:
        facts["dies at"] = moment(expires_at, now)
    elif found.purpose == "link":
        facts["dies at"] = "never"
    sealed = None if known is None else _is_sealed(found, known)
    if sealed is not None:
        facts["sealed by these secrets"] = "yes" if sealed else "no"
    problems = [*_time_problems(found, now), *_seal_problems(found, known, sealed=sealed)]
    if url is not None and url.scheme == "http":
        problems.append("http: anyone on the way can read it and use it")
    return Explanation(found.purpose, facts, problems)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text}" for name, text in value.items())
    return "none" if value is None else str(value)


def _time_problems(found: Found, now: int) -> list[str]:
    if found.purpose == "cursor":
        return []
    issued_at, expires_at = found.fields.get("iat"), found.fields.get("exp")
    problems = []
    if type(issued_at) is not int:
        problems.append("it does not say when it was issued: 'iat' has to be whole seconds since 1970")
    elif issued_at > now + CLOCK_TOLERANCE:
        problems.append("it is issued in the future, by more than five minutes: its maker's clock is wrong")
    if type(expires_at) is int:
        if expires_at <= now:
            problems.append("it has expired")
        if found.purpose == "pass" and type(issued_at) is int and expires_at - issued_at > MAX_PASS_AGE:
            problems.append("a pass may not live longer than a day")
    elif expires_at is not None or found.purpose != "link":
        problems.append("it does not say when it dies: 'exp' has to be whole seconds since 1970")
    return problems


def _seal_problems(found: Found, known: Known | None, *, sealed: bool | None) -> list[str]:
    if known is None:
        return []
    tenant = known.tenants.get(found.tenant or "")
    if found.tenant is not None and tenant is None:
        return ["the settings define no such tenant"]
    problems = []
    if not sealed:
        problems.append(
            f"it is not a {found.purpose} sealed by these secrets: forged, of another gateway or purpose, or older "
            "than the secrets in the list"
        )
    if found.purpose == "link" and tenant is not None:
        problems += _link_problems(found.fields, tenant)
    return problems


def _link_problems(fields: Mapping[str, Any], tenant: TenantKnown) -> list[str]:
    problems = []
    epoch = fields.get("epoch")
    if type(epoch) is int and epoch < tenant.link_epoch:
        problems.append(f"it is revoked: the tenant's link epoch is {tenant.link_epoch}")
    if fields.get("exp") is None and not tenant.unlimited_links:
        problems.append("it never ends, which the tenant does not allow")
    return problems


def _is_sealed(found: Found, known: Known) -> bool:
    if found.tenant is None:
        seals = [Seal(purpose, known.secret_keys) for purpose in _own_purposes(found.purpose)]
    elif (tenant := known.tenants.get(found.tenant)) is None:
        return False
    else:
        seals = [Seal(found.purpose, tenant.app_secrets, found.tenant)]
    return any(_opens(seal, found.text) for seal in seals)


def _own_purposes(purpose: str) -> tuple[str, ...]:
    """A grant token says the same as its ticket, so that only the seal tells them apart."""
    return ("ticket", "grant") if purpose == "ticket" else (purpose,)


def _opens(seal: Seal, token: str) -> bool:
    try:
        seal.open(token)
    except Refusal:
        return False
    return True
