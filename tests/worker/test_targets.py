"""Which addresses a webhook may go to: public ones, and what the operator lists; never what hides another address."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from gateway.webhook_targets import check_target, is_allowed
from gateway.worker.names import Names

PATIENT = 60.0  # seconds: as good as none, on any machine
# Python says is_global of the first five: of the two that hide 127.0.0.1 behind a relay, of one that is IPv4 in
# disguise, of what was private before fc00::/7 came, and of multicast.
CALLED_GLOBAL = ["64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "fec0::1", "224.0.0.1"]
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
]
MAPPED = ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8"]
NOT_PUBLIC = [
    *("0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1"),
    *("169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "239.255.255.255", "240.0.0.1"),
    "255.255.255.255",
    *(
        "::",
        "::1",
        "100::1",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:808:808::", "3fff::1", "5f00::1"),
    *("fc00::1", "fdff::1", "fe80::1", "fe80::1%1", "febf::1", "feff::1", "ff02::1", "4000::1", "1::1"),
    "2606:4700:4700::1111%1",
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *(
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "223.255.255.255",
    ),
    *("2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00:1450:4001:829::200e"),
]
# Spellings of 127.0.0.1 that a resolver of the C library takes; the last is in fullwidth digits.
SPELLINGS = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "①②⑦.⓪.⓪.①", "127.0.0.1", "localhost"]


def allowed(address: str, *networks: str) -> bool:
    return is_allowed(ip_address(address), [ip_network(network) for network in networks])


@pytest.mark.threat(31)
@pytest.mark.parametrize("address", [*CALLED_GLOBAL, *METADATA, *MAPPED, *NOT_PUBLIC])
def test_what_is_not_public_unicast_is_refused(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert allowed(address)


@pytest.mark.threat(31)
def test_every_address_that_is_private_for_python_is_refused_too() -> None:
    """A block that Python learns of later is found here."""
    tried = [f"{first}.{second}.0.1" for first in range(256) for second in range(0, 256, 3)]
    tried += [f"{first:x}:{second:x}::1" for first in range(0, 2**16, 2**8) for second in (0, 2, 0x10, 0xDB8, 0xFFFF)]
    addresses = [ip_address(text) for text in tried]
    assert [address for address in addresses if is_allowed(address) and not address.is_global] == []
    assert sum(map(is_allowed, addresses)) > len(addresses) / 2


def test_an_operator_s_own_networks_are_allowed_and_what_lies_beside_them_is_not() -> None:
    own = ("10.1.0.0/16", "fd00:1::/32", "127.0.0.1/32", "::1/128")
    assert [allowed(address, *own) for address in ("10.1.2.3", "fd00:1::5", "127.0.0.1", "::1", "8.8.8.8")] == [
        True
    ] * 5
    assert [allowed(address, *own) for address in ("10.2.0.1", "fd00:2::1", "127.0.0.2", "::2")] == [False] * 4


@pytest.mark.threat(31)
@pytest.mark.parametrize("address", [*METADATA, *MAPPED, "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"])  # noqa: S104 - to be refused
def test_some_addresses_no_network_allows(address: str) -> None:
    assert not allowed(address, "0.0.0.0/0", "::/0")


NEVER = "names an address to which no webhook may go"
INSIDE = "names an address that is not public: it needs a network in GATEWAY_WEBHOOK_NETWORKS"


@pytest.mark.parametrize(
    ("host", "networks", "reason"),
    [
        ("app.example", [], None),
        ("8.8.8.8:8443", [], None),
        ("[2a00:1450:4001:829::200e]", [], None),
        ("10.0.0.5", [], INSIDE),
        ("10.0.0.5", ["10.0.0.0/24", "::1/128"], None),
        ("10.0.1.5", ["10.0.0.0/24"], INSIDE),
        ("[fd00::5]:8443", [], INSIDE),
        ("127.0.0.1:8000", ["::1/128"], INSIDE),
        ("127.0.0.1:8000", ["127.0.0.1/32"], None),
        ("localhost:8000", [], INSIDE),
        ("localhost:8000", ["127.0.0.0/8"], None),  # a machine may have either alone
        ("LOCALHOST", ["::1/128"], None),
        ("169.254.1.1", [], INSIDE),
        ("169.254.169.254", [], NEVER),
        ("169.254.169.254", ["169.254.0.0/16", "0.0.0.0/0"], NEVER),
        ("[::ffff:127.0.0.1]", ["::/0"], NEVER),
    ],
)
def test_a_target_that_names_an_address_says_before_any_call_whether_it_may_be_one(
    host: str, networks: list[str], reason: str | None
) -> None:
    told = None
    try:
        check_target(f"https://{host}/hooks", [ip_network(network) for network in networks])
    except ValueError as error:
        told = str(error)
    assert told == reason


@pytest.mark.threat(31)
@pytest.mark.parametrize("host", SPELLINGS)
async def test_however_it_is_spelt_this_machine_resolves_to_what_is_refused(host: str) -> None:
    addresses = await Names(PATIENT)(host, 443)
    assert "127.0.0.1" in addresses
    assert not any(allowed(address) for address in addresses)


async def test_a_host_has_each_of_its_addresses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        kinds = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [
            (socket.AF_INET6, *kinds, ("2001:db8::1", 443, 0, 0)),
            (socket.AF_INET, *kinds, ("192.0.2.1", 443)),
            (socket.AF_INET, *kinds, ("192.0.2.1", 443)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert await Names(PATIENT)("hooks.example", 443) == ["2001:db8::1", "192.0.2.1"]
