"""/healthz says that the process answers, /readyz that it reaches the bucket."""

from fastapi import APIRouter

from gateway.http.route import Anyone, GatewayRoute
from gateway.http.schemas import Health

router = APIRouter(route_class=GatewayRoute)


@router.get("/healthz")
async def healthz(call: Anyone) -> Health:  # noqa: ARG001 - every endpoint of GatewayRoute takes its call
    """Answer."""
    return Health("alive")


@router.get("/readyz")
async def readyz(call: Anyone) -> Health:
    """Reach for the bucket and for credentials."""
    await call.credentials()
    await call.gateway.storage.check()
    return Health("ready")
