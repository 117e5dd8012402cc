"""docs/decisions/0005-dependencies.md has each dependency that pyproject.toml and the lock inputs ask for."""

import json
import re
import tomllib

import pytest

from tests.docs.pages import ROOT, page, rows

PAGE = page("docs/decisions/0005-dependencies.md")
PROJECT = tomllib.loads(page("pyproject.toml"))
REQUIREMENT = re.compile(r"(?P<name>[a-z0-9-]+(?:\[[a-z0-9,]+\])?)(?P<range>.*)")


def split(requirements: list[str]) -> list[list[str]]:
    """Return names with their extras, and ranges."""
    found = [REQUIREMENT.fullmatch(each) for each in requirements]
    assert all(found), requirements
    return [[match["name"], match["range"] or "any"] for match in found if match]


def inputs(name: str) -> list[str]:
    """Return the lines of a lock's input that ask for something."""
    return [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("heading", "requirements"),
    [
        ("### The package", PROJECT["project"]["dependencies"]),
        ("### Extra `client`", PROJECT["project"]["optional-dependencies"]["client"]),
        ("### Extra `server`", PROJECT["project"]["optional-dependencies"]["server"]),
        ("### Extra `magic`", PROJECT["project"]["optional-dependencies"]["magic"]),
        ("### Extra `redis`", PROJECT["project"]["optional-dependencies"]["redis"]),
        ("### Group `check`", PROJECT["dependency-groups"]["check"]),
        ("### Group `test`", PROJECT["dependency-groups"]["test"]),
        ("### To build", PROJECT["build-system"]["requires"]),
        (
            "### In environments of their own",
            [*inputs("gateway/cli/ministack.in"), *inputs("localstack/requirements.in")[:1]],
        ),
    ],
)
def test_each_dependency_has_its_range_and_a_reason(heading: str, requirements: list[str]) -> None:
    table = rows(PAGE, heading)
    assert [row[:2] for row in table] == split(requirements)
    assert all(row[2] for row in table)


def test_each_client_from_npm_has_its_version_and_a_reason() -> None:
    table = rows(PAGE, "### From npm, for the tests of other people's clients")
    folders = [path.parent.name for path in sorted((ROOT / "tests/protocols").glob("*/package.json"))]
    asked = [json.loads(page(f"tests/protocols/{folder}/package.json"))["dependencies"].items() for folder in folders]
    assert folders == ["activestorage", "uppy5", "uppy6"]
    assert {(row[0], row[1]) for row in table} == {pair for pairs in asked for pair in pairs}
    assert all(row[2] for row in table)


def test_there_are_no_other_groups_and_extras() -> None:
    assert list(PROJECT["project"]["optional-dependencies"]) == ["client", "server", "magic", "redis"]
    assert list(PROJECT["dependency-groups"]) == ["check", "test"]
    assert all(f"`{name}`" in PAGE for name in inputs("requirements/bootstrap.in"))
