from collections.abc import Callable

import pytest
from pydantic import SecretStr

from gateway.setting_values import (
    check_bucket,
    check_jwks_url,
    check_name,
    check_region,
    check_secret,
    parse_host,
    parse_origin,
    parse_proxy,
    parse_size,
)


def refuses(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except ValueError:
        return True
    return False


@pytest.mark.threat(46)
def test_a_secret_could_be_random_text_of_at_least_32_bytes() -> None:
    good = "5f2c9be07a31d8460c7fe1b2a9d3546e"
    for text in (good, good * 2 + "+/=", "kJ9s82hGq_-Zm4Tx0vB7yN3cW6rL1pQe"):
        assert check_secret(SecretStr(text)).get_secret_value() == text
    for text in (
        "",
        good[:-1],
        good + ",",
        good + " ",
        good + "\0",
        good + "é",
        "ab" * 40,
        good + "password",
        "0" * 64,
    ):
        assert refuses(lambda text: check_secret(SecretStr(text)), text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("7", 7),
        (7, 7),
        ("7B", 7),
        ("100 MB", 100_000_000),
        ("100MiB", 104_857_600),
        ("5 GiB", 5_368_709_120),
        ("1 gb", 1_000_000_000),
        ("64 kB", 64_000),
        ("64 KiB", 65_536),
        ("5 TB", 5_000_000_000_000),
        ("48 TiB", 52_776_558_133_248),
    ],
)
def test_a_size_is_a_number_of_bytes_with_or_without_a_unit(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "value", ["", "MB", "-1", "1.5 GB", "1 ib", "1 PB", "1 tib/s", "1  MB", "٣", "1_000", True, 1.0, None, [1]]
)
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="number of bytes"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTPS://Example.COM", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[0:0::1]:9000", "http://[::1]:9000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_a_browser_writes_it(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.threat(30)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "null",
        "example.com",
        "//example.com",
        "https://",
        "https://*",
        "https://*.example.com",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?x",
        "https://example.com#x",
        "https://user@example.com",
        "https://exam ple.com",
        "https://example.com\n",
        "https://exam\u212ale.com",
        "https://bücher.example",
        "https://a..b",
        "https://-a.example",
        "https://a_b.example",
        "https://127.1",
        "https://0x7f000001",
        "https://256.0.0.1",
        "https://[::1",
        "https://[1::2::3]",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:",
        "ftp://example.com",
        "javascript://example.com",
        f"https://{'a.' * 127}example.com",
    ],
)
def test_anything_else_is_no_origin(text: str) -> None:
    assert refuses(parse_origin, text)


def test_a_host_has_a_port_or_none_and_is_no_pattern() -> None:
    assert [parse_host(text) for text in ("Example.COM", "localhost:8000", "[::0:1]", "10.0.0.1")] == [
        "example.com",
        "localhost:8000",
        "[::1]",
        "10.0.0.1",
    ]
    for text in ("", "*", "*.example.com", "https://example.com", "a/b", "a@b", "a:99999", "a b", ".a", "1.2.3"):
        assert refuses(parse_host, text)


@pytest.mark.threat(21)
def test_a_proxy_is_a_network_without_host_bits_or_unix() -> None:
    assert [parse_proxy(text) for text in ("10.0.0.0/8", "192.0.2.7", "::1", "fd00::/8", "unix")] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "::1/128",
        "fd00::/8",
        "unix",
    ]
    for text in ("", "*", "10.0.0.1/8", "10.0.0.0/33", "proxy.internal", "10.0.0.0/8, 10.1.0.0/16", "127.1", "UNIX"):
        assert refuses(parse_proxy, text)


def test_names_buckets_and_regions_have_their_forms() -> None:
    for text in ("a", "default", "my-app-2", "a" * 63):
        assert check_name(text) == text
    for text in ("", "A", "a_b", "-a", "a-", "a.b", "a/b", "é", "a\n", "a" * 64):
        assert refuses(check_name, text)
    for text in ("abc", "my.bucket", "Old_Bucket", "a" * 63):
        assert check_bucket(text) == text
    for text in ("", "ab", "a..b", ".abc", "abc-", "a/b", "a b c", "a" * 64, "bücher", "abc\n"):
        assert refuses(check_bucket, text)
    assert check_region("us-east-1") == "us-east-1"
    for text in ("", "US-EAST-1", "eu/central", "a b", "a" * 33):
        assert refuses(check_region, text)


def test_a_jwks_comes_by_https_or_from_this_machine() -> None:
    for text in (
        "https://idp.example/.well-known/jwks.json?v=1",
        "https://idp.example:8443/",
        "http://localhost:9000/jwks",
        "http://127.0.0.2/jwks",
        "http://[::1]:9000/jwks",
    ):
        assert check_jwks_url(text) == text
    for text in (
        "",
        "http://idp.example/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.example/jwks",
        "http://127.0.0.1@idp.example/jwks",
        "https://user:word@idp.example/jwks",
        "https:///jwks",
        "https://idp.example/jwks#x",
        "https://idp.example:0/jwks",
        "https://idp.example:port/jwks",
        "https://[::1/jwks",
        "https://idp.example\\@evil.example",
        "https://idp.example/a b",
        "https://idp.example/é",
        "file:///etc/passwd",
        "ftp://localhost/jwks",
    ):
        assert refuses(check_jwks_url, text)
