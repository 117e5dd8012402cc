"""/v1/links makes links in batches; /d/… is where they lead."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.app_tokens import LINK_FILENAME_BYTES, Link
from gateway.grants.keys import ObjectKey
from gateway.grants.principals import Action
from gateway.http import bodies, schemas
from gateway.http.calls import AuthenticatedCall
from gateway.http.problems import AUTHENTICATED, WITH_BODY, other_responses, problem_responses
from gateway.http.route import Anyone, Authenticated, GatewayRoute
from gateway.http.schemas import rfc3339
from gateway.s3.bucket import WINDOW
from gateway.s3.downloads import DIRECT_EXPIRES_IN, Downloads
from gateway.s3.sigv4 import MAX_LIFETIME

router = APIRouter(route_class=GatewayRoute, tags=["links"], responses=other_responses())

_Maker = Callable[[ObjectKey, Filename | None, schemas.WantedLink], tuple[str, int]]


@router.post(
    "/v1/links",
    responses=problem_responses(*AUTHENTICATED, *WITH_BODY, Code.STORAGE_UNAVAILABLE, Code.INSECURE_STORAGE),
)
async def create_links(call: Authenticated, wanted: schemas.LinksRequest) -> schemas.Links:
    """Make up to 1,000 links. An error is about a key's form or tenant; whether an object exists is not looked up."""
    call.allowed(Action.LINK)
    link = await _direct(call) if wanted.via == "direct" else _redirecting(call)
    return {"links": [_linked(call.principal.tenant, one, link) for one in wanted.links]}


def _linked(tenant: str, wanted: schemas.WantedLink, link: _Maker) -> schemas.Linked | schemas.Unlinked:
    try:
        key = ObjectKey.parse_key(wanted.key).of(tenant)
        filename = None if wanted.filename is None else Filename.parse(wanted.filename, max_bytes=LINK_FILENAME_BYTES)
        url, expires_at = link(key, filename, wanted)
    except Refusal as refusal:
        return {"key": wanted.key, "error": refusal.code.code}
    return {"key": wanted.key, "url": url, "expires_at": rfc3339(expires_at)}


async def _direct(call: AuthenticatedCall) -> _Maker:
    bucket, credentials = call.bucket(), await call.credentials()

    @cache
    def downloads(expires_in: int) -> Downloads:
        if expires_in > MAX_LIFETIME:
            raise Refusal(Code.INVALID_REQUEST)
        return bucket.downloads(credentials, now=call.now, expires_in=expires_in)

    def link(key: ObjectKey, filename: Filename | None, wanted: schemas.WantedLink) -> tuple[str, int]:
        made = downloads(wanted.expires_in or DIRECT_EXPIRES_IN)
        return made.get(key, filename, wanted.disposition), made.expires_at

    return link


def _redirecting(call: AuthenticatedCall) -> _Maker:
    tokens, tenant = call.gateway.tokens.app(call.principal.tenant), call.tenant

    def link(key: ObjectKey, filename: Filename | None, wanted: schemas.WantedLink) -> tuple[str, int]:
        expires_at = call.now + (wanted.expires_in or tenant.link_expires_in(key.policy))
        token = tokens.seal_link(Link(key, filename, wanted.disposition, call.now, expires_at, tenant.link_epoch))
        return bodies.link_url(call.base_url, token, filename), expires_at

    return link


_REDIRECT: dict[str, Any] = {
    "status_code": 307,
    "response_class": Response,
    "responses": {
        307: {"headers": {"Location": {"required": True, "schema": {"type": "string", "format": "uri"}}}},
        **problem_responses(Code.NOT_FOUND, Code.STORAGE_UNAVAILABLE, Code.INSECURE_STORAGE),
    },
}


@router.head("/d/{token}", **_REDIRECT)
@router.get("/d/{token}", **_REDIRECT)
async def follow_link(call: Anyone, token: str) -> Response:
    """Redirect to a presigned GET (for HEAD to a presigned HEAD) that lives for minutes."""
    link = call.gateway.tokens.open_link(token, call.now)
    downloads = call.bucket().downloads(
        await call.credentials(), now=call.now, expires_in=call.gateway.get_expires_in, window=WINDOW
    )
    if call.scope["method"] == "HEAD":
        url = downloads.head(link.key)
    else:
        url = downloads.get(link.key, link.filename, link.disposition)
    return Response(status_code=307, headers={"location": url})


@router.head("/d/{token}/{filename}", **_REDIRECT)
@router.get("/d/{token}/{filename}", **_REDIRECT)
async def follow_named_link(call: Anyone, token: str, filename: str) -> Response:  # noqa: ARG001 - for people to read
    """Redirect likewise: the filename is for people and for `curl -O`, and decides nothing."""
    return await follow_link(call, token)
