"""Requests to the gateway and to the bucket, repeated while that is worth it; credentials go to the gateway alone."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from gateway.client.bodies import Body
from gateway.client.errors import PASSING, GatewayError, RefusedError, UnreachableError, from_problem, unexpected
from gateway.client.patience import patiently
from gateway.client.silence import unlogged
from gateway.client.values import Json, Presigned, Status, parsed, read

CONNECT_TIMEOUT = 10.0  # seconds
LAST_PORT = 65_535
NO_ADDRESS = "the gateway's address is one like https://files.example.com"
ERROR_BYTES = 65_536  # of an error's body that are read
NO_ANSWER = 0
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bucket said to a presigned request; `code` is S3's own, `retry_after` in seconds."""

    status: int
    code: str | None = None
    expired: bool = False
    retry_after: float | None = None

    @property
    def stored(self) -> bool:
        """Whether the bytes are there."""
        return httpx.codes.is_success(self.status)

    @property
    def unclear(self) -> bool:
        """Whether the bytes may be there all the same: no answer came, or one that an earlier attempt explains."""
        passing = self.status in PASSING or self.status >= httpx.codes.INTERNAL_SERVER_ERROR
        return passing or self.status in {NO_ANSWER, 409, 412} or self.code == "RequestTimeout"

    def refusal(self) -> GatewayError:
        """Return the error to raise for good."""
        if self.status == NO_ANSWER:
            return UnreachableError("storage-unreachable", "The storage cannot be reached.")
        name = self.code or str(self.status)
        return RefusedError("storage-refused", f"The storage refused what was sent ({name}).", self.status)


class Wire:
    """Speaks to one gateway, and to whatever bucket it names."""

    def __init__(
        self, url: str, credentials: str | None, *, timeout: float, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        """Take the gateway's address; `timeout` in seconds is how long the other side may be silent."""
        self.url = _address(url)
        self._authorization = {} if credentials is None else {"authorization": f"Bearer {_plain(credentials)}"}
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, pool=None),
            headers={"user-agent": "signed-url-gateway", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(self, method: str, path: str, body: Json | None = None, *, authorized: bool = True) -> Json:
        """Call the gateway, and again while it cannot be reached or asks for time; raises GatewayError."""
        headers = self._authorization if authorized else {}
        # In ASCII, so that the gateway refuses what is no Unicode: httpx itself would fail at it.
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers = {**headers, "content-type": "application/json"}

        async def call() -> Json:
            try:
                with unlogged():
                    answer = await self._http.request(method, self.url + path, content=content, headers=headers)
            except httpx.TransportError:
                raise UnreachableError("gateway-unreachable", "The gateway cannot be reached.") from None
            except (httpx.RequestError, httpx.InvalidURL):  # a content-encoding that is none
                raise unexpected() from None
            if not answer.is_success:
                raise refusal(answer, answer.content)
            return _document(answer)

        return await patiently(call)

    async def put(self, request: Presigned, body: Body, sent: Callable[[int], None]) -> Answer:
        """Send a presigned request once. Of a network that fails the answer tells; of the file here an error does."""
        headers = {**request.headers, "content-length": str(body.size)}
        try:
            async with (
                aclosing(_counted(body, sent)) as pieces,
                self.stream(request.method, request.url, headers, pieces) as answer,
            ):
                return Answer(answer.status_code) if answer.is_success else await _error(answer)
        except httpx.RequestError:
            return Answer(NO_ANSWER)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, headers: Mapping[str, str], content: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send one request, which carries no credentials and follows no redirect, and give its answer as it comes.

        Raises GatewayError for what can be no request, and httpx.RequestError.
        """
        with unlogged():
            try:
                request = self._http.build_request(method, url, headers=dict(headers), content=content)
            except (httpx.InvalidURL, ValueError):  # a header or an address that is not in ASCII
                raise unexpected() from None
            if (request.url.port or 0) > LAST_PORT:  # which httpx would find out in an OverflowError
                raise unexpected()
            answer = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def status(self, token: str, *, authorized: bool = False) -> Status:
        """Ask where an upload stands; authorized, to be told only of the caller's own."""
        return read(Status.read, await self.ask("GET", upload_path(token), authorized=authorized))

    async def complete(self, token: str) -> Status:
        """Complete an upload, or hear how far that is."""
        return read(Status.read, await self.ask("POST", f"{upload_path(token)}/complete", {}, authorized=False))

    async def abort(self, token: str) -> None:
        """Revoke an upload, as far as that works."""
        # Else the ticket ends by itself, and the bucket's lifecycle rule frees what it holds.
        with suppress(GatewayError):
            await self.ask("DELETE", upload_path(token), authorized=False)


def upload_path(token: str) -> str:
    """Return the path of an upload's own routes."""
    return f"/v1/uploads/{quote(token, safe='')}"


def refusal(answer: httpx.Response, body: bytes) -> RefusedError:
    """Read what the gateway refused with."""
    try:
        problem = parsed(body)
    except ValueError:
        problem = None
    return from_problem(problem, answer.status_code, retry_after(answer))


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that an answer asks to wait, if it says so in seconds."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else None


async def _counted(body: Body, sent: Callable[[int], None]) -> AsyncGenerator[bytes]:
    async with aclosing(body.pieces()) as pieces:
        async for piece in pieces:
            yield piece
            sent(len(piece))


async def read_error(answer: httpx.Response) -> bytes:
    """Read the body of an error, as far as one is worth reading."""
    received = b""
    async for piece in answer.aiter_raw():
        received += piece
        if len(received) >= ERROR_BYTES:
            break
    return received


async def _error(answer: httpx.Response) -> Answer:
    text = (await read_error(answer)).decode("utf-8", "replace")
    code = _S3_CODE.search(text)
    expired = answer.status_code in {400, 403} and "expired" in text.lower()
    return Answer(answer.status_code, code[1] if code else None, expired, retry_after(answer))


def _document(answer: httpx.Response) -> dict[str, Any]:
    if not answer.content:
        return {}
    try:
        document = parsed(answer.content)
    except ValueError:
        raise unexpected() from None
    if not isinstance(document, dict):
        raise unexpected()
    return document


def _address(url: str) -> str:
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme not in {"http", "https"} or not found.host or (found.port or 0) > LAST_PORT:
        raise ValueError(NO_ADDRESS)
    if found.userinfo or found.query or found.fragment:
        raise ValueError(NO_ADDRESS)
    return url.rstrip("/")


def _plain(credentials: str) -> str:
    if not credentials or not credentials.isascii() or not credentials.isprintable() or " " in credentials:
        raise ValueError("the credentials are an API key, a JWT or a pass, and nothing else")
    return credentials
