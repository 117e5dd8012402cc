"""An issuer's public keys (JWKS, RFC 7517): read from a file, or fetched, kept, and refreshed beside the requests."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import InvalidKeyError
from jwt.algorithms import get_default_algorithms

MAX_JWKS = 65_536  # bytes
DEADLINE = 5.0  # seconds for a whole fetch
FRESH = 600  # seconds until a kept set is fetched again, in the background
COOLDOWN = 30  # seconds between two fetches, so that made-up key ids cannot cause more
RETRY = 5  # seconds between two fetches as long as there is no set at all
RSA_BITS = 2048  # NIST SP 800-131A, and what RFC 7518 section 3.3 asks for

# One algorithm per kind of key: the key decides how a token is verified, never the token (RFC 8725, section 3.1).
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_OTHER_NAMES = {"Ed25519": "EdDSA"}  # RFC 9864
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the one algorithm it is for; `value` is bytes for HS256 alone."""

    algorithm: str
    value: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | bytes = field(repr=False)
    kid: str | None = None


KeySet = Mapping[str | None, VerificationKey]


class Keys(Protocol):
    """Where an issuer's keys come from."""

    async def find(self, kid: str | None, now: int) -> VerificationKey | None:
        """Return the key of exactly that id, or, for a token that names none, the only key there is."""

    async def aclose(self) -> None:
        """End what runs in the background."""


def read_jwks(document: str | bytes) -> KeySet:
    """Return the keys of a JWKS by id, without those of another use or kind; ValueError when none is left."""
    try:
        listed = json.loads(document)["keys"]
        keys = {key.kid: key for jwk in reversed(listed) if (key := _read_key(jwk)) is not None}
    except (ValueError, TypeError, KeyError, RecursionError):
        keys = {}
    if not keys:
        raise ValueError("no usable keys in the JWKS")
    return keys


def _read_key(jwk: dict[str, Any]) -> VerificationKey | None:
    try:
        algorithm = _ALGORITHMS[jwk["kty"], jwk.get("crv")]  # no symmetric keys: what is published is no secret
        if not _is_for(algorithm, jwk):
            return None
        value = get_default_algorithms()[algorithm].from_jwk(jwk)
    except (InvalidKeyError, ValueError, TypeError, LookupError, AttributeError):
        return None
    if isinstance(value, RSAPublicKey) and value.key_size < RSA_BITS:
        return None
    return VerificationKey(algorithm, value, jwk.get("kid"))


def _is_for(algorithm: str, jwk: dict[str, Any]) -> bool:
    """Tell whether a key is public, and for verifying signatures of this algorithm: RFC 7517, sections 4.2 to 4.5."""
    named = jwk.get("alg", algorithm)
    return (
        algorithm == _OTHER_NAMES.get(named, named)
        and jwk.get("use", "sig") == "sig"
        and "verify" in jwk.get("key_ops", ["verify"])
        and isinstance(jwk.get("kid", ""), str)
        and "d" not in jwk
    )


def _pick(keys: KeySet, kid: str | None) -> VerificationKey | None:
    if kid is None and len(keys) == 1:
        return next(iter(keys.values()))
    return keys.get(kid)


class KeptKeys:
    """Keys that are there from the start and stay."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def find(self, kid: str | None, now: int) -> VerificationKey | None:  # noqa: ARG002 - as Keys has it
        return _pick(self._keys, kid)

    async def aclose(self) -> None:
        pass


class FetchedKeys:
    """Keys at an address. A fetch that fails leaves the kept set in use."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        # Made once: reading the certificates takes milliseconds, and they belong to the start, not to a request.
        self._tls = httpx.create_ssl_context()
        self._keys: KeySet = {}
        self._fetched_at = 0
        self._tried_at: int | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, now: int) -> VerificationKey | None:
        key = _pick(self._keys, kid)
        if key is None:
            fetching = self._fetch(now)
            if fetching is not None:
                # Unlike `await fetching`, it leaves the fetch to the others when this caller is cancelled.
                await asyncio.wait([fetching])
            return _pick(self._keys, kid)
        if not 0 <= now - self._fetched_at < FRESH:  # a clock that was set back must not keep a set for ever
            self._fetch(now)
        return key

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _fetch(self, now: int) -> asyncio.Task[None] | None:
        """Return the fetch under way, else begin one, unless the last one began a moment ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._tried_at is not None and 0 <= now - self._tried_at < (COOLDOWN if self._keys else RETRY):
            return None
        self._tried_at = now
        self._fetching = asyncio.create_task(self._replace(now))
        return self._fetching

    async def _replace(self, now: int) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                self._keys = read_jwks(await self._download())
            self._fetched_at = now
        except (httpx.HTTPError, TimeoutError, ValueError, OSError) as error:
            _log.warning("The JWKS at %s cannot be had: %s", self._url.host, type(error).__name__)

    async def _download(self) -> bytes:
        # On this machine there is no proxy to ask; elsewhere the environment may name one.
        client = httpx.AsyncClient(verify=self._tls, timeout=DEADLINE, trust_env=self._url.scheme == "https")
        # A compressed body could unpack to any size.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with client, client.stream("GET", self._url, headers=headers, follow_redirects=False) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError("not a 200")
            body = b""
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_JWKS:
                    raise ValueError("too long")
            return body
