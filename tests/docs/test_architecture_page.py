"""docs/architecture.md draws the layers; the syntax trees of all modules are held to them."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, page, rows

PAGE = page("docs/architecture.md")
MODULES = {
    ".".join(path.relative_to(ROOT / "gateway").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "gateway").rglob("*.py"))
    if path.parent != ROOT / "gateway" or not path.name.startswith("__")
}
LAYERS = [(row[0], row[1].split(", ")) for row in rows(PAGE, "## Layers")]
PACKAGES = sorted({name.rpartition(".")[0] for name in MODULES} - {""})


def layer_of(module: str) -> int:
    """Return the row of a module; fails unless there is exactly one."""
    found = [
        number
        for number, (_, patterns) in enumerate(LAYERS)
        if any(fnmatchcase(module, pattern) or f"{module}.*" == pattern for pattern in patterns)
    ]
    assert len(found) == 1, f"gateway.{module} stands in {len(found)} rows of the table of layers"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    """Give the full name of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def module_of(name: str) -> str | None:
    """Return the module of ours that an imported name is, or is in."""
    name = name.removeprefix("gateway.")
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


@pytest.mark.parametrize("module", [name for name in MODULES if name not in PACKAGES or name == "cli"])
def test_a_module_imports_only_from_its_own_layer_or_those_above(module: str) -> None:
    own = layer_of(module)
    for name in imports(MODULES[module]):
        used = module_of(name) if name.startswith("gateway.") else None
        assert used is None or used in PACKAGES or layer_of(used) <= own, f"gateway.{module} imports {name}"


def test_every_package_of_ours_but_the_commands_is_a_folder_and_nothing_else() -> None:
    assert [name for name in PACKAGES if MODULES[name].read_text("utf-8")] == ["cli", "cli.explaining"]


def test_each_third_party_is_used_by_its_owners_alone() -> None:
    (_, found, rest) = PAGE.partition("Each third party has its owners:\n")
    assert found
    for packages, owners in rows(f"\n# Owners\n{rest}", "# Owners"):
        for package in packages.split(", "):
            users = [
                module
                for module, path in MODULES.items()
                if any(name == package or name.startswith(f"{package}.") for name in imports(path))
            ]
            assert sorted(users) == sorted(owners.split(", ")), package
