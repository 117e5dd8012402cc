"""What `gateway dev` keeps in its data folder, for the owner's eyes only: secrets, and settings as variables."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.cli.output import Failure

SECRETS_FILE = "dev-secrets.json"
ENV_FILE = "dev.env"


@dataclass(frozen=True, slots=True)
class DevSecrets:
    """Made once for a data folder, so that links, passes and API key outlive a restart."""

    secret_key: str = field(repr=False)
    app_secret: str = field(repr=False)
    api_key: str = field(repr=False)


def kept_secrets(data_dir: Path, new_api_key: str) -> DevSecrets:
    """Read the secrets of a data folder, or make them, `new_api_key` among them. Raises Failure."""
    path = data_dir / SECRETS_FILE
    if not path.exists():
        made = DevSecrets(secrets.token_hex(32), secrets.token_hex(32), new_api_key)
        write_private(path, json.dumps(asdict(made)))
        return made
    try:
        return DevSecrets(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        raise Failure(f"{path} cannot be read: remove it, and new secrets are made") from None


def write_private(path: Path, text: str) -> None:
    """Write a file for the owner alone, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - the mode must be set at birth
        file.write(text)
    draft.replace(path)


def as_variables(settings: Mapping[str, object]) -> dict[str, str]:
    """Return settings as the GATEWAY_* variables that say the same: lists and tables as JSON."""
    return {
        f"GATEWAY_{name.upper()}": value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in settings.items()
    }


def env_file(variables: Mapping[str, str]) -> str:
    """Return `NAME=value` lines that a POSIX shell reads as they are meant."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
