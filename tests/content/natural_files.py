"""Natural files: what lies under /usr/share with a listed extension, and is what its extension says by libmagic too."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import magic

from gateway.content.media_names import ALIASES
from gateway.content.media_types import BY_EXTENSION, FRONT_BYTES, MEDIA_TYPES, OCTETS, MediaType, objection
from gateway.errors import Code
from tests.content.corpus_samples import AAC, CSV, HEIC, HEIF, M4A, MARKDOWN, MKV, MP4, OGG, TEXT, WAV

ROOT = Path("/usr/share")
MOST = 40  # of a type
LOOKED_AT = 10 * MOST  # of a type, when libmagic calls most of them something else

# What libmagic calls a type, beside its name and what browsers call it.
_LABELS = {
    AAC: {"audio/x-hx-aac-adts"},
    CSV: {"text/plain"},
    HEIC: {"image/heif"},
    HEIF: {"image/heic"},
    M4A: {"video/mp4"},
    MKV: {"video/x-matroska"},
    MP4: {"video/x-m4v"},
    OGG: {"audio/ogg"},
    WAV: {"audio/x-wav"},
}
_MARKUP = {"text/html", "text/xml"}


@dataclass(frozen=True, slots=True)
class Natural:
    """A file that was there before, its type by its extension, and what libmagic calls it."""

    path: Path
    media_type: MediaType
    label: str

    def in_view(self, media_type: MediaType) -> tuple[bytes, int, bytes]:
        """Return front, size and end of the file, as `gateway.proof` reads them of that type."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            front = file.read(FRONT_BYTES)
            file.seek(size - min(media_type.end_bytes, size))
            return front, size, file.read() if media_type.end_bytes else b""

    def verdict(self, media_type: MediaType | None = None) -> Code | None:
        """Judge it as its own type or another one."""
        declared = media_type or self.media_type
        return objection(declared, *self.in_view(declared))


def natural_files(root: Path = ROOT) -> Mapping[str, Sequence[Natural]]:
    """Choose at most 40 files of each type, by the hash of their path."""
    return {kind: list(_agreed(MEDIA_TYPES[kind], paths)) for kind, paths in sorted(_by_type(root).items())}


def _by_type(root: Path) -> Mapping[str, Sequence[Path]]:
    found: defaultdict[str, list[tuple[bytes, str]]] = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            media_type = BY_EXTENSION.get(name.rpartition(".")[2].lower()) if "." in name else None
            path = f"{folder}/{name}"
            if media_type is not None and media_type.name != OCTETS and os.access(path, os.R_OK):
                found[media_type.name].append((hashlib.sha256(os.fsencode(path)).digest(), path))
    return {kind: [Path(path) for _, path in sorted(paths)[:LOOKED_AT]] for kind, paths in found.items()}


def _agreed(media_type: MediaType, paths: Sequence[Path]) -> Iterator[Natural]:
    count = 0
    for path in paths:
        if count == MOST:
            return
        if path.is_symlink() or not path.is_file():
            continue
        label = magic.from_file(str(path), mime=True)
        if _agrees(media_type, label):
            count += 1
            yield Natural(path, media_type, label)


def _agrees(media_type: MediaType, label: str) -> bool:
    if media_type.name == MARKDOWN:  # which libmagic does not know: it tells what the examples in it look like
        return label.startswith("text/") or label in {"application/javascript", "application/json"}
    if media_type.name == TEXT:
        return label.startswith("text/") and label not in _MARKUP
    called = ALIASES.get(label, label)
    return called == media_type.name or label in _LABELS.get(media_type.name, ())
