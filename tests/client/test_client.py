"""What else the client does, in both its faces; what it keeps to itself; and who may call it from where."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.client import AsyncClient, Client, GatewayError, RefusedError, UnreachableError
from tests.client.sites import Site
from tests.gateways import API_KEY, OTHER_API_KEY

KEY = "objects/default/default/0123456789abcdef0123456789abcdef.txt"


def answering(answer: httpx.Response | Exception) -> Client:
    """Return a client of something that always answers alike."""

    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Client("https://files.example", API_KEY, transport=httpx.MockTransport(handle))


def test_all_pages_of_a_listing_are_gone_through(site: Site) -> None:
    with Client(site.url, OTHER_API_KEY) as client:
        stored = [client.publish([str(n).encode()], filename=f"{n}.txt").object for n in range(102)]
        assert [found.key for found in client.list("default/")] == sorted(found.key for found in stored)
        one = next(client.list())
        assert one in stored
        for found in stored:
            client.delete(found.key)
        assert list(client.list("default/")) == []


async def test_the_client_of_coroutines_lists_and_deletes_too(site: Site) -> None:
    async with AsyncClient(site.url, OTHER_API_KEY) as client:
        stored = await client.publish([b"1"], filename="1.txt")
        assert [found async for found in client.list("default/")] == [stored.object]
        await client.delete(stored.object.key)
        await client.delete(stored.object.key)
        assert [found async for found in client.list("default/")] == []


def test_links_are_made_as_they_are_asked_for(client: Client, site: Site) -> None:
    link = client.link(KEY, filename="notes.txt", expires_in=60)
    assert (link.key, link.url.startswith(f"{site.url}/d/default."), link.url.endswith("/notes.txt")) == (
        KEY,
        True,
        True,
    )
    assert link.expires_at is not None
    assert client.link(KEY, via="direct").url.startswith(site.s3.endpoint)
    with pytest.raises(RefusedError) as raised:
        client.link("objects/other/default/0123456789abcdef0123456789abcdef.txt")
    assert (raised.value.code, raised.value.status) == ("not-found", 422)


@pytest.mark.parametrize("key", ["", "../uploads/x", "objects/default/../x.txt", "incoming/default/default/x.txt", "ü"])
def test_what_is_no_key_deletes_nothing(client: Client, key: str) -> None:
    with pytest.raises(RefusedError) as raised:
        client.delete(key)
    assert raised.value.code == "not-found"


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("files.example", API_KEY),
        ("ftp://files.example", API_KEY),
        ("https://", API_KEY),
        ("https://user:secret@files.example", API_KEY),
        ("https://files.example/?a=b", API_KEY),
        ("https://files.example:port", API_KEY),
        ("https://files.example", ""),
        ("https://files.example", f"{API_KEY}\n"),
        ("https://files.example", f"Bearer {API_KEY}"),
        ("https://files.example", "ключ"),
    ],
)
def test_an_address_or_credentials_that_can_be_none_are_told_at_once(url: str, credentials: str) -> None:
    with pytest.raises(ValueError, match=r"the gateway's address is|the credentials are") as raised:
        Client(url, credentials)
    assert "secret" not in str(raised.value)
    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(200, text="<html>a proxy's own page</html>"), "unexpected"),
        (httpx.Response(200, json=[]), "unexpected"),
        (httpx.Response(200, json={"links": [{"key": KEY}]}), "unexpected"),
        (httpx.Response(301, headers={"location": "https://elsewhere.example/v1/links"}), "unexpected"),
        (httpx.Response(403, text="<html>a firewall's own page</html>"), "unexpected"),
        (httpx.Response(502, text="<html>Bad Gateway</html>"), "unexpected"),
        (httpx.Response(403, json={"code": "forbidden", "detail": "No.", "request_id": "r1"}), "forbidden"),
        (httpx.Response(503, json={"code": "insecure-storage", "detail": "No."}), "insecure-storage"),
        (httpx.ConnectError("to https://files.example/secret"), "gateway-unreachable"),
        (httpx.ReadTimeout("of https://files.example/secret"), "gateway-unreachable"),
    ],
)
def test_whatever_answers_is_an_error_that_tells_no_secret(answer: httpx.Response | Exception, code: str) -> None:
    with answering(answer) as client, pytest.raises(GatewayError) as raised:
        client.link(KEY)
    assert raised.value.code == code
    assert isinstance(raised.value, UnreachableError) == isinstance(answer, Exception)
    told = f"{raised.value} {raised.value!r}"
    assert "secret" not in told
    assert API_KEY not in told


def test_a_busy_gateway_is_waited_for_as_long_as_it_asks() -> None:
    answers = [
        httpx.Response(429, headers={"retry-after": "0"}),
        httpx.Response(503, headers={"retry-after": "0"}),
        httpx.Response(200, json={"links": [{"key": KEY, "url": "https://l", "expires_at": None}]}),
    ]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    with Client("https://files.example", API_KEY, transport=transport) as client:
        assert client.link(KEY).url == "https://l"
    assert answers == []


def test_a_quota_that_is_used_up_for_longer_than_a_minute_is_told_at_once() -> None:
    problem = {"code": "too-many-requests", "detail": "Try again in 61 seconds.", "request_id": "r-1"}
    answers = [httpx.Response(429, json=problem, headers={"retry-after": "61"})]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    with Client("https://files.example", API_KEY, transport=transport) as client, pytest.raises(GatewayError) as raised:
        client.link(KEY)
    assert (raised.value.code, raised.value.retry_after, raised.value.passing) == ("too-many-requests", 61, True)


def test_nothing_that_is_logged_or_shown_opens_anything(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stored = client.publish([b"some notes\n"], filename="notes.txt")
    client.download(stored.link, tmp_path / "notes.txt")
    ours = [record for record in caplog.records if record.name.partition(".")[0] in {"httpx", "httpcore"}]
    assert [
        record.getMessage() for record in ours if "X-Amz" in record.getMessage() or "/d/" in record.getMessage()
    ] == []
    shown = f"{client!r} {stored!r} {client.link(stored.object.key)!r}"
    assert API_KEY not in shown
    assert "/d/" not in shown
    assert repr(client) == f"Client('{client._client._wire.url}')"


async def test_what_others_do_with_httpx_is_logged_as_ever(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpx")
    async with httpx.AsyncClient() as other, AsyncClient(site.url, API_KEY) as client:
        await asyncio.gather(other.get(f"{site.url}/healthz"), client.link(KEY))
    assert [record.getMessage() for record in caplog.records if record.name == "httpx"] == [
        f'HTTP Request: GET {site.url}/healthz "HTTP/1.1 200 OK"'
    ]


def test_several_threads_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        links = list(threads.map(lambda n: client.link(KEY, filename=f"{n}.txt").url, range(40)))
    assert [link.rpartition("/")[2] for link in links] == [f"{n}.txt" for n in range(40)]


async def test_it_works_where_a_loop_runs_already(client: Client) -> None:
    assert client.link(KEY).key == KEY


def test_a_closed_client_says_so_and_closes_twice(site: Site) -> None:
    before = threading.active_count()
    client = Client(site.url, API_KEY)
    client.link(KEY)
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.link(KEY)


WAITS = """
import sys, threading
from gateway.client import Client
with Client(sys.argv[1], "key") as client:
    try:
        client.link("objects/default/default/0123456789abcdef0123456789abcdef.txt")
    finally:
        print("cleaned up", flush=True)
"""


def test_ctrl_c_ends_a_call_that_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITS, f"http://127.0.0.1:{silent.getsockname()[1]}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(4)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=15)
    assert (stdout, stderr.splitlines()[-1]) == ("cleaned up\n", "KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_the_client_needs_httpx_and_nothing_else_of_the_gateway() -> None:
    script = """
import sys
import httpx
before = set(sys.modules)
import gateway.client
names = {name.partition('.')[0] for name in set(sys.modules) - before}
print(*sorted(names - set(sys.stdlib_module_names)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gateway"]
