"""Media names: what browsers, and the systems that they ask, also call some media types.

They are in the tables of Chromium and Firefox, in the registry of Windows, and in shared-mime-info.
"""

from types import MappingProxyType

ALIASES = MappingProxyType(
    {
        "image/x-png": "image/png",
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/x-bmp": "image/bmp",
        "image/x-ms-bmp": "image/bmp",
        "image/x-icon": "image/vnd.microsoft.icon",
        "image/ico": "image/vnd.microsoft.icon",
        "application/x-pdf": "application/pdf",
        "video/x-m4v": "video/mp4",
        "video/x-matroska": "video/matroska",
        "audio/m4a": "audio/mp4",
        "audio/x-m4a": "audio/mp4",
        "audio/mp3": "audio/mpeg",
        "audio/x-mp3": "audio/mpeg",
        "audio/x-mpeg": "audio/mpeg",
        "audio/x-wav": "audio/wav",
        "audio/wave": "audio/wav",
        "audio/vnd.wave": "audio/wav",
        "audio/x-flac": "audio/flac",
        "audio/opus": "audio/ogg",
        "application/ogg": "audio/ogg",
        "audio/x-aac": "audio/aac",
        "audio/aacp": "audio/aac",
        "audio/vnd.dlna.adts": "audio/aac",
        "application/x-zip": "application/zip",
        "application/x-zip-compressed": "application/zip",
        "application/x-gzip": "application/gzip",
        "application/csv": "text/csv",
        "text/x-csv": "text/csv",
        "text/comma-separated-values": "text/csv",
        "application/vnd.ms-excel": "text/csv",  # Windows with Excel; what is Excel's has another extension
        "text/x-markdown": "text/markdown",
        "application/font-woff2": "font/woff2",
    }
)
