"""The origin of a request: what is believed, of whom, and what is refused."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http.forwarded import parse_forwarded
from gateway.http.origin import FORWARDED_HEADERS, Origin, Origins
from tests.http.live import Address, get, read_reply, send, serving

PROXY = "10.1.2.3"
STRANGER = "203.0.113.9"


def origins(
    *,
    public_url: str | None = None,
    trusted: tuple[str, ...] = ("10.0.0.0/8",),
    headers: tuple[str, ...] = ("x-forwarded-proto",),
    hosts: tuple[str, ...] = ("gw.example",),
) -> Origins:
    return Origins(public_url=public_url, trusted_proxies=trusted, forwarded_headers=headers, allowed_hosts=hosts)


def scope(
    *headers: tuple[str, str],
    peer: str | None = PROXY,
    scheme: str = "http",
    host: str | None = "gw.example",
    server: tuple[str, int | None] = ("127.0.0.1", 8000),
    raw_path: bytes | None = b"/v1/uploads",
) -> Scope:
    fields = ([("host", host)] if host is not None else []) + list(headers)
    return {
        "type": "http",
        "scheme": scheme,
        "client": None if peer is None else (peer, 40_000),
        "server": server,
        "raw_path": raw_path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in fields],
    }


def refusal(of: Origins, request: Scope) -> Refusal:
    with pytest.raises(Refusal) as caught:
        of.of(request)
    assert caught.value.code is Code.BAD_REQUEST
    return caught.value


def proto(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-proto", value) for value in values]


def test_an_origin_is_written_as_a_browser_writes_it() -> None:
    assert Origin("https", "gw.example").url == "https://gw.example"
    assert Origin.parse("HTTPS://GW.Example:443/") == Origin("https", "gw.example")
    assert Origin.parse("http://gw.example:80") == Origin("http", "gw.example")
    assert Origin.parse("http://gw.example:443") == Origin("http", "gw.example:443")
    assert Origin.parse("https://[2001:DB8:0::1]:8443") == Origin("https", "[2001:db8::1]:8443")


@pytest.mark.parametrize(
    "url",
    [
        *("gw.example", "ftp://gw.example", "https://", "https://gw.example/a", "https://gw.example//", "null", "*"),
        *("https://gw.example?x", "https://gw.example#x", "https://gw.example:0", "https://bücher.example"),
        "https://a@gw.example",
    ],
)
def test_a_public_url_is_a_scheme_and_a_host_or_the_start_fails(url: str) -> None:
    with pytest.raises(ValueError, match="host"):
        origins(public_url=url)


@pytest.mark.threat(21, 22)
def test_the_public_url_is_the_answer_whatever_the_request_says() -> None:
    of = origins(public_url="https://files.example", hosts=())
    assert of.of(scope(*proto("http"), host="evil.example")) == Origin("https", "files.example")
    assert of.of(scope(*proto("junk"), host=None)) == Origin("https", "files.example")


@pytest.mark.threat(21)
@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"),
        (["http"], "http"),
        (["HTTPS"], "https"),
        ([" https "], "https"),
        (["wss"], "https"),
        (["ws"], "http"),
        (["https,https"], "https"),
        (["https, wss"], "https"),
        (["https", "https"], "https"),
        ([], "http"),
    ],
)
def test_a_trusted_proxy_tells_the_scheme(values: list[str], scheme: str) -> None:
    assert origins().of(scope(*proto(*values))).scheme == scheme


@pytest.mark.threat(21)
@pytest.mark.parametrize(
    "values",
    [
        *(
            ["https, http"],
            ["http,https"],
            ["https", "http"],
            ["javascript"],
            [""],
            ["https,"],
            ["https;"],
            ['"https"'],
        ),
        *(["https://gw.example"], ["https\x00"], ["http\xc5\xbf"], ["file"], ["h ttps"]),
    ],
)
def test_contradicting_or_malformed_forwarded_values_are_refused_with_the_way_out(values: list[str]) -> None:
    detail = refusal(origins(), scope(*proto(*values))).detail
    assert "let the proxy next to the gateway overwrite them" in detail
    assert "GATEWAY_PUBLIC_URL" in detail


@pytest.mark.threat(21)
@pytest.mark.parametrize("value", ["https", "HTTPS", "https, http", "javascript", "wss", ""])
def test_a_stranger_is_believed_nothing(value: str) -> None:
    everything = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "1"),
        ("forwarded", "proto=https;host=evil"),
    ]
    of = origins(headers=FORWARDED_HEADERS)
    assert of.of(scope(*proto(value), *everything, peer=STRANGER)) == Origin("http", "gw.example")


@pytest.mark.threat(21)
def test_only_the_named_headers_are_read() -> None:
    request = scope(
        *proto("https"), ("x-forwarded-host", "evil.example"), ("forwarded", "proto=ftp"), ("x-forwarded-port", "no")
    )
    assert origins().of(request) == Origin("https", "gw.example")
    assert origins(headers=()).of(request) == Origin("http", "gw.example")


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.255.0.1", ["10.0.0.0/8"]),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"]),
        ("10.1.2.3", ["::ffff:10.0.0.0/104"]),
        ("10.1.2.3", ["10.1.2.3"]),
        ("2001:db8::9", ["2001:db8::/32"]),
        ("fe80::1%eth0", ["fe80::/10"]),
    ],
)
def test_a_peer_within_the_ranges_is_trusted(peer: str, trusted: list[str]) -> None:
    assert origins(trusted=tuple(trusted)).of(scope(*proto("https"), peer=peer)).scheme == "https"


@pytest.mark.threat(21)
@pytest.mark.parametrize("peer", ["11.0.0.1", "::ffff:11.0.0.1", "testclient", "", "unix", "10.1.2.3, 10.1.2.3", None])
def test_any_other_peer_is_not_trusted(peer: str | None) -> None:
    assert origins(trusted=("10.0.0.0/8", "unix")).of(scope(*proto("https"), peer=peer)).scheme == "http"


def test_a_peer_on_a_unix_socket_is_trusted_only_by_name() -> None:
    request = scope(*proto("https"), peer=None, server=("/run/gateway.sock", None))
    assert origins(trusted=("unix",)).of(request).scheme == "https"
    assert origins(trusted=("0.0.0.0/0", "::/0")).of(request).scheme == "http"


@pytest.mark.parametrize("trusted", ["10.0.0.1/8", "10.0.0.0/33", "*", "proxy.example", "", "2001:db8::1/32"])
def test_a_range_that_would_match_nothing_ends_the_start(trusted: str) -> None:
    with pytest.raises(ValueError, match=r"host bits|does not appear"):
        origins(trusted=(trusted,))


@pytest.mark.parametrize(
    ("option", "value"), [("headers", ("x-forwarded-for",)), ("hosts", ("*.example",)), ("hosts", ("http://gw",))]
)
def test_a_setting_that_cannot_mean_anything_ends_the_start(option: str, value: tuple[str, ...]) -> None:
    wrong: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=r"forwarded headers|host name"):
        origins(**wrong)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("gw.example", "gw.example"),
        ("GW.Example", "gw.example"),
        ("gw.example:80", "gw.example"),
        ("gw.example:8443", "gw.example:8443"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("[::1]:8000", "[::1]:8000"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("a-b.c--d.example", "a-b.c--d.example"),
    ],
)
def test_a_well_formed_host_is_kept_in_lower_case_without_the_default_port(host: str, expected: str) -> None:
    assert origins(hosts=("*",)).of(scope(host=host)) == Origin("http", expected)


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            " ",
            "a@evil",
            "gw.example:@evil",
            "gw#x",
            "gw/x",
            "gw?x",
            "gw.example:99999",
            "gw.example:0",
            "gw.example:",
        ),
        *("gw.example:080", "gw.example:8x", "gw.example.", ".gw.example", "gw..example", "-gw.example", "gw-.example"),
        *(
            "gw_x.example",
            "gw.example, gw.example",
            "gw.example\x00",
            "gw.example\t",
            "b\xfccher.example",
            "[::1",
            "::1",
        ),
        *("[::1%eth0]", "[1:2]", "[::ffff:999.0.0.1]", "127.1", "2130706433", "0x7f000001", "1.2.3.4.5", "256.1.1.1"),
        *("a" * 64 + ".example", ".".join(["a" * 60] * 5), "gw.example\\evil", "%67w.example", "gw.example:\u00b2"),
    ],
)
def test_a_malformed_host_is_refused_even_where_every_host_is_allowed(host: str) -> None:
    refusal(origins(hosts=("*",)), scope(host=host))


@pytest.mark.threat(22)
def test_no_host_two_hosts_and_an_absolute_target_are_refused() -> None:
    of = origins(hosts=("*",))
    refusal(of, scope(host=None))
    refusal(of, scope(("host", "gw.example")))
    refusal(of, scope(raw_path=b"http://gw.example/v1/uploads"))
    assert of.of(scope(raw_path=None)) == Origin("http", "gw.example")


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    ("host", "scheme", "hosts", "allowed"),
    [
        ("gw.example:8443", "http", ["gw.example"], True),
        ("evil.example", "http", ["gw.example"], False),
        ("gw.example.evil", "http", ["gw.example"], False),
        ("sub.gw.example", "http", ["gw.example"], False),
        ("gw.example:8443", "http", ["gw.example:8443"], True),
        ("gw.example:8444", "http", ["gw.example:8443"], False),
        ("gw.example", "http", ["gw.example:80"], True),
        ("gw.example", "https", ["gw.example:80"], False),
        ("gw.example", "https", ["GW.EXAMPLE:443"], True),
        ("gw.example", "http", [], False),
        ("[::1]:1", "http", ["[0::1]"], True),
    ],
)
def test_the_host_must_be_an_allowed_one(host: str, scheme: str, hosts: list[str], *, allowed: bool) -> None:
    of, request = origins(hosts=tuple(hosts)), scope(host=host, scheme=scheme)
    if allowed:
        assert of.of(request).scheme == scheme
    else:
        assert "GATEWAY_ALLOWED_HOSTS" in refusal(of, request).detail


@pytest.mark.threat(21, 22)
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("x-forwarded-host", "gw.example")], "http://gw.example"),
        ([("x-forwarded-host", "GW.example, gw.example")], "http://gw.example"),
        ([("x-forwarded-host", "gw.example:8443"), ("x-forwarded-port", "8443")], "http://gw.example:8443"),
        ([("x-forwarded-port", "443"), *proto("https")], "https://in.example"),
        ([("x-forwarded-port", "8443, 8443")], "http://in.example:8443"),
        ([("forwarded", "for=192.0.2.1;proto=https;host=gw.example")], "https://gw.example"),
        ([("forwarded", 'proto=https; host="gw.example:8443", for=_x')], "https://gw.example:8443"),
        ([("forwarded", "proto=https"), ("forwarded", "Proto=HTTPS"), *proto("https")], "https://in.example"),
        ([("forwarded", "for=unknown")], "http://in.example"),
    ],
)
def test_what_was_asked_for_is_read_from_a_trusted_proxy(headers: list[tuple[str, str]], expected: str) -> None:
    of = origins(headers=FORWARDED_HEADERS, hosts=("gw.example", "in.example"))
    assert of.of(scope(*headers, host="in.example")).url == expected


@pytest.mark.threat(21, 22)
@pytest.mark.parametrize(
    "headers",
    [
        [("x-forwarded-host", "gw.example, in.example")],
        [("x-forwarded-host", "gw.example"), ("forwarded", "host=in.example")],
        [("x-forwarded-host", "gw.example:1"), ("x-forwarded-port", "2")],
        [("x-forwarded-host", "a@gw.example")],
        [("x-forwarded-host", "evil.example")],
        [("x-forwarded-port", "0")],
        [("x-forwarded-port", "65536")],
        [("x-forwarded-port", "+1")],
        [("x-forwarded-port", "80, 81")],
        [("forwarded", "proto=https, proto=http")],
        [("forwarded", "proto=https"), *proto("http")],
        [("forwarded", "proto=https;proto=https")],
        [("forwarded", "proto")],
        [("forwarded", "proto=")],
        [("forwarded", 'proto="https')],
        [("forwarded", "proto=https for=1")],
        [("forwarded", "host=gw.example:8443")],
        [("forwarded", "for=\xe9")],
    ],
)
def test_contradictions_between_forwarded_headers_are_refused(headers: list[tuple[str, str]]) -> None:
    refusal(origins(headers=FORWARDED_HEADERS, hosts=("gw.example", "in.example")), scope(*headers, host="in.example"))


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", [{}]),
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}]),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        (r'a="x\"y\\;,=z";b=c', [{"a": 'x"y\\;,=z', "b": "c"}]),
        (",, ;", [{}, {}, {}]),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(text: str, elements: list[dict[str, str]]) -> None:
    assert parse_forwarded(text) == elements


@pytest.mark.parametrize("text", ["," + " " * 30_000 + "@", "a=" + "b" * 30_000 + "@", 'a="' + r"\"" * 15_000])
def test_a_long_malformed_forwarded_header_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="malformed"):
        parse_forwarded(text)
    assert time.process_time() - began < 0.5  # seconds; quadratic time would take ten times that


_TOKENS = st.text(alphabet="abcXYZ019!#$%&'*+.^_`|~-", min_size=1)
_QUOTABLE = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(st.lists(st.dictionaries(_TOKENS.map(str.lower), _QUOTABLE), min_size=1))
def test_every_forwarded_header_that_can_be_written_is_read_back(elements: list[dict[str, str]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(";".join(f"{name}={quoted(value)}" for name, value in each.items()) for each in elements)
    assert parse_forwarded(text) == elements


@given(st.binary(), st.sampled_from([b"host", *(name.encode() for name in FORWARDED_HEADERS)]))
@example(b"for=" + b'"' * 5000, b"forwarded")
@example(b"," * 5000, b"x-forwarded-host")
def test_no_bytes_make_anything_but_an_origin_or_a_refusal(value: bytes, name: bytes) -> None:
    request = scope(host=None if name == b"host" else "gw.example")
    request["headers"].append((name, value))
    outcome: Origin | Code
    try:
        outcome = origins(headers=FORWARDED_HEADERS, hosts=("*",)).of(request)
    except Refusal as refused:
        outcome = refused.code
    assert outcome is Code.BAD_REQUEST or (isinstance(outcome, Origin) and Origin.parse(outcome.url) == outcome)


async def _echo(scope: Scope, receive: Receive, send_message: Send) -> None:
    try:
        response = Response(origins(trusted=("127.0.0.1",)).of(scope).url)
    except Refusal as refused:
        response = Response(status_code=refused.code.status)
    await response(scope, receive, send_message)


@pytest.fixture(scope="module")
def echo() -> Iterator[Address]:
    with serving(_echo) as address:
        yield address


@pytest.mark.threat(21, 22)
def test_a_real_request_tells_its_origin(echo: Address) -> None:
    assert get(echo, "/", "X-Forwarded-Proto: https").body == b"https://gw.example"
    assert get(echo, "//evil.example/x").body == b"http://gw.example"


@pytest.mark.threat(21)
@pytest.mark.parametrize(("trusted", "scheme"), [("unix", "https"), ("127.0.0.1", "http")])
def test_a_real_proxy_on_a_unix_socket_is_believed_when_it_is_trusted(
    tmp_path: Path, trusted: str, scheme: str
) -> None:
    async def app(scope: Scope, receive: Receive, send_message: Send) -> None:
        await Response(origins(trusted=(trusted,)).of(scope).url)(scope, receive, send_message)

    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(path)
        listener.listen()
        with serving(app, listener):
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: gw.example\r\nX-Forwarded-Proto: https\r\n\r\n")
            assert read_reply(connection).body.decode() == f"{scheme}://gw.example"


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example\r\nHost: gw.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example:99999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw.example:@evil\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        b"GET http://gw.example/ HTTP/1.1\r\nHost: gw.example\r\n\r\n",
    ],
)
def test_a_real_request_whose_host_is_unclear_is_refused(echo: Address, head: bytes) -> None:
    assert send(echo, head).status == 400
