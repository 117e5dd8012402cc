"""/healthz says that the process answers, /readyz that it reaches the bucket."""

from fastapi import APIRouter

from gateway.errors import Code
from gateway.http.problems import other_responses, problem_responses
from gateway.http.route import Anyone, GatewayRoute
from gateway.http.schemas import Health

router = APIRouter(route_class=GatewayRoute, tags=["health"], responses=other_responses())


@router.head("/healthz")
@router.get("/healthz")
async def healthz(call: Anyone) -> Health:  # noqa: ARG001 - every endpoint of GatewayRoute takes its call
    """Answer."""
    return {"status": "alive"}


@router.head("/readyz", responses=problem_responses(Code.STORAGE_UNAVAILABLE))
@router.get("/readyz", responses=problem_responses(Code.STORAGE_UNAVAILABLE))
async def readyz(call: Anyone) -> Health:
    """Reach for the bucket and for credentials."""
    await call.credentials()
    await call.gateway.storage.check()
    return {"status": "ready"}
