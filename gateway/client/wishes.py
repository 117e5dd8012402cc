"""What an upload is to be stored as, and the ticket for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.client.values import Ticket, read
from gateway.client.wire import Wire
from gateway.content.media_types import BY_EXTENSION, OCTETS


@dataclass(frozen=True, slots=True)
class Wish:
    """What an upload is to be stored as."""

    filename: str
    content_type: str
    policy: str
    metadata: Mapping[str, str] | None

    @classmethod
    def of(
        cls, filename: str, content_type: str | None, policy: str, metadata: Mapping[str, str] | None = None
    ) -> "Wish":
        """Take the type from the extension where none is named: one that the gateway can prove, or octets."""
        if content_type is None:
            _, dot, extension = filename.rpartition(".")
            known = BY_EXTENSION.get(extension.lower()) if dot else None
            content_type = OCTETS if known is None else known.name
        # A name on the disk may be no Unicode.
        return cls(filename.encode("utf-8", "replace").decode(), content_type, policy, metadata)

    async def ticket(self, wire: Wire, size: int | None, checksum_sha256: str | None = None) -> Ticket:
        """Ask for a ticket; a SHA-256 comes with every part, if there are parts."""
        wanted = {
            "filename": self.filename,
            "content_type": self.content_type,
            "policy": self.policy,
            "size": size,
            "part_checksums": True,
            **({} if self.metadata is None else {"metadata": dict(self.metadata)}),
            **({} if checksum_sha256 is None else {"checksum_sha256": checksum_sha256}),
        }
        return read(Ticket.read, await wire.ask("POST", "/v1/uploads", wanted))
