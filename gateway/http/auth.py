"""Who is asking: an API key, a JWT or a pass, told apart by its form, in `Authorization: Bearer …` (RFC 6750)."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from gateway.errors import Code, Refusal
from gateway.grants.principals import Kind, Principal
from gateway.grants.tokens import Tokens
from gateway.http.jwts import API_KEY_NAMES, Jwts
from gateway.settings import Settings

MAX_CREDENTIALS = 8192  # bytes
KEY_BYTES = 25  # 5 for the id, 20 (160 bits) for the secret
_KEY_PREFIX = b"gwk_"
_ID = slice(4, 12)  # of `gwk_<8 characters>_<secret>`
_JWT_PREFIX = b"eyJ"  # base64url of `{"`; no tenant, and so no pass, begins with a capital in it


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A new API key: `text` is for its holder, `id` and `sha256` are for the settings."""

    id: str
    text: str = field(repr=False)
    sha256: str


def new_api_key(random: bytes) -> ApiKey:
    """Make an API key of 25 random bytes."""
    if len(random) != KEY_BYTES:
        raise ValueError(f"an API key is made of {KEY_BYTES} random bytes")
    letters = base64.b32encode(random).decode().lower()
    text = f"gwk_{letters[:8]}_{letters[8:]}"
    return ApiKey(letters[:8], text, hashlib.sha256(text.encode()).hexdigest())


class Authenticator:
    """Tells principals by their credentials. Wrong ones are all refused alike, `unauthenticated`."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        """Take the API keys and the issuers of the settings. SettingsError where an issuer's keys cannot be read."""
        self._tokens = tokens
        policies = {name: frozenset(table.policies) for name, table in settings.tenants.items()}
        self._jwts = Jwts(settings.jwt_issuers, policies)
        self._keys = _api_keys(settings)
        self._unknown = bytes(32), None  # a digest to compare with, so that an unknown id takes as long as a known one

    async def authenticate(self, authorization: bytes | None, now: int) -> Principal:
        """Return whom an Authorization header proves, else raise `unauthenticated`. Only a JWT ever waits."""
        if authorization is None or len(authorization) > MAX_CREDENTIALS:
            raise Refusal(Code.UNAUTHENTICATED)
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refusal(Code.UNAUTHENTICATED)
        credentials = credentials.strip(b" ")
        if credentials.startswith(_KEY_PREFIX):
            return self._of_api_key(credentials)
        if not credentials.isascii():
            raise Refusal(Code.UNAUTHENTICATED)
        if credentials.startswith(_JWT_PREFIX):
            return await self._jwts.open(credentials.decode(), now)
        return self._of_pass(credentials.decode(), now)

    async def aclose(self) -> None:
        """End what runs in the background."""
        await self._jwts.aclose()

    def _of_api_key(self, text: bytes) -> Principal:
        digest, principal = self._keys.get(text[_ID], self._unknown)
        if not hmac.compare_digest(hashlib.sha256(text).digest(), digest) or principal is None:
            raise Refusal(Code.UNAUTHENTICATED)
        return principal

    def _of_pass(self, text: str, now: int) -> Principal:
        try:
            return self._tokens.open_pass(text, now)
        except Refusal:
            raise Refusal(Code.UNAUTHENTICATED) from None


def _api_keys(settings: Settings) -> dict[bytes, tuple[bytes, Principal | None]]:
    return {
        key.id.encode(): (
            bytes.fromhex(key.sha256),
            Principal(
                tenant,
                API_KEY_NAMES + key.id,
                Kind.API_KEY,
                frozenset(key.actions),
                frozenset(key.policies),
                key.on_behalf_of,
            ),
        )
        for tenant, table in settings.tenants.items()
        for key in table.api_keys
    }
