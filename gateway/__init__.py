"""A signed-URL gateway to object storage: upload tickets, proof of what arrived, and signed download links.

What it is. An application's client asks for a ticket. The gateway decides who is asking and what they may store, and
answers with a presigned S3 request that the bucket itself refuses unless the bytes have the granted length, type and
checksum and the key is still free. The bytes go straight to the bucket. On completion the gateway proves what arrived,
promotes it out of quarantine, and gives a receipt and a link, which redirects to a presigned GET of some minutes.

The flow, as types. Each step takes only what the step before has made, so no path can sign an upload nobody allowed:

    upload    request ─auth─▶ Principal ─policy─▶ Grant ─┬─tokens─▶ ticket ──────────────┐
                                                         └─bucket, sigv4─▶ PresignedRequest ─▶ response
    browser   PUT, or its parts ─▶ incoming/…    (the bucket refuses what is not as granted)
    complete  ticket ─▶ Grant ─▶ join the parts ─▶ head ─▶ front ─▶ proof ─▶ copy, if-match ─▶ objects/…
              ─▶ marker over incoming/…
              ─▶ webhook    (the bucket's events make the worker run the same steps for browsers that never came back)
    download  link ─▶ 307 to a presigned GET of objects/…, its type and disposition forced

The layers. Imports point one way, from below:

    cli                      commands; what they run is imported when they run
    app, wiring              create_app and create_worker: what is wired is wired here
    worker                   the bucket's events, scans, webhooks, the reaper
    protocols                Uppy, Active Storage, Git LFS: translated to the same policies and use cases
    http                     routes, schemas, authentication, origin, the guard before all of it
    uploads                  completion, status, abort, delete: the use cases, free of HTTP; beside it assembly of
                             parts, claims on forms, promotion, proof, states
    settings, s3.s3_storage  the environment, and the calls to the bucket, by boto3
    client, apps             the gateway over HTTP; and what an application does offline: links, passes, receipts
    grants, s3.bucket        policies, grants, tickets, tokens; from a grant to a presigned request
    content, s3.sigv4        media types and filenames; the signer
    errors, authorities, mac the one table of refusals; hosts and ports; HMAC

Everything up to grants and s3.bucket is pure: no I/O, no clock, no environment, no randomness but by argument.

What it refuses to do. It carries no file, in either direction: proof reads at most 4 KiB from the front of an object
and 256 KiB from the end of an archive, and only worker and reaper, never the API, read a whole object, where it is to
be scanned. It keeps no database: what it must remember is sealed in tokens or lies in the bucket. It never frees a key
under incoming/, so that one key only ever holds one content. It serves nothing from disk but /favicon.ico, /robots.txt
and /static. It allows nothing that no policy names, and has no default for any secret.

docs/architecture.md tells it at length. The names below are imported when they are first used, so that
`import gateway.apps` asks for itsdangerous and nothing else, and `import gateway.client` for httpx besides.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app import create_app
    from gateway.apps import Linker
    from gateway.http.static_files import static_url
    from gateway.settings import Settings, load

__all__ = ["Linker", "Settings", "create_app", "load", "static_url"]

_HOMES = {
    "Linker": "gateway.apps",
    "Settings": "gateway.settings",
    "create_app": "gateway.app",
    "load": "gateway.settings",
    "static_url": "gateway.http.static_files",
}


if not TYPE_CHECKING:  # a checker knows the names above, and is to complain of all others

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
