"""The command line: `gateway …`. One module a command; each imports what it runs only when it runs."""

from importlib.metadata import version
from typing import Annotated

import typer

from gateway.cli import dev, download, explain, key, link, pass_, reap, serve, upload, worker
from gateway.cli.output import HELP_MODE, Commands, say
from gateway.cli.transfers import EPILOG

app = typer.Typer(
    name="gateway",
    cls=Commands,
    help="Upload tickets and signed download links for object storage.",
    epilog="Exit codes: 0 when all went well, 2 for a wrong option or argument, 1 for all else; upload and download "
    "tell more.",
    rich_markup_mode=HELP_MODE,
    pretty_exceptions_enable=False,  # they would print the values of variables
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own signature
    if wanted:
        say(version("signed-url-gateway"))
        raise typer.Exit


@app.callback()
def gateway(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Upload tickets and signed download links for object storage."""


app.command("dev")(dev.dev)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("reap", epilog=reap.EPILOG)(reap.reap)
app.add_typer(key.app, name="key")
app.command("pass")(pass_.make)
app.command("link")(link.link)
app.command("upload", epilog=EPILOG)(upload.upload)
app.command("download", epilog=EPILOG)(download.download)
app.command("explain")(explain.explain)
