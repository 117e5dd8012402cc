"""All tokens the gateway deals in: its own by its secret keys, and every tenant's by that tenant's app secrets."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.content.filenames import Filename
from gateway.content.media_types import BY_EXTENSION
from gateway.errors import Code, Refusal
from gateway.grants.app_tokens import AppTokens, Link
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.principals import Principal
from gateway.grants.seals import Seal, check_times, dump, encode, encode_members, text
from gateway.grants.tickets import Multipart, Ticket


class Tokens:
    """What our secret keys seal and open, and what any tenant's app secrets open."""

    def __init__(self, secret_keys: Sequence[bytes], apps: Mapping[str, AppTokens]) -> None:
        """Take the secret keys oldest first, and the tenants' tokens by tenant."""
        self.apps = apps
        self._ticket = Seal("ticket", secret_keys)
        self._grant = Seal("grant", secret_keys)
        self._cursor = Seal("cursor", secret_keys)

    def app(self, tenant: str) -> AppTokens:
        """Return a tenant's tokens; raises `not-found` for a tenant that is not configured."""
        app = self.apps.get(tenant)
        if app is None:
            raise Refusal(Code.NOT_FOUND)
        return app

    def seal_grant(self, grant: Grant) -> tuple[str, str]:
        """Return the ticket and the grant token of a grant: one payload, two purposes."""
        payload = encode_members(_grant_members(grant))
        return self._ticket.seal(payload), self._grant.seal(payload)

    def seal_grant_token(self, grant: Grant) -> str:
        """Return the grant token alone."""
        return self._grant.seal(encode_members(_grant_members(grant)))

    def seal_ticket(self, ticket: Ticket) -> str:
        """Return the token of a ticket, which adds to its grant how the upload is divided."""
        members = _grant_members(ticket.grant) + _multipart_members(ticket.multipart)
        return self._ticket.seal(encode_members(members))

    def open_ticket(self, token: str, now: int) -> Ticket:
        """Return a live ticket, else raise `not-found`."""
        fields = self._ticket.open(token)
        ticket = Ticket(_grant(fields), _multipart(fields))
        check_times(ticket.grant.issued_at, ticket.grant.expires_at, now)
        return ticket

    def open_grant(self, token: str) -> Grant:
        """Return the grant of a grant token, else raise `not-found`.

        It does not expire here: its expiry is judged against the object's LastModified, so that lateness loses nothing.
        """
        return _grant(self._grant.open(token))

    def seal_cursor(self, tenant: str, prefix: str, after: str) -> str:
        """Return the place in a listing where the next page begins."""
        return self._cursor.seal(encode({"tenant": tenant, "prefix": prefix, "after": after}))

    def open_cursor(self, token: str, tenant: str, prefix: str) -> str:
        """Return the key after which the page begins; raises `not-found` for another listing's cursor."""
        fields = self._cursor.open(token)
        if fields["tenant"] != tenant or fields["prefix"] != prefix:
            raise Refusal(Code.NOT_FOUND)
        return text(fields, "after")

    def open_pass(self, token: str, now: int) -> Principal:
        """Return the principal of a live pass of any tenant, else raise `not-found`."""
        return self.app(_tenant(token)).open_pass(token, now)

    def open_link(self, token: str, now: int) -> Link:
        """Return a live link of any tenant, else raise `not-found`."""
        return self.app(_tenant(token)).open_link(token, now)


def _tenant(token: str) -> str:
    return token.partition(".")[0]


def _grant_members(grant: Grant) -> str:
    """Write the members of a grant as JSON: by hand, which takes a third of the time of a dictionary's encoding."""
    members = (
        f'"sub":{dump(grant.principal)},"key":"{grant.key.key}",'  # a key needs no escapes
        f'"{"size" if grant.exact else "at_most"}":{grant.size},"name":{dump(grant.filename.text)},'
        f'"iat":{grant.issued_at},"exp":{grant.expires_at}'
    )
    if grant.key.upload_name:
        members += f',"upload":"{grant.key.upload_name}"'
    if grant.checksum_sha256 is not None:
        members += f',"sha256":"{grant.checksum_sha256}"'
    if grant.content_md5 is not None:
        members += f',"md5":"{grant.content_md5}"'
    if grant.at_least:
        members += f',"at_least":{grant.at_least}'
    if grant.scan:
        members += ',"scan":true'
    if grant.metadata:
        members += f',"meta":{dump(grant.metadata)}'
    return members


def _grant(fields: dict[str, Any]) -> Grant:
    key = ObjectKey.parse_key(fields["key"])
    if "upload" in fields:
        key = ObjectKey(key.tenant, key.policy, key.name, key.extension, fields["upload"])
    exact = "size" in fields
    return Grant(
        fields["sub"],
        key,
        BY_EXTENSION[key.extension].name,
        fields["size" if exact else "at_most"],
        fields.get("sha256"),
        Filename(fields["name"]),
        fields.get("meta", {}),
        fields["iat"],
        fields["exp"],
        exact,
        fields.get("md5"),
        fields.get("at_least", 0),
        fields.get("scan", False),
    )


def _multipart_members(multipart: Multipart | None) -> str:
    if multipart is None:
        return ""
    part, sums = dump(multipart.part_size), dump(multipart.checksums)
    return f',"upload_id":{dump(multipart.upload_id)},"part":{part},"sums":{sums}'


def _multipart(fields: dict[str, Any]) -> Multipart | None:
    if "upload_id" not in fields:
        return None
    return Multipart(fields["upload_id"], fields["part"], fields["sums"])
