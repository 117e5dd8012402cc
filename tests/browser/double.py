"""A gateway and a bucket that fail on cue, in the shapes of the native interface, for the retries of gateway.js."""

import asyncio
import base64
import hashlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import Code
from tests.browser.wire import Request, Response, serving

STATIC = Path(__file__).parents[2] / "gateway" / "static"
CONTENT_TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".png": "image/png"}
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "authorization, content-type, if-none-match, x-amz-checksum-sha256",
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-expose-headers": "etag, retry-after",
}
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==")
Json = Mapping[str, object]


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def answer(status: int, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


def problem(code: Code, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return answer(code.status, problem_body(code), headers)


def problem_body(code: Code) -> dict[str, object]:
    return {"code": code.code, "status": code.status, "detail": code.sentence, "request_id": "r-1"}


def storage_error(status: int, code: str, message: str = "No.") -> Response:
    return Response(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


@dataclass(frozen=True, slots=True)
class Fault:
    """What the bucket does to one PUT after reading its bytes: keep them or not, then answer, or drop if None."""

    kept: bool
    response: Response | None


@dataclass(slots=True)
class Upload:
    status: str = "waiting"
    body: bytes = b""
    asked: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Double:
    """Its `log` is the conversation, as `["POST uploads", "PUT 1", "POST 1/complete"]`; preflights are left out."""

    app: str = ""
    gateway: str = ""
    bucket: str = ""
    lifetime: float = 900.0
    faults: deque[Fault] = field(default_factory=deque)
    answers: dict[str, deque[Response | None]] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    uploads: dict[str, Upload] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    authorizations: list[tuple[str, str | None]] = field(default_factory=list)

    async def serve_gateway(self, request: Request) -> Response | None:
        if request.method == "OPTIONS":
            return Response(204, b"", CORS)
        if request.target.startswith("/static/"):
            return static(request.target, self.bucket)
        body = await request.read()
        name = f"{request.method} {request.target.removeprefix('/v1/').removeprefix('uploads/')}"
        self.log.append(name)
        self.authorizations.append((name, request.headers.get("authorization")))
        queue = self.answers.get(name)
        response = queue.popleft() if queue else self.route(request, body)
        return response and Response(response.status, response.body, {**CORS, **response.headers})

    def route(self, request: Request, body: bytes) -> Response:  # noqa: PLR0911 - one return for each route
        match request.method, request.target.split("/")[1:]:
            case "GET", ["v1", "policies"]:
                return answer(200, {"policies": [POLICY]})
            case "POST", ["v1", "uploads"]:
                return answer(201, self.ticket(json.loads(body)))
            case "GET", ["v1", "uploads", ticket]:
                return answer(200, self.status(ticket))
            case "POST", ["v1", "uploads", ticket, "complete"]:
                return self.complete(ticket)
            case "DELETE", ["v1", "uploads", ticket]:
                self.uploads[ticket].status = "aborted"
                return Response(204)
            case "GET", ["d", _]:
                return Response(200, PIXEL, {"content-type": "image/gif"})
        return problem(Code.NOT_FOUND)

    def ticket(self, asked: dict[str, object]) -> Json:
        name = str(len(self.uploads) + 1)
        self.uploads[name] = Upload(asked=asked)
        headers = {"content-type": asked["content_type"], "if-none-match": "*"}
        if "checksum_sha256" in asked:
            headers["x-amz-checksum-sha256"] = asked["checksum_sha256"]
        now, end = time.time(), rfc3339(time.time() + self.lifetime)
        own = f"{self.gateway}/v1/uploads/{name}"
        put = {"method": "PUT", "url": f"{self.bucket}/incoming/{name}", "headers": headers, "expires_at": end}
        urls = {"status_url": own, "complete_url": f"{own}/complete", "abort_url": own}
        return {
            "ticket": name,
            "server_time": rfc3339(now),
            "expires_at": end,
            "upload": put,
            "multipart": None,
            **urls,
        }

    def complete(self, ticket: str) -> Response:
        upload = self.uploads[ticket]
        if upload.status not in {"uploaded", "stored"}:
            return problem(Code.NOT_UPLOADED)
        upload.status = "stored"
        return answer(200, self.status(ticket))

    def status(self, ticket: str) -> Json:
        upload = self.uploads[ticket]
        if upload.status != "stored":
            return pending(upload.status)
        facts = {"key": f"objects/default/default/{ticket}.gif", "size": len(upload.body)}
        checksum = base64.b64encode(hashlib.sha256(upload.body).digest()).decode()
        stored = {**facts, "content_type": upload.asked["content_type"], "checksum_sha256": checksum}
        link = f"{self.gateway}/d/{ticket}"
        return {**pending("stored"), "object": stored, "receipt": f"receipt-{ticket}", "link": link}

    async def serve_bucket(self, request: Request) -> Response | None:
        if request.method == "OPTIONS":
            return Response(200, b"", CORS)
        name = request.target.removeprefix("/incoming/")
        self.log.append(f"{request.method} {name}")
        if self.hold:
            await self.hold.wait()
        response = self.keep(self.uploads[name], await request.read())
        return response and Response(response.status, response.body, {**CORS, **response.headers})

    def keep(self, upload: Upload, body: bytes) -> Response | None:
        if upload.status != "waiting":
            return storage_error(412, "PreconditionFailed")
        fault = self.faults.popleft() if self.faults else Fault(kept=True, response=Response(200))
        if fault.kept:
            upload.status, upload.body = "uploaded", body
        return fault.response


def pending(status: str, retry_after: int | None = None, refusal: Code | None = None) -> dict[str, object]:
    problem = refusal and problem_body(refusal)
    empty: dict[str, object] = {"parts": [], "object": None, "receipt": None, "link": None}
    return {"status": status, **empty, "problem": problem, "retry_after": retry_after}


POLICY = {
    "name": "default",
    "content_types": ["image/gif", "text/plain"],
    "extensions": ["gif", "txt"],
    "max_size": 1_000_000,
    "checksum": "optional",
    "multipart_from": None,
}


def static(target: str, bucket: str = "") -> Response:
    """A file of ours, with the policy under which a gateway serves it."""
    path = STATIC / target.removeprefix("/static/")
    if path.is_dir():
        path /= "index.html"
    if not path.is_file():
        return Response(404)
    headers = {"content-type": CONTENT_TYPES[path.suffix], "content-security-policy": content_security_policy(bucket)}
    return Response(200, path.read_bytes(), headers)


def content_security_policy(bucket: str) -> str:
    sources = f"img-src 'self' blob: {bucket}; connect-src 'self' {bucket}; script-src 'self'; style-src 'self'"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def serve_app(request: Request) -> Response:
    """Somebody else's page, of another origin than gateway and bucket, with its own copy of the script."""
    if request.target == "/gateway.js":
        return static("/static/gateway.js")
    return Response(200, b"<!doctype html><title>An application</title>", {"content-type": "text/html"})


@asynccontextmanager
async def standing_in() -> AsyncIterator[Double]:
    double = Double()
    async with AsyncExitStack() as stack:
        double.app = await stack.enter_async_context(serving(serve_app))
        double.gateway = await stack.enter_async_context(serving(double.serve_gateway))
        double.bucket = await stack.enter_async_context(serving(double.serve_bucket))
        yield double
