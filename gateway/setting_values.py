"""The texts that settings are made of: secrets, sizes, names and addresses, each checked once and in words.

The checks raise ValueError with the rest of a sentence that begins with the setting's name, and never repeat the value.
"""

import os
import re
from base64 import b64decode
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from gateway.authorities import Authority
from gateway.grants.keys import SEGMENT

SECRET_BYTES = 32  # the output of HMAC-SHA256: RFC 2104, section 3
DISTINCT = 8  # characters; 32 random hexadecimal digits hold fewer once in 27 million
_WEAK = re.compile(r"change.?me|change.?this|password|placeholder|01234567|abcdefgh", re.IGNORECASE)
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{unit}": base**power
    for power, letter in enumerate("kmgt", 1)
    for unit, base in (("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"(\d{1,15}) ?(b|[kmgt]i?b)?", re.IGNORECASE | re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_QUEUE = re.compile(r"(https?://[^/?#]+)/[0-9]{12}/[A-Za-z0-9_-]{1,80}")
_QUEUE_REGION = re.compile(
    r"https?://(?:(?:[^/]+\.)?sqs(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?|([a-z0-9-]+)\.queue\.)"
    r"(?:amazonaws\.com(?:\.cn)?|api\.aws)(?::[0-9]+)?/",
    re.IGNORECASE,
)
_USER = r"(?:[\w.~!$&'()*+,;=:%-]*@)?"
_REDIS = re.compile(
    rf"rediss?://{_USER}([^/?#@]+)(?:/[0-9]{{0,5}})?|redis\+unix://{_USER}/[\w.~%/-]+(?:\?db=[0-9]{{1,5}})?", re.ASCII
)
_SOCKET_BYTES = 107  # unix(7): 108, of which the last is zero
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_secret(secret: SecretStr) -> SecretStr:
    """Pass what could be random text of at least 32 bytes; a comma or a space betrays a list written as one text."""
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text or "," in text:
        raise ValueError("has to be printable ASCII without spaces and commas")
    if len(text) < SECRET_BYTES:
        raise ValueError(f"has to be at least {SECRET_BYTES} bytes: take 32 random ones in hexadecimal")
    if len(set(text)) < DISTINCT or text in (text + text)[1:-1] or _WEAK.search(text):
        raise ValueError("is easily guessed: take 32 random bytes in hexadecimal")
    return secret


def check_distinct(secrets: list[SecretStr]) -> list[SecretStr]:
    """Refuse an empty list, and one that holds a secret twice."""
    if not secrets:
        raise ValueError("has to hold at least one secret")
    if len({secret.get_secret_value() for secret in secrets}) < len(secrets):
        raise ValueError("holds the same secret twice")
    return secrets


def reveal(secrets: list[SecretStr]) -> list[bytes]:
    """Return the bytes that the secrets stand for: their ASCII text, as it is written."""
    return [secret.get_secret_value().encode() for secret in secrets]


def parse_size(value: object) -> object:
    """Return bytes of a number or of a text such as `100 MB` or `5 GiB`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match:
        return int(match[1]) * _UNITS[(match[2] or "").lower()]
    if type(value) is not int:
        raise ValueError("has to be a number of bytes, or one with a unit, as in '100 MB' or '5 GiB'")
    return value


def refuse_truth(value: object) -> object:
    """Pass all but true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("has to be a number")  # noqa: TRY004 - pydantic collects value errors
    return value


def parse_origin(text: str) -> str:
    """Return `scheme://host[:port]` as a browser writes it: lower-case, without the default port (RFC 6454, 6.2)."""
    scheme, _, authority = text.partition("://")
    scheme = scheme.lower()
    try:
        at = Authority.parse(authority)
    except ValueError:
        scheme, at = "", Authority("", None)
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("has to be an address such as https://example.com or http://127.0.0.1:9000, without a path")
    return f"{scheme}://{at.name}" + ("" if at.port in (None, _DEFAULT_PORTS[scheme]) else f":{at.port}")


def parse_host(text: str) -> str:
    """Return a host, with its port if it has one, in lower case."""
    try:
        at = Authority.parse(text)
    except ValueError:
        raise ValueError("has to be a host such as example.com, 127.0.0.1:8000 or [::1], and no pattern") from None
    return at.name if at.port is None else f"{at.name}:{at.port}"


def parse_proxy(text: str) -> str:
    """Return a network in CIDR form, or `unix` for peers on a socket file."""
    if text == "unix":
        return text
    try:
        return str(ip_network(text))
    except ValueError:
        # 10.0.0.1/8 has host bits: uvicorn takes it for a name that never matches, without a word.
        raise ValueError("has to be a network such as 10.0.0.0/8 or 192.0.2.7 (no host bits set), or 'unix'") from None


def check_name(text: str) -> str:
    """Pass what can stand in an object key."""
    if re.fullmatch(SEGMENT, text) is None:
        raise ValueError("has to be named by at most 63 lower-case letters, digits and inner hyphens")
    return text


def check_bucket(text: str) -> str:
    """Pass a bucket name, also of the older and of other stores' kinds: AWS, "Bucket naming rules"."""
    if _BUCKET.fullmatch(text) is None or ".." in text:
        raise ValueError("has to be a bucket name: 3 to 63 letters, digits, dots, hyphens and underscores")
    return text


def check_region(text: str) -> str:
    """Pass what can stand in a credential scope."""
    if re.fullmatch(r"[a-z0-9-]{1,32}", text) is None:
        raise ValueError("has to be a region such as eu-central-1")
    return text


def check_jwks_url(text: str) -> str:
    """Pass https, and http on this machine."""
    return _url(text, "has to be the https address of a JWKS (http is for this machine alone)")


def _url(text: str, complaint: str) -> str:
    """Pass https, and http on this machine, without credentials and fragment."""
    try:
        url = urlsplit(text)
        host, plain = url.hostname or "", "@" not in url.netloc and not url.fragment and url.port != 0
    except ValueError:
        raise ValueError(complaint) from None
    if not (text.isascii() and text.isprintable() and " " not in text and "\\" not in text and plain and host):
        raise ValueError(complaint)
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise ValueError(complaint)
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_webhook_url(text: str) -> str:
    """Pass the address of a webhook: https, or http on this machine, without credentials and fragment."""
    return _url(text, "has to be an https address (http is for this machine alone), without credentials and fragment")


def check_queue_url(text: str) -> str:
    """Pass the URL of an SQS queue, as SQS gives it: the origin that is called, the account and the name."""
    match = _QUEUE.fullmatch(text)
    try:
        parse_origin(match[1] if match else "")
    except ValueError:
        complaint = "has to be the URL of an SQS queue: https://sqs.<region>.amazonaws.com/<account>/<name>"
        raise ValueError(complaint) from None
    return text


def queue_region(url: str) -> str | None:
    """Return the region that a queue's URL names, as AWS writes it; None of other servers' queues."""
    match = _QUEUE_REGION.match(url)
    return None if match is None else (match[1] or match[2]).lower()


def check_webhook_secret(secret: SecretStr) -> SecretStr:
    """Pass a secret as Standard Webhooks writes it: `whsec_` and the base64 of 24 to 64 bytes."""
    prefix, encoded = secret.get_secret_value()[:6], secret.get_secret_value()[6:]
    try:
        length = len(b64decode(encoded, validate=True))
    except ValueError:
        length = 0
    if prefix != "whsec_" or not 24 <= length <= 64:  # noqa: PLR2004 - the specification's bounds
        raise ValueError("has to be 'whsec_' and the base64 of 24 to 64 random bytes")
    return secret


def check_limits_url(secret: SecretStr) -> SecretStr:
    """Pass the address of a Redis, which may hold a password; of its parameters the database alone."""
    match = _REDIS.fullmatch(secret.get_secret_value())
    try:
        known = match is not None and (match[1] is None or Authority.parse(match[1]))
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            "has to be the address of a Redis: redis://host:6379/0, rediss://host:6379/0 or redis+unix:///path?db=0, "
            "with user and password (percent-encoded) as in redis://user:password@host"
        )
    return secret


def parse_network(text: str) -> str:
    """Return a network in CIDR form."""
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("has to be a network such as 10.0.0.0/8 or 192.0.2.7 (no host bits set)") from None


def check_file(path: Path) -> Path:
    """Pass a file that is there. os.path, as Path raises where a folder may not be searched."""
    if not os.path.isfile(path):  # noqa: PTH113 - see above
        raise ValueError("has to be a file that is there")
    return path


def check_socket(path: Path) -> Path:
    """Pass where a socket may be; who listens there may come and go."""
    if not path.is_absolute() or len(os.fsencode(path)) > _SOCKET_BYTES:
        raise ValueError(f"has to be the absolute path of a socket, of at most {_SOCKET_BYTES} bytes")
    return path


def check_directory(path: Path) -> Path:
    """Pass a folder that is there."""
    if not os.path.isdir(path):  # noqa: PTH112 - as in check_file
        raise ValueError("has to be a folder that is there")
    return path


Secret = Annotated[SecretStr, AfterValidator(check_secret)]
Secrets = Annotated[list[Secret], AfterValidator(check_distinct)]
Whole = Annotated[int, BeforeValidator(refuse_truth)]
Size = Annotated[int, BeforeValidator(parse_size)]
Origin = Annotated[str, AfterValidator(parse_origin)]
Host = Annotated[str, AfterValidator(parse_host)]
Proxy = Annotated[str, AfterValidator(parse_proxy)]
Name = Annotated[str, AfterValidator(check_name)]
BucketName = Annotated[str, AfterValidator(check_bucket)]
Region = Annotated[str, AfterValidator(check_region)]
JwksUrl = Annotated[str, AfterValidator(check_jwks_url)]
WebhookUrl = Annotated[str, AfterValidator(check_webhook_url)]
WebhookSecret = Annotated[SecretStr, AfterValidator(check_webhook_secret)]
WebhookSecrets = Annotated[list[WebhookSecret], AfterValidator(check_distinct)]
QueueUrl = Annotated[str, AfterValidator(check_queue_url)]
LimitsUrl = Annotated[SecretStr, AfterValidator(check_limits_url)]
Network = Annotated[str, AfterValidator(parse_network)]
File = Annotated[Path, AfterValidator(check_file)]
Socket = Annotated[Path, AfterValidator(check_socket)]
Directory = Annotated[Path, AfterValidator(check_directory)]
