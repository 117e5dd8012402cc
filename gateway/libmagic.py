"""libmagic, where it is asked for (GATEWAY_MAGIC): a second opinion on what the front of an upload is.

It objects, and never vouches: what it does not know is left to the proof. It parses hostile bytes in C, and slowly, so
it is shown little of them (1 KiB of newlines takes 9 ms, 64 KiB take 300), in threads of its own, within a deadline.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Final

from gateway.content.media_types import MEDIA_TYPES, OCTETS, MediaType
from gateway.errors import Code, Refusal
from gateway.s3.threads import Threads
from gateway.setting_sources import SettingsError

WINDOW = 1024  # bytes
THREADS = 2
DEADLINE = 5.0  # seconds, of which a second is plenty
RETRY_AFTER = 5  # seconds
Identify = Callable[[bytes], str]

# How libmagic names types, in its versions 5.39 to 5.46 (magic/Magdir of its source).
_IGNORANT: Final = frozenset({"application/octet-stream", "application/x-empty", "inode/x-empty"})
_ISO_MEDIA = {
    "video/mp4",
    "audio/mp4",
    "application/mp4",
    "video/x-m4v",
    "audio/x-m4a",
    "video/3gpp",
    "video/quicktime",
}
_MATROSKA = {"video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"}
_HEIF = {"image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence", "image/avif"}
_ZIP = {"application/zip"}
_OFFICE = {name for name in MEDIA_TYPES if re.search("openxmlformats|opendocument|epub", name)}
# Its guesses at the language of a text are no objection; that a browser would show it as a page is one.
_TEXT = {"application/json", "application/x-ndjson", "application/javascript", "application/csv", "application/xml"}
_TEXT |= {
    "application/x-subrip",
    "application/x-wine-extension-ini",
    "application/x-setupscript",
    "application/pgp-keys",
}
_TEXT |= {"application/pgp-signature", "application/pgp-encrypted", "message/rfc822", "message/news"}
_PAGE = "text/html"
# Besides a type's own name.
_SAME: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(labels)
    for name, labels in {
        "image/avif": _HEIF,
        "image/heic": _HEIF,
        "image/heif": _HEIF,
        "image/bmp": {"image/x-ms-bmp"},
        "image/vnd.microsoft.icon": {"image/x-icon"},
        "image/svg+xml": {"text/xml", "application/xml", "text/plain"},
        "video/mp4": _ISO_MEDIA,
        "audio/mp4": _ISO_MEDIA,
        "video/quicktime": _ISO_MEDIA,
        "video/webm": _MATROSKA,
        "audio/webm": _MATROSKA,
        "video/matroska": _MATROSKA,
        "audio/mpeg": {"audio/x-mp3", "audio/mpegapplication/octet-stream"},
        "audio/wav": {"audio/x-wav", "audio/vnd.wave"},
        "audio/flac": {"audio/x-flac"},
        "audio/ogg": {"application/ogg", "video/ogg"},
        "audio/aac": {"audio/x-hx-aac-adts", "audio/x-hx-aac-adif", "audio/x-aac"},
        "application/zip": _OFFICE,
        "application/gzip": {"application/x-gzip"},
        "application/x-tar": {"application/x-gtar", "application/x-ustar"},
        "font/woff2": {"application/font-woff2"},
        **dict.fromkeys(_OFFICE, _ZIP | {"application/vnd.openxmlformats-officedocument"}),
        "text/plain": _TEXT,
        "text/csv": _TEXT,
        "text/markdown": _TEXT | {_PAGE},  # which may hold what a page holds, and is proved by rules of its own
        "application/json": _TEXT | {_PAGE, "text/plain"},
    }.items()
}

log = logging.getLogger(__name__)


def agrees(media_type: MediaType, label: str) -> bool:
    """Tell whether what libmagic calls a front may be of the type."""
    name = media_type.name
    if label == name or label in _IGNORANT or label in _SAME.get(name, frozenset()):
        return True
    return name.startswith("text/") and label.startswith("text/") and label != _PAGE


class Libmagic:
    """A second opinion (`gateway.proof.SecondOpinion`)."""

    def __init__(self, identify: Callable[[], Identify] | None = None, *, deadline: float = DEADLINE) -> None:
        """Open libmagic, once for each thread; raises SettingsError where it is not installed."""
        self._open = identify or opened
        self._deadline = deadline
        self._threads = Threads(THREADS, "libmagic")
        self._own = threading.local()
        self._open()

    async def agrees(self, media_type: MediaType, front: bytes) -> bool:
        """Tell whether the front may be of that type; raises `scanner-unavailable`."""
        if media_type.name == OCTETS:
            return True
        try:
            label = await self._threads.run(lambda: self._identified(front[:WINDOW]), self._deadline)
        except Exception as error:  # noqa: BLE001 - a bug in there is no opinion either
            log.warning("libmagic gives no opinion: %s", type(error).__name__)
            raise Refusal(Code.SCANNER_UNAVAILABLE, retry_after=RETRY_AFTER) from None
        if agrees(media_type, label):
            return True
        log.info("libmagic calls %s what is declared as %s", label, media_type.name)
        return False

    def close(self) -> None:
        """Let the threads go."""
        self._threads.close()

    def _identified(self, front: bytes) -> str:
        if not hasattr(self._own, "identify"):
            self._own.identify = self._open()
        label: str = self._own.identify(front)
        return label


def opened() -> Identify:
    """Load libmagic and its database; raises SettingsError."""
    try:
        import magic  # noqa: PLC0415 - an extra, and a library that is not Python's
    except ModuleNotFoundError:
        problem = "GATEWAY_MAGIC needs the extra 'magic': in a clone, pip install '.[magic]'."
    except ImportError:
        problem = "GATEWAY_MAGIC needs the library libmagic, which Debian has as libmagic1."
    else:
        try:
            return magic.Magic(mime=True).from_buffer
        except magic.MagicException:
            problem = "GATEWAY_MAGIC needs the database of libmagic, which Debian has as libmagic-mgc."
    raise SettingsError(problem)
