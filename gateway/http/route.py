"""The route class: it authenticates, validates and answers bytes, and leaves FastAPI the OpenAPI document.

FastAPI's own handler spends more on dependencies and response models than a ticket costs (docs/performance.md). It
reads an endpoint's signature for the document only; what the endpoint is called with is decided here, once, at start.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http.calls import AuthenticatedCall, Call
from gateway.http.guard import BODY
from gateway.http.heads import FIELDS
from gateway.http.problems import invalid
from gateway.http.schemas import Request as Body

_TICKETS = frozenset({"ticket", "upload_id"})  # the path parameters that hold one
_JSON = (b"content-type", b"application/json")
_LISTED_ERRORS = 1000  # in one body
_JSON_TYPE = re.compile(rb"application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|\"utf-8\")[ \t]*)?", re.IGNORECASE)

_bearer = HTTPBearer(auto_error=False, description="An API key, a JWT or a pass.")


def _documented(_: Annotated[None, Security(_bearer)]) -> AuthenticatedCall:
    raise AssertionError  # GatewayRoute never runs dependencies


def _open() -> Call:
    raise AssertionError  # GatewayRoute never runs dependencies


Authenticated = Annotated[AuthenticatedCall, Depends(_documented)]
Anyone = Annotated[Call, Depends(_open)]


class GatewayRoute(APIRoute):
    """A route whose endpoint takes a call, then what its path, query and body say."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **described: Any) -> None:  # noqa: ANN401 - FastAPI's own
        """Take what FastAPI takes, for the document; run the endpoint without FastAPI's stacks around it."""
        super().__init__(path, endpoint, **described)
        self.app = self._runner()

    def _runner(self) -> ASGIApp:
        """Decide once what the endpoint is called with. Refusals are raised: the guard, or a handler, answers."""
        hints = get_type_hints(self.endpoint)
        endpoint, usual_status = self.endpoint, self.status_code or 200
        dump = None if self.response_model is None else TypeAdapter(self.response_model).dump_json
        call_type = hints["call"]
        read_body = _reader(hints["wanted"]) if "wanted" in hints else None
        read_query = _query_reader(hints["query"]) if "query" in hints else None
        tickets = _TICKETS & self.param_convertors.keys() if read_body and call_type is Call else ()

        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            call = call_type(scope, scope["app"].state.gateway)
            if call_type is AuthenticatedCall:
                await call.authenticate()
            arguments: dict[str, Any] = dict(scope["path_params"])
            for name in tickets:  # a long body is read for nobody who holds none
                await call.ticket(arguments[name])
            if read_body is not None:
                arguments["wanted"] = read_body(scope)
            if read_query is not None:
                arguments["query"] = read_query(scope)
            answer = await endpoint(call, **arguments)
            if isinstance(answer, Response):
                await answer(scope, receive, send)
                return
            body = b"" if dump is None else dump(answer)
            headers = [] if dump is None else [_JSON, (b"content-length", b"%d" % len(body))]
            status = call.status_code or usual_status
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return run

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or name in a 405 the methods of all routes of this path; Starlette names those of one."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"allow": ", ".join(sorted(_methods(scope)))})
        await super().handle(scope, receive, send)


def _methods(scope: Scope) -> set[str]:
    routes = [route for route in scope["app"].routes if route.matches(scope)[0] is not Match.NONE]
    return {method for route in routes for method in route.methods}


def _reader(model: type[Body]) -> Callable[[Scope], Body]:
    validate = TypeAdapter(model).validate_json
    nested = frozenset(name for name, field in model.model_fields.items() if _is_model(field.annotation))

    def read(scope: Scope) -> Body:
        if not _is_json(scope[FIELDS].get(b"content-type", b"")):
            raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE)
        try:
            return validate(scope.get(BODY, b""))
        except ValidationError as error:
            raise refusal_of(error, nested) from None

    return read


def _is_json(content_type: bytes) -> bool:
    """Tell JSON in UTF-8 from what a page of another site can send without asking (form, text) and other encodings."""
    return content_type == b"application/json" or _JSON_TYPE.fullmatch(content_type) is not None


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def refusal_of(error: ValidationError, nested: frozenset[str] = frozenset()) -> Refusal:
    """Name the first of what is wrong with a body or a query, unless it is wrong in too many places; see `invalid`."""
    few = error.error_count() <= _LISTED_ERRORS  # to write out 100,000 takes three times as long as to find them
    return invalid(error.errors(include_url=False, include_input=False) if few else [], nested)


def _query_reader(model: type[BaseModel]) -> Callable[[Scope], BaseModel]:
    def read(scope: Scope) -> BaseModel:
        try:
            return model.model_validate(dict(QueryParams(scope["query_string"])))
        except ValidationError as error:
            raise refusal_of(error) from None

    return read
