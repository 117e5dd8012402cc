"""Media types: the table of what may be uploaded, and the proof that a front is what was declared. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from gateway.content import audio, bitmaps, documents, images, isobmff, matroska, text
from gateway.content.active_content import holds_active_content
from gateway.content.archives import zip_objection
from gateway.content.disguises import is_disguised
from gateway.content.filenames import Filename
from gateway.content.fonts import is_woff2
from gateway.content.local_headers import LocalHeaders
from gateway.content.media_names import ALIASES
from gateway.content.office import epub_objection, odf_objection, ooxml_objection
from gateway.content.packed import (
    GZIP_END_BYTES,
    TAR_END_BYTES,
    gzip_objection,
    seven_zip_objection,
    tar_objection,
)
from gateway.content.svg import svg_objection
from gateway.content.zip_directory import END_BYTES, read_directory
from gateway.errors import Code, Refusal

OCTETS = "application/octet-stream"
_TAR = "application/x-tar"
FRONT_BYTES = 4096  # how much of an object proof reads


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type that a policy can allow."""

    name: str  # in lower case, without parameters
    extensions: tuple[str, ...]  # the first is the one in keys; no other type has any of them
    inline: bool  # cannot run script when a browser shows it
    end_bytes: int = 0  # how much of the object's end proof reads beside its front


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a type asks of front, size, end and what may be unpacked; and whether a front of it would run somewhere."""

    objection: Callable[[bytes, int, bytes, int | None], Code | None]
    is_active: Callable[[bytes], bool]


def _shape(has_it: Callable[[bytes, int], bool], is_active: Callable[[bytes], bool] = holds_active_content) -> _Proof:
    """Prove by the front alone."""

    def objection(front: bytes, size: int, _end: bytes, _limit: int | None) -> Code | None:
        return None if has_it(front, size) else Code.CONTENT_MISMATCH

    return _Proof(objection, is_active)


def _packed(has_it: Callable[[bytes, int, bytes, int | None], Code | None]) -> _Proof:
    """Prove by front and end. What is packed may be markup, since no browser takes the signature before it for any."""

    def objection(front: bytes, size: int, end: bytes, limit: int | None) -> Code | None:
        code = has_it(front, size, end, limit)
        return Code.ACTIVE_CONTENT if code is Code.CONTENT_MISMATCH and holds_active_content(front) else code

    return _Proof(objection, _never)


def _package(name: str, extension: str) -> MediaType:
    """Return the type of a document that is a ZIP."""
    return MediaType(name, (extension,), inline=False, end_bytes=END_BYTES)


def _never(_front: bytes) -> bool:
    return False


def _proves_nothing(_front: bytes, _size: int) -> bool:
    return True


def _pdf_is_active(front: bytes) -> bool:
    return holds_active_content(front) or documents.holds_pdf_action(front)


_OPENXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
# Names are those that IANA registers, by the document above each row, unless it says otherwise.
_PROOFS: dict[MediaType, _Proof] = {
    # W3C, Portable Network Graphics, third edition
    MediaType("image/png", ("png",), inline=True): _shape(images.is_png),
    # ITU-T T.81; RFC 2046 section 4.2
    MediaType("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), inline=True): _shape(images.is_jpeg),
    # CompuServe, GIF89a specification; RFC 2046 section 4.2
    MediaType("image/gif", ("gif",), inline=True): _shape(images.is_gif),
    # RFC 9649
    MediaType("image/webp", ("webp",), inline=True): _shape(images.is_webp),
    # AOMedia, AV1 Image File Format 1.1
    MediaType("image/avif", ("avif",), inline=True): _shape(isobmff.is_avif),
    # ISO/IEC 23008-12: images of HEVC (annex B), and of any codec
    MediaType("image/heic", ("heic",), inline=True): _shape(isobmff.is_heic),
    MediaType("image/heif", ("heif", "hif"), inline=True): _shape(isobmff.is_heif),
    # Adobe, TIFF 6.0; RFC 3302
    MediaType("image/tiff", ("tif", "tiff"), inline=True): _shape(bitmaps.is_tiff),
    # RFC 7903
    MediaType("image/bmp", ("bmp", "dib"), inline=True): _shape(bitmaps.is_bmp),
    # Microsoft, "Icons in Win32"
    MediaType("image/vnd.microsoft.icon", ("ico",), inline=True): _shape(bitmaps.is_ico),
    # W3C, SVG 2. Never inline: it is a document that runs script, and only its front is searched for that
    MediaType("image/svg+xml", ("svg",), inline=False): _Proof(svg_objection, _never),
    # ISO 32000-2; RFC 8118
    MediaType("application/pdf", ("pdf",), inline=False): _shape(documents.is_pdf, _pdf_is_active),
    # ISO/IEC 14496-14; RFC 4337
    MediaType("video/mp4", ("mp4", "m4v"), inline=True): _shape(isobmff.is_mp4),
    MediaType("audio/mp4", ("m4a",), inline=True): _shape(isobmff.is_mp4),
    # Apple, QuickTime File Format; RFC 6381
    MediaType("video/quicktime", ("mov", "qt"), inline=True): _shape(isobmff.is_mov),
    # WebM Project, "WebM Container Guidelines": not registered, but what every browser says
    MediaType("video/webm", ("webm",), inline=True): _shape(matroska.is_webm),
    MediaType("audio/webm", ("weba",), inline=True): _shape(matroska.is_webm),
    # RFC 9559
    MediaType("video/matroska", ("mkv",), inline=True): _shape(matroska.is_mkv),
    # ISO/IEC 11172-3 and 13818-3; RFC 3003
    MediaType("audio/mpeg", ("mp3",), inline=True): _shape(audio.is_mp3),
    # IBM and Microsoft, Multimedia Programming Interface 1.0. No browser plays what is registered, audio/vnd.wave
    MediaType("audio/wav", ("wav", "wave"), inline=True): _shape(audio.is_wav),
    # RFC 9639
    MediaType("audio/flac", ("flac",), inline=True): _shape(audio.is_flac),
    # RFC 3533 and RFC 5334
    MediaType("audio/ogg", ("ogg", "oga", "opus"), inline=True): _shape(audio.is_ogg),
    # ISO/IEC 14496-3, annex 1.A
    MediaType("audio/aac", ("aac",), inline=True): _shape(audio.is_aac),
    # PKWARE, APPNOTE.TXT 6.3.10
    MediaType("application/zip", ("zip",), inline=False, end_bytes=END_BYTES): _packed(zip_objection),
    # RFC 1952; RFC 6713
    MediaType("application/gzip", ("gz", "tgz"), inline=False, end_bytes=GZIP_END_BYTES): _packed(gzip_objection),
    # 7-Zip, DOC/7zFormat.txt: not registered, but what everybody says; likewise the next, of POSIX.1-2017 and GNU
    MediaType("application/x-7z-compressed", ("7z",), inline=False): _packed(seven_zip_objection),
    MediaType(_TAR, ("tar",), inline=False, end_bytes=TAR_END_BYTES): _packed(tar_objection),
    # ECMA-376. With macros in them they would be of other types
    _package(f"{_OPENXML}.wordprocessingml.document", "docx"): _packed(ooxml_objection("word")),
    _package(f"{_OPENXML}.spreadsheetml.sheet", "xlsx"): _packed(ooxml_objection("xl")),
    _package(f"{_OPENXML}.presentationml.presentation", "pptx"): _packed(ooxml_objection("ppt")),
    # OASIS, OpenDocument 1.3
    _package(f"{_ODF}.text", "odt"): _packed(odf_objection(f"{_ODF}.text")),
    _package(f"{_ODF}.spreadsheet", "ods"): _packed(odf_objection(f"{_ODF}.spreadsheet")),
    _package(f"{_ODF}.presentation", "odp"): _packed(odf_objection(f"{_ODF}.presentation")),
    # W3C, EPUB 3.3
    _package("application/epub+zip", "epub"): _packed(epub_objection()),
    # RFC 2046 section 4.1.3; RFC 3629 (UTF-8) and RFC 2781 (UTF-16)
    MediaType("text/plain", ("txt", "text", "log"), inline=False): _shape(text.is_text),
    # RFC 4180
    MediaType("text/csv", ("csv",), inline=False): _shape(text.is_csv),
    # RFC 7763
    MediaType("text/markdown", ("md", "markdown"), inline=False): _shape(text.is_markdown, text.holds_markdown_action),
    # RFC 8259
    MediaType("application/json", ("json",), inline=False): _shape(text.is_json),
    # W3C, WOFF 2.0; RFC 8081
    MediaType("font/woff2", ("woff2",), inline=False): _shape(is_woff2),
    # RFC 2046 section 4.5.1: any bytes, zero of them included, which a client should only offer to save. They are not
    # searched: no browser runs them, since every download of theirs is an attachment of that very type
    # (gateway/s3/downloads.py), and what they are is for whoever opens the saved file. Source code is full of markup.
    MediaType(OCTETS, ("bin",), inline=False): _shape(_proves_nothing, _never),
}
MEDIA_TYPES = MappingProxyType({media_type.name: media_type for media_type in _PROOFS})
BY_EXTENSION = MappingProxyType(
    {extension: media_type for media_type in _PROOFS for extension in media_type.extensions}
)
_BY_ANY_NAME = {**MEDIA_TYPES, **{alias: MEDIA_TYPES[name] for alias, name in ALIASES.items()}}


def parse_media_type(text: str) -> MediaType:
    """Find the type that a Content-Type value names (RFC 9110, 8.3.1), or raise the `type-not-allowed` refusal.

    What is presigned carries the type's own name, whatever a browser calls it.
    """
    media_type = _BY_ANY_NAME.get(text)
    if media_type is None:
        essence = text.partition(";")[0].strip(" \t")
        # Lower case makes ASCII of some letters that are not, such as the Kelvin sign.
        media_type = _BY_ANY_NAME.get(essence.lower()) if essence.isascii() else None
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
    media_type: MediaType, front: bytes, size: int, end: bytes = b"", *, unpacked_limit: int | None = None
) -> Code | None:
    """Say what speaks against taking `size` bytes for `media_type`; None when they prove it.

    `front` is the first min(4096, size) of them, `end` the last min(end_bytes, size). An archive may unpack to
    `unpacked_limit` bytes, and nothing of it may be hidden from the scanner; without one, as many as any may.
    `active-content` comes before `content-mismatch`.
    """
    proof = _PROOFS[media_type]
    if proof.is_active(front):
        return Code.ACTIVE_CONTENT
    code = proof.objection(front, size, end, unpacked_limit)
    if code is None and unpacked_limit is not None and media_type.name != OCTETS:
        return Code.CONTENT_MISMATCH if is_disguised(front, is_tar=media_type.name == _TAR) else None
    return code


def local_headers(media_type: MediaType, size: int, end: bytes) -> LocalHeaders | None:
    """Return what looks at the members of a ZIP while all its bytes pass; None for what is no ZIP.

    Front and `end` have proved the type before: `objection` had nothing to say.
    """
    return LocalHeaders(read_directory(b"", size, end)) if media_type.end_bytes == END_BYTES else None
