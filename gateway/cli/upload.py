"""`gateway upload`: files into the bucket, in parts where they are large, gone on with where an earlier try stopped."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.transfers import Moved, Report, client_for, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client import Progress, Stored


def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="What to upload.", show_default=False)],
    policy: Annotated[str, typer.Option(help="The policy to upload under.")] = "default",
    *,
    resume: Annotated[bool, typer.Option(help="Go on with an upload of the same file that did not end.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document for each file, in a line.")] = False,
) -> None:
    """Upload files, and print the key and a link of each.

    Large files go in parts, several at a time. After Ctrl-C, a crash or a lost connection the same command sends only
    what is missing.
    """
    state = state_folder() if resume else None
    report = Report(as_json)
    with client_for() as client:

        def move(file: Path, tell: "Callable[[Progress], None]") -> Moved:
            stored = client.upload(file, policy=policy, progress=tell, state=state)
            return Moved(f"{stored.object.key} {stored.link}", _document(file, stored))

        transfer(files, str, move, report, goes_on=resume)


def state_folder() -> Path:
    """Return where unfinished uploads are kept: XDG Base Directory Specification, $XDG_STATE_HOME."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The specification has a relative path ignored.
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "signed-url-gateway"


def _document(file: Path, stored: "Stored") -> dict[str, object]:
    stored_at = stored.object.stored_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    described = {**asdict(stored.object), "stored_at": stored_at}
    return {"source": str(file), "object": described, "link": stored.link, "receipt": stored.receipt}
