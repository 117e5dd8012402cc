"""The scanner's promises, against the real clamd as `infra/clamd.conf` sets it up, and against strange ones."""

import asyncio
import gzip
import logging
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from gateway.content.media_types import FRONT_BYTES, MEDIA_TYPES, objection
from gateway.errors import Code, Refusal
from gateway.s3.parts import MIB
from gateway.s3.storage import Changed
from gateway.settings import Settings
from gateway.worker.clamd import RETRY_AFTER, Clamd
from tests.content.strange_zips import File, archive, large_member
from tests.servers import clamd as clamd_server
from tests.servers.clamd import CONFIG, EICAR, MARKER, ClamdServer
from tests.worker import strange_clamd
from tests.worker.infected import BODIES, behind_zeros, locked, tar_gz, zipped
from tests.worker.strange_clamd import StrangeClamd

ALL_BYTES = bytes(range(256))
HARMLESS = [b"", b"a", bytes(3 * MIB + 1), ALL_BYTES * 4096, zipped(b"text")]
LONG = 120.0  # seconds that nothing here needs, on whatever machine


async def blocks_of(body: bytes, size: int = MIB) -> AsyncIterator[bytes]:
    for first in range(0, len(body), size):
        yield body[first : first + size]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(MIB)
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.001)


def held() -> tuple[int, int]:
    """Count open files and tasks."""
    return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())


async def assert_unavailable(scanner: Clamd, blocks: AsyncIterator[bytes]) -> None:
    with pytest.raises(Refusal) as refused:
        await scanner.is_clean(blocks)
    assert (refused.value.code, refused.value.retry_after) == (Code.SCANNER_UNAVAILABLE, RETRY_AFTER)


@pytest.fixture
def scanner(clamd: ClamdServer) -> Clamd:
    return Clamd(clamd.socket, LONG)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket in it (unix(7): 107 bytes)."""
    with tempfile.TemporaryDirectory(prefix="clamd-") as name:
        yield Path(name)


@pytest.mark.parametrize("body", HARMLESS, ids=range(len(HARMLESS)))
async def test_what_holds_nothing_that_clamd_knows_is_clean(scanner: Clamd, body: bytes) -> None:
    assert await scanner.is_clean(blocks_of(body)) is True


@pytest.mark.threat(13)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_eicar_is_found_wherever_it_lies(scanner: Clamd, body: bytes) -> None:
    assert await scanner.is_clean(blocks_of(body)) is False


@pytest.mark.threat(13)
@pytest.mark.parametrize("size", [1, 7, 64])
async def test_it_is_found_however_the_bytes_are_cut(scanner: Clamd, size: int) -> None:
    for body in (EICAR, b"-" * 100 + MARKER, BODIES["zip"]):
        assert await scanner.is_clean(blocks_of(body, size)) is False


async def test_it_is_found_across_any_two_blocks(scanner: Clamd) -> None:
    async def halves(cut: int) -> AsyncIterator[bytes]:
        yield EICAR[:cut]  # nothing at all, once
        yield EICAR[cut:]

    assert {await scanner.is_clean(halves(cut)) for cut in range(len(EICAR))} == {False}


async def test_scans_side_by_side_are_answered_each_for_itself(scanner: Clamd) -> None:
    bodies = [EICAR, bytes(1000)] * 50
    verdicts = await asyncio.gather(*(scanner.is_clean(blocks_of(body, 50)) for body in bodies))
    assert verdicts == [False, True] * 50


async def test_what_was_found_has_its_name(scanner: Clamd) -> None:
    assert await scanner.found(blocks_of(b"harmless")) is None
    assert re.fullmatch(r"Local\.Test\.\S+\.UNOFFICIAL", await scanner.found(blocks_of(EICAR)) or "")


async def test_clamd_is_there(scanner: Clamd) -> None:
    await scanner.check()


async def test_an_upload_above_the_stream_limit_is_not_clean_and_the_answer_never_lost(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Clamd answers and closes while bytes are still being sent: who only writes meets the reset and nothing else."""
    with clamd_server.running(folder, {"StreamMaxLength": "1M"}) as small:
        for size in (2**12, 2**16, MIB) * 5:
            await assert_unavailable(Clamd(small.socket, LONG), blocks_of(bytes(8 * MIB), size))
    said = "the scanner gives no verdict: the upload is larger than its StreamMaxLength"
    assert caplog.messages == [said] * 15


@pytest.mark.parametrize(
    ("options", "body", "limit"),
    [
        ({"MaxRecursion": "5"}, zipped(b"text", 9), "MaxRecursion"),
        ({"MaxFileSize": "1M"}, tar_gz(bytes(2 * MIB)), "MaxFileSize"),
        ({"MaxScanSize": "1M", "MaxFileSize": "1M"}, bytes(3 * MIB), "MaxFileSize"),
        ({"MaxScanTime": "1"}, zipped(ALL_BYTES * 40_000), "MaxScanTime"),
    ],
    ids=range(4),
)
async def test_what_clamd_did_not_look_at_to_the_end_is_neither_clean_nor_infected(
    folder: Path, caplog: pytest.LogCaptureFixture, options: dict[str, str], body: bytes, limit: str
) -> None:
    with clamd_server.running(folder, options) as small:
        await assert_unavailable(Clamd(small.socket, LONG), blocks_of(body))
    beyond = f"the upload is beyond a limit of its own, Heuristics.Limits.Exceeded.{limit}"
    assert caplog.messages == [f"the scanner gives no verdict: {beyond}"]


async def test_what_a_password_hides_is_not_clean(scanner: Clamd, caplog: pytest.LogCaptureFixture) -> None:
    assert await scanner.is_clean(blocks_of(locked())) is False
    assert caplog.messages == ["the scanner found Heuristics.Encrypted.Zip"]


@pytest.mark.threat(13)
@pytest.mark.parametrize("lie", [b"", gzip.compress(b"x", mtime=0)], ids=["large", "large, and says that it is small"])
async def test_of_gzip_which_has_no_directory_clamd_looks_at_all_or_gives_no_verdict(
    scanner: Clamd, lie: bytes
) -> None:
    assert await scanner.is_clean(blocks_of(gzip.compress(bytes(150 * MIB) + EICAR, mtime=0) + lie)) is False
    await assert_unavailable(scanner, blocks_of(gzip.compress(bytes(MIB), mtime=0) * 450 + lie))


async def test_clamd_is_not_there(folder: Path) -> None:
    (folder / "file").touch()
    for name in ("nothing", "file", "x" * 200):
        scanner = Clamd(folder / name, LONG)
        await assert_unavailable(scanner, blocks_of(b"text"))
        with pytest.raises(Refusal, match="scanner-unavailable"):
            await scanner.check()


@pytest.mark.threat(13)
async def test_clamd_dies_during_a_scan_and_comes_back(folder: Path) -> None:
    with clamd_server.running(folder) as server:

        async def deadly() -> AsyncIterator[bytes]:
            yield bytes(MIB)
            await asyncio.to_thread(server.kill)
            yield bytes(MIB)

        await assert_unavailable(Clamd(server.socket, LONG), deadly())
        await assert_unavailable(Clamd(server.socket, LONG), blocks_of(b"text"))  # its socket is still there
    with clamd_server.running(folder) as server:
        assert await Clamd(server.socket, LONG).is_clean(blocks_of(b"text"))
        assert not await Clamd(server.socket, LONG).is_clean(blocks_of(EICAR))


@pytest.mark.threat(13)
async def test_clamd_stalls_and_the_deadline_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with clamd_server.running(folder) as server:
        hasty = Clamd(server.socket, 0.2)
        with server.stalled():
            async with asyncio.timeout(LONG):
                await assert_unavailable(hasty, blocks_of(b"text"))
                await assert_unavailable(hasty, endless())
                with pytest.raises(Refusal, match="scanner-unavailable"):
                    await hasty.check()
        assert await Clamd(server.socket, LONG).is_clean(blocks_of(b"text"))
    assert caplog.messages == ["the scanner gives no verdict: no answer within 0.2 s"] * 3


async def test_bytes_that_come_too_slowly_meet_the_same_deadline(scanner: Clamd, clamd: ClamdServer) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"text"
        await asyncio.Event().wait()

    await assert_unavailable(Clamd(clamd.socket, 0.2), never())
    assert await scanner.is_clean(blocks_of(b"text"))


async def test_the_bytes_on_the_wire(folder: Path) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        for block in (b"", b"ab", b"", b"c"):
            yield block

    async with strange_clamd.running(StrangeClamd(folder / "socket", b"stream: OK\0")) as strange:
        assert await Clamd(strange.socket, LONG).is_clean(blocks()) is True
    assert bytes(strange.received) == b"zINSTREAM\0\0\0\0\2ab\0\0\0\1c\0\0\0\0"


ANSWERS = [
    b"",
    b"\0",
    b"stream: OK",
    b"stream: OK\n",
    b"stream: OK\0\0",
    b"stream: OK\0stream: OK\0",
    b"stream: OK\0stream: Eicar FOUND\0",
    b"stream: ok\0",
    b" stream: OK\0",
    b"1: stream: OK\0",
    b"OK\0",
    b"PONG\0",
    b"UNKNOWN COMMAND\0",
    b"COMMAND READ TIMED OUT\0",
    b"INSTREAM size limit exceeded. ERROR\0",
    b"stream: Can't allocate memory ERROR\0",
    b"stream: Eicar FOUND",
    b"stream: Ei\ncar FOUND\0",
    b"stream: FOUND\0",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"\xff" * 100_000,
    b"stream: OK\0" * 10_000,
]


@pytest.mark.threat(13)
@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
async def test_an_answer_that_is_none_of_clamd_s_is_no_verdict(folder: Path, answer: bytes) -> None:
    async with strange_clamd.running(StrangeClamd(folder / "socket", answer)) as strange:
        await assert_unavailable(Clamd(strange.socket, LONG), blocks_of(b"text"))


@pytest.mark.parametrize("answer", [b"", b"PONG", b"PONG\0PONG\0", b"stream: OK\0", b"UNKNOWN COMMAND\0"])
async def test_who_does_not_answer_a_ping_is_not_clamd(folder: Path, answer: bytes) -> None:
    async with strange_clamd.running(StrangeClamd(folder / "socket", answer, after=b"zPING\0")) as strange:
        with pytest.raises(Refusal, match="scanner-unavailable"):
            await Clamd(strange.socket, LONG).check()


@pytest.mark.threat(13)
async def test_an_ok_before_the_end_is_no_verdict(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    early = StrangeClamd(folder / "socket", b"stream: OK\0", after=b"text")
    async with strange_clamd.running(early):

        async def blocks() -> AsyncIterator[bytes]:
            yield b"text"
            await early.answered.wait()
            for _ in range(10):
                yield b"more"
                await asyncio.sleep(0)

        await assert_unavailable(Clamd(early.socket, LONG), blocks())
    assert caplog.messages == ["the scanner gives no verdict: it called bytes clean before it had them all"]


async def test_an_answer_without_an_end_is_no_verdict(folder: Path) -> None:
    async with strange_clamd.running(StrangeClamd(folder / "socket", b"stream: OK\0", stays=True)) as strange:
        await assert_unavailable(Clamd(strange.socket, 0.2), blocks_of(b"text"))
        async with asyncio.timeout(LONG):
            await strange.left.wait()


def test_malware_that_is_found_early_is_never_lost(folder: Path) -> None:
    """Also in uvloop, on which uvicorn runs what `gateway dev` starts."""

    async def ask() -> list[bool]:
        early = StrangeClamd(folder / "socket", b"stream: Eicar FOUND\0", after=b"text")
        async with strange_clamd.running(early):
            verdicts = []
            for _ in range(20):
                early.received.clear()
                verdicts.append(await Clamd(early.socket, LONG).is_clean(blocks_of(b"text" + bytes(4 * MIB), 4)))
            return verdicts

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(ask()) == [False] * 20
        (folder / "socket").unlink(missing_ok=True)


def test_the_real_clamd_is_spoken_to_in_uvloop_too(clamd: ClamdServer, folder: Path) -> None:
    async def ask() -> list[bool]:
        scanner = Clamd(clamd.socket, LONG)
        await scanner.check()
        await assert_unavailable(Clamd(folder / "nothing", LONG), blocks_of(b"text"))
        return [await scanner.is_clean(blocks_of(body)) for body in (bytes(3 * MIB), EICAR)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == [True, False]


@pytest.mark.parametrize("error", [Changed(), Refusal(Code.STORAGE_UNAVAILABLE), TimeoutError(), OSError(), KeyError()])
async def test_what_the_blocks_raise_goes_out_as_it_is_and_the_connection_is_closed(
    folder: Path, error: Exception
) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield b"text"
        raise error

    async with strange_clamd.running(StrangeClamd(folder / "socket", b"")) as strange:
        with pytest.raises(type(error)) as raised:
            await Clamd(strange.socket, LONG).is_clean(blocks())
        assert raised.value is error
        async with asyncio.timeout(LONG):
            await strange.left.wait()
    assert bytes(strange.received) == b"zINSTREAM\0\0\0\0\4text"  # no end, so that nobody takes this for the whole


async def test_cancelling_a_scan_closes_the_connection(folder: Path) -> None:
    async with strange_clamd.running(StrangeClamd(folder / "socket", b"", after=b"never", stays=True)) as strange:
        scan = asyncio.create_task(Clamd(strange.socket, LONG).is_clean(endless()))
        async with asyncio.timeout(LONG):
            await until(lambda: bool(strange.received))
            scan.cancel()
            with suppress(asyncio.CancelledError):
                await scan
            await strange.left.wait()
        assert scan.cancelled()


async def test_nothing_is_left_of_a_scan(scanner: Clamd, folder: Path) -> None:
    async with strange_clamd.running(StrangeClamd(folder / "socket", b"", after=b"never", stays=True)) as strange:
        await scanner.check()
        before = held()
        for _ in range(20):
            await scanner.is_clean(blocks_of(EICAR))
            await assert_unavailable(Clamd(folder / "nothing", LONG), blocks_of(b"text"))
            strange.left.clear()
            await assert_unavailable(Clamd(strange.socket, 0.01), endless())
            async with asyncio.timeout(LONG):
                await strange.left.wait()
        async with asyncio.timeout(LONG):
            await until(lambda: held() == before)


async def test_the_log_names_the_signature_and_nothing_of_the_file(
    scanner: Clamd, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert not await scanner.is_clean(blocks_of(EICAR))
    said = [record.getMessage() for record in caplog.records if record.name.startswith("gateway")]
    assert said == ["the scanner found Local.Test.EICAR-Body.UNOFFICIAL"]


@pytest.mark.threat(14)
async def test_what_clamd_overlooks_behind_a_large_member_is_refused_by_the_directory_of_the_archive(
    folder: Path,
) -> None:
    """As Debian sets it up. Should the first half fail, clamd has learnt; the second half is what counts."""
    hole, media_type = behind_zeros(), MEDIA_TYPES["application/zip"]
    assert len(hole) < 160_000
    with clamd_server.running(folder, {"MaxFileSize": "25M", "MaxScanSize": "100M"}) as debians:
        assert await Clamd(debians.socket, LONG).is_clean(blocks_of(hole)) is True
    front, end, limit = hole[:FRONT_BYTES], hole[-media_type.end_bytes :], Settings.model_fields["scan_limit"].default
    assert objection(media_type, front, len(hole), end, unpacked_limit=limit) is Code.ARCHIVE_TOO_LARGE


@pytest.mark.threat(13, 14)
@pytest.mark.parametrize("name", [None, "x.docx", "x.bin"])
async def test_our_limits_leave_no_room_for_it_at_any_depth(scanner: Clamd, name: str | None) -> None:
    """Within another archive no directory is read by us."""
    for mebibytes, infected in ((150, True), (450, False), (600, False)):
        body = large_member(mebibytes)
        blocks = blocks_of(body if name is None else archive(File(name.encode(), body)))
        if infected:
            assert await scanner.is_clean(blocks) is False
        else:
            await assert_unavailable(scanner, blocks)


def test_the_configuration_suits_what_the_settings_default_to() -> None:
    options = dict(re.findall(r"^([A-Z]\w+) (\S+)$", CONFIG.read_text("utf-8"), re.MULTILINE))
    scan_limit = Settings.model_fields["scan_limit"].default
    for name in ("StreamMaxLength", "MaxFileSize", "MaxScanSize"):
        assert int(options[name].removesuffix("M")) * MIB >= scan_limit
    assert int(options["MaxFileSize"].removesuffix("M")) > int(options["MaxScanSize"].removesuffix("M"))
    assert int(options["MaxScanTime"]) < 1000 * Settings.model_fields["scan_timeout"].default
    assert float(options["ReadTimeout"]) >= 60  # the most that GATEWAY_STORAGE_TIMEOUT can be
    alerts = {"AlertExceedsMax", "AlertEncryptedArchive", "AlertEncryptedDoc"}
    assert {name for name, told in options.items() if told == "yes" and name.startswith("Alert")} == alerts
    assert not any(name.startswith("TCP") for name in options)
