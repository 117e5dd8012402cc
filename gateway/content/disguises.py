"""Disguises: would clamd take a front for something else than its type, and unpack that instead? Pure."""

# What clamd looks for behind an object's first bytes, and believes before them: all that libclamav/filetypes_int.h 1.4
# has of type 0 and an offset. A tar, a disk (UEFI specification 2.10, 5.3.2), a document of Hangul.
_TAR = (257, b"ustar")
_OTHERS = ((512, b"EFI PART"), (4, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))


def is_disguised(front: bytes, *, is_tar: bool) -> bool:
    """Tell whether clamd would take this for a disk or a document, or for a tar that it does not say it is."""
    marks = _OTHERS if is_tar else (_TAR, *_OTHERS)
    return any(front.startswith(mark, offset) for offset, mark in marks)
