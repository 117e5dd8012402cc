from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.setting_values import (
    check_bucket,
    check_jwks_url,
    check_limits_url,
    check_name,
    check_queue_url,
    check_region,
    check_secret,
    check_socket,
    check_webhook_secret,
    check_webhook_url,
    parse_host,
    parse_network,
    parse_origin,
    parse_proxy,
    parse_size,
    queue_region,
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


@pytest.mark.parametrize(
    "text",
    [
        "https://sqs.eu-central-1.amazonaws.com/123456789012/gateway-events",
        "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/Gateway_Events",
        "http://127.0.0.1:4566/000000000000/events",
        "http://[::1]:4566/000000000000/events",
        "http://sqs.eu-central-1.localhost.localstack.cloud:4566/000000000000/e",
        f"https://sqs.eu-central-1.amazonaws.com/123456789012/{'q' * 80}",
    ],
)
def test_a_queue_is_named_as_sqs_names_it(text: str) -> None:
    assert check_queue_url(text) == text


@pytest.mark.parametrize(
    ("origin", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://SQS.EU-Central-1.AmazonAWS.com:443", "eu-central-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://sqs.eu-west-1.api.aws", "eu-west-1"),
        ("https://vpce-0a1b-2c3d.sqs.us-east-2.vpce.amazonaws.com", "us-east-2"),
        ("https://us-west-2.queue.amazonaws.com", "us-west-2"),
        ("https://queue.amazonaws.com", None),
        ("https://sqs.eu-central-1.amazonaws.com.example", None),
        ("http://sqs.eu-central-1.localhost.localstack.cloud:4566", None),
        ("http://127.0.0.1:4566", None),
    ],
)
def test_a_queue_of_aws_says_in_which_region_it_is(origin: str, region: str | None) -> None:
    # https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
    assert queue_region(check_queue_url(f"{origin}/123456789012/events")) == region


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gateway-events",
        "arn:aws:sqs:eu-central-1:123456789012:gateway-events",
        "https://sqs.eu-central-1.amazonaws.com",
        "https://sqs.eu-central-1.amazonaws.com/gateway-events",
        "https://sqs.eu-central-1.amazonaws.com/12345678901/events",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events/",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo",  # S3 sends to none of these
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events?x",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events#x",
        "https://sqs.eu-central-1.amazonaws.com//123456789012/events",
        f"https://sqs.eu-central-1.amazonaws.com/123456789012/{'q' * 81}",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/ev\nents",  # which urlsplit leaves out
        "https://sqs.eu-central-1.amazonaws.com/123456789012/events\n",
        " https://sqs.eu-central-1.amazonaws.com/123456789012/events",
        "https://sqs.eu-central-1.amazonaws.com/١٢٣٤٥٦٧٨٩٠١٢/events",
        "https://user:word@sqs.eu-central-1.amazonaws.com/123456789012/events",
        "https://user@sqs.eu-central-1.amazonaws.com/123456789012/events",
        "http://127.0.0.1:0/000000000000/events",
        "http://127.0.0.1:65536/000000000000/events",
        "http://127.0.0.1:port/000000000000/events",
        "http://127.0.0.1:/000000000000/events",
        "http://[::1/000000000000/events",
        "http://[1::2::3]:4566/000000000000/events",
        "http:///000000000000/events",
        "http://a\\b/000000000000/events",
        "http://bücher.example/000000000000/events",
        "http://exam\u212ale.com/000000000000/events",
        "sqs://127.0.0.1/000000000000/events",
    ],
)
def test_anything_else_is_no_queue_and_all_of_it_is_told_alike(text: str) -> None:
    with pytest.raises(ValueError, match="has to be the URL of an SQS queue") as refused:
        check_queue_url(text)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [
        "redis://127.0.0.1:6379",
        "redis://127.0.0.1",
        "redis://redis/",
        "redis://redis.internal:6380/15",
        "redis://[::1]:6379/0",
        "redis://:hunter2@127.0.0.1:6379/0",
        "redis://user:hunter2%40%2F%3A@127.0.0.1",
        "redis://user@127.0.0.1",
        "rediss://user:hunter2@redis.example:6380/1",
        "redis+unix:///run/redis/redis.sock",
        "redis+unix:///run/redis.sock?db=3",
        "redis+unix://:hunter2@/run/redis.sock",
    ],
)
def test_a_redis_is_reached_by_tcp_by_tls_or_by_a_socket(text: str) -> None:
    assert check_limits_url(SecretStr(text)).get_secret_value() == text


@pytest.mark.threat(26)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:6379",
        "memory://",
        "unix:///run/redis.sock",
        "http://127.0.0.1:6379",
        "REDIS://127.0.0.1",
        "redis+cluster://127.0.0.1:6379",
        "redis:127.0.0.1",
        "redis://",
        "redis:///0",
        "redis://:hunter2@",
        "redis://:hunter2@:6379",
        "redis://:hunter2@127.0.0.1:0",
        "redis://:hunter2@127.0.0.1:65536",
        "redis://:hunter2@127.0.0.1:port",
        "redis://:hunter2@127.0.0.1:6379/zero",
        "redis://:hunter2@127.0.0.1:6379/0/1",
        "redis://:hunter2@127.0.0.1:6379/-1",
        "redis://:hunter2@127.0.0.1,127.0.0.2",
        "redis://:hunter2/x@127.0.0.1",  # urlsplit takes the password for a port, and repeats it
        "redis://:hunter2#x@127.0.0.1",
        "redis://:hunter2?x@127.0.0.1",
        "redis://:hunter2@x@127.0.0.1",
        "redis://:hunter2[@127.0.0.1",
        "redis://:hunter\u21162@127.0.0.1",
        "redis://127.0.0.1?password=hunter2",
        "redis://127.0.0.1?socket_timeout=600",
        "redis://127.0.0.1?surprise=hunter2",
        "redis://127.0.0.1#hunter2",
        "redis://[::1",
        "redis://127.0.0.1\n",
        " redis://127.0.0.1",
        "redis://a b",
        "redis+unix://",
        "redis+unix:///",
        "redis+unix://run/redis.sock",
        "redis+unix://:hunter2@run/redis.sock",
        "redis+unix:///run/redis.sock?db=x",
        "redis+unix:///run/redis.sock?password=hunter2",
    ],
)
def test_anything_else_is_no_redis_and_no_password_is_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="has to be the address of a Redis") as refused:
        check_limits_url(SecretStr(text))
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert "hunter2" not in str(refused.value)


def test_a_webhook_goes_by_https_or_to_this_machine() -> None:
    for text in (
        "https://app.example/hooks?from=gateway",
        "https://app.example",
        "https://app.example:8443/",
        "http://localhost:9000/hooks",
        "http://127.0.0.2/hooks",
        "http://[::1]:9000/hooks",
    ):
        assert check_webhook_url(text) == text
    for text in (
        "",
        "app.example",
        "http://app.example/hooks",
        "http://10.0.0.1/hooks",
        "http://localhost.example/hooks",
        "https://user:word@app.example/hooks",
        "https://user@app.example/hooks",
        "http://127.0.0.1@app.example/hooks",
        "https:///hooks",
        "https://app.example/hooks#x",
        "https://app.example:0/hooks",
        "https://app.example:port/hooks",
        "https://app.example:65536/hooks",
        "https://[::1/hooks",
        "https://app.example\\@evil.example",
        "https://app.example/a b",
        "https://app.example/a\nb",
        "https://bücher.example/hooks",
        "ftp://localhost/hooks",
        "javascript:alert(1)",
    ):
        assert refuses(check_webhook_url, text), text


@pytest.mark.threat(46)
def test_a_webhook_secret_is_written_as_standard_webhooks_does() -> None:
    """Between 24 and 64 bytes in base64, behind `whsec_`: standard-webhooks.md, "Signature scheme"."""

    def secret(length: int) -> str:
        return "whsec_" + b64encode(bytes(range(length))).decode()

    for text in (secret(24), secret(32), secret(64), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        assert check_webhook_secret(SecretStr(text)).get_secret_value() == text
    for text in (
        "",
        "whsec_",
        secret(23),
        secret(65),
        secret(32).removeprefix("whsec_"),
        secret(32).rstrip("="),
        secret(32) + "\n",
        secret(32) + "é",
        secret(32).replace("A", "-", 1),
        "whpk_" + secret(32),
        "WHSEC_" + secret(32)[6:],
    ):
        assert refuses(lambda text: check_webhook_secret(SecretStr(text)), text), text


def test_a_network_is_one_without_host_bits() -> None:
    assert [parse_network(text) for text in ("10.0.0.0/8", "192.0.2.7", "fd00::/8", "10.0.0.0/255.0.0.0")] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::/8",
        "10.0.0.0/8",
    ]
    for text in ("", "*", "unix", "10.0.0.1/8", "10.0.0.0/33", "app.internal", "10.0.0.0/8,10.1.0.0/16", "127.1"):
        assert refuses(parse_network, text), text


def test_a_socket_has_an_absolute_path_that_the_kernel_takes() -> None:
    longest = "/" + "s" * 106
    for text in ("/run/clamav/clamd.ctl", "/nowhere/yet", longest):
        assert check_socket(Path(text)) == Path(text)
    for text in ("clamd.ctl", "./clamd.ctl", "", "~/clamd.ctl", longest + "s", "/" + "é" * 54):
        assert refuses(lambda text: check_socket(Path(text)), text), text
