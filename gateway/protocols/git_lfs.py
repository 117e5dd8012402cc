"""Git LFS: its batch API with the basic transfer, answered by the gateway's own use cases.

https://github.com/git-lfs/git-lfs/tree/main/docs/api. The object id is the SHA-256 of the bytes, so it is both the
checksum that the bucket verifies and the name under which the object lies, once for each policy, however often it is
pushed. Bytes go straight to the bucket; `verify`, which the client calls after its PUT, completes the upload.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.content.media_types import OCTETS
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant, Policy
from gateway.grants.principals import Action
from gateway.http.calls import AuthenticatedCall
from gateway.http.route import Anyone, Authenticated
from gateway.markers import State
from gateway.protocols.dialects import spoken_policy, spoken_ticket
from gateway.protocols.git_lfs_messages import (
    Batch,
    LfsRoute,
    Verification,
    VerifyRoute,
    Wanted,
    answer,
    failure,
    read,
)
from gateway.protocols.lookups import Lookups
from gateway.protocols.patience import concluded
from gateway.protocols.wishes import Wish
from gateway.s3.storage import Head

GIT_LFS = "git-lfs"
_EXTENSION = "bin"
_BASES = ("/lfs", "/lfs/{policy}")
_LOCKS = {"/locks": ["GET", "POST"], "/locks/verify": ["POST"], "/locks/{lock}/unlock": ["POST"]}
VERIFIED_WITHIN = 25.0  # seconds; git-lfs gives a connection up that is silent for 30 (lfs.activitytimeout)
_TOO_MUCH = "The quota of this policy grants less at once: push again for the rest, later."
_STORING = "The object has arrived and is being stored, which takes a while for one so large: push again later."
_SCANNING = "The object has arrived and is being scanned: push again later."

_Actions = Callable[[Wanted, Head | None], Mapping[str, Any]]  # of an object, and what is stored of it

router = APIRouter(route_class=LfsRoute, include_in_schema=False)
_lookups = Lookups()
_verifying = APIRouter(route_class=VerifyRoute, include_in_schema=False)


@router.post("/lfs/objects/batch", response_model=None)
async def batch(call: Authenticated) -> Response:
    """Tell how each object is to be uploaded or downloaded."""
    return await _batch(call, None)


@router.post("/lfs/{policy}/objects/batch", response_model=None)
async def batch_under(call: Authenticated, policy: str) -> Response:
    """Do so under the policy that the repository's URL names."""
    return await _batch(call, policy)


@_verifying.post("/lfs/objects/verify/{ticket}", response_model=None)
async def verify(call: Anyone, ticket: str) -> Response:
    """Complete the upload of exactly the object that the ticket is for; 200 says that it is stored.

    git-lfs sends no Basic credentials here: whoever holds the ticket may.
    """
    opened = await spoken_ticket(call, GIT_LFS, ticket)
    asked, grant = read(call, Verification), opened.grant
    if not grant.key.content_addressed or (asked.oid, asked.size) != (grant.key.name, grant.size):
        raise Refusal(Code.NOT_FOUND, "This ticket is for another object.")
    outcome = await concluded(lambda: call.gateway.uploads.complete(opened), VERIFIED_WITHIN)
    if outcome.state is State.SCANNING:
        raise Refusal(Code.SCANNER_UNAVAILABLE, _SCANNING, retry_after=outcome.retry_after)
    if outcome.retry_after is not None:
        raise Refusal(Code.STORAGE_UNAVAILABLE, _STORING, retry_after=outcome.retry_after)
    if outcome.stored is None:
        raise Refusal(Code.NOT_FOUND, "The object was deleted: push it again.")
    return answer({})


async def no_locks(call: Anyone, **_place: str) -> Response:
    """Say that there are no locks; git-lfs then pushes without them, and never asks again."""
    return failure(call.request_id, 501, "This server keeps no locks: push without them.")


for _base in _BASES:
    for _path, _methods in _LOCKS.items():
        router.add_api_route(_base + _path, no_locks, methods=_methods, response_model=None)
router.routes.extend(_verifying.routes)


async def _batch(call: AuthenticatedCall, named: str | None) -> Response:
    policy = spoken_policy(call, GIT_LFS, named)
    asked = read(call, Batch)
    if asked.hash_algo != "sha256":
        return failure(call.request_id, 409, "Objects are known by their SHA-256 here: use hash_algo sha256.")
    if asked.transfers is not None and "basic" not in asked.transfers:
        raise Refusal(Code.INVALID_REQUEST, "This server knows the transfer 'basic', and no other.")
    wanted = [Wanted.of(named) for named in asked.objects]
    grants: list[Grant] = []
    actions = await (_uploads(call, policy, grants) if asked.operation == "upload" else _downloads(call, policy))
    keys = {each.oid: _key(call, policy, each) for each in wanted if each.well_formed}
    heads = await _lookups.heads(call.gateway.storage, keys)
    objects = [_told(each, heads.get(each.oid), actions) for each in wanted]
    await call.spend(policy, grants)  # git-lfs waits, and asks for the whole batch again
    return answer({"transfer": "basic", "objects": objects, "hash_algo": "sha256"})


def _key(call: AuthenticatedCall, policy: Policy, wanted: Wanted) -> ObjectKey:
    return ObjectKey(call.principal.tenant, policy.name, wanted.oid, _EXTENSION)


def _told(wanted: Wanted, head: Head | None, actions: _Actions) -> Mapping[str, Any]:
    """Tell of one object what can be done, or why nothing can."""
    told = {"oid": wanted.oid, "size": wanted.size, "authenticated": True}
    try:
        _check(wanted, head)
        return {**told, **actions(wanted, head)}
    except Refusal as refusal:
        return {**told, "error": {"code": refusal.code.status, "message": refusal.detail}}


def _check(wanted: Wanted, head: Head | None) -> None:
    if not wanted.well_formed:
        raise Refusal(Code.INVALID_REQUEST, "An object has its SHA-256 in lower case as oid, and a size in bytes.")
    if head is not None and head.size != wanted.size:
        raise Refusal(Code.INVALID_REQUEST, "The object with this oid has another size.")


async def _uploads(call: AuthenticatedCall, policy: Policy, grants: list[Grant]) -> _Actions:
    """Return what gives the PUT of an object and its verification; nothing has to be done for one that is stored.

    It notes each grant. Of a batch that is larger than the quota of a whole window, what comes first is granted.
    """
    call.allowed(Action.UPLOAD)
    gateway, bucket, credentials = call.gateway, call.bucket(), await call.credentials()
    verify_url = f"{call.base_url}/lfs/objects/verify"
    granted = 0  # bytes

    def actions(wanted: Wanted, head: Head | None) -> Mapping[str, Any]:
        nonlocal granted
        if head is not None:
            return {}
        wish = Wish(f"{wanted.oid}.{_EXTENSION}", OCTETS, None, wanted.size, wanted.checksum_sha256)
        grant = call.judge(policy, wish, name=wanted.oid, upload_name=gateway.random_name())
        if policy.quota is not None and not policy.quota.takes(len(grants) + 1, granted + grant.size):
            raise Refusal(Code.TOO_MANY_REQUESTS, _TOO_MUCH)
        ticket, grant_token = gateway.tokens.seal_grant(grant)
        put = bucket.put_object(grant, grant_token, credentials, now=call.now, expires_in=policy.put_expires_in)
        grants.append(grant)
        granted += grant.size
        return {
            "actions": {
                "upload": {"href": put.url, "header": put.headers, "expires_in": put.expires_at - call.now},
                "verify": {"href": f"{verify_url}/{ticket}", "expires_in": grant.expires_at - call.now},
            }
        }

    return actions


async def _downloads(call: AuthenticatedCall, policy: Policy) -> _Actions:
    """Return what gives the GET of an object; raises `not-found` for one that is not stored."""
    call.allowed(Action.LINK)
    downloads = call.bucket().downloads(await call.credentials(), now=call.now, expires_in=call.gateway.get_expires_in)

    def actions(wanted: Wanted, head: Head | None) -> Mapping[str, Any]:
        if head is None:
            raise Refusal(Code.NOT_FOUND, "No object with this oid is stored here.")
        url = downloads.get(_key(call, policy, wanted), None, "attachment")
        return {"actions": {"download": {"href": url, "expires_in": downloads.expires_at - call.now}}}

    return actions
