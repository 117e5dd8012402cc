"""The packages from npm are pinned: exact versions, checksums, and no word on where to get them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.protocols.npm import HERE

PACKAGES = sorted(path.parent.name for path in HERE.glob("*/package.json"))


def read(path: Path) -> str:
    return path.read_text("utf-8")


def test_both_versions_of_uppy_are_there() -> None:
    assert {"uppy5", "uppy6"} <= set(PACKAGES)
    for name, version in (("uppy5", "5.1.0"), ("uppy6", "6.3.1")):
        assert json.loads(read(HERE / name / "package.json"))["dependencies"]["@uppy/aws-s3"] == version


@pytest.mark.parametrize("name", PACKAGES)
def test_versions_are_exact_and_checksums_pinned_and_addresses_are_not(name: str) -> None:
    asked = json.loads(read(HERE / name / "package.json"))["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    lock = json.loads(read(HERE / name / "package-lock.json"))["packages"]
    installed = [package for path, package in lock.items() if path]
    assert installed
    assert all("resolved" not in package for package in installed)
    assert all(package["integrity"].startswith("sha512-") for package in installed)
    locked = {path.removeprefix("node_modules/"): package["version"] for path, package in lock.items() if path}
    assert {**locked, **asked} == locked


def test_what_is_installed_is_not_installed_again() -> None:
    for _ in range(2):
        done = subprocess.run([HERE / "install"], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
