"""What `gateway upload` and `gateway download` share: the client of the environment, reports and exit codes."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

import typer

from gateway.cli.output import Misuse, say

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Moved:
    """What is told of an item that worked: a line, or a document."""

    line: str
    document: Mapping[str, object]


@dataclass(slots=True)
class Report:
    """Tells what became of each item: a line or a JSON document each, failures on standard error as well."""

    as_json: bool
    code: int = 0

    def done(self, moved: Moved) -> None:
        """Tell of one that worked."""
        say(json.dumps(moved.document) if self.as_json else printable(moved.line))

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
    move: "Callable[[Item, Callable[[Progress], None]], Moved]",
    report: Report,
    *,
    goes_on: bool = True,
) -> None:
    """Move one item after the other, each with its bar; what fails is told, and the others go on.

    `goes_on` says whether a later call takes up what an interrupted one has left.
    """
    from gateway.client import GatewayError  # noqa: PLC0415 - see Exit.of

    try:
        for item in items:
            try:
                moved = _move(item, name_of(item), move)
            except GatewayError as error:
                report.failed(name_of(item), error)
            else:
                report.done(moved)
    except KeyboardInterrupt:
        what_now = "the same command goes on where this one stopped" if goes_on else "called again, it begins anew"
        say(f"Interrupted: {what_now}.", to_stderr=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    raise typer.Exit(report.code)


def _move(item: Item, name: str, move: "Callable[[Item, Callable[[Progress], None]], Moved]") -> Moved:
    """Move one item; its bar is off the cursor's line when this returns, so that what is told next stays whole."""
    from gateway.cli.bars import bar  # noqa: PLC0415 - see Exit.of
    from gateway.client.progress import SENT_AGAIN, heard_by  # noqa: PLC0415 - as above

    with bar(printable(PurePath(name).name)) as shown:

        def hear(sentence: str) -> None:
            if sentence == SENT_AGAIN:
                shown.say(f"{printable(name)}: {sentence}")
            else:
                shown.note(sentence)

        with heard_by(hear):
            return move(item, shown.tell)


def printable(text: str) -> str:
    """Return a text as a terminal can show it, in one line and without what would steer it."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
