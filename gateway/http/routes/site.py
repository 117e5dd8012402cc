"""Local files: exactly /favicon.ico, /robots.txt and /static, and nothing else from the disk."""

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from gateway.errors import Code, Refusal
from gateway.http.static_files import Folder, StaticFile

_ROOT_FILES = ("favicon.ico", "robots.txt")
_FOR_A_YEAR = "public, max-age=31536000, immutable"  # seconds
_FOR_A_WHILE = "public, max-age=300"  # seconds
# The one script that pages of other sites load as a module, and what it imports; browsers fetch modules with CORS.
_SHARED_SCRIPT = re.compile(r"(gateway\.[0-9a-f]{8,64}/)?gateway(/[a-z]+)?(\.[0-9a-f]{8,64})?\.js")

# Fixed here, since Python's own table depends on the machine. Text gets "; charset=utf-8" from Starlette.
_MEDIA_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
_OTHER_MEDIA_TYPE = "application/octet-stream"
_RANGE = re.compile(r"[ \t]*(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})?|-[0-9]{1,18})[ \t]*")
_CONDITIONS = StaticFiles()
# A browser takes over the headers of a 304, so that the default policy would block a page it has already.
_KEPT_ON_304 = ("access-control-allow-origin", "cache-control", "content-security-policy", "etag", "last-modified")


def routes(static_dir: Path, root_dir: Path, storage_origin: str) -> list[BaseRoute]:
    """Return the routes to both folders; pages may talk to this site and to `storage_origin` (`https://…`)."""
    static, root = Folder(static_dir), Folder(root_dir)
    pages = {"content-security-policy": _page_policy(storage_origin)}

    async def static_file(request: Request) -> Response:
        path = str(request.path_params["path"])
        shared = {"access-control-allow-origin": "*"} if _SHARED_SCRIPT.fullmatch(path) else {}
        return _respond(request, await _find(request, static, path), pages, shared)

    def root_file(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            return _respond(request, await _find(request, root, name), pages, {})

        return respond

    methods = ["GET", "HEAD"]
    return [
        *(Route(f"/{name}", root_file(name), methods=methods, include_in_schema=False) for name in _ROOT_FILES),
        Route("/static/{path:path}", static_file, methods=methods, include_in_schema=False),
    ]


async def _find(request: Request, folder: Folder, path: str) -> StaticFile:
    # What needs no percent-encoding is not looked up with it: %2F must not become a separator here.
    encoded = b"%" in (request.scope.get("raw_path") or b"")
    file = None if encoded else await to_thread.run_sync(folder.find, path)
    if file is None:
        raise Refusal(Code.NOT_FOUND)
    return file


def _respond(request: Request, file: StaticFile, pages: Mapping[str, str], shared: Mapping[str, str]) -> Response:
    media_type = _MEDIA_TYPES.get(file.path.suffix.lower(), _OTHER_MEDIA_TYPE)
    headers = {
        "etag": f'"{file.sha256}"',
        "cache-control": _FOR_A_YEAR if file.immutable else _FOR_A_WHILE,
        **(pages if media_type == "text/html" else {}),
        **shared,
    }
    response = _RangedFile(file.path, headers=headers, media_type=media_type, stat_result=file.status)
    if _CONDITIONS.is_not_modified(response.headers, request.headers):
        kept = {name: response.headers[name] for name in _KEPT_ON_304 if name in response.headers}
        return Response(status_code=304, headers=kept)
    return response


class _RangedFile(FileResponse):
    """Starlette's file response, but an invalid Range is ignored (RFC 9110 section 14.2), where that answers 400."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ranges = [value for name, value in scope["headers"] if name == b"range"]
        if ranges and (len(ranges) > 1 or not _is_range(ranges[0].decode("latin-1"))):
            scope = {**scope, "headers": [field for field in scope["headers"] if field[0] != b"range"]}
        await super().__call__(scope, receive, send)


def _is_range(text: str) -> bool:
    unit, _, ranges = text.partition("=")
    matches = [_RANGE.fullmatch(part) for part in ranges.split(",")]
    return unit.strip().lower() == "bytes" and all(
        match is not None and (match["last"] is None or int(match["first"]) <= int(match["last"])) for match in matches
    )


def _page_policy(storage_origin: str) -> str:
    """Return the Content-Security-Policy of pages: what is ours; pictures, media and calls of the store too."""
    if re.search(r"[\s;,']", storage_origin):
        raise ValueError("not an origin")
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' blob: {storage_origin}; media-src 'self' {storage_origin}; "
        f"connect-src 'self' {storage_origin}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
