"""A server at the other end of a link, or in a gateway's place, that answers each path with whatever it is told."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Saying:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hostile:
    """The server: what it says of each path, as it stands in the request; of another, nothing in particular."""

    url: str
    sayings: dict[str, Saying]


@contextmanager
def hostile() -> Iterator[Hostile]:
    """Serve from a thread until the block ends."""
    said: dict[str, Saying] = {}

    class Handler(BaseHTTPRequestHandler):
        sayings: ClassVar = said

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer()

        def _answer(self) -> None:
            saying = self.sayings.get(self.path.partition("?")[0], Saying(b"0123456789"))
            self.send_response(saying.status)
            for name, value in {"content-length": str(len(saying.body)), **saying.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(saying.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Hostile(f"http://127.0.0.1:{server.server_port}", said)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
