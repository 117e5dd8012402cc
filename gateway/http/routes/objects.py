"""/v1/objects: list, describe and delete what is stored. Tenant-wide, and never open to a pass."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.errors import Code
from gateway.grants.keys import ObjectKey
from gateway.grants.principals import Action
from gateway.http import bodies, schemas
from gateway.http.problems import AUTHENTICATED, other_responses, problem_responses
from gateway.http.route import Authenticated, GatewayRoute
from gateway.objects import page_of

router = APIRouter(prefix="/v1/objects", route_class=GatewayRoute, tags=["objects"], responses=other_responses())

_REFUSALS = problem_responses(*AUTHENTICATED, Code.NOT_FOUND, Code.STORAGE_UNAVAILABLE)


@router.get("", responses=_REFUSALS | problem_responses(Code.INVALID_REQUEST))
async def list_objects(call: Authenticated, query: Annotated[schemas.ListQuery, Query()]) -> schemas.Objects:
    """List the tenant's objects in the order of their keys, a page at a time."""
    tenant = call.allowed(Action.READ).tenant
    prefix = f"objects/{tenant}/{query.prefix}"
    after = call.gateway.tokens.open_cursor(query.cursor, tenant, prefix) if query.cursor else ""
    objects, last = await page_of(call.gateway.storage, prefix, limit=query.limit, after=after)
    cursor = call.gateway.tokens.seal_cursor(tenant, prefix, last) if last else None
    return {"objects": [bodies.stored(found) for found in objects], "cursor": cursor}


@router.get("/{key:path}", responses=_REFUSALS)
async def read_object(call: Authenticated, key: str) -> schemas.Object:
    """Describe one object."""
    found = await call.gateway.uploads.find(ObjectKey.parse_key(key).of(call.allowed(Action.READ).tenant))
    return bodies.stored(found)


@router.delete("/{key:path}", status_code=204, responses=_REFUSALS)
async def delete_object(call: Authenticated, key: str) -> None:
    """Delete one object for good, also the second time."""
    await call.gateway.uploads.delete(ObjectKey.parse_key(key).of(call.allowed(Action.DELETE).tenant))
