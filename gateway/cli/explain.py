"""`gateway explain URL`: what a presigned URL or a token says, when it dies, and what is wrong with it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Misuse, bold, dim, say, say_json, say_pairs, warning

if TYPE_CHECKING:
    from gateway.cli.explaining import Explanation, Known


def explain(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="A presigned URL, a link, or a token; in quotes, because of its '&'.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain a presigned URL (of any maker) or one of the gateway's links, tickets and passes, offline.

    Tells what is signed, when it dies, and what is wrong with it; no signature is shown. Where the settings are at
    hand, its host and its seal are compared with them. The exit code is 0 whatever is wrong with the URL.
    """
    from gateway.cli import explaining  # noqa: PLC0415 - not for --help to wait

    known, lacking = _known()
    try:
        explained = explaining.explain(url, int(time.time()), known)
    except ValueError as error:
        raise Misuse(str(error)) from None
    if lacking:
        say(dim(f"Not compared with settings: {lacking}"), to_stderr=True)
    if as_json:
        say_json({"kind": explained.kind, "facts": dict(explained.facts), "problems": list(explained.problems)})
    else:
        _say(explained)


def _say(explained: "Explanation") -> None:
    say(bold(explained.kind))
    say()
    say_pairs(explained.facts.items(), indent="  ")
    say()
    for problem in explained.problems:
        say(f"  {warning('!')} {problem}")
    if not explained.problems:
        say("  Nothing wrong is to be seen.")


def _known() -> tuple["Known | None", str]:
    """Return what the settings tell; or None, and what they lack."""
    from gateway.cli.explaining.explanation import Known, TenantKnown  # noqa: PLC0415 - see explain
    from gateway.setting_sources import SettingsError  # noqa: PLC0415 - as above
    from gateway.setting_values import reveal  # noqa: PLC0415 - as above
    from gateway.settings import load  # noqa: PLC0415 - as above

    try:
        settings = load()
    except SettingsError as error:
        return None, str(error)
    tenants = {
        name: TenantKnown(reveal(table.app_secrets), table.link_epoch, table.unlimited_links)
        for name, table in settings.tenants.items()
    }
    return Known(settings.public_endpoint(), reveal(settings.secret_keys), tenants), ""
