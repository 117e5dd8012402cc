"""`gateway link`: a link to an object, made offline with an app secret of the settings, or a presigned GET."""

import asyncio
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Failure, Misuse, say, say_json
from gateway.content.filenames import Disposition, Filename
from gateway.errors import Refusal
from gateway.grants.app_tokens import LINK_FILENAME_BYTES, MAX_LINK_AGE
from gateway.grants.keys import ObjectKey
from gateway.s3.downloads import DIRECT_EXPIRES_IN
from gateway.s3.sigv4 import MAX_LIFETIME

if TYPE_CHECKING:
    from gateway.settings import Settings


def link(  # noqa: PLR0913 - each option of the command
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object: objects/<tenant>/<policy>/<name>.<ext>.")],
    filename: Annotated[str | None, typer.Option(help="Name to save it under.")] = None,
    *,
    inline: Annotated[
        bool, typer.Option("--inline", help="Show it in the browser, if it is a picture, sound or film.")
    ] = False,
    expires_in: Annotated[
        int | None, typer.Option(help="Seconds it lives: 86400, or 3600 with --direct.", min=60, max=MAX_LINK_AGE)
    ] = None,
    direct: Annotated[
        bool, typer.Option("--direct", help="Print a presigned GET of the bucket, for at most a week.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a link to a stored object. Whether the object is there is not looked up.

    It is made offline, with the newest app secret of the settings, and begins with GATEWAY_PUBLIC_URL, or else with
    GATEWAY_URL.
    """
    from gateway.http.schemas import rfc3339  # noqa: PLC0415 - not for --help to wait
    from gateway.settings import load  # noqa: PLC0415 - as above

    parsed, name = _parsed(key, filename)
    disposition: Disposition = "inline" if inline else "attachment"
    settings, now = load(), int(time.time())
    if parsed.tenant not in settings.tenants:
        raise Misuse("KEY is of a tenant that GATEWAY_TENANTS does not define")
    if direct:
        url, expires_at = _presigned(settings, parsed, name, disposition, now, expires_in or DIRECT_EXPIRES_IN)
    else:
        url, expires_at = _redirecting(settings, parsed, name, disposition, now, expires_in)
    if as_json:
        say_json({"key": key, "url": url, "expires_at": rfc3339(expires_at)})
    else:
        say(url)


def _parsed(key: str, filename: str | None) -> tuple[ObjectKey, Filename | None]:
    try:
        parsed = ObjectKey.parse_key(key)
    except Refusal:
        raise Misuse("KEY is not of the form objects/<tenant>/<policy>/<name>.<ext>") from None
    try:
        name = None if filename is None else Filename.parse(filename, max_bytes=LINK_FILENAME_BYTES)
    except Refusal:
        raise Misuse("--filename has to have a visible character and at most 1200 bytes") from None
    return parsed, name


def _redirecting(  # noqa: PLR0913, PLR0917 - what a link is made of
    settings: "Settings",
    key: ObjectKey,
    filename: Filename | None,
    disposition: Disposition,
    now: int,
    expires_in: int | None,
) -> tuple[str, int]:
    from gateway.apps import Linker  # noqa: PLC0415 - see link
    from gateway.setting_values import reveal  # noqa: PLC0415 - as above

    base = settings.public_url or os.environ.get("GATEWAY_URL")
    if not base:
        raise Failure("GATEWAY_PUBLIC_URL or GATEWAY_URL has to say where the gateway is.")
    tenant = settings.tenants[key.tenant]
    lives = expires_in or settings.tenant_values()[key.tenant].link_expires_in(key.policy)
    secrets = [secret.decode() for secret in reveal(tenant.app_secrets)]
    linker = Linker(base, secrets, tenant=key.tenant, link_epoch=tenant.link_epoch, clock=lambda: now)
    name = None if filename is None else filename.text
    return linker.link(key.key, name, disposition=disposition, expires_in=lives), now + lives


def _presigned(  # noqa: PLR0913, PLR0917 - what a presigned GET is made of
    settings: "Settings",
    key: ObjectKey,
    filename: Filename | None,
    disposition: Disposition,
    now: int,
    expires_in: int,
) -> tuple[str, int]:
    from gateway.s3.bucket import Bucket  # noqa: PLC0415 - see link
    from gateway.s3.credentials import CredentialSource, open_session  # noqa: PLC0415 - as above

    if expires_in > MAX_LIFETIME:
        raise Misuse(f"--expires-in is at most {MAX_LIFETIME} with --direct")
    source = CredentialSource(open_session(settings.region).get_credentials)
    try:
        credentials = asyncio.run(source.fresh(now))
    except Refusal:
        raise Failure("boto3 found no credentials of the store in the environment, a profile or a role.") from None
    finally:
        source.close()
    bucket = Bucket(settings.public_endpoint(), settings.region)
    downloads = bucket.downloads(credentials, now=now, expires_in=expires_in)
    return downloads.get(key, filename, disposition), downloads.expires_at
