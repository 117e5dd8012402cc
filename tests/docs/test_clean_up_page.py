"""docs/how-to/clean-up.md says what `gateway reap` says and does."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest
import yaml
from typer.main import get_command

from gateway.cli import app
from gateway.cli.reap import _fields, _seconds
from gateway.s3.documents import INCOMING_DAYS
from gateway.worker.reaper import AT_ONCE, MARGIN, Fate, Kind, Leftover
from tests.docs.pages import blocks, page, rows

PAGE = page("docs/how-to/clean-up.md")


def test_every_outcome_is_explained_and_no_other() -> None:
    explained = [outcome for [cell, _] in rows(PAGE, "## What it tells") for outcome in cell.split(", ")]
    assert explained == [fate.value for fate in Fate]


def test_the_line_for_scripts_is_one_as_it_is_printed() -> None:
    [block] = blocks(PAGE, "json")
    shown = json.loads(block)
    leftover = Leftover(Kind.OBJECT, shown["key"], shown["size"], shown["age"], Fate.STORED)
    assert block == json.dumps(_fields(leftover)) + "\n"
    assert len(_fields(leftover)) == len(fields(Leftover))
    assert all(f"`{kind}`" in PAGE for kind in Kind)


def test_the_flags_are_those_of_the_command() -> None:
    command: Any = get_command(app)
    options = {
        option.opts[0]: option.default for option in command.commands["reap"].params if option.opts[0] != "--help"
    }
    table = rows(PAGE, "## Run it")
    assert [flag for [flag, _, _] in table] == list(options)
    assert table[0][1] == options["--older-than"]
    for age in re.findall(r"`(\d+[a-z])`", table[0][2]):
        assert _seconds(age)


def test_the_numbers_are_those_of_the_code() -> None:
    assert (MARGIN, INCOMING_DAYS, AT_ONCE) == (3600, 9, 8)
    assert "an hour after the longest ticket has ended" in PAGE
    assert "lifecycle rule after nine days" in PAGE
    assert "eight at once" in PAGE


@pytest.mark.parametrize("language", ["crontab", "ini", "yaml"])
def test_what_runs_every_night_is_the_command(language: str) -> None:
    text = "\n".join(blocks(PAGE, language))
    if language == "yaml":
        [container] = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["reap", "--json"]
    else:
        assert "/opt/gateway/bin/gateway reap --json" in text
