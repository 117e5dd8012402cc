"""`gateway worker`: how it refuses to start. What it does is in tests/worker/test_worker_process.py."""

import re
import socket

import pytest

from tests.cli.commands import OFFLINE, run, say

QUEUE = {"GATEWAY_EVENTS_QUEUE": "http://127.0.0.1:9/000000000000/gateway-events"}


def test_without_a_queue_it_refuses_to_start_in_one_line() -> None:
    said = run("worker", "--port", "0", env=OFFLINE)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "GATEWAY_EVENTS_QUEUE is missing: the URL of the queue that hears of the bucket's uploads.\n"


def test_a_taken_port_is_told_in_one_line_with_the_flag_that_helps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = run("worker", "--port", port, env={**OFFLINE, **QUEUE})
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == f"port {port} is not free: choose another with --port\n"


@pytest.mark.threat(26)
def test_an_unusable_secret_ends_the_start_with_one_line_that_does_not_repeat_it() -> None:
    said = run("worker", env={**OFFLINE, **QUEUE, "GATEWAY_SECRET_KEYS": '["short-secret"]'})
    assert (said.stdout, said.exit_code) == ("", 1)
    assert re.fullmatch(r"GATEWAY_SECRET_KEYS [^\n]*32 bytes[^\n]*\n", said.stderr)
    assert "short-secret" not in said.stderr


@pytest.mark.parametrize("flags", [("--at-once", "0"), ("--take-over", "1"), ("--port", "-1"), ("--prot", "1")])
def test_wrong_usage_is_one_line_and_exit_code_2(flags: tuple[str, str]) -> None:
    said = say("worker", *flags)
    assert (said.stdout, said.exit_code) == ("", 2)
    assert said.stderr.endswith(": see 'gateway worker --help'\n")
    assert said.stderr.count("\n") == 1
