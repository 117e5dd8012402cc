"""The command line: `gateway …`. One module a command; each imports what it runs only when it runs."""

import typer

from gateway.cli import dev, explain, key, link, pass_, serve
from gateway.cli.output import HELP_MODE, Commands

app = typer.Typer(
    name="gateway",
    cls=Commands,
    help="Upload tickets and signed download links for object storage.",
    epilog="Exit codes: 0 when all went well, 2 for a wrong option or argument, 1 for all else.",
    rich_markup_mode=HELP_MODE,
    pretty_exceptions_enable=False,  # they would print the values of variables
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(dev.dev)
app.command("serve")(serve.serve)
app.add_typer(key.app, name="key")
app.command("pass")(pass_.make)
app.command("link")(link.link)
app.command("explain")(explain.explain)
