"""Samples: a file under a declared type, and the verdict that proof has to give of it."""

from dataclasses import dataclass

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, MediaType, objection
from gateway.errors import Code

PNG, JPEG, GIF, WEBP = "image/png", "image/jpeg", "image/gif", "image/webp"
AVIF, HEIC, HEIF, TIFF, BMP = "image/avif", "image/heic", "image/heif", "image/tiff", "image/bmp"
ICO, SVG = "image/vnd.microsoft.icon", "image/svg+xml"
MP4, MOV, WEBM, MKV = "video/mp4", "video/quicktime", "video/webm", "video/matroska"
MP3, WAV, FLAC, OGG, AAC = "audio/mpeg", "audio/wav", "audio/flac", "audio/ogg", "audio/aac"
M4A, WEBA = "audio/mp4", "audio/webm"
PDF, TEXT, CSV, JSON, MARKDOWN = "application/pdf", "text/plain", "text/csv", "application/json", "text/markdown"
ZIP, GZIP, SEVEN_ZIP, TAR = "application/zip", "application/gzip", "application/x-7z-compressed", "application/x-tar"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
EPUB, WOFF2 = "application/epub+zip", "font/woff2"

IMAGES = (PNG, JPEG, GIF, WEBP, AVIF, HEIC, HEIF, TIFF, BMP, ICO, SVG)
FILMS = (MP4, MOV, WEBM, MKV)
SOUNDS = (MP3, WAV, FLAC, OGG, AAC, M4A, WEBA)
TEXTS = (TEXT, CSV, JSON, MARKDOWN)
OFFICE = (DOCX, XLSX, PPTX, ODT, ODS, ODP, EPUB)
ARCHIVES = (ZIP, GZIP, SEVEN_ZIP, TAR)
ALL = (*IMAGES, *FILMS, *SOUNDS, PDF, *TEXTS, *OFFICE, *ARCHIVES, WOFF2)

ACTIVE, MISMATCH, BOMB = Code.ACTIVE_CONTENT, Code.CONTENT_MISMATCH, Code.ARCHIVE_TOO_LARGE


@dataclass(frozen=True, slots=True)
class Sample:
    """A file under a declared type; `verdict` is what objection() has to say."""

    name: str
    media_type: str
    content: bytes
    verdict: Code | None


def in_view(media_type: MediaType, content: bytes) -> tuple[bytes, int, bytes]:
    """Return front, size and end of a file, as `gateway.proof` reads them from the bucket."""
    end_size = min(media_type.end_bytes, len(content))
    return content[:FRONT_BYTES], len(content), content[len(content) - end_size :]


def verdict(media_type: str, content: bytes, *, unpacked_limit: int | None = None) -> Code | None:
    """Judge a file through the same door as `gateway.proof`."""
    found = MEDIA_TYPES[media_type]
    front, size, end = in_view(found, content)
    return objection(found, front, size, end, unpacked_limit=unpacked_limit)
