"""Natural files, truthfully declared, are accepted; and none of them is called a picture that it is not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.content.media_types import MEDIA_TYPES
from tests.content.corpus_samples import HEIC, HEIF, IMAGES
from tests.content.natural_files import Natural, natural_files

REPORT = Path(__file__).parents[2] / "build" / "natural-files.txt"
ACCEPTED = 0.97  # of all, at least
# What is installed for the tests brings two full types everywhere: Chromium needs GTK, and GTK the Adwaita icons,
# some 4,800 PNG and 650 SVG. Documentation (text, Markdown, gzip, PDF) may be left out of a small system.
LEAST, LEAST_TYPES = 80, 2


@pytest.fixture(scope="module")
def natural() -> Mapping[str, Sequence[Natural]]:
    return natural_files()


def report(natural: Mapping[str, Sequence[Natural]], misses: Sequence[Natural]) -> str:
    """Tell how many there are of each type, and every miss."""
    missed = {kind: sum(miss.media_type.name == kind for miss in misses) for kind in natural}
    lines = [f"{kind:75} {len(found):3} files, {missed[kind]} refused" for kind, found in natural.items()]
    for miss in misses:
        code = miss.verdict()
        lines.append(f"refused: {miss.path} as {miss.media_type.name}: {code and code.code} (libmagic: {miss.label})")
    return "\n".join(lines)


def test_natural_files_are_accepted_as_what_they_are(natural: Mapping[str, Sequence[Natural]]) -> None:
    files = [each for found in natural.values() for each in found]
    misses = [each for each in files if each.verdict() is not None]
    text = report(natural, misses)
    print(text)  # noqa: T201 - `pytest -rA` shows it
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(f"{text}\n", "utf-8")
    assert len(files) >= LEAST, text
    assert len([kind for kind, found in natural.items() if found]) >= LEAST_TYPES, text
    assert len(misses) <= (1 - ACCEPTED) * len(files), text


@pytest.mark.threat(8, 12)
@pytest.mark.parametrize("kind", IMAGES)
def test_no_natural_file_is_accepted_as_a_picture_that_it_is_not(
    natural: Mapping[str, Sequence[Natural]], kind: str
) -> None:
    itself = {HEIC, HEIF} if kind in {HEIC, HEIF} else {kind}
    others = [each for found in natural.values() for each in found if each.media_type.name not in itself]
    assert others
    assert [each.path for each in others if each.verdict(MEDIA_TYPES[kind]) is None] == []
