"""Uppy's routes: what `@uppy/aws-s3` 5 and 6 ask of Companion under `/s3`, answered by the gateway's own use cases.

https://uppy.io/docs/aws-s3-multipart/ and the sources of 5.1.0 and 6.3.1. The ticket is Uppy's `uploadId`. Uppy tells
no size, so grants are at most what the policy takes: a single upload is a form POST whose length the bucket bounds, and
completion counts the parts of a multipart upload. `/s3/sts`, which hands out credentials of the bucket, is not offered.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from gateway.assembly import ClaimedPart
from gateway.errors import Code, Refusal
from gateway.grants.keys import FORM
from gateway.grants.policies import Policy
from gateway.grants.tickets import Ticket
from gateway.http import bodies
from gateway.http.calls import AuthenticatedCall, Call
from gateway.http.route import Anyone, Authenticated
from gateway.markers import State
from gateway.protocols.dialects import DialectRoute, refusal_in_json, routes, spoken_policy, spoken_ticket
from gateway.protocols.patience import answered, concluded, patiently
from gateway.protocols.uppy_wishes import Asked, CompleteRequest, MultipartRequest
from gateway.s3.parts import MAX_PARTS, MIN_PART, Plan
from gateway.s3.presigned import PresignedRequest

UPPY = "uppy"
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_LOST = frozenset({State.ABORTED, State.REJECTED, State.DELETED})


class _Uppy(DialectRoute):
    """Answers no 503, which asks a client to come again that never will."""

    def refused(self, refusal: Refusal, request_id: str) -> Response:
        status = refusal.code.status
        return refusal_in_json(refusal, request_id, 502 if status == Code.STORAGE_UNAVAILABLE.status else status)


router = APIRouter(route_class=_Uppy)


class Form(TypedDict):
    """A form to post: `fields` in their order, then the file; `expires` in seconds, as everywhere here."""

    method: str
    url: str
    fields: Mapping[str, str]
    expires: int


class Begun(TypedDict):
    """A multipart upload: the ticket, and the upload key that Uppy sends back beside it."""

    key: str
    uploadId: str
    bucket: str


class Listed(TypedDict):
    """A part that has arrived."""

    PartNumber: int
    Size: int
    ETag: str


class Signed(TypedDict):
    """A presigned part."""

    url: str
    expires: int


class Batch(TypedDict):
    """Presigned parts by their numbers."""

    presignedUrls: Mapping[str, str]


@routes(router, "GET", "/s3/params")
async def sign_form(call: Authenticated) -> Form:
    """Give the form of a single upload. Nobody tells the gateway when it was posted: the page or its server does."""
    asked = Asked.in_query(call.scope["query_string"])
    policy = _policy(call, asked)
    grant = await call.grant(policy, asked.wish(policy), name=call.gateway.random_name() + FORM)
    form = call.bucket().form(
        grant,
        call.gateway.tokens.seal_grant_token(grant),
        await call.credentials(),
        now=call.now,
        expires_in=policy.put_expires_in,
    )
    return {"method": "POST", "url": form.url, "fields": form.fields, "expires": form.expires_at - call.now}


@routes(router, "POST", "/s3/multipart")
async def create(call: Authenticated, wanted: MultipartRequest) -> Begun:
    """Begin a multipart upload. The parts are as large as Uppy likes."""
    asked = wanted.asked()
    policy = _policy(call, asked)
    grant = await call.grant(policy, asked.wish(policy), name=call.gateway.random_name(), multipart=True)
    bucket = call.bucket()
    ticket = await call.begun(patiently(lambda: call.gateway.uploads.create_multipart(grant, part_size=None)))
    token = call.gateway.tokens.seal_ticket(ticket)
    return {"key": grant.key.upload_key, "uploadId": token, "bucket": bucket.endpoint.bucket}


@routes(router, "GET", "/s3/multipart/{upload_id}")
async def list_parts(call: Anyone, upload_id: str) -> list[Listed]:
    """List what has arrived. Of an upload that was joined already everything has, so that Uppy goes on to complete it.

    Uppy asks this after a lost connection, too, when the answer to its completion may have been what was lost.
    """
    ticket = await _ticket(call, upload_id)
    outcome = await patiently(lambda: call.gateway.uploads.status(ticket))
    if outcome.state in _LOST:
        raise Refusal(outcome.code or Code.NOT_UPLOADED)
    if outcome.state in {State.UPLOADING, State.WAITING}:
        return [{"PartNumber": part.number, "Size": part.size, "ETag": part.etag} for part in outcome.parts]
    plan = Plan(outcome.stored.size if outcome.stored else ticket.grant.size, MIN_PART)
    return [
        {"PartNumber": number, "Size": plan.part(number), "ETag": ""}
        for number in range(1, min(plan.part_count, MAX_PARTS) + 1)
    ]


# Stands before the route of one part, which would take it for a number.
@routes(router, "GET", "/s3/multipart/{upload_id}/batch")
async def sign_batch(call: Anyone, upload_id: str) -> Batch:
    """Presign several parts."""
    ticket = await _ticket(call, upload_id)
    numbers = QueryParams(call.scope["query_string"]).get("partNumbers", "").split(",")
    part = (await call.part_uploads(ticket)).part
    return {"presignedUrls": {number: _sign(part, ticket, number).url for number in numbers}}


@routes(router, "GET", "/s3/multipart/{upload_id}/{number}")
async def sign_part(call: Anyone, upload_id: str, number: str) -> Signed:
    """Presign one part. Uppy 5 gives a part `expires` seconds to arrive, too."""
    ticket = await _ticket(call, upload_id)
    put = _sign((await call.part_uploads(ticket)).part, ticket, number)
    return {"url": put.url, "expires": put.expires_at - call.now}


@routes(router, "POST", "/s3/multipart/{upload_id}/complete")
async def complete(call: Anyone, upload_id: str, wanted: CompleteRequest) -> Response:
    """Complete a multipart upload; only one that is stored is a success."""
    ticket = await _ticket(call, upload_id)
    claimed = [ClaimedPart(part.number, part.etag) for part in wanted.parts]
    return await answered(_stored(call, ticket, claimed))


@routes(router, "DELETE", "/s3/multipart/{upload_id}")
async def abort(call: Anyone, upload_id: str) -> dict[str, str]:
    """Abort a multipart upload and free its parts."""
    ticket = await _ticket(call, upload_id)
    await patiently(lambda: call.gateway.uploads.abort(ticket))
    return {}


async def _stored(call: Call, ticket: Ticket, claimed: Sequence[ClaimedPart]) -> Mapping[str, str]:
    """Complete until the object is stored. `location` is its link, which Uppy gives the page as `uploadURL`."""
    uploads = call.gateway.uploads
    outcome = await concluded(lambda: patiently(lambda: uploads.complete(ticket, claimed)))
    link = bodies.status(call, outcome)["link"]
    if link is None:
        raise Refusal(Code.NOT_FOUND)
    return {"location": link, "key": ticket.grant.key.key, "bucket": call.gateway.bucket.endpoint.bucket}


def _policy(call: AuthenticatedCall, asked: Asked) -> Policy:
    policy = spoken_policy(call, UPPY, asked.policy)
    if policy.checksum == "required":
        raise Refusal(Code.CHECKSUM_REQUIRED, "This policy asks for checksums, and Uppy sends none.")
    return policy


async def _ticket(call: Call, token: str) -> Ticket:
    """Open the ticket of a multipart upload of Uppy's; the key that it names beside has to be the ticket's."""
    ticket = await spoken_ticket(call, UPPY, token)
    if ticket.divided().part_size is not None:  # one of our own, whose parts have lengths and perhaps checksums to sign
        raise Refusal(Code.NOT_FOUND)
    key = QueryParams(call.scope["query_string"]).get("key")
    if key is None:
        raise Refusal(Code.INVALID_REQUEST, "Send the upload's key as the parameter 'key'.")
    if key != ticket.grant.key.upload_key:
        raise Refusal(Code.NOT_FOUND)
    return ticket


def _sign(part: Callable[[int, int | None], PresignedRequest], ticket: Ticket, number: str) -> PresignedRequest:
    wanted = int(number) if _NUMBER.fullmatch(number) else 0  # which is no part's
    return part(wanted, ticket.part_size(wanted, None))
