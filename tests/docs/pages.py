"""The pages of the documentation, and what stands in them: code, tables, transcripts."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Step:
    """A command as it is typed after `$ `, and what it printed."""

    command: str
    output: str


def page(name: str) -> str:
    """Return the text of a page, such as `docs/settings.md`."""
    return (ROOT / name).read_text("utf-8")


def pages() -> list[Path]:
    """List all pages in Markdown."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("infra/*.md")])


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks in a language, without the indentation of the list they stand in."""
    found = (match for match in _FENCE.finditer(text) if match["language"] == language)
    return [re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE) for match in found]


def transcript(text: str) -> list[Step]:
    """Read the steps of all `console` blocks; a line that ends with a backslash goes on in the next."""
    steps: list[Step] = []
    for block in blocks(text, "console"):
        for told in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            match = re.fullmatch(r"(?P<command>(?:.*\\\n)*.*\n)(?P<output>(?:.*\n)*)", told)
            assert match, told
            steps.append(Step(match["command"], match["output"]))
    return steps


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head; code marks are taken off."""
    _, found, section = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading}"
    lines = section[section.index("\n|") + 1 :].split("\n\n", 1)[0].splitlines()
    return [
        [cell.strip().replace("`", "").replace("\\|", "|") for cell in _CELL.split(line)[1:-1]] for line in lines[2:]
    ]
