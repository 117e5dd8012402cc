"""The origin that the caller's browser used: the one place that decides which scheme and host an absolute URL carries.

`GATEWAY_PUBLIC_URL`, when set, is the answer. Otherwise the request is, and its forwarded headers only when the peer is
a trusted proxy, and only those that were asked for: a proxy passes on what a client sent unless told to overwrite it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeVar

from starlette.types import Scope

from gateway.authorities import Authority, parse_port
from gateway.errors import Code, Refusal
from gateway.http.forwarded import parse_forwarded

Scheme = Literal["http", "https"]
Fields = tuple[tuple[bytes, bytes], ...]
_Value = TypeVar("_Value")

FORWARDED_HEADERS = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded")
_SCHEMES: dict[str, Scheme] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORT: dict[Scheme, int] = {"http": 80, "https": 443}
_MAPPED_BITS = 96  # ::ffff:0:0/96 holds the IPv4 addresses, RFC 4291 section 2.5.5.2
_REMEMBERED = 512  # answers kept, one per combination of header values

_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#@]+)/?", re.IGNORECASE)

_BAD_HOST = "Send exactly one Host header with a host name or address, and a path as the request target."
_UNKNOWN_HOST = "This host is not among those that GATEWAY_ALLOWED_HOSTS names."
_BAD_FORWARDED = (
    "The forwarded headers are malformed or contradict each other: "
    "let the proxy next to the gateway overwrite them, or set GATEWAY_PUBLIC_URL."
)


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme and a `host` or `host:port`; the port is written only where it is not the scheme's own."""

    scheme: Scheme
    host: str

    @property
    def url(self) -> str:
        """`https://host:port`, without a trailing slash."""
        return f"{self.scheme}://{self.host}"

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Read `http(s)://host[:port]`, with at most one slash behind it; ValueError for anything else."""
        match = _URL.fullmatch(url)
        if match is None:
            raise ValueError("not http://host or https://host without path, query or user")
        return cls.at(_SCHEMES[match["scheme"].lower()], Authority.parse(match["authority"]))

    @classmethod
    def at(cls, scheme: Scheme, authority: Authority) -> "Origin":
        """Write `authority` as a browser would under `scheme`."""
        if authority.port in (None, _DEFAULT_PORT[scheme]):
            return cls(scheme, authority.name)
        return cls(scheme, f"{authority.name}:{authority.port}")


class Origins:
    """Tells the origin of each request."""

    def __init__(
        self,
        *,
        public_url: str | None,
        trusted_proxies: Sequence[str],
        forwarded_headers: Sequence[str],
        allowed_hosts: Sequence[str],
    ) -> None:
        """Take the settings; ValueError where one cannot mean what it says.

        `trusted_proxies`: CIDRs without host bits, addresses, or `unix` for a peer on a Unix socket.
        `allowed_hosts`: `host` (on any port) or `host:port`; every well-formed host only by an explicit `*`.
        """
        unknown = [name for name in forwarded_headers if name.lower() not in FORWARDED_HEADERS]
        if unknown:
            raise ValueError(f"the forwarded headers may be {', '.join(FORWARDED_HEADERS)}")
        self._public = None if public_url is None else Origin.parse(public_url)
        self._networks = tuple(_parse_network(text) for text in trusted_proxies if text != "unix")
        self._trusts_unix = "unix" in trusted_proxies
        self._from_anyone = frozenset([b"host"])
        self._from_proxies = self._from_anyone | {name.lower().encode() for name in forwarded_headers}
        self._any_host = "*" in allowed_hosts
        self._hosts = frozenset(Authority.parse(text) for text in allowed_hosts if text != "*")
        self._is_trusted = lru_cache(_REMEMBERED)(self._in_networks)
        self._decide = lru_cache(_REMEMBERED)(self._decide_anew)

    def of(self, scope: Scope) -> Origin:
        """Return the origin of an HTTP request's ASGI scope; a `bad-request` refusal where it cannot be told."""
        if self._public is not None:
            return self._public
        if (scope.get("raw_path") or b"/")[:1] != b"/":  # absolute-form (RFC 9112 section 3.2.2) names a second host
            raise Refusal(Code.BAD_REQUEST, _BAD_HOST)
        wanted = self._from_proxies if self._trusts(scope) else self._from_anyone
        return self._decide(scope["scheme"], tuple([field for field in scope["headers"] if field[0] in wanted]))

    def _trusts(self, scope: Scope) -> bool:
        client = scope.get("client")
        if client is None:  # on a Unix socket ASGI has no client, and the server is (path, None)
            server = scope.get("server")
            return self._trusts_unix and server is not None and server[1] is None
        return bool(self._networks) and self._is_trusted(client[0])

    def _in_networks(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _decide_anew(self, request_scheme: str, fields: Fields) -> Origin:
        written = _host_header(fields)
        try:
            scheme, host, port = _read_forwarded(fields)
        except ValueError:
            raise Refusal(Code.BAD_REQUEST, _BAD_FORWARDED) from None
        scheme = scheme or _SCHEMES[request_scheme]
        authority = host or written
        if port is not None:
            authority = Authority(authority.name, port)
        self._check_allowed(scheme, authority)
        return Origin.at(scheme, authority)

    def _check_allowed(self, scheme: Scheme, authority: Authority) -> None:
        anywhere = Authority(authority.name, None)
        exactly = Authority(authority.name, authority.port or _DEFAULT_PORT[scheme])
        if not (self._any_host or anywhere in self._hosts or exactly in self._hosts):
            raise Refusal(Code.BAD_REQUEST, _UNKNOWN_HOST)


def _host_header(fields: Fields) -> Authority:
    hosts = [value for name, value in fields if name == b"host"]
    try:
        (host,) = hosts
        return Authority.parse(host.decode("ascii"))
    except ValueError:
        raise Refusal(Code.BAD_REQUEST, _BAD_HOST) from None


def _read_forwarded(fields: Fields) -> tuple[Scheme | None, Authority | None, int | None]:
    """Collect every forwarded scheme, host and port; ValueError where one is malformed or two differ."""
    schemes: list[str] = []
    hosts: list[str] = []
    ports: list[str] = []
    lists = {b"x-forwarded-proto": schemes, b"x-forwarded-host": hosts, b"x-forwarded-port": ports}
    for name, value in fields:
        if name == b"forwarded":
            for element in parse_forwarded(value.decode("ascii")):
                schemes += [element["proto"]] if "proto" in element else []
                hosts += [element["host"]] if "host" in element else []
        elif name in lists:
            lists[name] += [part.strip(" \t") for part in value.decode("ascii").split(",")]
    host = _agreed(map(Authority.parse, hosts))
    port = _agreed(map(parse_port, ports))
    if host is not None and host.port is not None and port is not None:
        _agreed((host.port, port))
    return _agreed(map(_parse_scheme, schemes)), host, port


def _agreed(values: Iterable[_Value]) -> _Value | None:
    distinct = set(values)
    if len(distinct) > 1:
        raise ValueError("the values differ")
    return distinct.pop() if distinct else None


def _parse_scheme(text: str) -> Scheme:
    scheme = _SCHEMES.get(text.lower())
    if scheme is None:
        raise ValueError("neither http nor https")
    return scheme


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    """Read an address or a CIDR; ValueError for host bits, which would otherwise trust nobody or everybody silently."""
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
