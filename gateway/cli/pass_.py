"""`gateway pass`: a pass, made offline with an app secret of the settings."""

import time
from typing import Annotated

import typer

from gateway.cli.output import Misuse, say, say_json
from gateway.grants.app_tokens import MAX_PASS_AGE
from gateway.grants.principals import is_principal_name


def make(  # noqa: PLR0913 - each option of the command
    principal: Annotated[
        str, typer.Argument(metavar="PRINCIPAL", help="On whose behalf it uploads: recorded with each object.")
    ] = "cli",
    *,
    policy: Annotated[str, typer.Option(help="The one policy it may use.")] = "default",
    tenant: Annotated[str, typer.Option(help="The application it is for.")] = "default",
    max_size: Annotated[str | None, typer.Option(help="Size of a file at most, as in '100 MB' or '5 GiB'.")] = None,
    content_type: Annotated[
        list[str] | None, typer.Option(help="A media type it may upload, instead of all of the policy; repeatable.")
    ] = None,
    expires_in: Annotated[int, typer.Option(help="Seconds it lives.", min=60, max=MAX_PASS_AGE)] = 3600,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a pass: with it, an application's code in a browser asks for upload tickets, within its limits.

    It is made offline, with the newest app secret of the settings; no gateway has to run.
    """
    from gateway.apps import make_pass  # noqa: PLC0415 - not for --help to wait
    from gateway.http.schemas import rfc3339  # noqa: PLC0415 - as above
    from gateway.setting_values import reveal  # noqa: PLC0415 - as above
    from gateway.settings import load  # noqa: PLC0415 - as above

    size = _size(max_size)
    if not is_principal_name(principal):
        raise Misuse("PRINCIPAL is 1 to 128 bytes of printable text")
    table = load().tenants.get(tenant)
    if table is None:
        raise Misuse("--tenant names a tenant that GATEWAY_TENANTS does not define")
    if policy not in table.policies:
        raise Misuse("--policy names a policy that the tenant does not define")
    types = _content_types(content_type, table.policies[policy].content_types)
    now = time.time()
    text = make_pass(
        [secret.decode() for secret in reveal(table.app_secrets)],
        principal,
        tenant=tenant,
        policy=policy,
        max_size=size,
        content_types=types,
        expires_in=expires_in,
        clock=lambda: now,
    )
    if as_json:
        say_json({"pass": text, "expires_at": rfc3339(int(now) + expires_in)})
    else:
        say(text)


def _size(text: str | None) -> int | None:
    from gateway.setting_values import parse_size  # noqa: PLC0415 - see make

    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError as error:
        raise Misuse(f"--max-size {error}") from None
    return size if isinstance(size, int) else None


def _content_types(asked: list[str] | None, allowed: list[str]) -> list[str] | None:
    if not asked:
        return None
    types = [text.lower() for text in asked]
    if not set(types) <= set(allowed):
        raise Misuse(f"--content-type takes what the policy does: {', '.join(allowed)}")
    return types
