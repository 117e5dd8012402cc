"""`gateway dev`, started as the README and the quick start say, for all that their readers paste."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.environments import environment
from gateway.cli.ministack import LOCK
from tests.cli.commands import running
from tests.docs.pages import ROOT, blocks, page
from tests.servers.ministack import VENV


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder in which `make run` has left `.gateway`, and where a reader types."""

    folder: Path

    def bash(self, script: str) -> str:
        """Run a script, `gateway` being the command; fails when a step of it does."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "XDG_STATE_HOME": str(self.folder / "state")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout

    def variables(self) -> dict[str, str]:
        """Return what `dev.env` sets."""
        names = self.bash("set -a; . .gateway/dev.env; env -0").split("\0")
        pairs = (name.partition("=") for name in names if name.startswith(("GATEWAY_", "AWS_")))
        return {name: value for name, _, value in pairs}


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(ROOT / "README.md", folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".gateway").mkdir()
    quickstart = page("docs/quickstart.md")
    shutil.copytree(ROOT / "gateway" / "static", folder / "site")
    for language, name in (("html", "page.html"), ("js", "page.js")):
        (block,) = blocks(quickstart, language)
        (folder / "site" / name).write_text(block, "utf-8")
    environment(VENV, LOCK)
    (folder / ".gateway" / "ministack-venv").symlink_to(VENV)
    site = {"GATEWAY_STATIC_DIR": "site"}
    with running("dev", "--port", "0", "--s3-port", "0", env=site, cwd=folder) as command:
        command.wait_for(lambda line: line.startswith("Ready in"))
        yield Desk(folder)
