"""Seals: text that only a holder of the secret can have written, for one purpose. The salt is the purpose.

A token of the gateway is `<payload>.<signature>`, one of an application `<tenant>.<payload>.<signature>`. The payload
is base64url of a JSON object, the signature base64url of HMAC-SHA256 over all before its dot, under the key
HMAC-SHA256(secret, purpose); docs/tokens.md gives the fields and vectors.
"""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes
from itsdangerous.signer import SigningAlgorithm

from gateway.errors import Code, Refusal
from gateway.mac import Mac

CLOCK_TOLERANCE = 300  # seconds a token may come from the future
MAX_TOKEN = 4096  # characters

# The last of 43 base64url characters carries two unused bits: decoders take four spellings, and only one is the token.
_FORM = re.compile(r"(?:[a-z0-9-]{1,63}\.)?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class _Signer(Signer):
    """itsdangerous' signer with keys derived and prepared once, which it would do for each token; the same bytes."""

    def __init__(self, keys: list[bytes]) -> None:
        super().__init__(keys, key_derivation="none", algorithm=_Prepared(keys))
        self._newest = Mac(keys[-1])

    def get_signature(self, value: str | bytes) -> bytes:
        return base64_encode(self._newest.digest(want_bytes(value)))


class _Prepared(SigningAlgorithm):
    def __init__(self, keys: list[bytes]) -> None:
        self._macs = {key: Mac(key) for key in keys}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return self._macs[key].digest(value)


class Seal:
    """Seals and opens text for one purpose. Secrets come oldest first; the newest seals, all of them open."""

    __slots__ = ("_prefix", "_signer")

    def __init__(self, purpose: str, secrets: Iterable[bytes], tenant: str | None = None) -> None:
        """Derive each key as itsdangerous does with `key_derivation="hmac"`."""
        self._signer = _Signer([hmac.digest(secret, purpose.encode(), "sha256") for secret in secrets])
        self._prefix = b"" if tenant is None else tenant.encode() + b"."

    def seal(self, payload: bytes) -> str:
        """Return the token of an encoded payload."""
        return self._signer.sign(self._prefix + payload).decode()

    def open(self, token: str) -> dict[str, Any]:
        """Return the payload; raises `not-found` for anything that was not sealed here, in exactly this spelling."""
        if len(token) > MAX_TOKEN or _FORM.fullmatch(token) is None:
            raise Refusal(Code.NOT_FOUND)
        try:
            body = self._signer.unsign(token)
        except BadData:
            raise Refusal(Code.NOT_FOUND) from None
        if not body.startswith(self._prefix):
            raise Refusal(Code.NOT_FOUND)
        return decode(body[len(self._prefix) :])


def encode(payload: Mapping[str, object]) -> bytes:
    """Encode a payload as every token carries it: base64url, without padding, of UTF-8 JSON."""
    return base64_encode(dump(payload))


def encode_members(members: str) -> bytes:
    """Encode a payload whose members are written already, as JSON between the braces."""
    return base64_encode(f"{{{members}}}")


def decode(payload: bytes) -> dict[str, Any]:
    """Read a payload; raises `not-found` unless it is an object. Its sealer may be an app: any JSON can be in it."""
    try:
        fields = json.loads(base64_decode(payload))
    except (BadData, ValueError, RecursionError):
        raise Refusal(Code.NOT_FOUND) from None
    if not isinstance(fields, dict):
        raise Refusal(Code.NOT_FOUND)
    return fields


def check_times(issued_at: int, expires_at: int, now: int) -> None:
    """Raise `not-found` unless the token is live; one from the near future is (clocks differ)."""
    if now >= expires_at or issued_at > now + CLOCK_TOLERANCE:
        raise Refusal(Code.NOT_FOUND)


def integer(fields: Mapping[str, Any], name: str) -> int:
    """Return a field that has to be an integer; raises `not-found`."""
    value = fields.get(name)
    if type(value) is not int:  # True is an int, and no time or size
        raise Refusal(Code.NOT_FOUND)
    return value


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that has to be text of at least one character; raises `not-found`."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(Code.NOT_FOUND)
    return value


def texts(fields: Mapping[str, Any], name: str) -> list[str]:
    """Return a field that has to be a list of texts; raises `not-found`."""
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Refusal(Code.NOT_FOUND)
    return value
