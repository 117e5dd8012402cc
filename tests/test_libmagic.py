"""The second opinion: libmagic objects to what is plainly something else, and costs little."""

import asyncio
import ctypes
import ctypes.util
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.content.media_types import BY_EXTENSION, FRONT_BYTES, MEDIA_TYPES, MediaType, objection
from gateway.errors import Code, Refusal
from gateway.grants.tickets import Ticket
from gateway.libmagic import _SAME, RETRY_AFTER, THREADS, WINDOW, Libmagic, agrees, opened
from gateway.markers import State
from gateway.proof import Proof
from gateway.setting_sources import SettingsError
from gateway.uploads import Outcome, Uploads
from gateway.wiring import create_reaper, create_worker
from tests.cli.commands import OFFLINE, run
from tests.content.corpus import CORPUS, Sample
from tests.gateways import make_app, settings
from tests.http.routes.flow import NOWHERE, TENANTS
from tests.test_upload_races import TOKENS, MemoryStore

LONG = 60.0  # seconds that nothing here needs
PNG, TEXT, ZIP = MEDIA_TYPES["image/png"], MEDIA_TYPES["text/plain"], MEDIA_TYPES["application/zip"]
IMAGES = [media_type for media_type in MEDIA_TYPES.values() if media_type.name.startswith("image/")]
HTML = b"<!DOCTYPE html>\n<html><head><title>No picture</title></head><body></body></html>\n"
ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0\1\0\0\0" + bytes(100)
PE = b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0\x64\x86\1\0" + bytes(12) + b"\xf0\0\x22\0\x0b\2" + bytes(200)
PER_TYPE = 40  # natural files
MISSES = 0.01  # of natural files


@pytest.fixture(scope="module")
def libmagic() -> Iterator[Libmagic]:
    made = Libmagic(deadline=LONG)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("declared", "label", "expected"),
    [
        ("image/png", "image/png", True),
        ("image/png", "application/octet-stream", True),
        ("image/png", "text/html", False),
        ("image/png", "text/plain", False),
        ("image/png", "image/gif", False),
        ("image/png", "application/x-dosexec", False),
        ("image/svg+xml", "text/xml", True),
        ("image/svg+xml", "text/html", False),
        ("image/heic", "image/heif", True),
        ("video/mp4", "video/quicktime", True),
        ("video/mp4", "video/webm", False),
        ("audio/wav", "audio/x-wav", True),
        ("application/zip", "application/vnd.oasis.opendocument.text", True),
        ("application/zip", "application/java-archive", False),
        ("application/epub+zip", "application/zip", True),
        ("application/vnd.oasis.opendocument.text", "application/epub+zip", False),
        ("text/plain", "text/x-c", True),
        ("text/plain", "application/x-empty", True),
        ("text/plain", "text/html", False),
        ("text/plain", "application/pdf", False),
        ("text/csv", "application/csv", True),
        ("text/markdown", "text/html", True),
        ("application/json", "text/plain", True),
        ("application/json", "text/x-c", False),
        ("", "", False),
    ],
)
def test_a_label_speaks_against_a_type_or_not(declared: str, label: str, *, expected: bool) -> None:
    assert agrees(MEDIA_TYPES.get(declared, PNG), label) is expected


def test_the_table_speaks_of_types_that_there_are_and_of_no_page() -> None:
    assert _SAME.keys() <= MEDIA_TYPES.keys()
    assert {name for name, labels in _SAME.items() if "text/html" in labels} == {"text/markdown", "application/json"}


@pytest.mark.parametrize("sample", [sample for sample in CORPUS if sample.verdict is None], ids=lambda it: it.name)
async def test_it_objects_to_no_file_of_the_corpus_that_is_proved(libmagic: Libmagic, sample: Sample) -> None:
    assert await libmagic.agrees(MEDIA_TYPES[sample.media_type], sample.content[:FRONT_BYTES])


@pytest.mark.parametrize("media_type", IMAGES, ids=lambda it: it.name)
async def test_it_objects_to_pages_and_programs_as_images(libmagic: Libmagic, media_type: MediaType) -> None:
    assert [await libmagic.agrees(media_type, front) for front in (HTML, ELF, PE)] == [False] * 3


async def test_it_has_no_opinion_of_octets(libmagic: Libmagic) -> None:
    assert await libmagic.agrees(MEDIA_TYPES["application/octet-stream"], HTML)


def natural_files() -> Iterator[tuple[MediaType, Path]]:
    """Yield what the system has brought along: at most so many of each type, chosen by the hash of the path."""
    found: dict[MediaType, list[Path]] = {}
    for path in Path("/usr/share").rglob("*.*"):
        media_type = BY_EXTENSION.get(path.suffix[1:].lower())
        if media_type is not None and path.is_file() and not path.is_symlink():
            found.setdefault(media_type, []).append(path)
    for media_type, paths in found.items():
        for path in sorted(paths, key=lambda path: sha256(bytes(path)).digest())[:PER_TYPE]:
            yield media_type, path


async def test_of_natural_files_that_are_proved_it_objects_to_fewer_than_one_in_a_hundred(libmagic: Libmagic) -> None:
    proved, misses = 0, []
    for media_type, path in natural_files():
        with path.open("rb") as file:
            front = file.read(FRONT_BYTES)
            size = path.stat().st_size
            file.seek(max(size - media_type.end_bytes, 0))
            end = file.read() if media_type.end_bytes else b""
        if objection(media_type, front, size, end) is None:
            proved += 1
            if not await libmagic.agrees(media_type, front):
                misses.append(path)
    assert proved > 100
    assert len(misses) < MISSES * proved, misses


def answering(label: str | Exception, shown: list[bytes] | None = None) -> Callable[[], Callable[[bytes], str]]:
    def identify(front: bytes) -> str:
        if shown is not None:
            shown.append(front)
        if isinstance(label, Exception):
            raise label
        return label

    return lambda: identify


async def test_it_is_shown_a_kibibyte_at_most() -> None:
    shown: list[bytes] = []
    opinion = Libmagic(answering("image/png", shown), deadline=LONG)
    for size in (0, 5, WINDOW, FRONT_BYTES):
        assert await opinion.agrees(PNG, b"x" * size)
    assert [len(front) for front in shown] == [0, 5, WINDOW, WINDOW]
    opinion.close()


async def test_an_error_is_no_opinion(caplog: pytest.LogCaptureFixture) -> None:
    opinion = Libmagic(answering(ValueError("with something of the file")), deadline=LONG)
    with pytest.raises(Refusal) as refused:
        await opinion.agrees(PNG, b"x")
    assert (refused.value.code, refused.value.retry_after) == (Code.SCANNER_UNAVAILABLE, RETRY_AFTER)
    assert caplog.messages == ["libmagic gives no opinion: ValueError"]
    opinion.close()


async def test_an_objection_is_logged_without_a_word_of_the_file(caplog: pytest.LogCaptureFixture) -> None:
    opinion = Libmagic(answering("text/html"), deadline=LONG)
    with caplog.at_level(logging.INFO):
        assert not await opinion.agrees(PNG, b"<html>secret")
    assert caplog.messages == ["libmagic calls text/html what is declared as image/png"]
    opinion.close()


@pytest.mark.threat(12)
async def test_one_that_takes_too_long_is_no_opinion_and_takes_few_threads() -> None:
    free, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def identify(_front: bytes) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        free.wait()
        with lock:
            running -= 1
        return "image/png"

    opinion = Libmagic(lambda: identify, deadline=0.2)
    answers = await asyncio.gather(*(opinion.agrees(PNG, b"x") for _ in range(100)), return_exceptions=True)
    assert {answer.code if isinstance(answer, Refusal) else answer for answer in answers} == {Code.SCANNER_UNAVAILABLE}
    assert most == THREADS
    free.set()
    async with asyncio.timeout(LONG):
        while running:  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.01)
    opinion._deadline = LONG
    assert await opinion.agrees(PNG, b"x")
    assert most == THREADS
    opinion.close()


async def test_each_thread_opens_libmagic_for_itself() -> None:
    together = threading.Barrier(THREADS, timeout=LONG)
    opened_in: list[int] = []

    def open_it() -> Callable[[bytes], str]:
        me = threading.get_ident()
        opened_in.append(me)

        def identify(_front: bytes) -> str:
            assert threading.get_ident() == me
            together.wait()
            return "image/png"

        return identify

    opinion = Libmagic(open_it, deadline=LONG)
    for _ in range(3):
        assert await asyncio.gather(*(opinion.agrees(PNG, b"x") for _ in range(THREADS))) == [True] * THREADS
    assert len(opened_in) == len(set(opened_in)) == 1 + THREADS  # the first is whoever starts the gateway
    opinion.close()


@pytest.mark.threat(12)
async def test_an_upload_that_libmagic_objects_to_is_rejected_and_one_without_its_opinion_waits() -> None:
    for label, expected in (
        ("text/plain", Outcome(State.STORED)),
        ("text/html", Outcome(State.REJECTED, code=Code.CONTENT_MISMATCH)),
        (ValueError(), Outcome(State.UPLOADED)),
    ):
        store = MemoryStore()
        opinion = Libmagic(answering(label), deadline=LONG)
        proof = Proof(store.storage, second_opinion=opinion)
        uploads = Uploads(store.storage, TOKENS, lambda: "nonce", proof=proof, pause=0)
        ticket = Ticket(store.grant())
        await store.put(ticket.grant, b"words")
        answer = await asyncio.gather(uploads.complete(ticket), return_exceptions=True)
        code = answer[0].code if isinstance(answer[0], Refusal) else None
        waits = Code.SCANNER_UNAVAILABLE if expected.state is State.UPLOADED else None
        assert code is (expected.code or waits)
        assert replace(await uploads.status(ticket), stored=None) == expected
        opinion.close()


def test_settings_ask_for_it() -> None:
    assert make_app(NOWHERE, tenants=TENANTS).state.gateway.uploads._proof._second_opinion is None
    app = make_app(NOWHERE, tenants=TENANTS, magic=True)
    assert isinstance(app.state.gateway.uploads._proof._second_opinion, Libmagic)


def gateway_that_asks() -> tuple[Uploads, Callable[[], Awaitable[None]]]:
    gateway = make_app(NOWHERE, tenants=TENANTS, magic=True).state.gateway
    return gateway.uploads, gateway.close


def worker_that_asks() -> tuple[Uploads, Callable[[], Awaitable[None]]]:
    found, queue = settings(NOWHERE, tenants=TENANTS, magic=True), f"{NOWHERE.endpoint}/000000000000/events"
    worker = create_worker(found, queue, clock=lambda: 0, stopwatch=lambda: 0, report=lambda _: None)
    return worker.foundation.uploads, partial(asyncio.to_thread, worker.close)


def reaper_that_asks() -> tuple[Uploads, Callable[[], Awaitable[None]]]:
    reaper = create_reaper(settings(NOWHERE, tenants=TENANTS, magic=True))
    return reaper._uploads, partial(asyncio.to_thread, reaper.close)


@pytest.mark.parametrize("made", [gateway_that_asks, worker_that_asks, reaper_that_asks])
async def test_its_threads_are_let_go_with_all_else(
    made: Callable[[], tuple[Uploads, Callable[[], Awaitable[None]]]],
) -> None:
    others = set(threading.enumerate())
    uploads, close = made()
    opinion = uploads._proof._second_opinion
    assert isinstance(opinion, Libmagic)
    opinion._deadline = LONG
    assert not await opinion.agrees(PNG, HTML)
    threads = [thread for thread in set(threading.enumerate()) - others if thread.name == "libmagic"]
    assert len(threads) == 1
    await close()
    await asyncio.to_thread(threads[0].join, LONG)
    assert not threads[0].is_alive()


def test_python_magic_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "magic", None)
    with pytest.raises(
        SettingsError, match=r"^GATEWAY_MAGIC needs the extra 'magic': in a clone, pip install '\.\[magic\]'\.$"
    ):
        opened()


def test_a_library_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise OSError(name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "magic"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    monkeypatch.setattr(ctypes, "CDLL", not_found)
    with pytest.raises(SettingsError, match=r"^GATEWAY_MAGIC needs the library libmagic, .* libmagic1\.$"):
        opened()


def test_a_database_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAGIC", str(tmp_path / "nothing"))  # magic(4)
    with pytest.raises(SettingsError, match=r"^GATEWAY_MAGIC needs the database of libmagic, .*\.$"):
        opened()


def test_the_start_of_the_gateway_fails_with_that_line(tmp_path: Path) -> None:
    (tmp_path / "magic.py").write_text("raise ModuleNotFoundError('magic')")
    said = run("serve", "--port", "0", env={**OFFLINE, "GATEWAY_MAGIC": "true", "PYTHONPATH": str(tmp_path)})
    assert said.exit_code == 1
    assert said.stderr.strip().endswith("GATEWAY_MAGIC needs the extra 'magic': in a clone, pip install '.[magic]'.")
    assert "Traceback" not in said.stderr
