"""Who is asking: a principal, its tenant, and what it may do."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import Code, Refusal

PRINCIPAL_BYTES = 128  # so that a grant token fits into 2,000 bytes of object metadata


class Action(StrEnum):
    """What a principal may be allowed to do."""

    UPLOAD = "upload"
    LINK = "link"
    READ = "read"
    DELETE = "delete"


class Kind(StrEnum):
    """By what the principal proved itself."""

    API_KEY = "api-key"
    JWT = "jwt"
    PASS = "pass"  # noqa: S105 - the name of a kind, no password


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pass narrows its policy to: bytes, and content types."""

    max_size: int | None = None
    content_types: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a call is made, within a tenant."""

    tenant: str
    name: str
    kind: Kind
    actions: frozenset[Action]
    policies: frozenset[str]
    on_behalf_of: bool = False
    limits: Limits = Limits()

    def require(self, action: Action) -> None:
        """Raise `forbidden` unless the action is allowed."""
        if action not in self.actions:
            raise Refusal(Code.FORBIDDEN, f"These credentials do not allow the action '{action.value}'.")

    def speaks_for(self, tenant: str, name: str) -> bool:
        """Whether this principal may spend what was granted to `name` in `tenant`."""
        return self.tenant == tenant and (self.name == name or self.on_behalf_of)


def is_principal_name(text: str) -> bool:
    """Whether the text can name a principal: 1 to 128 bytes of UTF-8, all printable."""
    return text.isprintable() and 0 < len(text.encode()) <= PRINCIPAL_BYTES
