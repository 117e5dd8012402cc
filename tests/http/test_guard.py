"""What stands in front of every route, over real sockets: limits, headers, CORS, the last 500 and the log line."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http import guard, problems, serving
from gateway.http.guard import BODY_SECONDS, MAX_BODY, ORIGIN, Guard, redact
from gateway.http.origin import Origins
from gateway.http.problems import REQUEST_ID
from tests.http.live import Address, Reply, get, read_reply, send
from tests.http.live import serving as serve

APP = "https://app.example"
SECRET = "s3cret-bucket-key"
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
Lines = list[Mapping[str, object]]


def throw_away_app() -> FastAPI:
    """Answer in every way that a guard has to expect."""
    app = FastAPI(openapi_url=None, telemetry={"auto_configure": False})
    problems.install(app)

    @app.post("/v1/size")
    async def size(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @app.get("/v1/origin")
    async def origin(request: Request) -> Response:
        return Response(f"{request.scope[ORIGIN].url} {request.scope[REQUEST_ID]}")

    @app.get("/v1/refused")
    async def refused() -> Response:
        raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=7)

    @app.get("/v1/bug")
    async def bug() -> Response:
        raise KeyError(SECRET)

    @app.get("/v1/late-bug")
    async def late_bug() -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"half"
            raise KeyError(SECRET)

        return StreamingResponse(pieces(), headers={"content-length": "8"})

    @app.get("/v1/unsendable/{value}")
    async def unsendable(value: str) -> Response:
        return Response(headers={"x-name": bytes.fromhex(value).decode()})

    @app.get("/own")
    async def own() -> Response:
        headers = {"cache-control": "public", "content-security-policy": "img-src *", "x-robots-tag": "all"}
        return Response("x", headers={**headers, "access-control-allow-origin": "*", "referrer-policy": "origin"})

    @app.get("/d/token/a.png")
    @app.get("/static/a.png")
    @app.get("/healthz")
    async def anything() -> Response:
        return Response(status_code=204)

    return app


def guarded(app: ASGIApp, log: Callable[[Mapping[str, object]], None], *, body_seconds: float = BODY_SECONDS) -> Guard:
    origins = Origins(
        public_url=None,
        trusted_proxies=["127.0.0.1"],
        forwarded_headers=["x-forwarded-proto"],
        allowed_hosts=["gw.example"],
    )
    allowed_origins = [APP, "http://localhost:3000"]
    return Guard(app, origins=origins, allowed_origins=allowed_origins, log=log, body_seconds=body_seconds)


@pytest.fixture(scope="module")
def everything() -> Iterator[tuple[Address, Lines]]:
    lines: Lines = []
    with serve(guarded(throw_away_app(), lines.append)) as address:
        yield address, lines


@pytest.fixture
def address(everything: tuple[Address, Lines]) -> Address:
    return everything[0]


@pytest.fixture
def lines(everything: tuple[Address, Lines]) -> Lines:
    everything[1].clear()
    return everything[1]


@contextmanager
def raw_app(app: ASGIApp) -> Iterator[tuple[Address, Lines]]:
    lines: Lines = []
    with serve(guarded(app, lines.append)) as address:
        yield address, lines


def post(address: Address, *headers: str, body: bytes = b"", target: str = "/v1/size") -> Reply:
    head = [f"POST {target} HTTP/1.1", "Host: gw.example", *headers, "", ""]
    return send(address, "\r\n".join(head).encode() + body)


def code(reply: Reply) -> str:
    document = reply.problem()
    assert document["request_id"] == reply.one("x-request-id")
    return str(document["code"])


def wait_for(lines: Lines) -> Mapping[str, object]:
    """Return the one line of the request that was just answered; it is written after the answer."""
    for _ in range(200):
        if lines:
            break
        time.sleep(0.01)
    (line,) = lines
    return line


# What every response carries


@pytest.mark.threat(44, 45)
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/origin", 200),
        ("HEAD", "/v1/origin", 405),
        ("GET", "/v1/refused", 503),
        ("GET", "/v1/bug", 500),
        ("GET", "/v1/unsendable/0a", 500),
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", "/v1/origin", 405),
        ("TRACE", "/v1/origin", 405),
        ("GET", "/d/token/a.png", 204),
        ("GET", "/static/a.png", 204),
        ("GET", "/" + "a" * 9000, 414),
    ],
)
def test_every_answer_and_every_error_carries_the_security_headers(
    address: Address, method: str, target: str, status: int
) -> None:
    reply = get(address, target, method=method)
    assert reply.status == status
    assert {name: reply.one(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    elsewhere = target.startswith(("/d/", "/static/"))
    assert reply.one("cross-origin-resource-policy") == ("cross-origin" if elsewhere else "same-origin")
    assert reply.one("x-robots-tag") == ("noindex" if target.startswith(("/d/", "/v1/")) else None)
    assert reply.one("strict-transport-security") is None
    assert reply.one("server") is None
    assert len(reply.one("x-request-id") or "") == 12
    if status >= 400 and method != "HEAD":
        code(reply)


@pytest.mark.threat(44)
def test_a_response_keeps_the_headers_it_sets_itself(address: Address) -> None:
    reply = get(address, "/own", f"Origin: {APP}")
    assert reply.one("cache-control") == "public"
    assert reply.one("content-security-policy") == "img-src *"
    assert reply.one("referrer-policy") == "origin"
    assert reply.one("access-control-allow-origin") == "*"
    assert reply.one("x-content-type-options") == "nosniff"


@pytest.mark.threat(44)
@pytest.mark.parametrize("target", ["/v1/origin", "/v1/bug", "/v1/nothing", "/d/token/a.png"])
def test_hsts_is_sent_only_over_https(address: Address, target: str) -> None:
    over_https = get(address, target, "X-Forwarded-Proto: https")
    assert over_https.one("strict-transport-security") == "max-age=31536000"
    assert get(address, target, "X-Forwarded-Proto: http").one("strict-transport-security") is None


def test_the_application_is_told_the_origin_and_the_request_id(address: Address) -> None:
    reply = get(address, "/v1/origin", "X-Forwarded-Proto: https", "X-Request-Id: mine")
    assert reply.body.decode() == f"https://gw.example {reply.one('x-request-id')}"


@pytest.mark.threat(22)
def test_another_host_is_refused_but_for_the_health_checks(address: Address) -> None:
    assert code(get(address, "/v1/origin", host="evil.example")) == "bad-request"
    assert get(address, "/healthz", host="10.0.0.7:8000").status == 204
    two = b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\nHost: gw.example\r\n\r\n"
    assert code(send(address, two)) == "bad-request"


@pytest.mark.threat(21)
def test_contradicting_proxies_are_refused(address: Address) -> None:
    reply = get(address, "/v1/origin", "X-Forwarded-Proto: https, http")
    assert (reply.status, code(reply)) == (400, "bad-request")
    assert "GATEWAY_PUBLIC_URL" in reply.problem()["detail"]


# Limits


@pytest.mark.threat(41)
def test_a_target_may_have_8_kib(address: Address) -> None:
    assert get(address, "/" + "a" * 8191).status == 404
    assert code(get(address, "/" + "a" * 8192)) == "uri-too-long"
    assert code(get(address, "/v1/origin?" + "a" * 8183)) == "uri-too-long"


@pytest.mark.threat(41)
def test_headers_may_be_100_with_32_kib(address: Address) -> None:
    few = [f"X-{number}: 1" for number in range(98)]  # and Host and Connection
    assert get(address, "/v1/origin", *few).status == 200
    assert code(get(address, "/v1/origin", *few, "X-98: 1")) == "headers-too-large"
    assert get(address, "/v1/origin", "X-Long: " + "a" * 32_700).status == 200
    assert code(get(address, "/v1/origin", "X-Long: " + "a" * 32_760)) == "headers-too-large"


@pytest.mark.threat(41)
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: gw.example\r\nX-Long: " + b"a" * 65_536 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example\r\nX-Long: " + b"a" * 1_048_576 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example\r\nX-Long: " + b"a" * 10_485_760 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        b"G" * 1_048_576,
    ],
    ids=["64 KiB", "1 MiB", "10 MiB", "100,000 headers", "64 KiB target", "1 MiB method"],
)
def test_a_head_too_long_is_answered_however_it_comes(address: Address, head: bytes) -> None:
    reply = send(address, head)
    assert reply.problem()["code"] in {"headers-too-large", "uri-too-long", "bad-request"}
    assert {name: reply.one(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert get(address, "/v1/origin").status == 200


@pytest.mark.threat(42)
def test_a_body_may_have_64_kib_announced_or_chunked(address: Address) -> None:
    most = b"a" * MAX_BODY
    chunked = b"%x\r\n%b\r\n0\r\n\r\n"
    assert post(address, f"Content-Length: {MAX_BODY}", body=most).body == b"65536"
    assert post(address, "Transfer-Encoding: chunked", body=chunked % (MAX_BODY, most)).body == b"65536"
    assert code(post(address, f"Content-Length: {MAX_BODY + 1}", body=most + b"a")) == "payload-too-large"
    too_much = chunked % (MAX_BODY + 1, most + b"a")
    assert code(post(address, "Transfer-Encoding: chunked", body=too_much)) == "payload-too-large"


@pytest.mark.threat(42)
def test_a_body_of_100_mib_is_refused_at_once_and_its_sender_reads_why(address: Address) -> None:
    began = time.monotonic()
    piece = b"a" * 1_048_576
    head = b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 104857600\r\n\r\n"
    reply = send(address, head, *[piece] * 100)
    assert code(reply) == "payload-too-large"
    assert reply.one("connection") == "close"
    assert time.monotonic() - began < 5


@pytest.mark.threat(42)
def test_the_limit_on_bodies_holds_for_paths_that_do_not_exist(address: Address) -> None:
    assert post(address, "Content-Length: 99999999", target="/nothing").status == 413


@pytest.mark.threat(43)
@pytest.mark.parametrize(
    "framing",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 5"],
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5 5"],
        ["Content-Length: " + "9" * 30],
        ["Content-Length:"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:\x0bchunked"],
        ["Content-Type: application/json", "Content-Type: text/plain"],
        ["X: a\n\nGET /v1/bug HTTP/1.1"],
        ["X: a", " folded: b"],
    ],
)
def test_a_request_with_two_readings_is_refused(address: Address, framing: list[str]) -> None:
    reply = post(address, *framing, body=b"0\r\n\r\n")
    assert (reply.status, reply.problem()["code"]) == (400, "bad-request")
    assert reply.one("connection") == "close"


@pytest.mark.threat(43)
@pytest.mark.parametrize("rest", [b"xyz\r\n", b"-1\r\n", b"3\r\nabcd", b"ffffffffffffffffff\r\n", b"1" * 100_000])
def test_a_malformed_chunk_is_refused(address: Address, rest: bytes) -> None:
    head = b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert send(address, head + b"1\r\na\r\n" + rest).problem()["code"] == "bad-request"


@pytest.mark.threat(43)
def test_what_follows_a_whole_request_does_not_take_its_answer_away(address: Address) -> None:
    request = b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 3\r\n\r\nabc"
    reply = send(address, request + b"garbage\r\n\r\n")
    assert (reply.status, reply.body, reply.one("connection")) == (200, b"3", "close")


@pytest.mark.threat(41)
def test_a_flood_of_pipelined_requests_is_answered_in_part_and_ends(address: Address) -> None:
    request = b"GET /v1/origin HTTP/1.1\r\nHost: gw.example\r\n\r\n"
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request * 300)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == serving.MAX_PIPELINED + 1
    assert received.count(b"connection: close") == 1


@pytest.mark.threat(22, 43)
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"http://evil.example/", []),
        (b"*", []),
        (b"/", [(b"content-length", b"+5")]),
        (b"/", [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]),
        (b"/", [(b"transfer-encoding", b"gzip, chunked")]),
    ],
)
async def test_what_another_server_would_let_through_is_refused(
    target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send_message(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": target,
        "query_string": b"",
        "client": None,
        "server": None,
        "headers": [(b"host", b"gw.example"), *headers],
    }
    await guarded(throw_away_app(), lambda _: None)(scope, receive, send_message)
    assert sent[0]["status"] == 400


@pytest.mark.threat(43)
def test_bare_line_feeds_are_refused(address: Address) -> None:
    assert send(address, b"GET /v1/origin HTTP/1.1\nHost: gw.example\n\n").problem()["code"] == "bad-request"


@pytest.mark.threat(21, 43)
def test_trailers_never_become_headers(address: Address) -> None:
    body = b"1\r\na\r\n0\r\nX-Forwarded-Proto: https\r\nHost: evil.example\r\n\r\n"
    reply = post(address, "Transfer-Encoding: chunked", body=body)
    assert (reply.status, reply.body) == (200, b"1")
    assert reply.one("strict-transport-security") is None


def test_two_requests_on_one_connection_are_answered_in_order(address: Address) -> None:
    first = b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 3\r\n\r\nabc"
    second = b"GET /v1/nothing HTTP/1.1\r\nHost: gw.example\r\n\r\n"
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(first)
        assert read_reply(connection).body == b"3"
        connection.sendall(second)
        assert read_reply(connection).status == 404


# Methods


@pytest.mark.threat(56)
@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "QUERY", "MKCOL", "SEARCH"])
@pytest.mark.parametrize("target", ["/v1/origin", "/nothing"])
def test_an_odd_method_is_405_with_allow(address: Address, method: str, target: str) -> None:
    reply = get(address, target, method=method)
    assert (reply.status, code(reply)) == (405, "method-not-allowed")
    assert reply.one("allow") == "GET, HEAD, POST, DELETE, OPTIONS"


@pytest.mark.threat(56)
def test_a_routes_own_405_keeps_its_allow(address: Address) -> None:
    assert get(address, "/v1/origin", method="DELETE").one("allow") == "GET"
    assert get(address, "/v1/size", method="PUT").one("allow") == "POST"


@pytest.mark.threat(56)
@pytest.mark.parametrize("line", [b"CONNECT evil.example:443", b"CONNECT /v1/origin", b"FOO /", b"OPTIONS *", b"get /"])
def test_what_is_no_request_for_a_path_is_refused(address: Address, line: bytes) -> None:
    reply = send(address, line + b" HTTP/1.1\r\nHost: gw.example\r\n\r\n")
    assert reply.status in {400, 405}
    assert reply.problem()["code"] in {"bad-request", "method-not-allowed"}


# CORS


@pytest.mark.threat(30)
@pytest.mark.parametrize("target", ["/v1/origin", "/v1/nothing", "/v1/bug"])
def test_an_allowed_origin_may_read_answers_and_errors(address: Address, target: str) -> None:
    reply = get(address, target, f"Origin: {APP}")
    assert reply.one("access-control-allow-origin") == APP
    assert reply.one("access-control-expose-headers") == "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
    assert reply.one("access-control-allow-credentials") is None
    assert reply.one("vary") == "Origin"


@pytest.mark.threat(30)
@pytest.mark.parametrize(
    "origin",
    [
        *("null", "*", "https://app.example.evil", "http://app.example", "HTTPS://APP.EXAMPLE", "https://app.example/"),
        *("https://evil.example", "https://app.example:443", "https://app.example, https://app.example", ""),
    ],
)
def test_any_other_origin_may_not(address: Address, origin: str) -> None:
    for reply in (
        get(address, "/v1/origin", f"Origin: {origin}"),
        get(address, "/v1/origin", f"Origin: {origin}", "Access-Control-Request-Method: POST", method="OPTIONS"),
    ):
        assert reply.one("access-control-allow-origin") is None
        assert reply.one("access-control-allow-methods") is None
        assert reply.one("vary") == "Origin"


def test_vary_is_sent_without_an_origin_too(address: Address) -> None:
    assert get(address, "/v1/origin").one("vary") == "Origin"


def test_a_preflight_is_answered_here(address: Address) -> None:
    reply = get(address, "/v1/anything", f"Origin: {APP}", "Access-Control-Request-Method: POST", method="OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.one("access-control-allow-origin") == APP
    assert reply.one("access-control-allow-methods") == "GET, HEAD, POST, DELETE"
    allowed = "authorization, content-type, x-requested-with, x-csrf-token"
    assert reply.one("access-control-allow-headers") == allowed
    assert reply.one("access-control-max-age") == "600"
    assert reply.one("access-control-allow-credentials") is None
    assert reply.all("vary") == ["Origin"]


def test_options_that_is_no_preflight_goes_to_the_routes(address: Address) -> None:
    assert get(address, "/v1/origin", method="OPTIONS").status == 405


@pytest.mark.threat(30)
@pytest.mark.parametrize("origin", ["*", "null", "app.example", "https://*.example", "https://app.example/path"])
def test_an_inexact_origin_ends_the_start(origin: str) -> None:
    origins = Origins(public_url=None, trusted_proxies=[], forwarded_headers=[], allowed_hosts=[])
    with pytest.raises(ValueError, match="host"):
        Guard(throw_away_app(), origins=origins, allowed_origins=[origin], log=print)


# Bugs


@pytest.mark.threat(45)
def test_a_bug_is_a_500_that_says_nothing(address: Address, lines: Lines) -> None:
    reply = get(address, "/v1/bug")
    assert (reply.status, code(reply)) == (500, "internal-error")
    assert SECRET.encode() not in reply.body
    line = wait_for(lines)
    assert (line["status"], line["request_id"]) == (500, reply.one("x-request-id"))
    assert repr(line["exc_info"]) == f"KeyError({SECRET!r})"


def test_a_bug_after_the_response_began_cuts_the_connection(address: Address, lines: Lines) -> None:
    with pytest.raises(ConnectionError):
        get(address, "/v1/late-bug")
    assert isinstance(wait_for(lines)["exc_info"], KeyError)


@pytest.mark.threat(24, 45)
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "€", "\U0001f4a9"])
def test_a_header_that_cannot_be_sent_becomes_a_500(address: Address, value: str) -> None:
    reply = get(address, f"/v1/unsendable/{value.encode().hex()}")
    assert (reply.status, code(reply)) == (500, "internal-error")
    assert reply.one("x-evil") is None
    assert reply.one("x-name") is None


def test_latin_1_and_tabs_may_be_sent(address: Address) -> None:
    value = "é\ta"
    assert get(address, f"/v1/unsendable/{value.encode().hex()}").one("x-name") == value


def test_an_application_that_answers_nothing_or_raises_at_once_is_a_500() -> None:
    async def app(scope: Scope, _: Receive, __: Send) -> None:
        if scope["path"] == "/raise":
            raise RuntimeError(SECRET)

    with raw_app(app) as (address, lines):
        assert code(get(address, "/raise")) == "internal-error"
        assert code(get(address, "/silent")) == "internal-error"
        assert [line["status"] for line in lines] == [500, 500]


def test_a_refusal_outside_of_any_route_is_still_a_problem() -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise Refusal(Code.TOO_MANY_REQUESTS, retry_after=3)

    with raw_app(app) as (address, lines):
        reply = get(address, "/v1/x")
        assert (code(reply), reply.one("retry-after")) == ("too-many-requests", "3")
        assert "exc_info" not in wait_for(lines)


async def test_the_lifespan_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        seen.extend([scope["type"], (await receive())["type"]])

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send_message(_: Message) -> None:
        raise AssertionError

    await guarded(app, print)({"type": "lifespan"}, receive, send_message)
    assert seen == ["lifespan", "lifespan.startup"]


# Slow and vanishing clients


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LINGER_SECONDS", 0.1)
    impatient = guarded(throw_away_app(), lambda _: None, body_seconds=0.2)
    with serve(impatient) as address, socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 10\r\n\r\nabc")
        reply = read_reply(connection)
        assert (reply.status, code(reply)) == (408, "request-timeout")
        assert reply.one("connection") == "close"
        assert connection.recv(1) == b""


def test_a_head_that_does_not_come_is_given_up(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    assert send(address, b"GET / HTTP/1.1\r\nHost: gw").problem()["code"] == "request-timeout"
    with socket.create_connection(address, timeout=10) as connection:
        assert read_reply(connection).status == 408
        assert connection.recv(1) == b""


def test_a_slow_head_that_drips_is_given_up_all_the_same(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    with socket.create_connection(address, timeout=10) as connection:
        began = time.monotonic()
        reader = threading.Thread(target=_drip, args=(connection,))
        reader.start()
        assert read_reply(connection).status == 408
        assert time.monotonic() - began < 2
        reader.join()


def _drip(connection: socket.socket) -> None:
    for byte in b"GET / HTTP/1.1\r\nHost: gw.example":
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return
        time.sleep(0.03)


def test_a_slow_client_of_an_answer_in_time_is_not_cut(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    head = b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 3\r\n\r\n"
    with socket.create_connection(address, timeout=10) as connection:
        for _ in range(2):
            for piece in (head, b"a", b"b", b"c"):
                connection.sendall(piece)
                time.sleep(0.12)
            assert read_reply(connection).body == b"3"


def test_a_client_that_leaves_while_sending_is_logged_and_not_a_bug(address: Address, lines: Lines) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"POST /v1/size HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 10\r\n\r\nabc")
        time.sleep(0.1)
    line = wait_for(lines)
    assert line["status"] == 499
    assert "exc_info" not in line


# The log line


@pytest.mark.threat(25)
def test_a_request_is_one_line_without_query_or_token(address: Address, lines: Lines) -> None:
    reply = get(address, "/d/token/a.png?X-Amz-Signature=abc", "Authorization: Bearer gwk_secret")
    line = dict(wait_for(lines))
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "event": "request",
        "method": "GET",
        "path": "/d/…",
        "status": 204,
        "request_id": reply.one("x-request-id"),
    }


def test_the_line_of_a_refused_request_has_its_code(address: Address, lines: Lines) -> None:
    reply = get(address, "/" + "a" * 9000)
    line = wait_for(lines)
    assert (line["status"], line["code"]) == (reply.status, json.loads(reply.body)["code"]) == (414, "uri-too-long")


@pytest.mark.threat(25)
@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v1/uploads", "/v1/uploads"),
        ("/v1/uploads/TOKEN", "/v1/uploads/…"),
        ("/v1/uploads/TOKEN/", "/v1/uploads/…/"),
        ("/v1/uploads/TOKEN/parts", "/v1/uploads/…/parts"),
        ("/v1/uploads/TOKEN/complete", "/v1/uploads/…/complete"),
        ("/v1/uploads/TOKEN/TOKEN/complete", "/v1/uploads/…"),
        ("/v1/uploads/complete", "/v1/uploads/complete"),
        ("/v1/uploads/complete/TOKEN", "/v1/uploads/…"),
        ("/v1/uploads/TOKEN\n/parts", "/v1/uploads/…/parts"),
        ("/d/TOKEN", "/d/…"),
        ("/d/TOKEN/a.png", "/d/…"),
        ("/d/", "/d/"),
        ("/D/" + "T" * 65, "/D/…"),
        ("/d/PASS/u/x", "/d/…"),
        ("/u/PASS", "/u/…"),
        ("/u/PASS/", "/u/…/"),
        ("/u/PASS/s3/params", "/u/…/s3/params"),
        ("/u/PASS/s3/multipart", "/u/…/s3/multipart"),
        ("/u/PASS/s3/multipart/TICKET", "/u/…/s3/multipart/…"),
        ("/u/PASS/s3/multipart/TICKET/7", "/u/…/s3/multipart/…/7"),
        ("/u/PASS/s3/multipart/TICKET/complete", "/u/…/s3/multipart/…/complete"),
        ("/u/PASS/rails/active_storage/direct_uploads", "/u/…/rails/active_storage/direct_uploads"),
        ("/u/PASS\n/s3/multipart/TICKET\n/7", "/u/…/s3/multipart/…/7"),
        ("/s3/multipart/TICKET", "/s3/multipart/…"),
        ("/s3/multipart/TICKET/10000", "/s3/multipart/…/10000"),
        ("/s3/multipart/TICKET/batch", "/s3/multipart/…/batch"),
        ("/s3/multipart/TICKET/TICKET", "/s3/multipart/…"),
        ("/lfs/objects/batch", "/lfs/objects/batch"),
        ("/lfs/objects/verify/TICKET", "/lfs/objects/verify/…"),
        ("/lfs/photos/objects/verify/TICKET", "/lfs/photos/objects/verify/…"),
        ("/v1/objects/default/photos/abc.png", "/v1/objects/default/photos/abc.png"),
    ],
)
def test_a_path_is_logged_without_tokens(path: str, logged: str) -> None:
    assert redact(path) == logged


@pytest.mark.threat(52)
def test_control_characters_cannot_write_into_the_log(address: Address, lines: Lines) -> None:
    get(address, "/a%0A%5BERROR%5D%20x%1B%5B2J%7F%C2%9B%E2%80%AE%22")
    line = wait_for(lines)
    assert line["path"] == r"/a\n[ERROR] x\u001b[2J\u007f\u009b\u202e\""
    assert json.dumps(dict(line)).count("\n") == 0


def test_below_a_mount_the_same_paths_are_meant() -> None:
    async def app(_: Scope, __: Receive, send_message: Send) -> None:
        await send_message({"type": "http.response.start", "status": 204, "headers": []})
        await send_message({"type": "http.response.body"})

    async def mounted(scope: Scope, receive: Receive, send_message: Send) -> None:
        await inner({**scope, "root_path": "/files"}, receive, send_message)

    lines: Lines = []
    inner = guarded(app, lines.append)
    with serve(mounted) as address:
        assert get(address, "/files/d/TOKEN/a.png").one("x-robots-tag") == "noindex"
        assert wait_for(lines)["path"] == "/d/…"
