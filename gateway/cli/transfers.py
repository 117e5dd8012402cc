"""What `gateway upload` and `gateway download` share: the client of the environment, bars, reports and exit codes."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Self, TypeVar

import typer

from gateway.cli.output import Misuse, say

if TYPE_CHECKING:
    from rich.progress import TaskID

    from gateway.client import Client, GatewayError, Progress

Item = TypeVar("Item")
NO_GATEWAY = "https://gateway.invalid"  # a name that nobody can have: RFC 2606 section 2
EPILOG = (
    "Exit codes: 0 all done, 1 a file here cannot be read, written or trusted, 2 a wrong option, argument or variable, "
    "3 refused, 4 unreachable or busy, 130 interrupted. With several failures it is the highest. "
    "GATEWAY_URL names the gateway, and GATEWAY_API_KEY is an API key, a JWT or a pass."
)


class Exit(IntEnum):
    """How a command ends, beside 0 and the 2 of `Misuse`."""

    HERE = 1
    REFUSED = 3
    UNREACHABLE = 4
    INTERRUPTED = 130  # as a shell says of Ctrl-C: 128 and SIGINT

    @classmethod
    def of(cls, error: "GatewayError") -> "Exit":
        """Tell apart what the user can do about it."""
        from gateway.client import FileError  # noqa: PLC0415 - not for --help to wait

        if isinstance(error, FileError):
            return cls.HERE
        return cls.UNREACHABLE if error.passing else cls.REFUSED


@contextmanager
def client_for(*, anonymous: bool = False) -> "Iterator[Client]":
    """Give a client of the gateway that the environment names; to follow links alone, one of no gateway."""
    from gateway.client import Client  # noqa: PLC0415 - see Exit.of

    url, credentials = os.environ.get("GATEWAY_URL"), os.environ.get("GATEWAY_API_KEY")
    if not anonymous and not url:
        raise Misuse("GATEWAY_URL has to say where the gateway is")
    if not anonymous and not credentials:
        raise Misuse("GATEWAY_API_KEY has to hold an API key, a JWT or a pass")
    try:
        client = Client(NO_GATEWAY, None) if anonymous else Client(url or "", credentials)
    except ValueError:
        raise Misuse("GATEWAY_URL is like https://files.example.com, and GATEWAY_API_KEY is a key alone") from None
    with client:
        yield client


@dataclass(slots=True)
class Report:
    """Tells what became of each item: a line or a JSON document each, failures on standard error as well."""

    as_json: bool
    code: int = 0

    def done(self, line: str, document: Mapping[str, object]) -> None:
        """Tell of one that worked."""
        say(json.dumps(document) if self.as_json else printable(line))

    def failed(self, name: str, error: "GatewayError") -> None:
        """Tell of one that did not."""
        self.code = max(self.code, Exit.of(error))
        if self.as_json:
            told = {"code": error.code, "detail": error.detail, "status": error.status, "request_id": error.request_id}
            say(json.dumps({"source": name, "error": told}))
        else:
            say(printable(f"{name}: {error.detail} ({error.code})"), to_stderr=True)


def transfer(
    items: Iterable[Item],
    name_of: Callable[[Item], str],
    move: "Callable[[Item, Callable[[Progress], None]], None]",
    report: Report,
) -> None:
    """Move one item after the other, each with its bar; what fails is told, and the others go on."""
    from gateway.client import GatewayError  # noqa: PLC0415 - see Exit.of

    try:
        with Bars() as bars:
            for item in items:
                try:
                    with bars.bar(printable(PurePath(name_of(item)).name)) as tell:
                        move(item, tell)
                except GatewayError as error:
                    report.failed(name_of(item), error)
    except KeyboardInterrupt:
        say("Interrupted: the same command goes on where this one stopped.", to_stderr=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    raise typer.Exit(report.code)


class Bars:
    """Progress bars on standard error, if that is a terminal: bytes, rate, time left."""

    def __init__(self) -> None:
        """Show nothing yet."""
        from rich.console import Console  # noqa: PLC0415 - see Exit.of
        from rich.progress import (  # noqa: PLC0415 - as above
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._shown.stop()

    @contextmanager
    def bar(self, name: str) -> "Iterator[Callable[[Progress], None]]":
        """Show one more bar, and give what moves it. What an earlier try sent is not counted into the rate."""
        task: TaskID = self._shown.add_task(name, total=None)
        begun = False

        def tell(progress: "Progress") -> None:
            nonlocal begun
            if begun:
                self._shown.update(task, completed=progress.done, total=progress.total)
            else:
                self._shown.reset(task, completed=progress.done, total=progress.total)
            begun = True

        yield tell


def printable(text: str) -> str:
    """Return a text as a terminal can show it, in one line and without what would steer it."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
