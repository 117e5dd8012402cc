"""Media types: the table of what may be uploaded, and the proof that a front is what was declared. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from gateway.content.active_content import holds_active_content
from gateway.content.documents import holds_pdf_action, is_pdf
from gateway.content.filenames import Filename
from gateway.content.images import is_gif, is_jpeg, is_png, is_webp
from gateway.content.text import is_json, is_text
from gateway.errors import Code, Refusal

OCTETS = "application/octet-stream"
FRONT_BYTES = 4096  # how much of an object proof reads


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type that a policy can allow."""

    name: str  # in lower case, without parameters
    extensions: tuple[str, ...]  # the first is the one in keys; no other type has any of them
    inline: bool  # cannot run script when a browser shows it
    end_bytes: int = 0  # how much of the object's end proof reads beside its front


def _proves_nothing(_front: bytes, _size: int) -> bool:
    return True


_PROOFS: dict[MediaType, Callable[[bytes, int], bool]] = {
    # W3C, Portable Network Graphics, third edition
    MediaType("image/png", ("png",), inline=True): is_png,
    # ITU-T T.81; RFC 2046 section 4.2
    MediaType("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), inline=True): is_jpeg,
    # CompuServe, GIF89a specification; RFC 2046 section 4.2
    MediaType("image/gif", ("gif",), inline=True): is_gif,
    # RFC 9649
    MediaType("image/webp", ("webp",), inline=True): is_webp,
    # ISO 32000-2; RFC 8118
    MediaType("application/pdf", ("pdf",), inline=False): is_pdf,
    # RFC 2046 section 4.1.3; RFC 3629 (UTF-8) and RFC 2781 (UTF-16)
    MediaType("text/plain", ("txt", "text", "log"), inline=False): is_text,
    # RFC 4180, whose grammar most files called CSV break: no more is asked of them than to be text
    MediaType("text/csv", ("csv",), inline=False): is_text,
    # RFC 8259
    MediaType("application/json", ("json",), inline=False): is_json,
    # RFC 2046 section 4.5.1: any bytes, zero of them included, which a client should only offer to save
    MediaType(OCTETS, ("bin",), inline=False): _proves_nothing,
}
MEDIA_TYPES = MappingProxyType({media_type.name: media_type for media_type in _PROOFS})
BY_EXTENSION = MappingProxyType(
    {extension: media_type for media_type in _PROOFS for extension in media_type.extensions}
)
_PDF = MEDIA_TYPES["application/pdf"]


def parse_media_type(text: str) -> MediaType:
    """Find the type that a Content-Type value names (RFC 9110, 8.3.1), or raise the `type-not-allowed` refusal."""
    media_type = MEDIA_TYPES.get(text)
    if media_type is None:
        essence = text.partition(";")[0].strip(" \t")
        # Lower case makes ASCII of some letters that are not, such as the Kelvin sign.
        media_type = MEDIA_TYPES.get(essence.lower()) if essence.isascii() else None
    if media_type is None:
        raise Refusal(Code.TYPE_NOT_ALLOWED)
    return media_type


def check_extension(media_type: MediaType, filename: Filename) -> None:
    """Raise the `extension-mismatch` refusal for an extension of another type; having none is fine.

    Octets are the bytes of any file, whatever it is called.
    """
    extension = filename.extension
    if extension is not None and extension not in media_type.extensions and media_type.name != OCTETS:
        raise Refusal(Code.EXTENSION_MISMATCH)


def objection(
    media_type: MediaType,
    front: bytes,
    size: int,
    end: bytes = b"",  # noqa: ARG001 - for archives, whose directory lies there
    *,
    unpacked_limit: int | None = None,  # noqa: ARG001 - as above
) -> Code | None:
    """Say what speaks against taking `size` bytes for `media_type`; None when they prove it.

    `front` is the first min(4096, size) of them, `end` the last min(end_bytes, size). An archive may unpack to
    `unpacked_limit` bytes, or as many as any may. `active-content` comes before `content-mismatch`.
    """
    # Octets are not searched: no browser runs them, since every download of theirs is an attachment of that very type
    # (gateway/s3/downloads.py), and what they are is for whoever opens the saved file. Source code is full of markup.
    if media_type.name != OCTETS and _is_active(media_type, front):
        return Code.ACTIVE_CONTENT
    return None if _PROOFS[media_type](front, size) else Code.CONTENT_MISMATCH


def _is_active(media_type: MediaType, front: bytes) -> bool:
    return holds_active_content(front) or (media_type is _PDF and holds_pdf_action(front))
