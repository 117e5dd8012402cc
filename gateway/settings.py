"""Settings from flags, environment (GATEWAY_*), `.env` and `gateway.toml`, in that order; read once, at the start.

No secret has a default. An unknown name or an unusable value ends the start with one line that names the setting and
never its value: `load` is the door that writes that line.
"""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.grants.app_tokens import AppTokens
from gateway.grants.policies import MAX_SINGLE_PUT, Tenant
from gateway.grants.tokens import Tokens
from gateway.s3.endpoints import Endpoint
from gateway.s3.parts import MIB, MIN_PART
from gateway.setting_complaints import complaint
from gateway.setting_sources import SettingsError, config_file, dotenv, environment, nested, read_table
from gateway.setting_tables import JwtSettings, TenantSettings
from gateway.setting_values import (
    BucketName,
    Directory,
    Host,
    LimitsUrl,
    Name,
    Network,
    Origin,
    Proxy,
    QueueUrl,
    Region,
    Secrets,
    Size,
    Socket,
    Whole,
    queue_region,
    refuse_truth,
    reveal,
)
from gateway.webhook_targets import check_target

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])")  # a bucket that a wildcard certificate covers


# What is called, and the how manieth time: `storage.copy:1`.
CRASH_AT = r"^[a-z]+\.[a-z_]+:[1-9][0-9]*$"


class Settings(BaseSettings):
    """All the gateway can be told. Times in seconds; addresses are origins: scheme, host, port."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secret_keys: Secrets
    tenants: dict[Name, TenantSettings] = Field(min_length=1)
    jwt_issuers: list[JwtSettings] = []

    bucket: BucketName
    region: Region
    storage_endpoint: Origin | None = None
    public_storage_endpoint: Origin | None = None
    address_style: Literal["auto", "path", "virtual"] = "auto"
    expected_bucket_owner: Annotated[str, Field(pattern=r"^[0-9]{12}$")] | None = None
    storage_timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False), BeforeValidator(refuse_truth)] = 10.0
    storage_threads: Annotated[Whole, Field(ge=1, le=256)] = 16
    copy_threshold: Annotated[Size, Field(ge=MIN_PART, le=MAX_SINGLE_PUT)] = 2**30

    public_url: Origin | None = None
    trusted_proxies: list[Proxy] = []
    forwarded_headers: list[Literal["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"]] = [
        "x-forwarded-proto",
    ]
    allowed_hosts: list[Host] = ["127.0.0.1", "localhost", "[::1]"]
    allowed_origins: list[Origin] = []

    put_expires_in: Annotated[Whole, Field(ge=60, le=3600)] = 900
    get_expires_in: Annotated[Whole, Field(ge=60, le=3600)] = 300

    events_queue: QueueUrl | None = None
    clamd_socket: Socket | None = None
    scan_limit: Annotated[Size, Field(ge=1)] = 25 * MIB
    scan_timeout: Annotated[Whole, Field(ge=1, le=3600)] = 120
    webhook_networks: list[Network] = []
    magic: bool = False
    limits_url: LimitsUrl | None = None
    limits_when_down: Literal["open", "closed"] = "open"
    crash_at: Annotated[str, Field(pattern=CRASH_AT)] | None = None

    static_dir: Directory | None = None
    root_dir: Directory | None = None
    docs: bool = False
    metrics_port: Annotated[Whole, Field(ge=1, le=65_535)] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - it passes over names it does not know
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not offered
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the sources into their order, each with all that it holds, so that validation meets unknown names."""
        sources = nested(environment()), nested(dotenv()), read_table(config_file())
        return init_settings, *(InitSettingsSource(settings_cls, source) for source in sources)

    @model_validator(mode="after")
    def _style_suits_the_bucket(self) -> Self:
        if self.address_style == "virtual" and not _DNS_LABEL.fullmatch(self.bucket):
            raise ValueError("GATEWAY_ADDRESS_STYLE has to be 'path' for a bucket whose name is not a DNS label")
        return self

    @model_validator(mode="after")
    def _jwts_are_told_apart(self) -> Self:
        if len({jwt.issuer for jwt in self.jwt_issuers}) < len(self.jwt_issuers):
            raise ValueError("GATEWAY_JWT_ISSUERS names one issuer twice")
        for jwt in self.jwt_issuers:
            if jwt.tenant is not None and jwt.tenant not in self.tenants:
                raise ValueError("GATEWAY_JWT_ISSUERS names a tenant that GATEWAY_TENANTS does not define")
            tenants = self.tenants.values() if jwt.tenant is None else [self.tenants[jwt.tenant]]
            if not {name for tenant in tenants for name in tenant.policies} >= set(jwt.policies):
                raise ValueError("GATEWAY_JWT_ISSUERS names a policy that its tenant does not define")
        return self

    @model_validator(mode="after")
    def _api_keys_are_told_apart(self) -> Self:
        ids = [key.id for tenant in self.tenants.values() for key in tenant.api_keys]
        if len(set(ids)) < len(ids):
            raise ValueError("GATEWAY_TENANTS names one API key twice: ids are unique over all tenants")
        return self

    @model_validator(mode="after")
    def _what_is_scanned_can_be(self) -> Self:
        for name, tenant in self.tenants.items():
            for policy in (key for key, policy in tenant.policies.items() if policy.scan):
                if self.clamd_socket is None or self.events_queue is None:
                    raise ValueError(
                        f"tenants.{name}.policies.{policy} scans, which the worker does: it needs GATEWAY_EVENTS_QUEUE "
                        "and GATEWAY_CLAMD_SOCKET"
                    )
                if tenant.policies[policy].max_size > self.scan_limit:
                    raise ValueError(
                        f"tenants.{name}.policies.{policy} takes files that are too large to be scanned: max_size is "
                        "at most GATEWAY_SCAN_LIMIT"
                    )
        return self

    @model_validator(mode="after")
    def _what_is_announced_arrives(self) -> Self:
        networks = [ip_network(text) for text in self.webhook_networks]
        for name, webhook in ((key, tenant.webhook) for key, tenant in self.tenants.items() if tenant.webhook):
            if self.events_queue is None:
                raise ValueError(f"tenants.{name}.webhook is told by the worker: it needs GATEWAY_EVENTS_QUEUE")
            try:
                check_target(webhook.url, networks)
            except ValueError as error:
                raise ValueError(f"tenants.{name}.webhook.url {error}") from None
        return self

    @model_validator(mode="after")
    def _the_queue_is_beside_the_bucket(self) -> Self:
        if self.events_queue is not None and queue_region(self.events_queue) not in {None, self.region}:
            raise ValueError("GATEWAY_EVENTS_QUEUE has to be in GATEWAY_REGION: a bucket reports to no other region")
        return self

    @model_validator(mode="after")
    def _every_secret_is_one_s_own(self) -> Self:
        secrets = [*self.secret_keys, *(jwt.secret for jwt in self.jwt_issuers if jwt.secret)]
        secrets += (secret for tenant in self.tenants.values() for secret in tenant.app_secrets)
        secrets += (secret for tenant in self.tenants.values() if tenant.webhook for secret in tenant.webhook.secrets)
        if len({secret.get_secret_value() for secret in secrets}) < len(secrets):
            raise ValueError(
                "GATEWAY_SECRET_KEYS, app_secrets, webhook and JWT secrets share a secret: each needs its own"
            )
        return self

    def tenant_values(self) -> dict[str, Tenant]:
        """Return the tenants by name."""
        return {name: tenant.value(name, self.put_expires_in) for name, tenant in self.tenants.items()}

    def tokens(self) -> Tokens:
        """Return the seals of all secrets."""
        tenants = self.tenant_values()
        apps = {name: AppTokens(tenants[name], reveal(table.app_secrets)) for name, table in self.tenants.items()}
        return Tokens(reveal(self.secret_keys), apps)

    def storage_style(self) -> Literal["path", "virtual"]:
        """Return how our own calls address the bucket."""
        return self._style(self.storage_endpoint)

    def public_endpoint(self) -> Endpoint:
        """Return where presigned requests go."""
        origin = self.public_storage_endpoint or self.storage_endpoint
        style = self._style(origin)
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        scheme, _, host = (origin or f"https://s3.{self.region}.{domain}").partition("://")
        if style == "virtual":
            host = f"{self.bucket}.{host}"
        return Endpoint(
            "http" if scheme == "http" else "https", host, "/" if style == "virtual" else f"/{self.bucket}/"
        )

    def _style(self, origin: str | None) -> Literal["path", "virtual"]:
        if self.address_style != "auto":
            return self.address_style
        return "virtual" if origin is None and _DNS_LABEL.fullmatch(self.bucket) else "path"


def load(**flags: Any) -> Settings:  # noqa: ANN401 - as many types as there are settings
    """Read the settings; a flag that is None was not given. Raises SettingsError."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        line = complaint(error.errors(include_url=False, include_input=False), given)
    # Out here the exception has no context: a ValidationError keeps the values it met.
    raise SettingsError(line)
