#!/usr/bin/env python3
"""Lay out local files for nginx: `collect.py TARGET` writes static/, hashed/static/, favicon.ico and robots.txt."""

import shutil
import sys
from pathlib import Path

from gateway.http.static_files import ROOT_DIR, STATIC_DIR, Folder


def collect(target: Path, static_dir: Path = STATIC_DIR, root_dir: Path = ROOT_DIR) -> None:
    """Copy both folders into `target`, and each file of `/static` once more under the hash of its content."""
    shutil.copytree(root_dir, target, dirs_exist_ok=True)
    shutil.copytree(static_dir, target / "static", dirs_exist_ok=True)
    folder = Folder(static_dir)
    for file in filter(Path.is_file, static_dir.rglob("*")):
        hashed = target / "hashed" / "static" / folder.hashed_path(file.relative_to(static_dir).as_posix())
        hashed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, hashed)


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
