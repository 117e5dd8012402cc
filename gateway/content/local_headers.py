"""Local headers: does each member of a ZIP begin and end as the directory says? Asked of bytes that pass by. Pure.

Proof sees front and end of an object alone, but what is scanned passes as a whole. There a header in between could tell
clamd one thing, and whoever unpacks by the directory another: clamd goes by the local one (libclamav/unzip.c).
"""

import struct
from collections.abc import Iterator

from gateway.content.zip_directory import Directory, Member, check_local_header
from gateway.errors import Code, Refusal

# Descriptors by their length: with a signature or without, sizes of 32 bits or of 64 (APPNOTE.TXT 4.3.9).
_SIGNATURE = b"PK\7\x08"
_FORMS = {12: (b"", "<III"), 16: (_SIGNATURE, "<III"), 20: (b"", "<IQQ"), 24: (_SIGNATURE, "<IQQ")}


class LocalHeaders:
    """Takes all blocks of an archive in their order. Keeps no more than one header and its gap, 256 KiB."""

    def __init__(self, directory: Directory) -> None:
        """Take what `read_directory` made of the end of the same bytes."""
        self._members = _with_ends(directory)
        self._current = next(self._members, None)
        self._position = 0
        self._head, self._tail = bytearray(), bytearray()
        self._objection: Code | None = None

    def feed(self, block: bytes) -> None:
        """Look at the bytes that follow those before; nothing is raised."""
        first, self._position = self._position, self._position + len(block)
        view = memoryview(block)
        while self._current is not None and self._objection is None:
            member, stop = self._current
            gap = _gap(member, stop)
            head_stop = member.offset + 30 + len(member.name) + gap
            self._head += view[max(member.offset - first, 0) : max(head_stop - first, 0)]
            self._tail += view[max(stop - gap - first, 0) : max(stop - first, 0)]
            if self._position < stop:
                return
            self._objection = _member_objection(member, bytes(self._head), bytes(self._tail))
            self._head, self._tail = bytearray(), bytearray()
            self._current = next(self._members, None)

    def objection(self) -> Code | None:
        """Say what speaks against the members, when all blocks have passed: that some did not, too."""
        return Code.CONTENT_MISMATCH if self._objection is None and self._current is not None else self._objection


def _with_ends(directory: Directory) -> Iterator[tuple[Member, int]]:
    """Yield each member and where what belongs to it ends."""
    starts = [member.offset for member in directory.members]
    return zip(directory.members, [*starts[1:], directory.offset], strict=bool(starts))


def _gap(member: Member, stop: int) -> int:
    """Return how long the extra field of its header and its descriptor are, which no directory tells apart."""
    return stop - member.offset - 30 - len(member.name) - member.packed


def _member_objection(member: Member, head: bytes, tail: bytes) -> Code | None:
    """Judge a member by its header, and what may be of its extra field, and by the end of it, as long as both gaps."""
    try:
        zip64 = check_local_header(member, head, 0, len(tail))
    except Refusal as refusal:
        return refusal.code
    if zip64:
        return Code.ARCHIVE_TOO_LARGE
    length = len(tail) - int.from_bytes(head[28:30], "little")
    return None if not length or _describes(tail[-length:], member) else Code.CONTENT_MISMATCH


def _describes(descriptor: bytes, member: Member) -> bool:
    """Tell whether this is the member's descriptor: `check_local_header` has seen to its length."""
    signature, form = _FORMS[len(descriptor)]
    return descriptor == signature + struct.pack(form, member.checksum, member.packed, member.unpacked)
