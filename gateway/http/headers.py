"""The headers that every response carries, and the gate that no unsendable header passes."""

import re
from collections.abc import Iterable, Sequence

from gateway.http.origin import Origin

Header = tuple[bytes, bytes]

EVERYWHERE: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
SAME_ORIGIN: Header = (b"cross-origin-resource-policy", b"same-origin")
# Links are embedded in the pages of other sites, and a browser checks this header on the redirect as well.
CROSS_ORIGIN: Header = (b"cross-origin-resource-policy", b"cross-origin")
NO_INDEX: Header = (b"x-robots-tag", b"noindex")
HSTS: Header = (b"strict-transport-security", b"max-age=31536000")  # one year, in seconds

_INTERFACES = ("/v1/", "/u/", "/s3/", "/rails/", "/lfs/")  # our own, and those of other people's protocols
_API = (*EVERYWHERE, SAME_ORIGIN, NO_INDEX)
_LINKS = (*EVERYWHERE, CROSS_ORIGIN, NO_INDEX)
_STATIC = (*EVERYWHERE, CROSS_ORIGIN)
_OTHER = (*EVERYWHERE, SAME_ORIGIN)

_VARY_ORIGIN: Header = (b"vary", b"Origin")
_EXPOSED: Header = (b"access-control-expose-headers", b"RateLimit, RateLimit-Policy, Retry-After, X-Request-Id")
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
    # The last two are sent by the JavaScript of Active Storage.
    (b"access-control-allow-headers", b"authorization, content-type, x-requested-with, x-csrf-token"),
    (b"access-control-max-age", b"600"),  # seconds
)

_NOT_IN_NAME = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")  # RFC 9110 section 5.6.2
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # what section 5.5 forbids in a value; TAB may stay


def defaults(path: str) -> Sequence[Header]:
    """Return the headers that a response at `path` carries unless it has its own."""
    if path.startswith(_INTERFACES):
        return _API
    if path.startswith("/d/"):
        return _LINKS
    return _STATIC if path.startswith("/static/") else _OTHER


def dress(own: Iterable[Header], extra: Iterable[Header]) -> list[Header]:
    """Add to a response's own headers those of `extra` that it does not set; ValueError when one cannot be sent."""
    dressed = list(own)
    present = {name for name, _ in dressed}
    if _CONTROL.search(b" ".join([value for _, value in dressed])) or _NOT_IN_NAME.search(b"".join(present)):
        raise ValueError("a response header holds a character that HTTP cannot carry")
    dressed += [header for header in extra if header[0] not in present]
    return dressed


class CrossOrigin:
    """CORS for an exact list of origins, without credentials."""

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        """Take origins as `https://host[:port]`; ValueError for anything else, `*` and `null` included."""
        self._grants: dict[bytes, Header] = {}
        for text in allowed_origins:
            origin = Origin.parse(text).url.encode()
            self._grants[origin] = (b"access-control-allow-origin", origin)
        self._refused: tuple[Header, ...] = (_VARY_ORIGIN,) if self._grants else ()

    def response(self, origin: bytes | None) -> tuple[Header, ...]:
        """Return what a response to a request with this Origin header carries."""
        grant = None if origin is None else self._grants.get(origin)
        return self._refused if grant is None else (grant, _EXPOSED, _VARY_ORIGIN)

    def preflight(self, origin: bytes) -> tuple[Header, ...]:
        """Return what the answer to a preflight from this origin carries."""
        grant = self._grants.get(origin)
        return self._refused if grant is None else (grant, *_PREFLIGHT, _VARY_ORIGIN)
