"""Refusals as the caller reads them: application/problem+json (RFC 9457), never the input, a key or a stack."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from gateway.errors import Code, Refusal
from gateway.http import rate_limits

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "internal-error"  # a bug, not a refusal: it is in no table, and nobody can plan for it
REQUEST_ID = "gateway.request_id"  # the scope's entry, set by the guard

_INTERNAL_DETAIL = "Something went wrong here: tell the operator the request_id."
_BY_STATUS = {
    code.status: code
    for code in (
        Code.BAD_REQUEST,
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.INVALID_REQUEST,
        Code.TOO_MANY_REQUESTS,
    )
}
_SERVER_ERROR = 500
_NAMED_ERRORS = 3  # complaints that a detail lists
# What routes of a kind have in common.
AUTHENTICATED = (Code.UNAUTHENTICATED, Code.FORBIDDEN)
WITH_BODY = (Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.INVALID_REQUEST)
# What stands in front of the routes may refuse any request with these.
_BEFORE_ROUTES = (
    Code.BAD_REQUEST,
    Code.REQUEST_TIMEOUT,
    Code.PAYLOAD_TOO_LARGE,
    Code.URI_TOO_LONG,
    Code.HEADERS_TOO_LARGE,
)
_RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {"description": "Seconds, where waiting helps.", "schema": {"type": "integer"}}
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    429: _RETRY_AFTER | rate_limits.DOCUMENTED,
    503: _RETRY_AFTER,
}
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Problem(TypedDict):
    """The members of a problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def describe(refusal: Refusal, request_id: str) -> Problem:
    """Return the members of the refusal's problem document."""
    return _document(refusal.code.code, refusal.code.status, refusal.detail, request_id)


def problem(refusal: Refusal, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a refusal; `headers` are added, such as Allow."""
    fields = dict(headers or {})
    if refusal.retry_after is not None:
        fields["retry-after"] = str(refusal.retry_after)
    if refusal.code is Code.UNAUTHENTICATED:
        fields["www-authenticate"] = "Bearer"
    return _respond(describe(refusal, request_id), refusal.code.status, fields)


def internal_error(request_id: str) -> Response:
    """Answer for a bug: 500, and nothing about it."""
    return _respond(_document(INTERNAL_ERROR, _SERVER_ERROR, _INTERNAL_DETAIL, request_id), _SERVER_ERROR, {})


def invalid(errors: Sequence[Any], nested: frozenset[str] = frozenset()) -> Refusal:
    """Turn pydantic's `errors()` into a refusal that names the documented fields and what is wrong, never the input.

    `nested` are the fields that hold fields; below any other name stands a key that the caller chose.
    """
    complaints = [f"{_place(error, nested)}: {error['type']}" for error in errors[:_NAMED_ERRORS]]
    if not complaints:
        return Refusal(Code.INVALID_REQUEST)
    return Refusal(Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} ({'; '.join(complaints)})")


def problem_responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses=` for these refusals, one entry per status."""
    grouped: dict[int, list[Code]] = {}
    for code in codes:
        grouped.setdefault(code.status, []).append(code)
    return {status: _openapi_response(status, group) for status, group in grouped.items()}


def other_responses() -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses=` for what every route may answer beside its own: a refusal before it, or a bug."""
    schema = _openapi_schema({"type": "integer"}, [*(code.code for code in _BEFORE_ROUTES), INTERNAL_ERROR])
    refusals = [f"{code.status} {_sentence(code)}" for code in _BEFORE_ROUTES]
    description = " ".join([*refusals, f"{_SERVER_ERROR} `{INTERNAL_ERROR}`: {_INTERNAL_DETAIL}"])
    return {"default": {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}}


def install(app: Starlette) -> None:
    """Let `app` answer every error with a problem document."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


async def _on_refusal(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refusal)  # noqa: S101 - narrows what Starlette declares as Exception
    return problem(exc, _request_id(request.scope))


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - as above
    return problem(invalid(exc.errors()), _request_id(request.scope))


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - as above
    if exc.status_code >= _SERVER_ERROR:
        return internal_error(_request_id(request.scope))
    refusal = Refusal(_BY_STATUS.get(exc.status_code, Code.BAD_REQUEST))
    return problem(refusal, _request_id(request.scope), exc.headers)


async def _on_bug(request: Request, _: Exception) -> Response:
    return internal_error(_request_id(request.scope))


def _request_id(scope: Scope) -> str:
    return str(scope.get(REQUEST_ID, ""))


def _document(code: str, status: int, detail: str, request_id: str) -> Problem:
    return {
        "type": f"urn:signed-url-gateway:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }


def _respond(document: Problem, status: int, headers: Mapping[str, str]) -> Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, headers, MEDIA_TYPE)


def _place(error: Mapping[str, Any], nested: frozenset[str]) -> str:
    """Name the field, leaving out what the caller chose: an unknown field's name, and a key of a mapping."""
    location: list[str | int] = list(error["loc"])
    if error["type"] == "extra_forbidden":
        location.pop()
    place = ""
    below_name = False
    for part in location[1:] if location[:1] == ["body"] else location:
        if isinstance(part, int):
            if not place:  # the offset in malformed JSON
                break
            place += f"[{part}]"
        elif below_name or not _FIELD.fullmatch(part):  # a name right below a name is a mapping's key
            break
        else:
            place += f".{part}" if place else part
        below_name = isinstance(part, str) and part not in nested
    return place or "body"


def _openapi_response(status: int, codes: Sequence[Code]) -> dict[str, Any]:
    schema = _openapi_schema({"type": "integer", "const": status}, [code.code for code in codes])
    response = {
        "description": " ".join(map(_sentence, codes)),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    return {**response, "headers": _HEADERS[status]} if status in _HEADERS else response


def _openapi_schema(status: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": status,
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": names},
        "request_id": {"type": "string"},
    }
    return {
        "type": "object",
        "title": "Problem",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _sentence(code: Code) -> str:
    return f"`{code.code}`: {code.sentence}"
