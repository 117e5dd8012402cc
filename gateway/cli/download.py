"""`gateway download`: objects by key or link into files, gone on with where an earlier try stopped, and checked."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from gateway.cli.output import Misuse
from gateway.cli.transfers import Moved, Report, client_for, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client import Downloaded, Progress


def download(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="KEY_OR_LINK", help="objects/<tenant>/<policy>/<name>.<ext>, or a link."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write, or the folder for files under their own names.")
    ] = Path(),
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document for each object, in a line.")] = False,
) -> None:
    """Download objects, check them, and print the path of each.

    What has arrived when it is interrupted lies beside the file as .gateway-part, and the same command goes on with it.
    A file that --output names is replaced; without it, none is. Links need no API key.
    """
    if len(sources) > 1 and not os.path.isdir(output):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        raise Misuse("--output has to be a folder for several objects")
    report = Report(as_json)
    with client_for(anonymous=all(map(_is_link, sources))) as client:

        def move(source: str, tell: "Callable[[Progress], None]") -> Moved:
            fetched = client.download(source, output, progress=tell)
            return Moved(str(fetched.path), _document(source, fetched))

        transfer(sources, _shown, move, report)


def _is_link(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _shown(source: str) -> str:
    """Name a source without what opens it."""
    if not _is_link(source):
        return source
    try:
        path = urlsplit(source).path
    except ValueError:
        return "link"
    _, _, name = path.rpartition("/d/")[2].partition("/")
    return unquote(name) or "link"


def _document(source: str, fetched: "Downloaded") -> dict[str, object]:
    return {
        "source": _shown(source),
        "path": str(fetched.path),
        "size": fetched.size,
        "etag": fetched.etag,
        "verified": fetched.verified,
    }
