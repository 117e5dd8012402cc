"""What an application can seal offline with its own secrets: passes, links and receipts, of its tenant alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.content.filenames import Disposition, Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Tenant
from gateway.grants.principals import Action, Kind, Limits, Principal, is_principal_name
from gateway.grants.seals import Seal, check_times, encode, integer, text, texts

MAX_PASS_AGE = 86_400  # seconds
MAX_LINK_AGE = 366 * 86_400  # seconds; longer is what a tenant's `unlimited_links` is for
LINK_FILENAME_BYTES = 1200  # 300 characters of four bytes


@dataclass(frozen=True, slots=True)
class Link:
    """What a link opens to. `expires_at` is None only where the tenant allows it."""

    key: ObjectKey
    filename: Filename | None
    disposition: Disposition
    issued_at: int
    expires_at: int | None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The statement that an object was proved and stored; verifiable offline with an app secret."""

    key: ObjectKey
    size: int
    content_type: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    etag: str
    principal: str
    stored_at: int
    expires_at: int


class AppTokens:
    """What one tenant's app secrets seal: passes, links and receipts."""

    def __init__(self, tenant: Tenant, secrets: Sequence[bytes]) -> None:
        """Take the app secrets oldest first."""
        self.tenant = tenant
        self._pass = Seal("pass", secrets, tenant.name)
        self._link = Seal("link", secrets, tenant.name)
        self._receipt = Seal("receipt", secrets, tenant.name)

    def seal_pass(self, principal: str, policy: str, limits: Limits, *, now: int, expires_in: int) -> str:
        """Return a pass that lets its holder ask for upload tickets under one policy, within the limits."""
        payload: dict[str, object] = {"sub": principal, "policy": policy, "iat": now, "exp": now + expires_in}
        if limits.max_size is not None:
            payload["max_size"] = limits.max_size
        if limits.content_types is not None:
            payload["types"] = sorted(limits.content_types)
        return self._pass.seal(encode(payload))

    def open_pass(self, token: str, now: int) -> Principal:
        """Return the principal of a live pass, else raise `not-found`."""
        fields = self._pass.open(token)
        issued_at, expires_at = integer(fields, "iat"), integer(fields, "exp")
        check_times(issued_at, expires_at, now)
        if expires_at - issued_at > MAX_PASS_AGE:
            raise Refusal(Code.NOT_FOUND)
        return Principal(
            self.tenant.name,
            _principal_name(fields),
            Kind.PASS,
            frozenset({Action.UPLOAD}),
            frozenset({text(fields, "policy")}),
            limits=Limits(
                integer(fields, "max_size") if "max_size" in fields else None,
                frozenset(texts(fields, "types")) if "types" in fields else None,
            ),
        )

    def seal_link(self, link: Link) -> str:
        """Return the token of a link. Raises `not-found` for another tenant's key."""
        link.key.of(self.tenant.name)
        payload: dict[str, object] = {
            "key": link.key.key,
            "as": link.disposition,
            "iat": link.issued_at,
            "exp": link.expires_at,
            "epoch": link.epoch,
        }
        if link.filename is not None:
            payload["name"] = link.filename.text
        return self._link.seal(encode(payload))

    def open_link(self, token: str, now: int) -> Link:
        """Return a live link of this tenant's epoch, else raise `not-found`."""
        fields = self._link.open(token)
        issued_at, expires_at, epoch = integer(fields, "iat"), fields.get("exp"), integer(fields, "epoch")
        if expires_at is None and self.tenant.unlimited_links:
            check_times(issued_at, now + 1, now)
        else:
            expires_at = integer(fields, "exp")
            check_times(issued_at, expires_at, now)
            if expires_at - issued_at > MAX_LINK_AGE and not self.tenant.unlimited_links:
                raise Refusal(Code.NOT_FOUND)
        if epoch < self.tenant.link_epoch:
            raise Refusal(Code.NOT_FOUND)
        return Link(
            ObjectKey.parse_key(text(fields, "key")).of(self.tenant.name),
            _filename(fields),
            "inline" if fields.get("as") == "inline" else "attachment",
            issued_at,
            expires_at,
            epoch,
        )

    def seal_receipt(self, receipt: Receipt) -> str:
        """Return the token of a receipt."""
        return self._receipt.seal(
            encode(
                {
                    "key": receipt.key.of(self.tenant.name).key,
                    "size": receipt.size,
                    "type": receipt.content_type,
                    "sha256": receipt.checksum_sha256,
                    "sha256_type": receipt.checksum_type,
                    "etag": receipt.etag,
                    "sub": receipt.principal,
                    "iat": receipt.stored_at,
                    "exp": receipt.expires_at,
                },
            ),
        )

    def open_receipt(self, token: str, now: int) -> Receipt:
        """Return a live receipt, else raise `not-found`."""
        fields = self._receipt.open(token)
        check_times(integer(fields, "iat"), integer(fields, "exp"), now)
        return Receipt(
            ObjectKey.parse_key(text(fields, "key")).of(self.tenant.name),
            integer(fields, "size"),
            text(fields, "type"),
            fields.get("sha256"),
            fields.get("sha256_type"),
            text(fields, "etag"),
            text(fields, "sub"),
            integer(fields, "iat"),
            integer(fields, "exp"),
        )


def _filename(fields: Mapping[str, Any]) -> Filename | None:
    if "name" not in fields:
        return None
    try:
        return Filename.parse(text(fields, "name"), max_bytes=LINK_FILENAME_BYTES)
    except Refusal:
        raise Refusal(Code.NOT_FOUND) from None


def _principal_name(fields: Mapping[str, Any]) -> str:
    name = text(fields, "sub")
    if not is_principal_name(name):
        raise Refusal(Code.NOT_FOUND)
    return name
