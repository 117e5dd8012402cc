"""Environments of their own are made once for each lock file, and only from what its hashes allow."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gateway.cli.child import StartError
from gateway.cli.environments import STAMP, environment

NOTHING = "# pins nothing\n"
MAKE = """
import sys
from pathlib import Path
from gateway.cli.environments import environment
environment(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_an_environment_is_made_once_and_again_when_its_pins_change(tmp_path: Path) -> None:
    lock, folder = tmp_path / "some.lock", tmp_path / "venv"
    lock.write_text(NOTHING)
    python = environment(folder, lock)
    assert python == folder / "bin" / "python"
    (folder / "mark").touch()
    assert environment(folder, lock) == python
    assert (folder / "mark").exists()
    lock.write_text(NOTHING + "# and says so\n")
    environment(folder, lock)
    assert not (folder / "mark").exists()


def test_without_uv_pip_makes_it(tmp_path: Path) -> None:
    lock, bare, made = tmp_path / "some.lock", tmp_path / "bare", tmp_path / "made"
    lock.write_text(NOTHING)
    venv.create(bare, symlinks=True)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([str(bare / "bin" / "python"), "-c", MAKE, str(made), str(lock)], check=True, env=env)
    assert (made / STAMP).exists()
    assert (made / "bin" / "pip").exists()


def test_what_does_not_match_its_hash_is_not_installed(tmp_path: Path) -> None:
    lock, folder = tmp_path / "some.lock", tmp_path / "venv"
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(StartError, match=r"^'uv pip' failed: "):
        environment(folder, lock)
    assert not (folder / STAMP).exists()
