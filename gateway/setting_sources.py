"""Where settings come from: variables, `.env` and a TOML file, each read as the tables that its names spell."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, DotEnvSettingsSource

PREFIX = "GATEWAY_"
DELIMITER = "__"
CONFIG_FILE = "GATEWAY_CONFIG_FILE"
DEFAULT_FILE = "gateway.toml"
# Names of ours that are no settings: what the command line reads for itself, as `gateway dev` writes it.
OTHER_NAMES = frozenset({"GATEWAY_URL", "GATEWAY_API_KEY", CONFIG_FILE})


class SettingsError(SystemExit):
    """The one line that says which setting is unusable, and why. Uncaught, it ends the process with just that line."""


def environment() -> dict[str, str]:
    """Return the variables of ours that the process was given, names in upper case."""
    return _ours(os.environ)


def dotenv() -> dict[str, str]:
    """Return the variables of ours in `.env`. Raises SettingsError."""
    try:
        return _ours(DotEnvSettingsSource(BaseSettings, env_file=".env", case_sensitive=True).env_vars)
    except (OSError, UnicodeDecodeError):
        problem = ".env has to be a file of text in UTF-8."
    raise SettingsError(problem)


def _ours(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value or "" for name, value in variables.items() if name.upper().startswith(PREFIX)}


def nested(variables: Mapping[str, str]) -> dict[str, Any]:
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


def config_file() -> str | None:
    """Return the file that GATEWAY_CONFIG_FILE names, if it does."""
    return {**dotenv(), **environment()}.get(CONFIG_FILE)


def read_table(named: str | None) -> dict[str, Any]:
    """Return what that file holds, or `gateway.toml` where none is named, if it is there. Raises SettingsError."""
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
