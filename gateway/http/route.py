"""The route class: it authenticates, validates and answers bytes, and leaves FastAPI the OpenAPI document.

FastAPI's own handler spends more on dependencies and response models than a ticket costs (docs/performance.md). It
reads an endpoint's signature for the document only; what the endpoint is called with is decided here, once, at start.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, get_type_hints

from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Code, Refusal
from gateway.http.calls import AuthenticatedCall, Call
from gateway.http.problems import invalid
from gateway.http.schemas import Request as Body

JSON = "application/json"

_bearer = HTTPBearer(auto_error=False, description="An API key, a JWT or a pass.")


def _documented(_: Annotated[None, Security(_bearer)]) -> AuthenticatedCall:
    raise AssertionError  # GatewayRoute never runs dependencies


def _open() -> Call:
    raise AssertionError  # GatewayRoute never runs dependencies


Authenticated = Annotated[AuthenticatedCall, Depends(_documented)]
Anyone = Annotated[Call, Depends(_open)]


class GatewayRoute(APIRoute):
    """A route whose endpoint takes a call, then what its path, query and body say."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Build the handler once."""
        hints = get_type_hints(self.endpoint)
        endpoint, status = self.endpoint, self.status_code or 200
        answer = None if self.response_model is None else TypeAdapter(self.response_model)
        open_call = _authenticated if hints["call"] is AuthenticatedCall else _anyone
        read_body = _reader(hints["wanted"]) if "wanted" in hints else None
        query = hints.get("query")

        async def handle(request: Request) -> Response:
            call = await open_call(request)
            arguments: dict[str, Any] = dict(request.path_params)
            if read_body is not None:
                arguments["wanted"] = read_body(request, await request.body())
            if query is not None:
                arguments["query"] = _query(query, request)
            result = await endpoint(call, **arguments)
            if isinstance(result, Response):
                return result
            if answer is None:
                return Response(status_code=status)
            return Response(answer.dump_json(result, by_alias=True), call.status_code or status, media_type=JSON)

        return handle


async def _anyone(request: Request) -> Call:
    return Call(request, request.app.state.gateway)


async def _authenticated(request: Request) -> AuthenticatedCall:
    call = AuthenticatedCall(request, request.app.state.gateway)
    await call.authenticate()
    return call


def _reader(model: type[Body]) -> Callable[[Request, bytes], Body]:
    validate = TypeAdapter(model).validate_json

    def read(request: Request, body: bytes) -> Body:
        media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
        if media_type.strip() != JSON or parameters.replace(" ", "").strip('"') not in {"", "charset=utf-8"}:
            raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE)
        try:
            return validate(body)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None

    return read


def _query(model: type[BaseModel], request: Request) -> BaseModel:
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False)) from None
