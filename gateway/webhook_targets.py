"""Targets: which addresses a webhook may go to. Pure.

What is public is listed here, and not asked of `ipaddress.is_global`: that says yes to addresses that carry another
one within (`64:ff9b::7f00:1` is 127.0.0.1), to site-local ones and to multicast, and changes with Python's versions.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# https://www.iana.org/assignments/iana-ipv4-special-registry
_NOT_PUBLIC_V4 = (
    "0.0.0.0/8",  # this host
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by carriers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, and the metadata of most clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
# https://www.iana.org/assignments/ipv6-unicast-address-assignments: nothing else is assigned for global unicast.
_PUBLIC_V6 = "2000::/3"
# https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC_V6 = (
    "2001::/23",  # protocol assignments, among them Teredo, ORCHID and benchmarks
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: carries an IPv4 address
    "3fff::/20",  # documentation
)
# Whatever networks the operator lists: no receiver is there, and what is reached is not what is written.
_NEVER = (
    "0.0.0.0/8",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/96",  # unspecified, loopback's block, and IPv4-compatible
    "::ffff:0:0/96",  # IPv4-mapped
    "ff00::/8",
    # Services that tell a machine its credentials.
    "169.254.169.254/32",  # AWS, Azure, Google and others
    "fd00:ec2::254/128",  # AWS
    "169.254.170.2/32",  # AWS, of containers
    "169.254.170.23/32",  # AWS, of pods
    "fd00:ec2::23/128",  # AWS, of pods
    "fd20:ce::254/128",  # Google
    "100.100.100.200/32",  # Alibaba
    "192.0.0.192/32",  # Oracle
    "168.63.129.16/32",  # Azure's, which is public by its number
)


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_BLOCKED_V4, _BLOCKED_V6, _BLOCKED = _networks(_NOT_PUBLIC_V4), _networks(_NOT_PUBLIC_V6), _networks(_NEVER)
_GLOBAL_V6 = ip_network(_PUBLIC_V6)
_LOOPBACK_V6 = IPv6Address("::1")
_ALL = _networks(["0.0.0.0/0", "::/0"])
_LOCALHOST = IPv4Address("127.0.0.1"), _LOOPBACK_V6


def is_allowed(address: Address, networks: Iterable[Network] = ()) -> bool:
    """Tell whether an address is public unicast, or lies in one of the operator's own networks."""
    if address != _LOOPBACK_V6 and _within(address, _BLOCKED):
        return False
    return _is_public(address) or _within(address, networks)


def check_target(url: str, networks: Collection[Network]) -> None:
    """Refuse a URL that names an address to which a webhook may not go; other names say theirs when they are resolved.

    Raises ValueError with the rest of a sentence that begins with the setting's name.
    """
    addresses = _named(urlsplit(url).hostname or "")
    if not addresses:
        return
    if not any(is_allowed(address, _ALL) for address in addresses):
        raise ValueError("names an address to which no webhook may go")
    if not any(is_allowed(address, networks) for address in addresses):
        raise ValueError("names an address that is not public: it needs a network in GATEWAY_WEBHOOK_NETWORKS")


def _named(host: str) -> Collection[Address]:
    if host == "localhost":
        return _LOCALHOST  # either, as a machine may have it
    try:
        return [ip_address(host)]
    except ValueError:
        return []


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not _within(address, _BLOCKED_V4)
    return address.scope_id is None and address in _GLOBAL_V6 and not _within(address, _BLOCKED_V6)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
