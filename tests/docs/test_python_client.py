"""What the pages of the Python client and the command line show works as it stands there."""

import csv
import io
import re
import sqlite3
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.transfers import EPILOG, Exit
from gateway.client import Client, bodies, errors, patience
from gateway.client.parts import AT_ONCE
from tests.docs.conftest import Desk
from tests.docs.pages import ROOT, blocks, page, rows, transcript

CLIENT = page("docs/how-to/python-client.md")
COMMANDS = page("docs/how-to/command-line.md")
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
WRITTEN_BEFORE = "set -a; . .gateway/dev.env; set +a\n"


@pytest.fixture(scope="module")
def files(desk: Desk) -> Path:
    """Lay the files of both pages on the desk."""
    (desk.folder / "report.pdf").write_bytes(PDF)
    (desk.folder / "notes.txt").write_text("some notes\n")
    (desk.folder / "large.txt").write_bytes(b"a line\n" * (15 * 2**20))
    with closing(sqlite3.connect(desk.folder / "sales.db")) as database, database:
        database.execute("CREATE TABLE sales (day, amount)")
        database.executemany("INSERT INTO sales VALUES (?, ?)", ((day, day * 10) for day in range(365)))
    return desk.folder


def ran(desk: Desk, script: str) -> str:
    """Run a block of Python on the desk, and return what it printed."""
    (desk.folder / "snippet.py").write_text(script, "utf-8")
    return desk.bash(f"{WRITTEN_BEFORE}PYTHONPATH={ROOT} {sys.executable} snippet.py")


def fetched(desk: Desk, source: str) -> bytes:
    variables = desk.variables()
    with Client(variables["GATEWAY_URL"], variables["GATEWAY_API_KEY"]) as client:
        return client.download(source, desk.folder / "fetched").path.read_bytes()


def test_the_snippets_of_the_client_run_in_their_order(desk: Desk, files: Path) -> None:
    upload, asynchronous, progress, publish, archive = blocks(CLIENT, "python")
    key, link = ran(desk, upload).split()
    assert fetched(desk, key) == fetched(desk, link) == PDF
    assert f"{key} {len(PDF)} report.pdf" in ran(desk, asynchronous).splitlines()
    size = (files / "large.txt").stat().st_size
    assert ran(desk, progress).splitlines()[-1] == f"{size} of {size} bytes"
    sales = list(csv.reader(io.TextIOWrapper(io.BytesIO(fetched(desk, ran(desk, publish).strip())))))
    assert (len(sales), sales[-1]) == (365, ["364", "3640"])
    with zipfile.ZipFile(io.BytesIO(fetched(desk, ran(desk, archive).strip()))) as archived:
        assert archived.namelist() == ["0.pdf"]
        assert archived.read("0.pdf") == PDF


def test_the_commands_do_what_the_page_says(desk: Desk, files: Path) -> None:
    sourced, upload, download = blocks(COMMANDS, "sh")
    printed = desk.bash(sourced + upload).splitlines()
    assert [re.sub(r"^objects/default/default/[0-9a-f]{32}\.|http://\S+/", "", line) for line in printed] == [
        "pdf report.pdf",
        "txt notes.txt",
    ]
    (key, _), (_, link) = (line.split() for line in printed)
    (files / "folder").mkdir()
    assert desk.bash(f"{sourced}KEY={key} LINK={link}\n{download}") == "folder/report.pdf\nfolder/notes.txt\n"
    assert (files / "folder" / "report.pdf").read_bytes() == PDF


def test_the_transcripts_print_what_is_shown(desk: Desk, files: Path) -> None:
    assert (files / "notes.txt").exists()
    for step in transcript(COMMANDS):
        assert desk.bash(f"{WRITTEN_BEFORE}exec 2>&1\n{step.command}") == step.output


def test_the_exit_codes_are_those_of_the_commands() -> None:
    told = {int(code) for code, _ in rows(f"\n# Codes\n{COMMANDS.partition('A failure is told')[2]}", "# Codes")}
    assert told == {0, 2, *Exit}
    assert {int(code) for code in re.findall(r"\b(\d+) [a-z]", EPILOG)} == told


def test_the_errors_and_numbers_are_those_of_the_client() -> None:
    named = {name for name, _ in rows(CLIENT, "## When it fails")}
    assert named == {"RefusedError", "UnreachableError", "FileError"}
    assert all(issubclass(getattr(errors, name), errors.GatewayError) for name in named)
    assert (patience.ATTEMPTS, patience.LONGEST_WAIT) == (5, 60)
    assert "has tried five times" in CLIENT
    assert (AT_ONCE, bodies.IN_MEMORY) == (4, 16 * 2**20)
    assert "four at a time" in CLIENT
    assert "larger than 16 MiB" in CLIENT
