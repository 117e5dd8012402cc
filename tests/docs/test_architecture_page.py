"""docs/architecture.md names the owner of each third party; the syntax trees of all modules are held to that."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT, page, rows

PAGE = page("docs/architecture.md")
MODULES = {
    ".".join(path.relative_to(ROOT / "gateway").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "gateway").rglob("*.py"))
    if path.parent != ROOT / "gateway" or not path.name.startswith("__")
}
PACKAGES = sorted({name.rpartition(".")[0] for name in MODULES} - {""})


def imports(path: Path) -> Iterator[str]:
    """Give the full name of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_every_package_of_ours_but_commands_and_client_is_a_folder_and_nothing_else() -> None:
    assert [name for name in PACKAGES if MODULES[name].read_text("utf-8")] == ["cli", "cli.explaining", "client"]


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
