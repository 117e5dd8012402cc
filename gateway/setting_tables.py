"""The tables within the settings: tenants with their API keys and policies, and issuers of JWTs."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.content.media_types import MEDIA_TYPES
from gateway.grants.app_tokens import MAX_LINK_AGE
from gateway.grants.policies import MAX_SINGLE_PUT, MULTIPART_FROM, Policy, Quota, Tenant
from gateway.grants.principals import Action
from gateway.s3.parts import MAX_OBJECT
from gateway.setting_values import (
    File,
    JwksUrl,
    Name,
    Secret,
    Secrets,
    Size,
    WebhookSecrets,
    WebhookUrl,
    Whole,
)

MAX_TOLD = 10**15 - 1  # the largest integer of a structured field, RFC 9651 section 3.3.1; Lua counts as far exactly


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _check_media_type(text: str) -> str:
    if text not in MEDIA_TYPES:
        raise ValueError("has to be a media type that the gateway knows: docs/settings.md lists them")
    return text


class QuotaSettings(_Table):
    """How much a policy grants within `window` seconds."""

    uploads: Annotated[Whole, Field(ge=1, le=MAX_TOLD)] | None = None
    bytes: Annotated[Size, Field(ge=1, le=MAX_TOLD)] | None = None
    window: Annotated[Whole, Field(ge=1, le=2_678_400)] = 3600

    def value(self) -> Quota:
        """Return the quota."""
        return Quota(self.uploads, self.bytes, self.window)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.uploads is None and self.bytes is None:
            raise ValueError("has to limit uploads, bytes or both")
        return self


class PolicySettings(_Table):
    """One policy: sizes in bytes, lifetimes in seconds."""

    content_types: list[Annotated[str, AfterValidator(_check_media_type)]] = Field(min_length=1)
    min_size: Annotated[Size, Field(ge=0, le=MAX_OBJECT)] = 1
    max_size: Annotated[Size, Field(ge=0, le=MAX_OBJECT)]
    multipart_from: Annotated[Size, Field(ge=1, le=MAX_SINGLE_PUT)] = MULTIPART_FROM
    checksum: Literal["optional", "required"] = "optional"
    inline: bool = True
    ticket_expires_in: Annotated[Whole, Field(ge=60, le=604_800)] = 3600
    multipart_expires_in: Annotated[Whole, Field(ge=60, le=604_800)] = 86_400
    link_expires_in: Annotated[Whole, Field(ge=60, le=MAX_LINK_AGE)] = 86_400
    protocols: list[Literal["uppy", "active-storage", "git-lfs"]] = []
    scan: bool = False
    quota: QuotaSettings | None = None

    def value(self, name: str, put_expires_in: int) -> Policy:
        """Return the policy of that name."""
        return Policy(
            name,
            {text: MEDIA_TYPES[text] for text in self.content_types},
            self.max_size,
            self.min_size,
            self.checksum,
            self.inline,
            min(put_expires_in, self.ticket_expires_in),  # what arrives after its ticket is not completed
            self.ticket_expires_in,
            self.link_expires_in,
            self.multipart_from,
            self.multipart_expires_in,
            frozenset(self.protocols),
            self.scan,
            None if self.quota is None else self.quota.value(),
        )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_size > self.max_size:
            raise ValueError("has a min_size above its max_size")
        if self.quota is not None and self.quota.bytes is not None and self.quota.bytes < self.max_size:
            raise ValueError("has a quota of fewer bytes than its max_size, which would never be granted")
        return self


class WebhookSettings(_Table):
    """Where a tenant's application hears of its objects, and the secrets that sign what it hears, newest last."""

    url: WebhookUrl
    secrets: WebhookSecrets


class ApiKeySettings(_Table):
    """One API key, known by its SHA-256 alone; `gateway key new` writes such a table."""

    id: str = Field(pattern=r"^[a-z0-9]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    actions: list[Action] = Field(min_length=1)
    policies: list[str]
    on_behalf_of: bool = False


class TenantSettings(_Table):
    """One application: what it shares with us, who may speak for it, and what may be stored."""

    app_secrets: Secrets
    link_epoch: Annotated[Whole, Field(ge=0)] = 0
    unlimited_links: bool = False
    api_keys: list[ApiKeySettings] = []
    policies: dict[Name, PolicySettings] = {}
    webhook: WebhookSettings | None = None

    def value(self, name: str, put_expires_in: int) -> Tenant:
        """Return the tenant of that name."""
        policies = {key: policy.value(key, put_expires_in) for key, policy in self.policies.items()}
        return Tenant(name, policies, self.link_epoch, self.unlimited_links)

    @model_validator(mode="after")
    def _keys_use_policies_that_are_there(self) -> Self:
        for key in self.api_keys:
            if not self.policies.keys() >= set(key.policies):
                raise ValueError(f"has an API key ({key.id}) for a policy that it does not define")
        return self


class JwtSettings(_Table):
    """One issuer of JWTs, the keys that prove it, and what its subjects may do."""

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    algorithms: list[Literal["RS256", "ES256", "EdDSA", "HS256"]] = Field(min_length=1)
    jwks_url: JwksUrl | None = None
    jwks_file: File | None = None
    secret: Secret | None = None
    tenant: Name | None = None
    tenant_claim: Annotated[str, Field(min_length=1)] | None = None
    policies: list[str]
    actions_claim: str = Field("scope", min_length=1)

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        if [self.jwks_url, self.jwks_file, self.secret].count(None) != 2:  # noqa: PLR2004 - two of three
            raise ValueError("has to have exactly one of jwks_url, jwks_file and secret")
        # A public key taken for an HMAC secret is a forgery (RFC 8725, 2.1): the two kinds never meet in one issuer.
        if set(self.algorithms) != {"HS256"} and (self.secret is not None or "HS256" in self.algorithms):
            raise ValueError("has to have a secret for HS256 alone, and public keys for all other algorithms")
        if self.secret is None and "HS256" in self.algorithms:
            raise ValueError("has to have a secret for HS256")
        if (self.tenant is None) == (self.tenant_claim is None):
            raise ValueError("has to have exactly one of tenant and tenant_claim")
        return self
