"""What other people's protocols have in common: when they are spoken, a pass in the path, errors in their own words.

A dialect is off unless a policy names it. Its routes stand whatever the settings say: whoever calls one without such a
policy is told `forbidden`, and a stranger the 401 of every other route, so that nothing tells what is configured.
"""

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.grants.policies import Policy
from gateway.grants.tickets import Ticket
from gateway.http.calls import AuthenticatedCall, Call
from gateway.http.heads import FIELDS
from gateway.http.problems import REQUEST_ID
from gateway.http.route import GatewayRoute

Endpoint = Callable[..., Any]

ACCESS = "access"  # the path parameter that holds a pass
_PREFIXES = ("", f"/u/{{{ACCESS}}}")  # the second for clients that send no headers of the page's own
_OFF = "No policy that these credentials allow takes uploads by this protocol."


def spoken_policy(call: AuthenticatedCall, dialect: str, named: str | None) -> Policy:
    """Return the policy of a call in a dialect: the one that it names, else `default`, else the only one.

    Raises `forbidden` where the dialect is off for the caller, and `policy-unknown` where it has to name one.
    """
    allowed = call.tenant.policies_for(call.principal)
    spoken = {policy.name: policy for policy in allowed if dialect in policy.protocols}
    if not spoken:
        raise Refusal(Code.FORBIDDEN, _OFF)
    if named is not None:
        policy = call.tenant.policy_for(call.principal, named)
        if policy.name not in spoken:
            raise Refusal(Code.FORBIDDEN, "That policy takes no uploads by this protocol.")
        return policy
    if len(spoken) > 1 and "default" not in spoken:
        raise Refusal(Code.POLICY_UNKNOWN, "Several policies take uploads by this protocol: name one of them.")
    return spoken.get("default") or next(iter(spoken.values()))


async def spoken_ticket(call: Call, dialect: str, token: str) -> Ticket:
    """Open a ticket in a path as `Call.ticket` does; raises `forbidden` where its policy does not speak the dialect."""
    ticket = await call.ticket(token)
    key = ticket.grant.key
    tenant = call.gateway.tenants.get(key.tenant)
    policy = None if tenant is None else tenant.policies.get(key.policy)
    if policy is None or dialect not in policy.protocols:
        raise Refusal(Code.FORBIDDEN, _OFF)
    return ticket


def routes(router: APIRouter, method: str, path: str) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint at `path` and at `/u/{access}` before it, where the path itself says who calls."""

    def register(endpoint: Endpoint) -> Endpoint:
        for prefix in _PREFIXES:
            router.add_api_route(prefix + path, endpoint, methods=[method], include_in_schema=False)
        return endpoint

    return register


class DialectRoute(GatewayRoute):
    """A route that takes a pass in its path as if it were a header, and answers refusals as its clients read them."""

    def __init__(self, path: str, endpoint: Endpoint, **described: Any) -> None:  # noqa: ANN401 - FastAPI's own
        """Take what FastAPI takes."""
        super().__init__(path, endpoint, **described)
        self.app = self._translated(self.app)

    def refused(self, refusal: Refusal, request_id: str) -> Response:
        """Answer a refusal: JSON that has its sentence as `message` and as `error`."""
        return refusal_in_json(refusal, request_id, refusal.code.status)

    def authorization(self, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the headers as `Call` reads them, with what the dialect's clients say in place of Bearer."""
        return fields

    def _translated(self, app: ASGIApp) -> ASGIApp:
        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                scope[FIELDS] = self.authorization(scope[FIELDS])
                _take_pass(scope)
                await app(scope, receive, send)
            except Refusal as refusal:
                # Nothing is sent yet: what streams (patience.py) answers its refusals itself.
                await self.refused(refusal, str(scope[REQUEST_ID]))(scope, receive, send)

        return run


def refusal_in_json(refusal: Refusal, request_id: str, status: int) -> Response:
    """Write a refusal as the errors of JavaScript clients are read: some show `message`, some `error`."""
    body = {
        "message": refusal.detail,
        "error": refusal.detail,
        "code": refusal.code.code,
        "status": status,
        "request_id": request_id,
    }
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    if refusal.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, headers, "application/json")


def _take_pass(scope: Scope) -> None:
    """Let a pass in the path say who calls, whatever a header says; raises `not-found` for what is none.

    Paths are written into logs and histories, so that nothing that lives longer than a pass is taken from one.
    """
    access = scope["path_params"].pop(ACCESS, None)
    if access is not None:
        gateway = scope["app"].state.gateway
        gateway.tokens.open_pass(access, gateway.clock())
        scope[FIELDS] = {**scope[FIELDS], b"authorization": b"Bearer " + access.encode()}
