"""Memory stays flat: 1 GiB goes through a process that never holds 120 MiB."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import GATEWAY
from tests.docs.pages import ROOT

GIB = 2**30
MOST = 120 * 2**20  # bytes resident

TRANSFER = """
import json, sys
sys.path.insert(0, {root!r})
from gateway.client import Client
with Client({url!r}, "gwk_aaaaaaaa_0123456789abcdef0123456789abcdef") as client:
    stored = {call}
print(json.dumps({{"object": {{"size": stored.object.size}}}}))
"""
# Asked of a child, since a process begins with the peak of the one that it was forked from: getrusage(2), ru_maxrss.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True)
size = json.loads(done.stdout)["object"]["size"]
print(json.dumps([size, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    """Start what keeps no byte, and give its address."""
    process = subprocess.Popen([sys.executable, "-m", "tests.client.sink"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def gibibyte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a file of 1 GiB, of which the disk holds next to nothing."""
    path = tmp_path_factory.mktemp("gibibyte") / "large.bin"
    with path.open("wb") as file:
        file.write(b"not only zeros")
        file.truncate(GIB)
    return path


def measured(*command: str, **environment: str) -> tuple[int, int]:
    """Return the size that a command tells it has stored, and the most memory that it held."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    size, resident = json.loads(done.stdout)
    return size, resident


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("client.upload({path!r})", id="a file"),
        pytest.param("client.publish((b'0' * 65536 for _ in range(16384)), filename='large.bin')", id="a generator"),
    ],
)
def test_one_gibibyte_goes_through_the_client_under_120_mib(sink: str, gibibyte: Path, call: str) -> None:
    script = TRANSFER.format(root=str(ROOT), url=sink, call=call.format(path=str(gibibyte)))
    size, resident = measured(sys.executable, "-c", script)
    assert size == GIB
    assert resident < MOST, f"{resident / 2**20:.0f} MiB"


def test_one_gibibyte_goes_through_the_command_under_120_mib(sink: str, gibibyte: Path, tmp_path: Path) -> None:
    environment = {"GATEWAY_URL": sink, "GATEWAY_API_KEY": "gwk_x", "XDG_STATE_HOME": str(tmp_path)}
    size, resident = measured(*GATEWAY, "upload", "--json", str(gibibyte), **environment)
    assert size == GIB
    assert resident < MOST, f"{resident / 2**20:.0f} MiB"
