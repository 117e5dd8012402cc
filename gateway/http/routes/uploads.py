"""/v1/uploads and /v1/passes: tickets, and what they are spent on."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from gateway.assembly import ClaimedPart
from gateway.content.media_types import parse_media_type
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Policy, acting_as, check_sha256
from gateway.grants.principals import Action, Kind, Limits
from gateway.grants.tickets import Ticket
from gateway.http import bodies, rate_limits, schemas
from gateway.http.calls import AuthenticatedCall
from gateway.http.problems import AUTHENTICATED, WITH_BODY, other_responses, problem_responses
from gateway.http.route import Anyone, Authenticated, GatewayRoute
from gateway.s3.part_uploads import PartUploads
from gateway.s3.parts import Plan

router = APIRouter(prefix="/v1", route_class=GatewayRoute, tags=["uploads"], responses=other_responses())

FIRST_PARTS = 10  # that come with a ticket: what a client has under way before it first asks for more

_POLICY = (Code.POLICY_UNKNOWN, Code.TYPE_NOT_ALLOWED)
_FILE = (
    Code.EXTENSION_MISMATCH,
    Code.TOO_LARGE,
    Code.CHECKSUM_REQUIRED,
    Code.INVALID_FILENAME,
    Code.METADATA_TOO_LARGE,
)
_TICKET = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.STORAGE_UNAVAILABLE)
_PROOF = (
    Code.NOT_UPLOADED,
    Code.CONTENT_CHANGED,
    Code.SIZE_MISMATCH,
    Code.CONTENT_MISMATCH,
    Code.ACTIVE_CONTENT,
    Code.ARCHIVE_TOO_LARGE,
    Code.INFECTED,
    Code.SCANNER_UNAVAILABLE,
)
_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": schemas.Status, "description": "Not stored yet: ask again after `retry_after` seconds."}
}
_COUNTED: dict[int | str, dict[str, Any]] = {201: {"headers": rate_limits.DOCUMENTED}}
_MAY_AUTHENTICATE: dict[str, Any] = {"security": [{}, {"HTTPBearer": []}]}


@router.post(
    "/uploads",
    status_code=201,
    responses=_COUNTED
    | problem_responses(
        *AUTHENTICATED,
        *WITH_BODY,
        *_POLICY,
        *_FILE,
        Code.TOO_MANY_REQUESTS,
        Code.STORAGE_UNAVAILABLE,
        Code.INSECURE_STORAGE,
    ),
)
async def create_upload(call: Authenticated, wanted: schemas.UploadRequest) -> schemas.Ticket:
    """Ask for a ticket: the policy decides, and the bucket refuses whatever differs from the answer."""
    policy = call.tenant.policy_for(call.principal, wanted.policy)
    if policy.divides(wanted.size):
        return await _create_multipart(call, policy, wanted)
    grant = await call.grant(policy, wanted, name=call.gateway.random_name())
    ticket, put = await call.put_object(grant, expires_in=policy.put_expires_in)
    return bodies.ticket(call.base_url, grant, ticket, put, call.now)


async def _create_multipart(call: AuthenticatedCall, policy: Policy, wanted: schemas.UploadRequest) -> schemas.Ticket:
    grant = await call.grant(policy, wanted, name=call.gateway.random_name(), multipart=True)
    plan = Plan.of(grant.size)
    call.bucket()
    await call.credentials()  # nothing is begun that could not go on
    checksums = policy.checksum == "required" or wanted.part_checksums
    upload = call.gateway.uploads.create_multipart(grant, part_size=plan.part_size, checksums=checksums)
    ticket = await call.begun(upload)
    first = [] if ticket.divided().checksums or not grant.exact else range(1, min(plan.part_count, FIRST_PARTS) + 1)
    requests = await call.part_uploads(ticket)
    parts = [_part(requests, ticket, number) for number in first]
    return bodies.divided_ticket(call, ticket, call.gateway.tokens.seal_ticket(ticket), parts)


def _part(
    requests: PartUploads, ticket: Ticket, number: int, size: int | None = None, checksum_sha256: str | None = None
) -> schemas.Part:
    size = ticket.part_size(number, size)
    return bodies.part(number, size, requests.part(number, size, checksum_sha256))


# Stands before the routes that take a ticket: no ticket is the word "complete".
@router.post("/uploads/complete", responses=_LATER | problem_responses(Code.FORBIDDEN, *_TICKET, *WITH_BODY, *_PROOF))
async def complete_by_key(call: Authenticated, wanted: schemas.CompleteByKeyRequest) -> schemas.Status:
    """Complete an upload whose client was given its key and never a ticket.

    An API key completes those of everybody in its tenant, under its policies; others only their own. Whoever followed a
    link to an object knows its key, so that who may neither link nor speak for the principal is told no more than the
    state.
    """
    principal = call.allowed(Action.UPLOAD)
    key = ObjectKey.parse_upload_key(wanted.upload_key).of(principal.tenant)
    if key.policy not in principal.policies:
        raise Refusal(Code.FORBIDDEN, "These credentials do not allow that policy.")
    ticket = await call.gateway.uploads.granted(key)
    own = principal.speaks_for(key.tenant, ticket.grant.principal)
    if not own and principal.kind is not Kind.API_KEY:
        raise Refusal(Code.NOT_FOUND)
    status = bodies.completed(call, await call.gateway.uploads.complete(ticket))
    return status if own or Action.LINK in principal.actions else bodies.state_alone(status)


@router.get("/uploads/{ticket}", responses=problem_responses(*_TICKET), openapi_extra=_MAY_AUTHENTICATE)
async def upload_status(call: Anyone, ticket: str) -> schemas.Status:
    """Ask where an upload stands."""
    return bodies.status(call, await call.gateway.uploads.status(await call.ticket(ticket)))


@router.post(
    "/uploads/{ticket}/parts",
    responses=problem_responses(*_TICKET, *WITH_BODY, Code.CHECKSUM_REQUIRED, Code.INSECURE_STORAGE),
    openapi_extra=_MAY_AUTHENTICATE,
)
async def sign_parts(call: Anyone, ticket: str, wanted: schemas.PartsRequest) -> schemas.Parts:
    """Presign parts of a multipart upload: ask when they are about to be sent, since their URLs live for minutes."""
    opened = await call.ticket(ticket)
    checksums, sizes = _checksums(opened, wanted), wanted.sizes or {}
    if not {str(number) for number in wanted.part_numbers} >= checksums.keys() | sizes.keys():
        raise Refusal(Code.INVALID_REQUEST, "checksums_sha256 and sizes speak of parts that part_numbers asks for.")
    requests = await call.part_uploads(opened)
    return {
        "parts": [
            _part(requests, opened, number, sizes.get(str(number)), checksums.get(str(number)))
            for number in wanted.part_numbers
        ]
    }


def _checksums(ticket: Ticket, wanted: schemas.PartsRequest) -> Mapping[str, str]:
    """Return the checksums of the parts wanted; an upload that was asked for with part_checksums takes none without."""
    checksums = wanted.checksums_sha256 or {}
    if ticket.divided().checksums and len(checksums) < len(wanted.part_numbers):
        raise Refusal(Code.CHECKSUM_REQUIRED, "Send the SHA-256 of every part in checksums_sha256 (base64).")
    return {name: check_sha256(checksum) for name, checksum in checksums.items()}


@router.post(
    "/uploads/{ticket}/complete",
    responses=_LATER | problem_responses(*_TICKET, *WITH_BODY, *_PROOF),
    openapi_extra=_MAY_AUTHENTICATE,
)
async def complete_upload(call: Anyone, ticket: str, wanted: schemas.CompleteRequest) -> schemas.Status:
    """Prove what arrived and store it. A repeat is answered alike."""
    opened, claimed = await call.ticket(ticket), None
    if wanted.parts is not None:
        opened.divided()
        claimed = [ClaimedPart(part.part_number, part.etag, part.checksum_sha256) for part in wanted.parts]
    return bodies.completed(call, await call.gateway.uploads.complete(opened, claimed))


@router.delete(
    "/uploads/{ticket}",
    status_code=204,
    responses=problem_responses(*_TICKET, Code.ALREADY_STORED, Code.CONTENT_CHANGED),
    openapi_extra=_MAY_AUTHENTICATE,
)
async def abort_upload(call: Anyone, ticket: str) -> None:
    """Revoke an upload that is not stored yet, also the second time."""
    await call.gateway.uploads.abort(await call.ticket(ticket))


@router.post("/passes", status_code=201, responses=problem_responses(*AUTHENTICATED, *WITH_BODY, *_POLICY))
async def create_pass(call: Authenticated, wanted: schemas.PassRequest) -> schemas.Pass:
    """Make a pass: an application's browser code may then ask for tickets, within these limits."""
    principal = call.allowed(Action.UPLOAD)
    if principal.kind is not Kind.API_KEY:
        raise Refusal(Code.FORBIDDEN, "Only an API key makes passes.")
    policy = call.tenant.policy_for(principal, wanted.policy)
    content_types = wanted.content_types
    if content_types is not None:
        content_types = [parse_media_type(content_type).name for content_type in content_types]
        if not policy.media_types.keys() >= set(content_types):
            raise Refusal(Code.TYPE_NOT_ALLOWED)
    token = call.gateway.tokens.app(principal.tenant).seal_pass(
        acting_as(principal, wanted.principal),
        policy.name,
        Limits(wanted.max_size, None if content_types is None else frozenset(content_types)),
        now=call.now,
        expires_in=wanted.expires_in,
    )
    return {"pass": token, "expires_at": schemas.rfc3339(call.now + wanted.expires_in)}


@router.get("/policies", responses=problem_responses(Code.UNAUTHENTICATED))
async def list_policies(call: Authenticated) -> schemas.Policies:
    """List the policies that the caller may use."""
    return {"policies": [bodies.policy(policy) for policy in call.tenant.policies_for(call.principal)]}
