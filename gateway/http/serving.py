"""How uvicorn is set up to serve the gateway, and what it does not watch itself: the head of a request.

uvicorn with httptools sets no limit to a request's head, in bytes or in time, and adds trailers to the headers.
"""

import asyncio
import gc
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import Code, Refusal
from gateway.http.headers import defaults, dress
from gateway.http.problems import problem

MAX_IDLE_BYTES = 65_536  # bytes that may come without completing a head, a piece of body or a request
MAX_PIPELINED = 32  # requests waiting on one connection; uvicorn would read on while it answers one by one
HEAD_SECONDS = 10.0  # from the connection, or the first byte of a head, to its end
_LINGER_SECONDS = 2.0  # how long a refused client may go on sending
KEEP_ALIVE_SECONDS = 75  # longer than the 60 s of an ALB and of nginx's upstream keep-alive, so that they close first
GRACE_SECONDS = 20  # for what is under way when the server is told to stop; `complete` answers within 20 s


def run_config(app: ASGIApp | str, **settings: Any) -> Config:  # noqa: ANN401 - uvicorn's own settings, as it types them
    """Return uvicorn's configuration for `gateway serve`; `settings` are host, port, fd, uds, workers, TLS files."""
    return Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        interface="asgi3",
        proxy_headers=False,  # gateway.http.origin alone decides whom to trust
        server_header=False,
        access_log=False,  # uvicorn's own would print link tokens
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        **settings,
    )


def settle() -> None:
    """Leave all that was loaded out of later garbage collections, which would walk it again with every large batch."""
    gc.collect()
    gc.freeze()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits on a request's head and problem documents for what is not HTTP."""

    _deadline: asyncio.TimerHandle | None = None
    _idle_bytes = 0
    _progress = 0
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        progress = self._progress
        super().data_received(data)
        if self._progress != progress:
            self._idle_bytes = 0
            self._clear_deadline()
            return
        self._idle_bytes += len(data)
        if self._idle_bytes > MAX_IDLE_BYTES:
            self._refuse(Refusal(Code.HEADERS_TOO_LARGE))
        self._set_deadline()

    def on_headers_complete(self) -> None:
        self._progress += 1
        if not self.url.startswith(b"/"):  # absolute-form names a host beside the Host header; ASGI would hide it
            raise ValueError("the request target is not a path")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests are waiting")
        super().on_headers_complete()
        self.scope["headers"] = list(self.headers)  # trailers are added to the other list (RFC 9110 section 6.5.1)

    def on_body(self, body: bytes) -> None:
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        self._refuse(Refusal(Code.BAD_REQUEST))

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._refuse, Refusal(Code.REQUEST_TIMEOUT))

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, refusal: Refusal) -> None:
        """Answer outside of ASGI what is not a request, or not a body, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body:
                self.cycle.keep_alive = False  # the request before is whole: it is answered, and then it is over
                return
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_message(problem(refusal, "")))
        # Closing at once would reset the answer away while the client is still sending.
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()


def _message(response: Response) -> bytes:
    headers = dress(response.raw_headers, [*defaults("/"), (b"connection", b"close")])
    lines = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
    return b"".join([*lines, bytes(response.body)])
