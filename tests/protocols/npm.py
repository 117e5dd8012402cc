"""Clients from npm as browsers load them: installed by `install`, and bundled with the code of the documentation."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def bundle(package: str, files: Mapping[str, str], folder: Path) -> bytes:
    """Bundle `entry.js`, which is one of the files, with what it imports of them and of the package's modules."""
    subprocess.run([HERE / "install"], check=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    modules = HERE / package / "node_modules"
    return subprocess.run(
        [modules / ".bin" / "esbuild", folder / "entry.js", "--bundle", "--log-level=warning"],
        env={**os.environ, "NODE_PATH": str(modules)},
        check=True,
        capture_output=True,
    ).stdout
