"""Every row of docs/threats.md is held by tests that say so, in the files it names, and no test names another row."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[1]
# What issue 2 asks for; rows beyond it may come early, with what they are about.
PROMISED = {*range(1, 7), *range(8, 13), *range(15, 19), *range(21, 31), *range(32, 36), 39, 40}
PROMISED |= {*range(42, 50), *range(52, 57)}


def rows() -> Iterator[tuple[int, list[str]]]:
    """Yield each row's number and its cells."""
    for line in (ROOT / "docs" / "threats.md").read_text("utf-8").splitlines():
        if re.match(r"\| *\d", line):
            number, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            yield int(number), cells


def marked(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each row that a test function of the file holds, and that function's name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not node.name.startswith("test_"):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.threat":
                yield from ((ast.literal_eval(argument), node.name) for argument in decorator.args)


def held() -> Mapping[int, set[str]]:
    """Return the files, relative to the root, that hold each row."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, _ in marked(path):
            found[number].add(path.relative_to(ROOT).as_posix())
    return found


ROWS: Final = dict(rows())
HELD: Final = held()


def test_the_table_is_in_order_and_whole() -> None:
    numbers = [number for number, _ in rows()]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= PROMISED
    assert all(len(cells) == 4 and all(cells) for cells in ROWS.values())
    assert {who for cells in ROWS.values() for who in cells[2].split()} == {"B", "G", "P"}


def test_every_test_holds_rows_that_are_in_the_table() -> None:
    assert HELD.keys() - ROWS.keys() == set()


@pytest.mark.parametrize("number", ROWS)
def test_a_row_is_held_by_tests_in_the_files_that_it_names(number: int) -> None:
    named = re.findall(r"`(tests/[^`]+)`", ROWS[number][3])
    assert named
    assert set(named) <= HELD.get(number, set())


def test_markers_stand_where_they_are_found() -> None:
    """A marker on a class or a module, or one that is computed, would be missed above."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        if path != Path(__file__):
            expected = len(re.findall(r"^ *@pytest\.mark\.threat\(", text, re.MULTILINE))
            assert text.count("mark.threat(") == expected, path
            assert "pytestmark" not in text or "threat" not in text.partition("pytestmark")[2].partition("\n")[0]
