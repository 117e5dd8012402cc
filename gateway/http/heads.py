"""The head of a request: how long it may be, what may come only once in it, and how its body is framed."""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from starlette.types import Scope

from gateway.errors import Code, Refusal
from gateway.http.headers import Header

FIELDS = "gateway.fields"  # the scope's entry: the request's headers by name, in bytes; those that count come once

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768  # names and values together
MAX_TARGET_BYTES = 8_192  # RFC 9110 section 4.1 asks for at least 8,000
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_LEFT_TO_ROUTES = frozenset([*METHODS, "PUT", "PATCH"])

_SINGLE = frozenset([b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"origin"])
_REPEATED = "A header that may come only once was repeated."
_BAD_FRAMING = "Content-Length and Transfer-Encoding contradict each other or are malformed."
_BAD_TARGET = "Send a path as the request target."
_LENGTH = re.compile(rb"[0-9]{1,18}")


class RequestHead(NamedTuple):
    """What the guard needs to know of a head."""

    has_body: bool
    content_length: int
    origin: bytes | None
    preflight: bool


def examine(scope: Scope) -> RequestHead:
    """Check the request line and the headers; raise the refusal that applies."""
    target = scope.get("raw_path") or scope["path"].encode()
    if len(target) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        raise Refusal(Code.URI_TOO_LONG)
    if target[:1] != b"/":  # absolute-form and asterisk-form, RFC 9112 section 3.2
        raise Refusal(Code.BAD_REQUEST, _BAD_TARGET)
    fields = scope[FIELDS] = _unambiguous(scope["headers"])
    if scope["method"] not in _LEFT_TO_ROUTES:
        raise Refusal(Code.METHOD_NOT_ALLOWED)
    content_length, chunked = _framing(fields)
    return RequestHead(
        # From HTTP/2 on a body needs no header to announce it.
        has_body=chunked or content_length > 0 or scope.get("http_version", "1.1")[:2] != "1.",
        content_length=content_length,
        origin=fields.get(b"origin"),
        preflight=scope["method"] == "OPTIONS" and b"origin" in fields and b"access-control-request-method" in fields,
    )


def _unambiguous(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """Return the headers by name; a refusal where they are too many, too long, or repeat one that must be single."""
    if len(headers) > MAX_HEADERS or len(b"".join(chain.from_iterable(headers))) > MAX_HEADER_BYTES:
        raise Refusal(Code.HEADERS_TOO_LARGE)
    fields = dict(headers)
    if len(fields) != len(headers):
        names = [name for name, _ in headers if name in _SINGLE]
        if len(names) != len(set(names)):
            raise Refusal(Code.BAD_REQUEST, _REPEATED)
    return fields


def _framing(fields: Mapping[bytes, bytes]) -> tuple[int, bool]:
    """Return the announced length and whether the body is chunked (RFC 9112 section 6.3)."""
    length = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            raise Refusal(Code.BAD_REQUEST, _BAD_FRAMING)
        return 0, True
    if length is None:
        return 0, False
    if _LENGTH.fullmatch(length) is None:
        raise Refusal(Code.BAD_REQUEST, _BAD_FRAMING)
    return int(length), False
