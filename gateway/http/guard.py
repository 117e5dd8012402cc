"""What stands in front of every route: limits, request id, origin, CORS, security headers, the last 500, one log line.

One ASGI middleware around the whole application. It reads a request's body before the application sees the request, so
that a body too long or too slow is refused whatever the route, and the application never waits for a client.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from os import urandom
from time import perf_counter

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http.deadlines import Deadline
from gateway.http.headers import HSTS, CrossOrigin, Header, defaults, dress
from gateway.http.heads import METHODS, RequestHead, examine
from gateway.http.origin import Origins
from gateway.http.problems import REQUEST_ID, internal_error, problem

ORIGIN = "gateway.origin"  # the scope's entry: the request's Origin
BODY = "gateway.body"  # the scope's entry: the bytes of the request's body, where it has one
HEADERS = "gateway.headers"  # the scope's entry: a list, of what the response carries beside its own headers

MAX_BODY = 65_536  # bytes
# Bytes, by the last segment of a path: what may be longer, in our own interface and in the protocols of others.
MAX_BODIES = {
    "links": 1_048_576,  # 1,000 links with their keys and filenames
    "parts": 131_072,  # 1,000 part numbers with checksum and size
    "complete": 2_097_152,  # 10,000 parts with ETag and checksum
    "batch": 1_048_576,  # the objects of one push of Git LFS
}
BODY_SECONDS = 10.0  # a client with 64 KiB to send and 52 kbit/s; what is longer is long because a whole lot is sent
_LINGER_SECONDS = 2.0  # how long a refused client may go on sending before its connection is closed
_REQUEST_ID_BYTES = 6
_CLIENT_CLOSED = 499  # nginx's number for a client that left before it was answered; it is only logged

# Probes and load balancers call these by address; neither route writes an absolute URL.
_ANY_HOST = frozenset(["/healthz", "/readyz"])

_PASS_IN_PATH = re.compile(r"/u/[^/]+")
_TOKEN_IN_PATH = re.compile(
    r"((?:/u/…)?(?:/d/|/v1/uploads/(?!complete/?\Z)|/s3/multipart/|/lfs/(?:[^/]+/)?objects/verify/))"
    r"[^/]+(?:(/parts|/complete|/batch|/[0-9]{1,5}|/)\Z|/.*)?",
    re.DOTALL,
)
_TOKENS_BELOW = ("/d/", "/v1/uploads/", "/u/", "/s3/", "/lfs/")
_LONGEST_SEGMENT = 64  # characters; what is longer than any key's segment is a token in the wrong place
_LONG_SEGMENT = re.compile(rf"[^/]{{{_LONGEST_SEGMENT + 1},}}")


class Guard:
    """The gateway's one middleware, around everything."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Origins,
        allowed_origins: Sequence[str],
        log: Callable[[Mapping[str, object]], None],
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """Guard `app`; `log` gets one mapping per request: event, method, path, status, ms, request_id.

        Of a refusal it has the `code` as well, of a bug its exception as `exc_info`.
        """
        self.app = app
        self._origins = origins
        self._cross_origin = CrossOrigin(allowed_origins)
        self._log = log
        self._deadline = Deadline(body_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other kinds (lifespan) pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        request_id = scope[REQUEST_ID] = urandom(_REQUEST_ID_BYTES).hex()
        path = _own_path(scope)
        outbound = _Outbound(send, [(b"x-request-id", request_id.encode()), *defaults(path)])
        scope[HEADERS] = outbound.extra
        bug: Exception | None = None
        try:
            await self._answer(scope, path, receive, outbound)
            if not outbound.started and not outbound.client_left:
                raise RuntimeError("the application answered nothing")  # noqa: TRY301 - a bug like any other
        except Exception as exc:  # noqa: BLE001 - the last place that can still answer
            bug = None if isinstance(exc, Refusal) else exc
            if isinstance(exc, Refusal):
                outbound.code = exc.code.code
            if not outbound.started:
                last = problem(exc, request_id) if isinstance(exc, Refusal) else internal_error(request_id)
                await outbound.answer(scope, receive, last)
        self._write_log(scope["method"], path, outbound, perf_counter() - began, request_id, bug)

    async def _answer(self, scope: Scope, path: str, receive: Receive, outbound: "_Outbound") -> None:
        head = None
        try:
            head = examine(scope)
            outbound.extra += self._cross_origin.response(head.origin)
            self._tell_origin(scope, path, outbound)
            if head.preflight:
                await outbound.answer(scope, receive, self._preflight(head))
                return
            if head.has_body:
                body = await _read_body(receive, head.content_length, body_limit(path), self._deadline)
                if body is None:
                    outbound.client_left = True
                    return
                scope[BODY] = body
                receive = _replay(body, receive)
        except Refusal as refusal:
            outbound.code = refusal.code.code
            response = problem(refusal, scope[REQUEST_ID], _allow(refusal))
            if head is None or head.has_body:
                await outbound.answer_and_linger(scope, receive, response)
            else:
                await outbound.answer(scope, receive, response)
            return
        await self.app(scope, receive, outbound.send)

    def _tell_origin(self, scope: Scope, path: str, outbound: "_Outbound") -> None:
        try:
            scope[ORIGIN] = origin = self._origins.of(scope)
        except Refusal:
            if path not in _ANY_HOST:
                raise
        else:
            if origin.scheme == "https":
                outbound.extra.append(HSTS)

    def _preflight(self, head: RequestHead) -> Response:
        response = Response(status_code=204)
        response.raw_headers = list(self._cross_origin.preflight(head.origin or b""))
        return response

    def _write_log(  # noqa: PLR0913, PLR0917 - the line's fields
        self, method: str, path: str, outbound: "_Outbound", seconds: float, request_id: str, bug: Exception | None
    ) -> None:
        line: dict[str, object] = {
            "event": "request",
            "method": _printable(method),
            "path": _printable(redact(path)),
            "status": outbound.status,
            "ms": round(seconds * 1000, 2),
            "request_id": request_id,
        }
        if outbound.code is not None:
            line["code"] = outbound.code
        if bug is not None:
            line["exc_info"] = bug
        self._log(line)


class _Outbound:
    """One response on its way out: it gets its headers here, and tells whether it has begun."""

    __slots__ = ("_send", "client_left", "code", "extra", "status")

    def __init__(self, send: Send, extra: list[Header]) -> None:
        self._send = send
        self.extra = extra
        self.status = _CLIENT_CLOSED
        self.client_left = False
        self.code: str | None = None  # of the refusal that it is

    @property
    def started(self) -> bool:
        return self.status != _CLIENT_CLOSED

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = dress(message.get("headers", ()), self.extra)
            self.status = message["status"]
        await self._send(message)

    async def answer(self, scope: Scope, receive: Receive, response: Response) -> None:
        await response(scope, receive, self.send)

    async def answer_and_linger(self, scope: Scope, receive: Receive, response: Response) -> None:
        """Answer before the body has arrived, and read on for a while: closing at once would reset the answer away."""
        response.headers["connection"] = "close"

        async def send(message: Message) -> None:
            await self.send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await response(scope, receive, send)
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


def body_limit(path: str) -> int:
    """Return how many bytes the body of a request to this path may have."""
    return MAX_BODIES.get(path[path.rfind("/") + 1 :], MAX_BODY)


def redact(path: str) -> str:
    """Return the path without the tokens it may hold."""
    if path.startswith(_TOKENS_BELOW):
        path = _PASS_IN_PATH.sub("/u/…", path, count=1) if path.startswith("/u/") else path
        path = _TOKEN_IN_PATH.sub(lambda match: f"{match[1]}…{match[2] or ''}", path)
    return _LONG_SEGMENT.sub("…", path) if len(path) > _LONGEST_SEGMENT else path


def _printable(text: str) -> str:
    """Return the text, escaped as in JSON when any of it is unprintable."""
    if text.isprintable():
        return text
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")


def _own_path(scope: Scope) -> str:
    """Return the path below the point where the gateway is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


async def _read_body(receive: Receive, content_length: int, limit: int, deadline: Deadline) -> bytes | None:
    """Read the whole body, or return None when the client left; a refusal when it is too long or too slow."""
    if content_length > limit:
        raise Refusal(Code.PAYLOAD_TOO_LARGE)
    body = bytearray()
    try:
        with deadline:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limit:
                    raise Refusal(Code.PAYLOAD_TOO_LARGE)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(Code.REQUEST_TIMEOUT) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, and then what the connection has."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


def _allow(refusal: Refusal) -> Mapping[str, str]:
    return {"allow": ", ".join(METHODS)} if refusal.code is Code.METHOD_NOT_ALLOWED else {}
