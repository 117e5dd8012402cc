"""What the gateway stands on: recent enough, pinned with hashes, and nothing that it does not need."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The lowest versions without a flaw that would reach us, each by the advisory that it answers.
FLOORS = {
    "starlette": "1.9",  # CVE-2026-48710, -54282 and -54283: Host and path taken for another authority, limits ignored
    "h11": "0.16",  # CVE-2025-43859, chunked bodies read in two ways
    "pyjwt": "2.12",  # CVE-2026-32597, `crit` ignored; CVE-2024-53861, a prefix taken for the issuer
    "uvicorn": "0.49",  # 0.48 ignored repeated forwarding headers
    "fastapi": "0.65.2",  # CVE-2021-32677, JSON read from text/plain
    "urllib3": "2.5",  # CVE-2025-50181, redirects that were switched off
    "certifi": "2024.7.4",  # CVE-2024-39689, a root that was withdrawn
    "cryptography": "43.0.1",  # CVE-2024-6119, in the OpenSSL that it carries
    "itsdangerous": "2.2",
}
# What would read uploads, render templates or unpickle for us: nobody may bring it into the server.
FORBIDDEN = {"multipart", "python_multipart", "jinja2", "itsdangerous.jws", "orjson", "ujson", "yaml", "requests"}


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


@pytest.mark.threat(55)
@pytest.mark.parametrize("package", FLOORS)
def test_a_package_is_not_older_than_its_last_flaw(package: str) -> None:
    assert numbers(version(package)) >= numbers(FLOORS[package])


@pytest.mark.threat(55)
def test_what_is_not_needed_is_not_imported() -> None:
    program = "import sys, gateway.app, gateway.http.serving\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert FORBIDDEN & set(done.stdout.split()) == set()


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return {found[1]: found[2] for found in re.finditer(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", text, re.MULTILINE)}


@pytest.mark.threat(55)
@pytest.mark.parametrize("name", ["bootstrap.lock", "dev.lock", "server.lock"])
def test_every_locked_package_has_its_hashes_and_no_lock_names_a_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    logical = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    assert len(logical) >= len(locked(name)) > 0
    assert all("--hash=sha256:" in line for line in logical)
    assert "://" not in text


@pytest.mark.threat(55)
def test_the_server_is_locked_with_all_that_it_asks_for_and_nothing_forbidden() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {
        re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower()
        for requirement in (*project["dependencies"], *project["optional-dependencies"]["server"])
    }
    server = locked("server.lock")
    assert asked <= server.keys()
    assert not {name.replace("-", "_") for name in server} & FORBIDDEN


@pytest.mark.threat(55)
def test_every_package_that_is_asked_for_has_a_lowest_and_a_highest_version() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [
        *pyproject["build-system"]["requires"],
        *pyproject["project"]["dependencies"],
        *pyproject["project"]["optional-dependencies"]["server"],
        *(each for group in pyproject["dependency-groups"].values() for each in group),
    ]
    assert [each for each in asked if not re.search(r">=[\d.]+,<[\d.]+$", each)] == []
