"""Judge whole files as proof does: by the front and the end that their type asks for."""

import io
import zipfile
from collections.abc import Mapping

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, objection
from gateway.errors import Code


def judged(media_type: str, content: bytes, *, unpacked_limit: int | None = None) -> Code | None:
    """Return what speaks against these bytes."""
    found = MEDIA_TYPES[media_type]
    end = content[len(content) - min(found.end_bytes, len(content)) :]
    return objection(found, content[:FRONT_BYTES], len(content), end, unpacked_limit=unpacked_limit)


def zipped(
    files: Mapping[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """Return an archive of these files as Python's zipfile writes it; a ZipInfo keeps its own method."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return buffer.getvalue()
