"""`gateway key new`: an API key, told once, and the table by which the gateway knows it."""

import json
import secrets
from dataclasses import dataclass
from typing import Annotated

import typer

from gateway.cli.output import HELP_MODE, Misuse, say, say_json
from gateway.grants.principals import Action

app = typer.Typer(help="Make API keys.", rich_markup_mode=HELP_MODE)


@app.callback()
def key() -> None:
    """Make API keys. The gateway keeps their SHA-256 alone."""


@app.command("new")
def new(
    tenant: Annotated[str, typer.Option(help="The application that the key speaks for.")] = "default",
    actions: Annotated[
        str, typer.Option(help="What it may do, with commas: upload, link, read, delete.")
    ] = "upload,link",
    policies: Annotated[str, typer.Option(help="The policies it may use, with commas.")] = "default",
    *,
    on_behalf_of: Annotated[
        bool, typer.Option("--on-behalf-of", help="Let it name the principal of an upload.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an API key: printed once for its holder, with the table for gateway.toml, which holds only its SHA-256."""
    from gateway.http.auth import KEY_BYTES, new_api_key  # noqa: PLC0415 - not for --help to wait

    _check_name("--tenant", tenant)
    made = new_api_key(secrets.token_bytes(KEY_BYTES))
    table = ApiKeyTable(made.id, made.sha256, _actions(actions), _policies(policies), on_behalf_of)
    if as_json:
        say_json({"api_key": made.text, "tenant": tenant, "table": table.fields()})
        return
    say(f"{made.text}\n")
    say("This is shown once: give it to its holder. For gateway.toml:\n")
    say(table.toml(tenant))


@dataclass(frozen=True, slots=True)
class ApiKeyTable:
    """What the settings say of one key: `gateway.setting_tables.ApiKeySettings`."""

    id: str
    sha256: str
    actions: list[str]
    policies: list[str]
    on_behalf_of: bool

    def fields(self) -> dict[str, object]:
        """Return what is not left to its default."""
        fields: dict[str, object] = {
            "id": self.id,
            "sha256": self.sha256,
            "actions": self.actions,
            "policies": self.policies,
        }
        return {**fields, "on_behalf_of": True} if self.on_behalf_of else fields

    def toml(self, tenant: str) -> str:
        """Return the table in TOML, of which JSON's strings, lists and true are a part."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.fields().items()]
        return "\n".join([f"[[tenants.{tenant}.api_keys]]", *lines])


def _actions(text: str) -> list[str]:
    names = _listed("--actions", text)
    known = [action.value for action in Action]
    if not set(names) <= set(known):
        raise Misuse(f"--actions takes {', '.join(known)}, with commas between them")
    return names


def _policies(text: str) -> list[str]:
    names = _listed("--policies", text)
    for name in names:
        _check_name("--policies", name)
    return names


def _listed(flag: str, text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise Misuse(f"{flag} takes at least one name")
    return names


def _check_name(flag: str, text: str) -> None:
    from gateway.setting_values import check_name  # noqa: PLC0415 - see new

    try:
        check_name(text)
    except ValueError as error:
        raise Misuse(f"{flag} {error}") from None
