"""Authorities: hosts, with a port or without, read as a browser reads them, in settings as in requests."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_HIGHEST_PORT = 65_535
_LONGEST_NAME = 253  # characters, RFC 1035 section 2.3.4 without the length octets
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY = re.compile(rf"(?P<name>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(?::(?P<port>[1-9][0-9]{{0,4}}))?")
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")  # a browser reads such a name as an IPv4 address


@dataclass(frozen=True, slots=True)
class Authority:
    """A host, in lower case and with an IPv6 address in brackets, and the port that was written, if any."""

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Authority":
        """Read `host` or `host:port`; an internationalised name in its ASCII form (xn--…). ValueError otherwise."""
        match = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
        if match is None or len(match["name"]) > _LONGEST_NAME:
            raise ValueError("not a host name or address with an optional port")
        return cls(_canonical_name(match["name"]), None if match["port"] is None else parse_port(match["port"]))


def parse_port(text: str) -> int:
    """Read a port from 1 to 65535, without leading zeros; ValueError otherwise."""
    if re.fullmatch(r"[1-9][0-9]{0,4}", text, re.ASCII) is None or int(text) > _HIGHEST_PORT:
        raise ValueError("not a port from 1 to 65535")
    return int(text)


def _canonical_name(name: str) -> str:
    if name.startswith("["):
        return f"[{IPv6Address(name[1:-1]).compressed}]"
    return str(IPv4Address(name)) if _NUMERIC.fullmatch(name) else name
