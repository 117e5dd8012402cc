"""JWTs of configured issuers: who they prove, by RFC 8725 ("JSON Web Token Best Current Practices")."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from gateway.errors import Code, Refusal
from gateway.grants.principals import Action, Kind, Principal, is_principal_name
from gateway.http.jwks import FetchedKeys, KeptKeys, Keys, VerificationKey, read_jwks
from gateway.setting_sources import SettingsError
from gateway.setting_tables import JwtSettings

LEEWAY = 60  # seconds by which an issuer's clock may differ
MAX_AGE = 366 * 86_400  # seconds until `exp`: more is a mistake, or 1e308
API_KEY_NAMES = "key:"  # what an API key is called as a principal; no subject may call itself that
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 7519 section 5.1, RFC 9068 section 2.1
_ACTIONS = {action.value: action for action in Action}
_CHECKS: Options = {
    "require": ["exp", "aud", "iss", "sub"],
    # PyJWT would read the clock itself.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer as configured, its keys, and the policies of each tenant that it may speak for."""

    settings: JwtSettings
    keys: Keys
    policies: Mapping[str, frozenset[str]]


class Jwts:
    """Opens the JWTs of all issuers."""

    def __init__(self, issuers: Iterable[JwtSettings], policies: Mapping[str, frozenset[str]]) -> None:
        """Take the issuers, and the names of every tenant's policies. SettingsError for a file that holds no keys."""
        self._issuers = {table.issuer: _issuer(table, policies) for table in issuers}

    async def open(self, token: str, now: int) -> Principal:
        """Return whom the token proves, else raise `unauthenticated`. Waits only where keys have to be fetched."""
        try:
            return await self._open(token, now)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Refusal(Code.UNAUTHENTICATED) from None

    async def aclose(self) -> None:
        """End what runs in the background."""
        for issuer in self._issuers.values():
            await issuer.keys.aclose()

    async def _open(self, token: str, now: int) -> Principal:
        unproved = jwt.decode_complete(token, options={"verify_signature": False})
        header = unproved["header"]
        name = unproved["payload"].get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None or not _is_plain(header) or header.get("alg") not in issuer.settings.algorithms:
            raise ValueError("another's token, or not one for access")
        key = await issuer.keys.find(None if issuer.settings.secret else header.get("kid"), now)
        if key is None or key.algorithm not in issuer.settings.algorithms:
            raise ValueError("no such key")
        claims = jwt.decode(
            token,
            key.value,
            algorithms=[key.algorithm],
            audience=issuer.settings.audience,
            issuer=issuer.settings.issuer,
            options=_CHECKS,
        )
        _check_times(claims, now)
        return _principal(issuer, claims)


def _issuer(table: JwtSettings, policies: Mapping[str, frozenset[str]]) -> Issuer:
    tenants = policies if table.tenant is None else {table.tenant: policies[table.tenant]}
    allowed = {name: frozenset(table.policies) & known for name, known in tenants.items()}
    return Issuer(table, _keys(table), allowed)


def _keys(table: JwtSettings) -> Keys:
    if table.secret is not None:
        return KeptKeys({None: VerificationKey("HS256", table.secret.get_secret_value().encode())})
    if table.jwks_url is not None:
        return FetchedKeys(table.jwks_url)
    try:
        return KeptKeys(read_jwks(table.jwks_file.read_bytes() if table.jwks_file else b""))
    except (OSError, ValueError):
        problem = "GATEWAY_JWT_ISSUERS has a jwks_file without keys for RS256, ES256 or EdDSA."
    raise SettingsError(problem)


def _is_plain(header: Mapping[str, Any]) -> bool:
    """Tell whether a token is a JWT for access (RFC 8725, section 3.11), without extensions we would have to know."""
    kind = header.get("typ")
    return "crit" not in header and (kind is None or (isinstance(kind, str) and kind.lower() in _TYPES))


def _check_times(claims: Mapping[str, Any], now: int) -> None:
    expires_at, not_before, issued_at = claims["exp"], claims.get("nbf", now), claims.get("iat", now)
    if any(isinstance(time, bool) or not isinstance(time, int | float) for time in (expires_at, not_before, issued_at)):
        raise ValueError("no time")
    # Written so that NaN, which compares with nothing, is refused.
    if not (now - LEEWAY < expires_at <= now + MAX_AGE and not_before <= now + LEEWAY and issued_at <= now + LEEWAY):
        raise ValueError("not the time for it")


def _principal(issuer: Issuer, claims: Mapping[str, Any]) -> Principal:
    tenant = issuer.settings.tenant or claims.get(issuer.settings.tenant_claim or "")
    if not isinstance(tenant, str) or tenant not in issuer.policies:
        raise ValueError("no tenant of ours")
    name = claims["sub"]
    if not is_principal_name(name) or name.startswith(API_KEY_NAMES):
        raise ValueError("no name for a principal")
    return Principal(tenant, name, Kind.JWT, _actions(issuer, claims), issuer.policies[tenant])


def _actions(issuer: Issuer, claims: Mapping[str, Any]) -> frozenset[Action]:
    if issuer.settings.actions_claim not in claims:
        return frozenset({Action.UPLOAD})
    words = claims[issuer.settings.actions_claim]
    if isinstance(words, str):
        words = words.split(" ")
    if not isinstance(words, list):
        return frozenset()
    return frozenset(_ACTIONS[word] for word in words if isinstance(word, str) and word in _ACTIONS)
