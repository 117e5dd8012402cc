"""Server processes: waited for, and stopped, gently at first."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gateway.cli.child import StartError, spawn
from tests.servers.nginx import free_port

SAYS_GOODBYE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("goodbye", flush=True)))
print("hello", flush=True)
time.sleep(60)
"""


def test_a_server_that_ends_instead_of_starting_is_told_with_its_log(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", "raise SystemExit(3)"], env=os.environ, log=tmp_path / "log")
    with pytest.raises(StartError, match=f"^the server ended with exit code 3: see {tmp_path / 'log'}$"):
        child.wait_for(f"http://127.0.0.1:{free_port()}/", 10)
    child.stop()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ, log=tmp_path / "log")
    with pytest.raises(StartError, match=r"^the server was not ready within 0 s"):
        child.wait_for(f"http://127.0.0.1:{free_port()}/", 0.2)
    child.stop()
    assert child.process.returncode == 128 + signal.SIGTERM


def test_a_server_may_say_goodbye(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", SAYS_GOODBYE], env=os.environ, log=tmp_path / "log")
    while "hello" not in (tmp_path / "log").read_text():
        time.sleep(0.01)
    child.stop()
    assert (tmp_path / "log").read_text() == "hello\ngoodbye\n"
    assert child.process.returncode == 0
