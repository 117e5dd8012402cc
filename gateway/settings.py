"""Settings from flags, environment (GATEWAY_*), `.env` and `gateway.toml`, in that order; read once, at the start.

No secret has a default. An unknown name or an unusable value ends the start with one line that names the setting and
never its value: `load` is the door that writes that line.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.grants.app_tokens import AppTokens
from gateway.grants.policies import Tenant
from gateway.grants.tokens import Tokens
from gateway.s3.endpoints import Endpoint
from gateway.setting_tables import JwtSettings, TenantSettings
from gateway.setting_values import (
    BucketName,
    Directory,
    Host,
    Name,
    Origin,
    Proxy,
    Region,
    Secrets,
    Whole,
    refuse_truth,
    reveal,
)

PREFIX = "GATEWAY_"
DELIMITER = "__"
CONFIG_FILE = "GATEWAY_CONFIG_FILE"
DEFAULT_FILE = "gateway.toml"
# Names of ours that are no settings: what the command line reads for itself, as `gateway dev` writes it.
OTHER_NAMES = frozenset({"GATEWAY_URL", "GATEWAY_API_KEY", CONFIG_FILE})
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])")  # a bucket that a wildcard certificate covers


class SettingsError(SystemExit):
    """The one line that says which setting is unusable, and why. Uncaught, it ends the process with just that line."""


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

    public_url: Origin | None = None
    trusted_proxies: list[Proxy] = []
    forwarded_headers: list[Literal["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"]] = [
        "x-forwarded-proto",
    ]
    allowed_hosts: list[Host] = ["127.0.0.1", "localhost", "[::1]"]
    allowed_origins: list[Origin] = []

    put_expires_in: Annotated[Whole, Field(ge=60, le=3600)] = 900
    get_expires_in: Annotated[Whole, Field(ge=60, le=3600)] = 300

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
        sources = _nested(_environment()), _nested(_dotenv()), _table(_config_file())
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
    def _every_secret_is_one_s_own(self) -> Self:
        secrets = [*self.secret_keys, *(jwt.secret for jwt in self.jwt_issuers if jwt.secret)]
        secrets += (secret for tenant in self.tenants.values() for secret in tenant.app_secrets)
        if len({secret.get_secret_value() for secret in secrets}) < len(secrets):
            raise ValueError("GATEWAY_SECRET_KEYS, app_secrets and JWT secrets share a secret: each needs its own")
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
        line = _line(error.errors(include_url=False, include_input=False), given)
    # Out here the exception has no context: a ValidationError keeps the values it met.
    raise SettingsError(line)


def _environment() -> dict[str, str]:
    return _ours(os.environ)


def _dotenv() -> dict[str, str]:
    try:
        return _ours(DotEnvSettingsSource(Settings, env_file=".env", case_sensitive=True).env_vars)
    except (OSError, UnicodeDecodeError):
        problem = ".env has to be a file of text in UTF-8."
    raise SettingsError(problem)


def _ours(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value or "" for name, value in variables.items() if name.upper().startswith(PREFIX)}


def _nested(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the tables that the variables' names spell: GATEWAY_TENANTS__A__LINK_EPOCH is tenants.a.link_epoch."""
    tables: dict[str, Any] = {}
    names = sorted(variables.keys() - OTHER_NAMES, key=lambda name: (name.count(DELIMITER), name))
    for name in names:  # a table given as JSON comes before what is set within it
        *path, last = name.removeprefix(PREFIX).lower().split(DELIMITER)
        table = tables
        for part in path:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[last] = _decoded(variables[name])
    return tables


def _decoded(text: str) -> object:
    """Read lists and tables as JSON. What is not JSON stays text, and no list and no table takes text."""
    if text.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return text


def _config_file() -> str | None:
    return {**_dotenv(), **_environment()}.get(CONFIG_FILE)


def _table(named: str | None) -> dict[str, Any]:
    path = Path(named or DEFAULT_FILE)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named is None:
            return {}
        problem = f"{CONFIG_FILE} names a file that is not there."
    except OSError:
        problem = f"{path.name} cannot be read."
    except ValueError as error:
        place = re.search(r"line \d+, column \d+", str(error))
        problem = f"{path.name} has to be TOML in UTF-8{f': see {place[0]}' if place else ''}."
    raise SettingsError(problem)


def _line(errors: list[ErrorDetails], flags: Mapping[str, object]) -> str:
    """Tell the first error; of all, an unknown name: it often is why another is missing."""
    error = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    return f"{_name(error['loc'], flags)} {_reason(error)}.".lstrip()


def _name(location: tuple[str | int, ...], flags: Mapping[str, object]) -> str:
    """Name a setting as it was written: by its place in the file, or as a variable."""
    if not location:
        return ""  # a check over all settings: its reason names them
    parts = [_shown(part) for part in location]
    variables, file = _dotenv() | _environment(), _config_file()
    tables = {} if location[0] in flags else _table(file)
    in_file = f"{'.'.join(parts)} in {Path(file or DEFAULT_FILE).name}"
    if _holds(tables, location) and not _holds(_nested(variables), location):
        return in_file
    for length in range(len(parts), 0, -1):
        name = PREFIX + DELIMITER.join(parts[:length]).upper()
        if name in variables or (length == 1 and not _holds(tables, location[:1])):
            return name + (f" ({'.'.join(parts[length:])})" if parts[length:] else "")
    return in_file


def _holds(tables: object, location: Iterable[str | int]) -> bool:
    for part in location:
        if not isinstance(tables, Mapping) or part not in tables:
            return False
        tables = tables[part]
    return True


def _shown(part: str | int) -> str:
    """Show a name, and hide what is too long or too odd to be one: it may be a secret in a wrong place."""
    return str(part) if isinstance(part, int) or re.fullmatch(r"[\w-]{0,31}|\[key\]", part, re.ASCII) else "…"


_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a setting",
    "list_type": "has to be a list (in a variable: as JSON)",
    "dict_type": "has to be a table (in a variable: as JSON)",
    "model_type": "has to be a table (in a variable: as JSON)",
}


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in _REASONS:
        return _REASONS[error["type"]]
    _, should, rest = error["msg"].partition(" should ")
    return f"has to {rest}" if should else "has an unusable value"
