"""infra/nginx.conf in a real nginx with TLS, before a real gateway and before one that tells what reached it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.apps import Linker
from gateway.http.guard import MAX_BODIES
from gateway.http.static_files import ROOT_DIR, STATIC_DIR, static_url
from gateway.s3.sigv4 import Credentials
from tests.gateways import APP_SECRET, make_app, settings
from tests.http.live import serving
from tests.servers.nginx import Certificate, Front, gateway_front
from tests.servers.s3 import S3Server

POLICIES = (
    "x-content-type-options",
    "referrer-policy",
    "content-security-policy",
    "cross-origin-resource-policy",
    "cache-control",
    "content-type",
    "access-control-allow-origin",
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what arrived."""
    request = Request(scope, receive)
    arrived = {"headers": request.headers.items(), "target": scope["raw_path"].decode(), "query": request.url.query}
    await JSONResponse(arrived)(scope, receive, send)


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Front]:
    with (
        serving(echo) as (host, port),
        gateway_front(tmp_path_factory.mktemp("nginx"), f"{host}:{port}", certificate) as front,
    ):
        yield front


@pytest.fixture(scope="module")
def gateway_url(ministack: S3Server) -> Iterator[str]:
    app = make_app(ministack, trusted_proxies=["127.0.0.1/32"])
    with serving(app) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, gateway_url: str, certificate: Certificate) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    with gateway_front(folder, gateway_url.removeprefix("http://"), certificate) as front:
        yield front


@pytest.fixture(scope="module")
def client(certificate: Certificate) -> Iterator[httpx.Client]:
    with httpx.Client(verify=certificate.context()) as client:
        yield client


def test_what_a_client_says_about_its_scheme_and_host_does_not_reach_the_gateway(
    client: httpx.Client, echoing: Front
) -> None:
    lies = {
        "x-forwarded-proto": "http",
        "x-forwarded-host": "evil.example",
        "x-forwarded-port": "81",
        "x-forwarded-for": "6.6.6.6",
        "forwarded": "proto=http;host=evil.example",
    }
    arrived = client.get(f"{echoing.url}/v1/policies?a=%2F", headers=lies).json()
    headers = {name: value for name, value in arrived["headers"] if "forwarded" in name or name == "host"}
    assert headers == {
        "host": echoing.url.removeprefix("https://"),
        "x-forwarded-proto": "https",
        "x-forwarded-for": "127.0.0.1",
    }
    assert (arrived["target"], arrived["query"]) == ("/v1/policies", "a=%2F")


def test_a_path_reaches_the_gateway_as_it_was_written(client: httpx.Client, echoing: Front) -> None:
    arrived = client.get(f"{echoing.url}/v1/objects/objects%2Fdefault//a%20b").json()
    assert arrived["target"] == "/v1/objects/objects%2Fdefault//a%20b"


def test_plain_http_is_sent_to_https(client: httpx.Client, echoing: Front) -> None:
    response = client.get(f"{echoing.plain_url}/v1/policies?a=1")
    assert (response.status_code, response.headers["location"]) == (308, f"{echoing.url}/v1/policies?a=1")


def test_a_host_of_another_name_gets_no_answer(client: httpx.Client, echoing: Front) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"{echoing.url}/v1/policies", headers={"host": "evil.example"})


@pytest.mark.threat(48)
def test_the_access_log_holds_neither_tokens_nor_queries(client: httpx.Client, echoing: Front) -> None:
    for target in (
        "/d/secret-1/photo.png?secret-2",
        "/v1/uploads/secret-3/complete?secret-4",
        "/v1/uploads/secret-5",
        "/u/secret-8/s3/multipart/secret-9/7?key=secret-10",
        "/u/secret-8/s3/params?secret-10",
        "/u/secret-8",
        "/s3/multipart/secret-9/complete",
        "/s3/multipart/secret-9/secret-10",
        "/lfs/photos/objects/verify/secret-9",
        "/static/nothing.js?secret-6",
    ):
        client.get(f"{echoing.url}{target}", headers={"referer": "https://app.example/secret-7"})
    deadline = time.monotonic() + 5  # a line is written after its answer was sent
    while "/static/nothing.js" not in echoing.access_log.read_text("utf-8") and time.monotonic() < deadline:
        time.sleep(0.01)
    lines = [json.loads(line) for line in echoing.access_log.read_text("utf-8").splitlines()]
    paths = {line["path"] for line in lines}
    assert paths >= {"/d/-", "/v1/uploads/-/complete", "/v1/uploads/-", "/static/nothing.js"}
    assert paths >= {"/u/-/s3/multipart/-/7", "/u/-/s3/params", "/u/-", "/s3/multipart/-/complete", "/s3/multipart/-"}
    assert "/lfs/photos/objects/verify/-" in paths
    assert "secret" not in echoing.access_log.read_text("utf-8")


def test_a_body_that_the_gateway_would_refuse_is_refused_alike(client: httpx.Client, front: Front) -> None:
    response = client.post(f"{front.url}/v1/uploads", content=b"x" * 65_537)
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (413, "application/problem+json")
    assert problem["code"] == "payload-too-large"
    assert len(problem.pop("request_id")) == 32
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/v1/links", "links"),
        ("/v1/uploads/a-ticket/parts", "parts"),
        ("/v1/uploads/a-ticket/complete", "complete"),
        ("/u/a-pass/s3/multipart/a-ticket/complete", "complete"),
        ("/lfs/objects/batch", "batch"),
    ],
)
def test_what_may_be_long_may_be_as_long_as_the_gateway_takes_it(
    client: httpx.Client, echoing: Front, path: str, step: str
) -> None:
    most = MAX_BODIES[step]
    statuses = [client.post(f"{echoing.url}{path}", content=b"x" * size).status_code for size in (most, most + 1)]
    assert statuses == [200, 413]


def paths() -> list[str]:
    static = [f"/static/{file.relative_to(STATIC_DIR).as_posix()}" for file in STATIC_DIR.rglob("*") if file.is_file()]
    hashed = [static_url(path.removeprefix("/static/")) for path in static]
    return [*static, *hashed, *(f"/{file.name}" for file in ROOT_DIR.iterdir())]


@pytest.mark.threat(44)
@pytest.mark.parametrize("path", paths())
def test_a_local_file_is_what_the_gateway_would_have_sent(
    client: httpx.Client, front: Front, gateway_url: str, path: str
) -> None:
    response = client.get(f"{front.url}{path}")
    expected = httpx.get(f"{gateway_url}{path}", headers={"x-forwarded-proto": "https"})
    assert (response.status_code, response.content) == (200, expected.content)
    assert {name: response.headers.get_list(name) for name in POLICIES} == {
        name: expected.headers.get_list(name) for name in POLICIES
    }
    assert response.headers["strict-transport-security"] == "max-age=31536000"


def test_local_files_are_served_while_the_gateway_is_down(
    tmp_path: Path, client: httpx.Client, certificate: Certificate
) -> None:
    with gateway_front(tmp_path, "127.0.0.1:1", certificate) as front:
        served = {path: client.get(f"{front.url}{path}") for path in paths() if not path.endswith(".html")}
        assert {path: response.status_code for path, response in served.items()} == dict.fromkeys(served, 200)
        assert client.get(f"{front.url}{static_url('gateway.js')}").headers["cache-control"] == (
            "public, max-age=31536000, immutable"
        )


@pytest.mark.threat(39)
@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/demo",
        "/static/nothing.js",
        "/static/..%2froot/robots.txt",
        "/static/%2e%2e/root/robots.txt",
        "/static/..%5croot",
        "/static/.hidden",
        "/static/demo%2Fdemo.js",
        "/static/gateway.0000000000000000.js",
        "/static/gateway.js/",
        "/static//etc/passwd",
        "/hashed/static/gateway.js",
        "/nginx.conf",
    ],
)
def test_what_is_no_local_file_is_for_the_gateway_to_refuse(client: httpx.Client, front: Front, path: str) -> None:
    response = client.get(f"{front.url}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


@pytest.mark.threat(39)
def test_a_path_with_a_zero_byte_goes_nowhere(client: httpx.Client, front: Front) -> None:
    assert client.get(f"{front.url}/static/gateway.js%00").status_code == 400


def test_another_method_on_a_local_file_is_for_the_gateway_to_refuse(client: httpx.Client, front: Front) -> None:
    response = client.post(f"{front.url}/static/gateway.js")
    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")


def test_a_local_file_can_be_asked_for_in_part_and_again(client: httpx.Client, front: Front) -> None:
    url = f"{front.url}/static/gateway.js"
    whole = client.get(url)
    part = client.get(url, headers={"range": "bytes=0-9"})
    again = client.get(url, headers={"if-none-match": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole.content[:10])
    assert (again.status_code, again.content) == (304, b"")


def test_a_link_to_a_long_name_signed_by_a_role_is_followed(
    tmp_path: Path, ministack: S3Server, certificate: Certificate, client: httpx.Client
) -> None:
    """Its Location is longer than the 4 KiB that nginx keeps for a head unless told otherwise."""
    app = create_app(
        settings(ministack, trusted_proxies=["127.0.0.1/32"], public_storage_endpoint="https://s3.example"),
        credentials=Credentials("ASIAEXAMPLE", "never-to-be-seen", "+" * 1200),
        log=lambda _: None,
    )
    with serving(app) as (host, port), gateway_front(tmp_path, f"{host}:{port}", certificate) as front:
        linker = Linker(front.url, [APP_SECRET])
        for name in ("é" * 127, "\N{CAT FACE}" * 300):
            answer = client.get(linker.link("objects/default/default/0123456789abcdef0123456789abcdef.png", name))
            assert answer.status_code == 307
            assert len(answer.headers["location"]) > 4096
