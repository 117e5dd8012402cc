"""What commands print: plain text, coloured on a terminal alone; and one line on standard error when they fail."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import MarkupMode, TyperGroup
from typer.exceptions import TyperException

# Boxes and colours are for eyes: what is piped is plain.
HELP_MODE: MarkupMode = "markdown" if sys.stdout.isatty() else None


class Failure(TyperException):
    """A command cannot do what was asked: one plain line, and exit code 1."""


class Misuse(TyperException):
    """A command was called in a way that makes no sense: one plain line, and exit code 2."""

    exit_code = 2


class Commands(TyperGroup):
    """Commands whose errors are one plain line on standard error: exit code 2 for wrong usage, 1 for all else."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_: Any,  # noqa: ANN401 - typer's own signature
        **extra: Any,  # noqa: ANN401 - as above
    ) -> Any:  # noqa: ANN401 - as above
        """Run the command that `args` name, and end the process."""
        args = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            code = super().main(args, prog_name, **{**extra, "standalone_mode": False})
        except TyperException as error:
            say(_line(error), to_stderr=True)
            sys.exit(error.exit_code)
        except typer.Abort:
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _line(error: TyperException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message.rstrip('.')}: see '{context.command_path} --help'"


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Print a line, at once also into a pipe; colours are left out there, and where NO_COLOR is set."""
    typer.echo(text, err=to_stderr, color=False if os.environ.get("NO_COLOR") else None)


def bold(text: str) -> str:
    """Emphasise, on a terminal."""
    return typer.style(text, bold=True)


def dim(text: str) -> str:
    """Take back, on a terminal."""
    return typer.style(text, dim=True)


def warning(text: str) -> str:
    """Colour as something to look at, on a terminal."""
    return typer.style(text, fg=typer.colors.YELLOW)


def say_pairs(pairs: Iterable[tuple[str, str]], indent: str = "") -> None:
    """Print labelled values below each other, the values in one column; values are never wrapped."""
    rows = list(pairs)
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        say(f"{indent}{dim(label.ljust(width))}  {value}")


def say_json(value: object) -> None:
    """Print a value as indented JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False))
