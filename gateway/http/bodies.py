"""From what the use cases know to the bodies that say so."""

from gateway.content.filenames import Filename, url_filename
from gateway.errors import Code, Refusal
from gateway.grants.app_tokens import Link, Receipt
from gateway.grants.policies import Grant, Policy
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.http import schemas
from gateway.http.calls import Call
from gateway.http.problems import Problem, describe
from gateway.http.schemas import rfc3339
from gateway.objects import StoredObject
from gateway.s3.parts import Plan
from gateway.s3.presigned import PresignedRequest
from gateway.uploads import Outcome

RECEIPT_EXPIRES_IN = 604_800  # seconds
ACCEPTED = 202


def ticket(base_url: str, grant: Grant, token: str, put: PresignedRequest, now: int) -> schemas.Ticket:
    """Write the ticket of a single PUT."""
    body = _ticket(base_url, grant, token, now)
    body["upload"] = {
        "method": put.method,
        "url": put.url,
        "headers": put.headers,
        "expires_at": rfc3339(put.expires_at),
    }
    return body


def divided_ticket(call: Call, opened: Ticket, token: str, parts: list[schemas.Part]) -> schemas.Ticket:
    """Write the ticket of a multipart upload, with its first parts; nobody counts those of a stream."""
    grant, part_size = opened.grant, opened.divided().part_size
    assert part_size is not None  # noqa: S101 - only other protocols let a client divide as it likes
    body = _ticket(call.base_url, grant, token, call.now)
    body["multipart"] = {
        "part_size": part_size,
        "part_count": Plan(grant.size, part_size).part_count if grant.exact else None,
        "parts": parts,
        "parts_url": f"{body['status_url']}/parts",
    }
    return body


def part(number: int, size: int | None, put: PresignedRequest) -> schemas.Part:
    """Write a presigned part."""
    return {
        "part_number": number,
        "size": size,
        "method": put.method,
        "url": put.url,
        "headers": put.headers,
        "expires_at": rfc3339(put.expires_at),
    }


def _ticket(base_url: str, grant: Grant, token: str, now: int) -> schemas.Ticket:
    url = f"{base_url}/v1/uploads/{token}"
    return {
        "ticket": token,
        "key": grant.key.key,
        "upload_key": grant.key.upload_key,
        "expires_at": rfc3339(grant.expires_at),
        "server_time": rfc3339(now),
        "upload": None,
        "multipart": None,
        "status_url": url,
        "complete_url": f"{url}/complete",
        "abort_url": url,
    }


def stored(found: StoredObject) -> schemas.Object:
    """Write a stored object."""
    return {
        "key": found.key.key,
        "size": found.size,
        "content_type": found.content_type,
        "filename": found.filename,
        "checksum_sha256": found.checksum_sha256,
        "checksum_type": found.checksum_type,
        "etag": found.etag,
        "principal": found.principal,
        "metadata": found.metadata,
        "stored_at": rfc3339(found.stored_at),
    }


def receipt(tokens: Tokens, found: StoredObject, issued_at: int) -> str:
    """Write the receipt of a stored object; `issued_at`, in seconds, is the moment of storing or a little before."""
    statement = Receipt(
        found.key,
        found.size,
        found.content_type,
        found.checksum_sha256,
        found.checksum_type,
        found.etag,
        found.principal,
        issued_at,
        issued_at + RECEIPT_EXPIRES_IN,
    )
    return tokens.app(found.key.tenant).seal_receipt(statement)


def link_url(base_url: str, token: str, filename: Filename | None) -> str:
    """Write the address of a link; its last segment is for people and for `curl -O`, and decides nothing."""
    url = f"{base_url}/d/{token}"
    return url if filename is None else f"{url}/{url_filename(filename)}"


def completed(call: Call, outcome: Outcome) -> schemas.Status:
    """Write what came of a completion: 202 while it still goes on."""
    if outcome.retry_after is not None:
        call.status_code = ACCEPTED
    return status(call, outcome)


def status(call: Call, outcome: Outcome) -> schemas.Status:
    """Write where an upload stands. The receipt and the link of a stored one are the same at every repeat."""
    found = outcome.stored
    return {
        "status": outcome.state,
        "parts": [{"part_number": part.number, "size": part.size, "etag": part.etag} for part in outcome.parts],
        "object": None if found is None else stored(found),
        "receipt": None if found is None else receipt(call.gateway.tokens, found, _issued_at(call, found)),
        "link": None if found is None else _link(call, found),
        "problem": None if outcome.code is None else _problem(call, outcome.code),
        "retry_after": outcome.retry_after,
    }


def state_alone(told: schemas.Status) -> schemas.Status:
    """Leave out what leads to the object."""
    return {**told, "object": None, "receipt": None, "link": None}


def policy(allowed: Policy) -> schemas.PolicySummary:
    """Write what a policy takes."""
    media_types = allowed.media_types.values()
    return {
        "name": allowed.name,
        "content_types": [media_type.name for media_type in media_types],
        "extensions": [extension for media_type in media_types for extension in media_type.extensions],
        "max_size": allowed.max_size,
        "checksum": allowed.checksum,
        "multipart_from": allowed.multipart_from,
    }


def _issued_at(call: Call, found: StoredObject) -> int:
    """Return the moment of storing, so that a repeat is answered alike; never our future, if the store's clock errs."""
    return min(found.stored_at, call.gateway.clock())  # a call may have begun seconds before its object was stored


def _link(call: Call, found: StoredObject) -> str:
    tenant = call.gateway.tenants[found.key.tenant]
    rules = tenant.policies.get(found.key.policy)
    filename = Filename(found.filename)
    lifetime = tenant.link_expires_in(found.key.policy)
    issued_at = _issued_at(call, found)
    if call.now >= issued_at + lifetime // 2:  # half of that link is used up
        issued_at = call.now
    link = Link(
        found.key,
        filename,
        "inline" if rules and rules.inline else "attachment",
        issued_at,
        issued_at + lifetime,
        tenant.link_epoch,
    )
    return link_url(call.base_url, call.gateway.tokens.app(tenant.name).seal_link(link), filename)


def _problem(call: Call, code: Code) -> Problem:
    return describe(Refusal(code), call.request_id)
