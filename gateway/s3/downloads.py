"""Presigned downloads of one moment and one lifetime. Pure: all but path and filename is canonical once.

Only types that cannot run script are shown inline, all else is an attachment of octets; the extension alone tells, so
that nothing has to be looked up. Type, disposition and caching are ours, whatever the object claims of itself.
"""

import re
from dataclasses import dataclass

from gateway.content.filenames import Disposition, Filename, content_disposition
from gateway.content.media_types import BY_EXTENSION, OCTETS
from gateway.grants.keys import ObjectKey
from gateway.s3.endpoints import Endpoint
from gateway.s3.sigv4 import Signer, encode

DIRECT_EXPIRES_IN = 3600  # seconds that a URL lives which somebody asks for by itself
MAX_AGE = 300  # seconds a browser may keep what it got, and nobody else: the URL is the permission
_NAME = "response-content-disposition"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,200}").fullmatch  # such a name stands for itself in header and query
_PROBE = "PROBE"


@dataclass(frozen=True, slots=True)
class _Form:
    """A canonical query around its disposition, and around a plain filename within that."""

    disposition: Disposition
    start: str
    end: str
    plain_start: str
    plain_end: str


class Downloads:
    """URLs that all begin and end at the same time."""

    def __init__(self, endpoint: Endpoint, signer: Signer, *, expires_in: int, expires_at: int) -> None:
        """Count `expires_in` from the signer's second; `expires_at` is the same instant in seconds since the epoch."""
        self.expires_at = expires_at
        self._signer = signer
        self._origin = endpoint.origin
        self._host = endpoint.host
        self._lines = f"host:{endpoint.host}\n"
        self._path = endpoint.path
        self._expires_in = expires_in
        self._forms: dict[tuple[str, Disposition], _Form] = {}

    def get(self, key: ObjectKey, filename: Filename | None, disposition: Disposition) -> str:
        """Return the URL of a GET that saves or shows the object under this name."""
        form = self._forms.get((key.extension, disposition)) or self._form(key.extension, disposition)
        name = filename.text if filename else f"{key.name[:16]}.{key.extension}"
        if _PLAIN(name):
            query = f"{form.plain_start}{name}{form.plain_end}"
        else:
            query = f"{form.start}{encode(content_disposition(form.disposition, Filename(name)))}{form.end}"
        path = self._path + key.key  # which needs no encoding
        return f"{self._origin}{path}?{self._signer.sign('GET', path, query, self._lines, 'host')}"

    def head(self, key: ObjectKey) -> str:
        """Return the URL of a HEAD. Stores answer it without regard to response-* parameters, so it has none."""
        path = self._path + key.key  # which needs no encoding
        return f"{self._origin}{path}?{self._signer.presign('HEAD', self._host, path, (), (), self._expires_in)}"

    def _form(self, extension: str, wanted: Disposition) -> _Form:
        media_type = BY_EXTENSION.get(extension)
        inline = wanted == "inline" and media_type is not None and media_type.inline
        disposition: Disposition = "inline" if inline else "attachment"
        pairs = (
            ("response-cache-control", f"private, max-age={min(self._expires_in, MAX_AGE)}"),
            (_NAME, _PROBE),
            ("response-content-type", media_type.name if inline and media_type else OCTETS),
        )
        query = self._signer.canonical_query(pairs, "host", self._expires_in)
        start, end = query.split(f"{_NAME}={_PROBE}")
        start += f"{_NAME}="
        plain_start, plain_end = encode(content_disposition(disposition, Filename(_PROBE))).split(_PROBE)
        form = _Form(disposition, start, end, start + plain_start, plain_end + end)
        self._forms[extension, wanted] = form
        return form
