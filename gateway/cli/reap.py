"""`gateway reap`: what nobody finished, completed or freed, as a table for people or as lines for scripts."""

import asyncio
import json
import re
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Failure, Misuse, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from gateway.worker.reaper import Leftover, Reaper

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
TOLD = ("d", "h", "m", "s")  # units of ages in the table, which tells that of a fortnight to the day
FULL_WIDTH = 4096  # columns where nobody looks: a key has at most 1,024 bytes, each of which is four letters at most
WIDE = 132  # columns, from which on most keys and what came of them stand side by side
COMFORT = 2  # an age is told in the largest unit of which it has as many
EPILOG = (
    "Exit codes: 0 all is done, 1 something is pending and another run may succeed, or the bucket does not answer, "
    "2 a wrong option. Runs beside the gateway, workers and other runs, with the permissions of the API."
)


def reap(
    *,
    older_than: Annotated[
        str,
        typer.Option(metavar="AGE", help="Look at what is that old: 90m, 36h, 2d or 1w; s, m, h, d and w are known."),
    ] = "1d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, and tell what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line, as it happens.")] = False,
) -> None:
    """Complete uploads that arrived and that nobody completed, and free the parts of those that nobody can complete.

    Lists what it found with its size: whole objects under incoming/ that have no verdict yet, and multipart uploads.
    Parts are left alone as long as a ticket may join them. Settings come from GATEWAY_* variables, .env and
    gateway.toml, as for `gateway serve`.
    """
    seconds = _seconds(older_than)
    from gateway import logs  # noqa: PLC0415 - the second that these imports take is not for --help to wait
    from gateway.settings import load  # noqa: PLC0415 - as above
    from gateway.wiring import create_reaper  # noqa: PLC0415 - as above

    settings = load()
    logs.configure(settings.log_level)
    found = _sweep(create_reaper(settings, dry_run=dry_run), seconds, as_json=as_json)
    if any(leftover.fate == "pending" for leftover in found):
        raise typer.Exit(1)


def _sweep(reaper: "Reaper", older_than: int, *, as_json: bool) -> "Sequence[Leftover]":
    """Sweep, and print what was found, also where it is interrupted."""
    from gateway.errors import Refusal  # noqa: PLC0415 - see reap

    found: list[Leftover] = []
    cut = " before it was interrupted"

    def tell(leftover: "Leftover") -> None:
        found.append(leftover)
        if as_json:
            say(json.dumps(_fields(leftover)))

    try:
        with _progress(reaper, shown=not (as_json and sys.stdout.isatty())):
            asyncio.run(reaper.sweep(int(time.time()), older_than, tell))
        cut = ""
    except Refusal:
        cut = " before the bucket could not be listed"
        raise Failure("The bucket cannot be listed: what was not looked at yet is left to the next run.") from None
    finally:
        reaper.close()
        if not as_json:
            _print(found, reaper.seen, cut)
    return found


def _seconds(age: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", age)
    if match is None:
        raise Misuse("--older-than takes a whole number and a unit, such as 90m, 36h, 2d or 1w")
    return int(match[1]) * UNITS[match[2]]


def _fields(leftover: "Leftover") -> dict[str, object]:
    return {
        "outcome": leftover.fate,
        "code": leftover.code,
        "kind": leftover.kind,
        "key": leftover.key,
        "size": leftover.size,
        "age": leftover.age,
    }


def _progress(reaper: "Reaper", *, shown: bool) -> AbstractContextManager[object]:
    """Show how much was looked at, on a terminal, until the block ends."""
    if not shown or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console  # noqa: PLC0415 - see reap

    class Seen:
        def __rich__(self) -> str:
            return f"{reaper.seen:,} looked at"

    return Console(stderr=True).status(Seen())


def _print(found: "Sequence[Leftover]", seen: int, cut: str) -> None:
    """Print the table, at its full width where nobody looks at it, and the sums; `cut` says what ended it too soon."""
    from rich.console import Console  # noqa: PLC0415 - see reap

    if found:
        console = Console(width=None if sys.stdout.isatty() else FULL_WIDTH)
        console.print(_table(found, wide=console.width >= WIDE))
    sums = _sums(found) or ("" if cut else "nothing is left over")
    say(f"{seen:,} looked at{cut}{': ' if sums else ''}{sums}.")


def _table(found: "Iterable[Leftover]", *, wide: bool) -> "Table":
    """Return the rows. A code stands beside its outcome where there is room, else below: keys take two lines there."""
    from rich.table import Table  # noqa: PLC0415 - see reap
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", overflow="fold")
    table.add_column("kind")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for leftover in found:
        outcome = (" " if wide else "\n").join(filter(None, (leftover.fate, leftover.code)))
        cells = (_printable(leftover.key), leftover.kind, _size(leftover.size), _age(leftover.age), outcome)
        table.add_row(*map(Text, cells))
    return table


def _sums(found: "Sequence[Leftover]") -> str:
    """Tell how many there were of each outcome, and how many bytes."""
    sums = []
    for fate in dict.fromkeys(leftover.fate for leftover in found):
        sizes = [leftover.size or 0 for leftover in found if leftover.fate == fate]
        sums.append(f"{len(sizes):,} {fate} ({_size(sum(sizes))})")
    return ", ".join(sums)


def _size(size: int | None) -> str:
    from rich.filesize import decimal  # noqa: PLC0415 - see reap

    return "?" if size is None else decimal(size)


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "?"
    unit = next((unit for unit in TOLD if seconds >= COMFORT * UNITS[unit]), "s")
    return f"{seconds // UNITS[unit]}{unit}"


def _printable(text: str) -> str:
    """Escape what is not to be seen: whoever may write into the bucket can name an object so."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
