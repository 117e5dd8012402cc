"""Media types: the table of what may be uploaded, and the proof that a front is what was declared. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from gateway.content import audio, bitmaps, documents, images, isobmff, matroska, office, packed, text
from gateway.content.active_content import holds_active_content
from gateway.content.archives import zip_objection
from gateway.content.filenames import Filename
from gateway.content.fonts import is_woff2
from gateway.content.svg import holds_svg_action, is_svg
from gateway.content.zip_directory import END_BYTES
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
    aliases: tuple[str, ...] = ()  # what else browsers and systems call it


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


def _never(_front: bytes) -> bool:
    return False


def _proves_nothing(_front: bytes, _size: int) -> bool:
    return True


def _pdf_is_active(front: bytes) -> bool:
    return holds_active_content(front) or documents.holds_pdf_action(front)


_OPENXML = "application/vnd.openxmlformats-officedocument"
_ODF = "application/vnd.oasis.opendocument"
# Names are those that IANA registers, by the document named above each row, unless it says otherwise.
_PROOFS: dict[MediaType, _Proof] = {
    # W3C, Portable Network Graphics, third edition
    MediaType("image/png", ("png",), inline=True, aliases=("image/x-png",)): _shape(images.is_png),
    # ITU-T T.81; RFC 2046 section 4.2
    MediaType("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), inline=True, aliases=("image/jpg", "image/pjpeg")): _shape(
        images.is_jpeg
    ),
    # CompuServe, GIF89a specification; RFC 2046 section 4.2
    MediaType("image/gif", ("gif",), inline=True): _shape(images.is_gif),
    # RFC 9649
    MediaType("image/webp", ("webp",), inline=True): _shape(images.is_webp),
    # AOMedia, AV1 Image File Format 1.1
    MediaType("image/avif", ("avif",), inline=True): _shape(isobmff.is_avif),
    # ISO/IEC 23008-12 annexes B and C, for the next as well: images of HEVC, and of any codec
    MediaType("image/heic", ("heic",), inline=True): _shape(isobmff.is_heic),
    MediaType("image/heif", ("heif", "hif"), inline=True): _shape(isobmff.is_heif),
    # Adobe, TIFF 6.0; RFC 3302
    MediaType("image/tiff", ("tif", "tiff"), inline=True): _shape(bitmaps.is_tiff),
    # RFC 7903
    MediaType("image/bmp", ("bmp", "dib"), inline=True, aliases=("image/x-bmp", "image/x-ms-bmp")): _shape(
        bitmaps.is_bmp
    ),
    # IANA, image/vnd.microsoft.icon
    MediaType("image/vnd.microsoft.icon", ("ico",), inline=True, aliases=("image/x-icon", "image/ico")): _shape(
        bitmaps.is_ico
    ),
    # W3C, SVG 2. Never inline: it is a document that runs script, and only its front is searched for that
    MediaType("image/svg+xml", ("svg",), inline=False): _shape(is_svg, holds_svg_action),
    # ISO 32000-2; RFC 8118
    MediaType("application/pdf", ("pdf",), inline=False, aliases=("application/x-pdf",)): _shape(
        documents.is_pdf, _pdf_is_active
    ),
    # ISO/IEC 14496-14; RFC 4337
    MediaType("video/mp4", ("mp4", "m4v"), inline=True, aliases=("video/x-m4v",)): _shape(isobmff.is_mp4),
    # Apple, QuickTime File Format; RFC 6381
    MediaType("video/quicktime", ("mov", "qt"), inline=True): _shape(isobmff.is_mov),
    # WebM Project, Container Guidelines; not registered, but every browser's name; for the next but one as well
    MediaType("video/webm", ("webm",), inline=True): _shape(matroska.is_webm),
    # RFC 9559. Browsers say video/x-matroska, which is older
    MediaType("video/matroska", ("mkv",), inline=True, aliases=("video/x-matroska",)): _shape(matroska.is_mkv),
    MediaType("audio/webm", ("weba",), inline=True): _shape(matroska.is_webm),
    # ISO/IEC 11172-3 and 13818-3; RFC 3003
    MediaType("audio/mpeg", ("mp3",), inline=True, aliases=("audio/mp3", "audio/x-mpeg", "audio/x-mp3")): _shape(
        audio.is_mp3
    ),
    # ISO/IEC 14496-14; RFC 4337
    MediaType("audio/mp4", ("m4a",), inline=True, aliases=("audio/x-m4a", "audio/m4a")): _shape(isobmff.is_mp4),
    # IBM and Microsoft, Multimedia Programming Interface 1.0. RFC 2361 registers audio/vnd.wave, which no browser says
    MediaType(
        "audio/wav", ("wav", "wave"), inline=True, aliases=("audio/x-wav", "audio/wave", "audio/vnd.wave")
    ): _shape(audio.is_wav),
    # RFC 9639
    MediaType("audio/flac", ("flac",), inline=True, aliases=("audio/x-flac",)): _shape(audio.is_flac),
    # RFC 3533, RFC 5334, RFC 7845
    MediaType("audio/ogg", ("ogg", "oga", "opus"), inline=True, aliases=("audio/opus", "application/ogg")): _shape(
        audio.is_ogg
    ),
    # ISO/IEC 14496-3 annex 1.A (ADTS); IANA, audio/aac
    MediaType("audio/aac", ("aac",), inline=True, aliases=("audio/x-aac", "audio/aacp", "audio/vnd.dlna.adts")): _shape(
        audio.is_aac
    ),
    # PKWARE, APPNOTE.TXT 6.3.10; Windows has names of its own for it
    MediaType(
        "application/zip",
        ("zip",),
        inline=False,
        end_bytes=END_BYTES,
        aliases=("application/x-zip-compressed", "application/x-zip"),
    ): _packed(zip_objection),
    # RFC 1952; RFC 6713
    MediaType(
        "application/gzip",
        ("gz", "tgz"),
        inline=False,
        end_bytes=packed.GZIP_END_BYTES,
        aliases=("application/x-gzip",),
    ): _packed(packed.gzip_objection),
    # 7-Zip, DOC/7zFormat.txt; not registered, but what 7-Zip and browsers call it
    MediaType("application/x-7z-compressed", ("7z",), inline=False): _packed(packed.seven_zip_objection),
    # POSIX.1-2017, pax; GNU tar manual; not registered, but what everybody calls it
    MediaType("application/x-tar", ("tar",), inline=False, end_bytes=packed.TAR_END_BYTES): _packed(
        packed.tar_objection
    ),
    # ECMA-376: text, spreadsheet and presentation; with macros they would be other types
    MediaType(f"{_OPENXML}.wordprocessingml.document", ("docx",), inline=False, end_bytes=END_BYTES): _packed(
        office.ooxml_objection("word")
    ),
    MediaType(f"{_OPENXML}.spreadsheetml.sheet", ("xlsx",), inline=False, end_bytes=END_BYTES): _packed(
        office.ooxml_objection("xl")
    ),
    MediaType(f"{_OPENXML}.presentationml.presentation", ("pptx",), inline=False, end_bytes=END_BYTES): _packed(
        office.ooxml_objection("ppt")
    ),
    # OASIS, OpenDocument 1.3 part 2 and part 3 appendix C
    MediaType(f"{_ODF}.text", ("odt",), inline=False, end_bytes=END_BYTES): _packed(
        office.odf_objection(f"{_ODF}.text")
    ),
    MediaType(f"{_ODF}.spreadsheet", ("ods",), inline=False, end_bytes=END_BYTES): _packed(
        office.odf_objection(f"{_ODF}.spreadsheet")
    ),
    MediaType(f"{_ODF}.presentation", ("odp",), inline=False, end_bytes=END_BYTES): _packed(
        office.odf_objection(f"{_ODF}.presentation")
    ),
    # W3C, EPUB 3.3
    MediaType("application/epub+zip", ("epub",), inline=False, end_bytes=END_BYTES): _packed(office.epub_objection()),
    # RFC 2046 section 4.1.3; RFC 3629 (UTF-8) and RFC 2781 (UTF-16)
    MediaType("text/plain", ("txt", "text", "log"), inline=False): _shape(text.is_text),
    # RFC 4180, whose grammar most files called CSV break. Windows takes it for Excel's
    MediaType(
        "text/csv",
        ("csv",),
        inline=False,
        aliases=("application/csv", "text/x-csv", "text/comma-separated-values", "application/vnd.ms-excel"),
    ): _shape(text.is_csv),
    # RFC 7763
    MediaType("text/markdown", ("md", "markdown"), inline=False, aliases=("text/x-markdown",)): _shape(
        text.is_markdown, text.holds_markdown_action
    ),
    # RFC 8259
    MediaType("application/json", ("json",), inline=False): _shape(text.is_json),
    # W3C, WOFF 2.0; RFC 8081
    MediaType("font/woff2", ("woff2",), inline=False, aliases=("application/font-woff2",)): _shape(is_woff2),
    # RFC 2046 section 4.5.1: any bytes, zero of them included, which a client should only offer to save. They are not
    # searched: no browser runs them, since every download of theirs is an attachment of that very type
    # (gateway/s3/downloads.py), and what they are is for whoever opens the saved file. Source code is full of markup.
    MediaType(OCTETS, ("bin",), inline=False): _shape(_proves_nothing, _never),
}
MEDIA_TYPES = MappingProxyType({media_type.name: media_type for media_type in _PROOFS})
BY_EXTENSION = MappingProxyType(
    {extension: media_type for media_type in _PROOFS for extension in media_type.extensions}
)
_BY_ANY_NAME = {alias: media_type for media_type in _PROOFS for alias in (media_type.name, *media_type.aliases)}


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
    `unpacked_limit` bytes, or as many as any may. `active-content` comes before `content-mismatch`.
    """
    proof = _PROOFS[media_type]
    if proof.is_active(front):
        return Code.ACTIVE_CONTENT
    return proof.objection(front, size, end, unpacked_limit)
