"""The command line as a whole: help everywhere, completion, plain text in pipes, and one line for an error."""

import os
import pty
import re
import subprocess
import sys

import pytest
from typer.main import get_command

from gateway.cli import app
from tests.cli.commands import GATEWAY, OFFLINE, run, say

COMMANDS = ["dev", "serve", "worker", "reap", "key new", "pass", "link", "explain"]
AWS_EXAMPLE = "https://b.s3.amazonaws.com/k?AWSAccessKeyId=A&Expires=1&Signature=s"


def test_every_command_option_and_argument_has_help() -> None:
    group = get_command(app)
    missing = []
    for path in COMMANDS:
        command = group
        for name in path.split():
            command = command.commands[name]  # type: ignore[attr-defined]  # of a group
        missing += [path] if not command.help else []
        missing += [f"{path} {each.name}" for each in command.params if not getattr(each, "help", None)]
    assert missing == []


def test_help_lists_every_command_and_is_plain_in_a_pipe() -> None:
    said = run("--help")
    listed = re.findall(r"^  (\w+) {2,}\w", said.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == ["dev", "serve", "worker", "reap", "pass", "link", "upload", "download", "explain", "key"]
    assert said.stdout.isascii()
    assert (said.stderr, said.exit_code) == ("", 0)
    assert run().stdout == said.stdout


def test_the_shell_completes_commands_and_options() -> None:
    environment = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": "gateway ex", "COMP_CWORD": "1"}
    assert run(env=environment).stdout.split() == ["explain"]
    environment |= {"COMP_WORDS": "gateway dev --s3", "COMP_CWORD": "2"}
    assert run(env=environment).stdout.split() == ["--s3-port"]


def test_colours_are_for_a_terminal_and_not_where_they_are_unwanted() -> None:
    assert "\x1b[" not in say("explain", AWS_EXAMPLE, env=OFFLINE).stdout
    assert "\x1b[" in on_a_terminal("explain", AWS_EXAMPLE)
    assert "\x1b[" not in on_a_terminal("explain", AWS_EXAMPLE, NO_COLOR="1")


def on_a_terminal(*arguments: str, **more: str) -> str:
    """Run a command with a terminal as its output, and return what it wrote."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    env = {**plain, **OFFLINE, "TERM": "xterm-256color", **more}
    with subprocess.Popen([*GATEWAY, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # Linux's way to say that the other side closed
            pass
    os.close(ours)
    return written.decode()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fly"], "No such command 'fly': see 'gateway --help'"),
        (["serv"], "No such command 'serv'. Did you mean 'serve'?: see 'gateway --help'"),
        (["key"], "Missing command: see 'gateway key --help'"),
        (["link"], "Missing argument 'KEY': see 'gateway link --help'"),
        (["serve", "--workers", "0"], "see 'gateway serve --help'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    said = say(*arguments, env=OFFLINE)
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr.count("\n") == 1
    assert said.stderr.rstrip("\n").endswith(line)


@pytest.mark.threat(26)
def test_an_error_of_ours_shows_no_values_of_variables() -> None:
    script = (
        "import sys; from gateway.cli import app, link\n"
        "def fail(*_): secret = 'a-' + 'secret'; raise RuntimeError('bug')\n"
        "link._parsed = fail\n"
        "app(['link', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: bug\n")
    assert "a-secret" not in done.stdout + done.stderr
