"""What an application does offline with its secrets: links, passes, the opening of receipts, webhooks that are proved.

    linker = Linker("https://files.example.com", ["an app secret of at least 32 bytes…"])
    linker.link("objects/default/photos/….jpg", "holiday.jpg", disposition="inline")

It needs `itsdangerous` and nothing else of the gateway's dependencies. docs/tokens.md gives the formats for other
languages. The clock may be replaced by an argument; by default it is the machine's.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.content.filenames import Disposition, Filename, url_filename
from gateway.content.media_types import parse_media_type
from gateway.errors import Refusal
from gateway.grants.app_tokens import LINK_FILENAME_BYTES, MAX_PASS_AGE, AppTokens, Link, Receipt
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import LINK_EXPIRES_IN, Tenant
from gateway.grants.principals import Limits, is_principal_name
from gateway.standard_webhooks import Webhook, opened

Clock = Callable[[], float]
MIN_SECRET = 32  # bytes


class Linker:
    """Makes links to objects. Whether an object exists is not looked up."""

    def __init__(
        self,
        gateway: str,
        app_secrets: Sequence[str],
        *,
        tenant: str = "default",
        link_epoch: int = 0,
        clock: Clock = time.time,
    ) -> None:
        """Take the gateway's public address and the tenant's app secrets, newest last."""
        self._url = gateway.rstrip("/")
        self._tokens = _app_tokens(app_secrets, tenant)
        self._epoch = link_epoch
        self._clock = clock

    def link(
        self,
        key: str,
        filename: str | None = None,
        *,
        disposition: Disposition = "attachment",
        expires_in: int | None = LINK_EXPIRES_IN,
    ) -> str:
        """Return the address of an object.

        `expires_in` is in seconds; more than 366 days, or None for no end, opens only where the tenant allows it.

        Raises ValueError for a key that is not this tenant's, or a filename that cannot be one.
        """
        now = int(self._clock())
        try:
            name = None if filename is None else Filename.parse(filename, max_bytes=LINK_FILENAME_BYTES)
            expires_at = None if expires_in is None else now + expires_in
            token = self._tokens.seal_link(
                Link(ObjectKey.parse_key(key), name, disposition, now, expires_at, self._epoch)
            )
        except Refusal as refusal:
            raise ValueError("the key is not one of this tenant's objects, or the filename is unusable") from refusal
        return f"{self._url}/d/{token}" if name is None else f"{self._url}/d/{token}/{url_filename(name)}"


def make_pass(  # noqa: PLR0913 - each limit of a pass is an argument of its own
    app_secrets: Sequence[str],
    principal: str,
    *,
    tenant: str = "default",
    policy: str = "default",
    max_size: int | None = None,
    content_types: Iterable[str] | None = None,
    expires_in: int = 3600,
    clock: Clock = time.time,
) -> str:
    """Return a pass for `principal`'s browser: it may ask for upload tickets under `policy` within these limits.

    `principal` is 1 to 128 bytes of printable text, `max_size` in bytes, `expires_in` in seconds (60 to 86,400).
    Raises ValueError.
    """
    if not 60 <= expires_in <= MAX_PASS_AGE or not is_principal_name(principal):  # noqa: PLR2004 - seconds, as POST /v1/passes
        raise ValueError("a pass names a principal (1 to 128 bytes of printable text) and lives 60 to 86,400 seconds")
    if max_size is not None and max_size < 0:
        raise ValueError("max_size is 0 bytes or more")
    limits = Limits(max_size, None if content_types is None else _media_types(content_types))
    return _app_tokens(app_secrets, tenant).seal_pass(
        principal, policy, limits, now=int(clock()), expires_in=expires_in
    )


def _media_types(texts: Iterable[str]) -> frozenset[str]:
    try:
        return frozenset(parse_media_type(text).name for text in texts)
    except Refusal as refusal:
        raise ValueError("content_types names a media type that no policy can take") from refusal


def open_receipt(
    receipt: str, app_secrets: Sequence[str], *, tenant: str = "default", clock: Clock = time.time
) -> Receipt:
    """Return what a receipt states; raises ValueError when it is forged, another tenant's, or older than 7 days."""
    try:
        return _app_tokens(app_secrets, tenant).open_receipt(receipt, int(clock()))
    except Refusal as refusal:
        raise ValueError("not a live receipt of this tenant") from refusal


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, clock: Clock = time.time
) -> Webhook:
    """Return what a webhook tells, of the bytes of its body, its headers, and the webhook's secrets (`whsec_…`).

    Raises ValueError when it is malformed, signed with no secret of these, or not sent within five minutes of now.
    """
    return opened(body, headers, secrets, int(clock()))


def _app_tokens(app_secrets: Sequence[str], tenant: str) -> AppTokens:
    secrets = [secret.encode() for secret in app_secrets]
    if not secrets or any(len(secret) < MIN_SECRET for secret in secrets):
        raise ValueError(f"app_secrets is a list of secrets of at least {MIN_SECRET} bytes each, newest last")
    return AppTokens(Tenant(tenant, unlimited_links=True), secrets)
