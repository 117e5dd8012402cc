"""The folder of unfinished uploads: what lies there of others, and how it was found, stays as it is."""

import os
from pathlib import Path

import pytest

from gateway.client.bodies import LocalFile
from gateway.client.unfinished import LONGEST_TICKET, Unfinished
from gateway.client.wishes import Wish

NAME = "0123456789abcdef" * 4
STRANGERS = ["photo.jpg", "notes.json", f"{NAME}.txt", f"{NAME}.json.bak", f"{NAME[:-1]}.json", ".netrc"]


def kept_in(folder: Path, data: Path) -> Unfinished:
    data.write_bytes(b"some notes\n")
    return Unfinished(folder, "http://gateway.example", LocalFile.find(data), Wish.of("notes.txt", None, "default"))


def old(path: Path) -> Path:
    """Leave a file there for longer than any ticket lives."""
    path.write_text("precious")
    os.utime(path, (0, path.stat().st_mtime - LONGEST_TICKET - 3600))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_its_own_files_are_swept_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for name in [*STRANGERS, f"{NAME}.json", f"{NAME}.4711"]:
        old(folder / name)
    outside = old(tmp_path / "outside.txt")
    link = f"{NAME[::-1]}.json"
    (folder / link).symlink_to(outside)
    unfinished = kept_in(folder, tmp_path / "notes.txt")
    unfinished.save("a ticket")
    assert unfinished.load() == "a ticket"
    unfinished.forget()
    assert names(folder) == sorted([*STRANGERS, link])
    assert outside.read_text() == "precious"


def test_a_folder_that_is_there_keeps_its_mode_and_a_new_one_is_for_the_owner_alone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    for folder in (shared, tmp_path / "new"):
        kept_in(folder, tmp_path / "notes.txt").save("a ticket")
    assert [folder.stat().st_mode & 0o777 for folder in (shared, tmp_path / "new")] == [0o755, 0o700]
    assert [path.stat().st_mode & 0o777 for path in shared.iterdir()] == [0o600]


@pytest.mark.parametrize("text", ["[" * 100_000, "5", "{}", '{"about": 1}', "\udcff"])
def test_a_file_that_holds_no_ticket_is_none(tmp_path: Path, text: str) -> None:
    unfinished = kept_in(tmp_path / "state", tmp_path / "notes.txt")
    unfinished.save("a ticket")
    (kept,) = (tmp_path / "state").iterdir()
    kept.write_bytes(os.fsencode(text))
    assert unfinished.load() is None
    assert names(tmp_path / "state") == []


def test_a_link_or_a_pipe_in_its_place_is_no_ticket(tmp_path: Path) -> None:
    unfinished = kept_in(tmp_path / "state", tmp_path / "notes.txt")
    unfinished.save("a ticket")
    (kept,) = (tmp_path / "state").iterdir()
    elsewhere = kept.rename(tmp_path / "elsewhere.json")
    kept.symlink_to(elsewhere)
    assert unfinished.load() is None
    os.mkfifo(kept, 0o600)
    assert unfinished.load() is None
    assert names(tmp_path / "state") == []
