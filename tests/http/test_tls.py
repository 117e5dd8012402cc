"""https from the browser to the last byte: the gateway and the bucket behind a real nginx with a certificate."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from gateway.cli.listening import listen_unix
from gateway.http.serving import run_config
from tests.gateways import API_KEY, make_app
from tests.http.live import get, serving
from tests.http.routes.flow import NOWHERE, PNG, WISH, bearer
from tests.http.tls import Site, bucket_over_tls, site_over_tls
from tests.servers.nginx import Certificate, free_port, gateway_front, running, s3_front
from tests.servers.s3 import S3Server

BEARER = bearer(API_KEY)
HSTS = "max-age=31536000"
LIES = {
    "x-forwarded-proto": "http",
    "x-forwarded-host": "evil.example",
    "x-forwarded-port": "81",
    "x-forwarded-for": "6.6.6.6",
    "forwarded": "proto=http;host=evil.example",
    "x-forwarded-ssl": "off",
    "x-forwarded-scheme": "http",
    "front-end-https": "off",
    "x-original-host": "evil.example",
}
Answers = dict[str, httpx.Response]
_ORIGIN = re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s\"'<>?#;]*", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, ministack: S3Server, certificate: Certificate) -> Iterator[Site]:
    with site_over_tls(tmp_path_factory.mktemp("site"), ministack, certificate) as site:
        yield site


@pytest.fixture
def client(certificate: Certificate) -> Iterator[httpx.Client]:
    with httpx.Client(verify=certificate.context()) as client:
        yield client


def origins(answers: Answers) -> set[str]:
    """Return the origin of every address in the answers, headers included: the policies of pages name some too."""
    texts = [text for answer in answers.values() for text in (answer.text, *answer.headers.values())]
    return {found for text in texts for found in _ORIGIN.findall(text)}


def journey(client: httpx.Client, url: str, headers: Mapping[str, str] = BEARER) -> Answers:
    """Upload a picture and see it again by the addresses that the gateway gives; return every answer of the gateway."""
    answers: Answers = {}

    def ask(name: str, method: str, address: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        answer = answers[name] = client.request(method, address, json=body, headers=headers)
        return answer.json() if answer.headers.get("content-type") == "application/json" else answer

    ticket = ask("upload", "POST", f"{url}/v1/uploads", WISH)
    put = client.put(ticket["upload"]["url"], content=PNG, headers=ticket["upload"]["headers"])
    assert put.status_code == 200, put.text
    ask("status", "GET", ticket["status_url"])
    stored = ask("complete", "POST", ticket["complete_url"], {})
    ask("already stored", "DELETE", ticket["abort_url"])
    links = {"links": [{"key": ticket["key"], "filename": "dot.png", "disposition": "inline"}]}
    redirecting = ask("links", "POST", f"{url}/v1/links", links)["links"][0]["url"]
    direct = ask("direct links", "POST", f"{url}/v1/links", {**links, "via": "direct"})["links"][0]["url"]
    for name, link in (("receipt's", stored["link"]), ("batch's", redirecting)):
        direct_too = ask(f"the {name} link", "GET", link).headers["location"]
        assert client.get(direct_too).content == client.get(direct).content == PNG
    assert client.head(ask("head", "HEAD", redirecting).headers["location"]).status_code == 200
    ask("object", "GET", f"{url}/v1/objects/{ticket['key']}")
    for path in ("/v1/objects", "/v1/policies", "/healthz", "/v1/nothing", "/static/demo/", "/favicon.ico"):
        ask(path, "GET", url + path)
    ask("pass", "POST", f"{url}/v1/passes", {})
    ask("another method", "DELETE", f"{url}/v1/policies")
    ask("too large", "POST", f"{url}/v1/uploads", "a" * 70_000)
    return answers


@pytest.mark.threat(21, 44)
@pytest.mark.parametrize("lies", [{}, LIES], ids=["an honest client", "a client that lies"])
def test_every_address_in_every_answer_is_https_and_works(
    client: httpx.Client, site: Site, lies: dict[str, str]
) -> None:
    answers = journey(client, site.url, {**BEARER, **lies})
    assert origins(answers) == {site.url, site.bucket}
    assert {name: answer.headers.get_list("strict-transport-security") for name, answer in answers.items()} == {
        name: [HSTS] for name in answers
    }


@pytest.mark.threat(21, 44)
def test_a_caller_on_http_gets_http_and_no_hsts(client: httpx.Client, ministack: S3Server) -> None:
    with serving(make_app(ministack, trusted_proxies=["127.0.0.1/32"])) as (host, port):
        answers = journey(client, f"http://{host}:{port}")
    assert origins(answers) == {f"http://{host}:{port}", ministack.endpoint}
    assert [name for name, answer in answers.items() if "strict-transport-security" in answer.headers] == []


@pytest.mark.threat(21)
def test_an_untrusted_peer_is_not_believed_even_when_it_is_a_proxy(
    tmp_path: Path, client: httpx.Client, certificate: Certificate, ministack: S3Server
) -> None:
    with (
        serving(make_app(ministack, trusted_proxies=["10.0.0.0/8"])) as (host, port),
        gateway_front(tmp_path, f"{host}:{port}", certificate) as front,
    ):
        direct = client.get(f"http://{host}:{port}/healthz", headers={**LIES, "x-forwarded-proto": "https"})
        behind = client.post(f"{front.url}/v1/uploads", json=WISH, headers=BEARER)
    assert "strict-transport-security" not in direct.headers
    assert origins({"upload": behind}) == {front.url.replace("https:", "http:"), ministack.endpoint}


@pytest.mark.threat(22)
def test_another_host_never_comes_into_an_address(client: httpx.Client, site: Site) -> None:
    port = site.url.rpartition(":")[2]
    for host in ("localhost:1", f"LOCALHOST:{port}"):  # nginx chooses by name, the port is the caller's own word
        answer = client.post(f"{site.url}/v1/uploads", json=WISH, headers={**BEARER, "host": host})
        assert origins({"upload": answer}) == {f"https://{host.lower()}", site.bucket}
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "localhost@evil.example"):
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(f"{site.url}/v1/policies", headers={"host": host})
        assert (
            get(site.gateway, "/v1/policies", "X-Forwarded-Proto: https", host=host).problem()["code"] == "bad-request"
        )


@pytest.mark.threat(23)
def test_a_link_leads_to_the_bucket_whatever_is_added_to_it(client: httpx.Client, site: Site) -> None:
    key = journey(client, site.url)["object"].json()["key"]
    links = client.post(f"{site.url}/v1/links", json={"links": [{"key": key}]}, headers=BEARER).json()
    link = links["links"][0]["url"]
    for more in ("?url=https://evil.example", "?to=//evil.example", "?next=javascript:alert(1)", "/https:evil.example"):
        answer = client.get(link + more)
        assert (answer.status_code, answer.headers["location"].startswith(f"{site.bucket}/")) == (307, True)
        assert "evil" not in answer.headers["location"]
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    for wrong in (f"{site.url}//evil.example/%2e%2e", f"{site.url}/d//evil.example", f"{site.url}/v1/policies/"):
        answer = client.get(wrong, headers=BEARER)
        assert (answer.status_code, "location" in answer.headers) == (404, False)


def forwarding(folder: Path, gateway: str, certificate: Certificate, port: int, forwarded: str) -> str:
    """Write a front that speaks RFC 7239 alone, and changes the Host header on the way."""
    config = s3_front(folder, port=port, upstream=gateway, certificate=certificate)
    host = "proxy_set_header Host $http_host;"
    assert host in config
    return config.replace(host, f"proxy_set_header Host gateway.internal; proxy_set_header Forwarded {forwarded};")


@pytest.mark.threat(21, 22)
def test_the_standard_header_is_believed_where_it_was_asked_for(
    tmp_path: Path, client: httpx.Client, certificate: Certificate, site: Site, ministack: S3Server
) -> None:
    app = make_app(
        ministack,
        trusted_proxies=["127.0.0.1"],
        forwarded_headers=["forwarded"],
        allowed_hosts=["localhost", "gateway.internal"],
        public_storage_endpoint=site.bucket,
    )
    port = free_port()
    element = '\'for="$remote_addr:$remote_port";proto=$scheme;host="$http_host"\''
    with (
        serving(app) as (host, inner),
        running(tmp_path, forwarding(tmp_path, f"http://{host}:{inner}", certificate, port, element), port),
    ):
        for lies in ({}, LIES):
            answers = journey(client, f"https://localhost:{port}", {**BEARER, **lies})
            assert origins(answers) == {f"https://localhost:{port}", site.bucket}
        direct = get((host, inner), "/v1/policies", "X-Forwarded-Proto: https", host="localhost")
        assert direct.one("strict-transport-security") is None  # that header was not asked for


@pytest.mark.threat(21)
def test_a_proxy_that_passes_on_what_a_client_forwarded_is_found_out(
    tmp_path: Path, client: httpx.Client, certificate: Certificate, ministack: S3Server
) -> None:
    app = make_app(
        ministack, trusted_proxies=["127.0.0.1"], forwarded_headers=["forwarded"], allowed_hosts=["gateway.internal"]
    )
    port = free_port()
    element = "'$http_forwarded, proto=$scheme'"
    with (
        serving(app) as (host, inner),
        running(tmp_path, forwarding(tmp_path, f"http://{host}:{inner}", certificate, port, element), port),
    ):
        answer = client.get(f"https://localhost:{port}/v1/policies", headers={**BEARER, "forwarded": "proto=http"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")
    assert "let the proxy next to the gateway overwrite them" in answer.json()["detail"]


@contextmanager
def serving_on_a_file(path: Path, app: Any) -> Iterator[None]:  # noqa: ANN401 - uvicorn's own type
    """Serve as `gateway serve --uds` does."""
    listener = listen_unix(path)
    server = uvicorn.Server(run_config(app, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.mark.threat(21)
def test_nginx_may_reach_the_gateway_by_a_socket_file(
    tmp_path: Path, client: httpx.Client, certificate: Certificate, site: Site, ministack: S3Server
) -> None:
    socket = tmp_path / "gateway.sock"
    app = make_app(ministack, trusted_proxies=["unix"], public_storage_endpoint=site.bucket)
    with serving_on_a_file(socket, app), gateway_front(tmp_path, f"unix:{socket}", certificate) as front:
        assert origins(journey(client, front.url, {**BEARER, **LIES})) == {front.url, site.bucket}


def test_the_public_url_is_the_answer_where_it_is_set(
    tmp_path: Path, client: httpx.Client, certificate: Certificate, ministack: S3Server
) -> None:
    (tmp_path / "bucket").mkdir()
    with (
        bucket_over_tls(tmp_path / "bucket", ministack, certificate) as bucket,
        serving(make_app(ministack, public_url="https://files.example", public_storage_endpoint=bucket)) as address,
    ):
        answer = client.post(f"http://{address[0]}:{address[1]}/v1/uploads", json=WISH, headers={**BEARER, **LIES})
    assert origins({"upload": answer}) == {"https://files.example", bucket}
    assert answer.headers["strict-transport-security"] == HSTS


@pytest.mark.threat(21)
def test_a_caller_on_https_is_never_handed_a_bucket_on_http() -> None:
    over_https = {"x-forwarded-proto": "https"}
    with serving(make_app(NOWHERE, trusted_proxies=["127.0.0.1"])) as (host, port):
        url = f"http://{host}:{port}"
        links = {"links": [{"key": "objects/default/default/0123456789abcdef0123456789abcdef.png"}]}
        made = httpx.post(f"{url}/v1/links", json=links, headers={**BEARER, **over_https})
        link = made.json()["links"][0]["url"]
        path = httpx.URL(link).path
        refused = [
            httpx.post(f"{url}/v1/uploads", json=WISH, headers={**BEARER, **over_https}),
            httpx.post(f"{url}/v1/links", json={**links, "via": "direct"}, headers={**BEARER, **over_https}),
            httpx.get(url + path, headers=over_https),
        ]
        over_http = [httpx.post(f"{url}/v1/uploads", json=WISH, headers=BEARER), httpx.get(url + path)]
    assert link.startswith("https://")
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "insecure-storage")] * 3
    assert [answer.headers.get("location", answer.json().get("url")) for answer in refused] == [None] * 3
    assert [answer.status_code for answer in over_http] == [201, 307]
