"""ZIP archives: may this one be unpacked, by what its directory tells? Pure, and nothing is unpacked."""

from gateway.content.active_content import holds_active_content
from gateway.content.zip_directory import ENCRYPTED, Directory, Member, read_directory
from gateway.errors import Code, Refusal

MAX_UNPACKED = 2**32  # bytes; this and the ratio are what Apache POI takes at most (ZipSecureFile)
MAX_RATIO = 100  # bytes unpacked for each packed one
HARMLESS = 2**20  # bytes: what unpacks to no more is no bomb, however well it is packed

_AES = 99  # APPNOTE.TXT 4.4.5, as the next: stored, deflated, deflate64, bzip2, LZMA, Zstandard, XZ, PPMd
_METHODS = frozenset({0, 8, 9, 12, 14, 93, 95, 98, _AES})
# What clamd unpacks; members of all other methods it calls clean without looking (libclamav/unzip.c).
_SCANNED_METHODS = frozenset({0, 8, 9, 12})
# Only its own directory tells what an archive within the archive unpacks to. Documents are ZIPs as well, but they are
# what people put into archives: what is within them is told by none.
_NESTED = frozenset(
    b"." + extension
    for extension in b"7z aab ace apk appx ar arj br bz bz2 cab cpio crx deb dmg ear egg gz img ipa iso jar lz lz4 lzh"
    b" lzma lzo msix nupkg rar rpm tar tbz tbz2 tgz txz tzst vhd vhdx vsix war whl wim xpi xz z zip zipx zst".split()
)
# What is a ZIP as well, but no archive to those who make it: documents, books, maps, designs.
_DOCUMENTS = frozenset(
    b"." + extension
    for extension in b"3mf cbz docm docx dotm dotx epub kmz numbers odb odc odf odg odi odm odp ods odt"
    b" otg oth otp ots ott oxps oxt pages potm potx ppam ppsm ppsx pptm pptx sldm sldx sxc sxd sxi sxw thmx vsdm"
    b" vsdx vssm vssx vstm vstx xlam xlsb xlsm xlsx xltm xltx xps".split()
)
_SUSPICIOUS = 4096  # bytes of names with `<` in them that are looked through; nobody has as many


def zip_objection(front: bytes, size: int, end: bytes, unpacked_limit: int | None) -> Code | None:
    """Say what speaks against a ZIP (PKWARE, APPNOTE.TXT), of which `end` are the last min(END_BYTES, size) bytes.

    With an `unpacked_limit` (bytes) it is going to be scanned, and nothing of it may be hidden from that.
    """
    try:
        directory = read_directory(front, size, end)
    except Refusal as refusal:
        return refusal.code
    return archive_objection(directory, unpacked_limit)


def archive_objection(directory: Directory, unpacked_limit: int | None, embedded_in: bytes = b"\n") -> Code | None:
    """Say what speaks against all of it: an unknown method, markup in a name, a bomb, what a scanner would not see.

    What is to be scanned may hold documents only where `embedded_in` is in their names: a newline is in none.
    """
    members = directory.members
    if not {member.method for member in members} <= _METHODS:
        return Code.CONTENT_MISMATCH
    if _holds_markup(directory):
        return Code.ACTIVE_CONTENT
    packed, unpacked = sum([member.packed for member in members]), sum([member.unpacked for member in members])
    too_large = (
        unpacked > MAX_UNPACKED
        or is_bomb(packed, unpacked)
        or any(member.unpacked > HARMLESS and is_bomb(member.packed, member.unpacked) for member in members)
        or not _NESTED.isdisjoint(_extensions(directory.listing.split(b"\n")))
        or (unpacked_limit is not None and (unpacked > unpacked_limit or _hides(directory, embedded_in)))
    )
    return Code.ARCHIVE_TOO_LARGE if too_large else None


def is_bomb(packed: int, unpacked: int) -> bool:
    """Tell whether so many bytes are too many for what they are packed in."""
    return unpacked > HARMLESS and unpacked > MAX_RATIO * packed


def _extensions(names: list[bytes]) -> list[bytes]:
    """Return what follows the last dot; what Windows drops from the end of a name does not count."""
    return [name[name.rfind(b".") :] for name in (name.rstrip(b". /") for name in names)]


def _hides(directory: Directory, embedded_in: bytes) -> bool:
    """Tell whether clamd would pass over some of it: what ZIP64 tells the sizes of it does not unpack (unzip.c)."""
    names = [name for name in directory.listing.split(b"\n") if embedded_in not in name]
    return (
        directory.zip64
        or not _DOCUMENTS.isdisjoint(_extensions(names))
        or not all(map(_can_be_scanned, directory.members))
    )


def _can_be_scanned(member: Member) -> bool:
    return member.method in _SCANNED_METHODS and not member.flags & ENCRYPTED


def _holds_markup(directory: Directory) -> bool:
    """Tell whether a name or the comment would be markup where a page shows it."""
    if b"<" not in directory.listing and b"<" not in directory.comment:
        return False
    lines = [*directory.listing.split(b"\n"), directory.comment]
    suspicious = b"\n".join([line for line in lines if b"<" in line])
    return len(suspicious) > _SUSPICIOUS or holds_active_content(suspicious)
