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
    "access-control-allow-headers": (
        "authorization, content-type, if-none-match, x-amz-checksum-sha256, x-amz-sdk-checksum-algorithm"
    ),
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
    parts: dict[int, bytes] = field(default_factory=dict)
    signed: dict[int, dict[str, object]] = field(default_factory=dict)  # headers of a part, by signature

    @property
    def size(self) -> int:
        return int(str(self.asked["size"]))


@dataclass(slots=True)
class Double:
    """Its `log` is the conversation, as `["POST uploads", "PUT 1", "POST 1/complete"]`; preflights are left out.

    Files of `multipart_from` bytes and more go in parts of `part_size`: `POST 1/parts`, then `PUT 1/1` and so on. A
    part is taken once by each signature, and faults of parts wait in `part_faults` under the number.
    """

    app: str = ""
    gateway: str = ""
    bucket: str = ""
    lifetime: float = 900.0
    multipart_from: int = 5 * 2**20
    part_size: int = 100_000
    checksums_required: bool = False
    faults: deque[Fault] = field(default_factory=deque)
    part_faults: dict[int, deque[Fault]] = field(default_factory=dict)
    answers: dict[str, deque[Response | None]] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    uploads: dict[str, Upload] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    signatures: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
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
            case "POST", ["v1", "uploads", ticket, "parts"]:
                asked = json.loads(body)
                checksums = asked.get("checksums_sha256", {})
                parts = [self.part(ticket, number, checksums.get(str(number))) for number in asked["part_numbers"]]
                return answer(200, {"parts": parts})
            case "POST", ["v1", "uploads", ticket, "complete"]:
                return self.complete(ticket)
            case "DELETE", ["v1", "uploads", ticket]:
                self.uploads[ticket].status = "aborted"
                self.uploads[ticket].parts.clear()
                return Response(204)
            case "GET", ["d", _]:
                return Response(200, PIXEL, {"content-type": "image/gif"})
        return problem(Code.NOT_FOUND)

    def ticket(self, asked: dict[str, object]) -> Json:
        name = str(len(self.uploads) + 1)
        self.uploads[name] = Upload(asked=asked)
        now, end = time.time(), rfc3339(time.time() + self.lifetime)
        own = f"{self.gateway}/v1/uploads/{name}"
        divided = self.uploads[name].size >= self.multipart_from
        return {
            "ticket": name,
            "server_time": rfc3339(now),
            "expires_at": end,
            "upload": None if divided else self.put(name, asked, end),
            "multipart": self.multipart(name, asked) if divided else None,
            "status_url": own,
            "complete_url": f"{own}/complete",
            "abort_url": own,
        }

    def put(self, ticket: str, asked: Json, end: str) -> Json:
        headers = {"content-type": asked["content_type"], "if-none-match": "*"}
        if "checksum_sha256" in asked:
            headers["x-amz-checksum-sha256"] = asked["checksum_sha256"]
        return {"method": "PUT", "url": f"{self.bucket}/incoming/{ticket}", "headers": headers, "expires_at": end}

    def multipart(self, ticket: str, asked: Json) -> Json:
        count = -(-self.uploads[ticket].size // self.part_size)
        hashed = self.checksums_required or asked.get("part_checksums")
        return {
            "part_size": self.part_size,
            "part_count": count,
            "parts": [] if hashed else [self.part(ticket, number, None) for number in range(1, min(count, 10) + 1)],
            "parts_url": f"{self.gateway}/v1/uploads/{ticket}/parts",
        }

    def part(self, ticket: str, number: int, checksum: str | None) -> Json:
        upload = self.uploads[ticket]
        headers = {} if checksum is None else {"x-amz-checksum-sha256": checksum}
        signature = self.signatures = self.signatures + 1
        upload.signed[signature] = {"part": number, **headers}
        return {
            "part_number": number,
            "size": min(self.part_size, upload.size - (number - 1) * self.part_size),
            "method": "PUT",
            "url": f"{self.bucket}/incoming/{ticket}/{number}?signature={signature}",
            "headers": headers,
            "expires_at": rfc3339(time.time() + self.lifetime),
        }

    def complete(self, ticket: str) -> Response:
        upload = self.uploads[ticket]
        if upload.status == "uploading" and sum(map(len, upload.parts.values())) == upload.size:
            upload.body = b"".join(upload.parts[number] for number in sorted(upload.parts))
            upload.status = "uploaded"
        if upload.status not in {"uploaded", "stored"}:
            return problem(Code.NOT_UPLOADED)
        upload.status = "stored"
        return answer(200, self.status(ticket))

    def status(self, ticket: str) -> Json:
        upload = self.uploads[ticket]
        if upload.status != "stored":
            parts = [{"part_number": n, "size": len(body), "etag": f'"{n}"'} for n, body in upload.parts.items()]
            return {**pending(upload.status), "parts": parts}
        facts = {"key": f"objects/default/default/{ticket}.gif", "size": len(upload.body)}
        checksum = base64.b64encode(hashlib.sha256(upload.body).digest()).decode()
        stored = {**facts, "content_type": upload.asked["content_type"], "checksum_sha256": checksum}
        link = f"{self.gateway}/d/{ticket}"
        return {**pending("stored"), "object": stored, "receipt": f"receipt-{ticket}", "link": link}

    async def serve_bucket(self, request: Request) -> Response | None:
        if request.method == "OPTIONS":
            return Response(200, b"", CORS)
        name, _, signature = request.target.removeprefix("/incoming/").partition("?signature=")
        self.log.append(f"{request.method} {name}")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.hold:
                await self.hold.wait()
            body = await request.read()
            response = self.keep_part(request, body) if signature else self.keep(self.uploads[name], body)
        finally:
            self.in_flight -= 1
        return response and Response(response.status, response.body, {**CORS, **response.headers})

    def keep(self, upload: Upload, body: bytes) -> Response | None:
        if upload.status != "waiting":
            return storage_error(412, "PreconditionFailed")
        fault = self.faults.popleft() if self.faults else Fault(kept=True, response=Response(200))
        if fault.kept:
            upload.status, upload.body = "uploaded", body
        return fault.response

    def keep_part(self, request: Request, body: bytes) -> Response | None:
        name, _, signature = request.target.removeprefix("/incoming/").partition("?signature=")
        ticket, number = name.split("/")[0], int(name.split("/")[1])
        upload = self.uploads[ticket]
        granted = upload.signed.pop(int(signature), None)
        stated = request.headers.get("x-amz-checksum-sha256")
        if granted is None or granted != {"part": number, **({"x-amz-checksum-sha256": stated} if stated else {})}:
            return storage_error(403, "SignatureDoesNotMatch")
        if upload.status not in {"waiting", "uploading"}:
            return storage_error(404, "NoSuchUpload")
        faults = self.part_faults.get(number)
        fault = faults.popleft() if faults else Fault(kept=True, response=Response(200))
        if stated not in {None, base64.b64encode(hashlib.sha256(body).digest()).decode()}:
            return storage_error(400, "BadDigest")
        if fault.kept:
            upload.status = "uploading"
            upload.parts[number] = body
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
    "multipart_from": 5 * 2**20,
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
    sources = f"img-src 'self' blob: {bucket}; media-src 'self' {bucket}; connect-src 'self' {bucket}"
    own = "script-src 'self'; style-src 'self'"
    return f"default-src 'none'; {sources}; {own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def serve_app(request: Request) -> Response:
    """Somebody else's page, of another origin than gateway and bucket, with its own copy of the scripts."""
    if request.target.startswith(("/gateway.js", "/gateway/")):
        return static(f"/static{request.target}")
    return Response(200, b"<!doctype html><title>An application</title>", {"content-type": "text/html"})


@asynccontextmanager
async def standing_in() -> AsyncIterator[Double]:
    double = Double()
    async with AsyncExitStack() as stack:
        double.app = await stack.enter_async_context(serving(serve_app))
        double.gateway = await stack.enter_async_context(serving(double.serve_gateway))
        double.bucket = await stack.enter_async_context(serving(double.serve_bucket))
        yield double
