"""docs/how-to/scan.md: its numbers and log lines are those of the code."""

import re
from pathlib import Path

import pytest

from gateway import load
from gateway.client.uploads import COMPLETIONS
from gateway.grants.keys import ObjectKey
from gateway.libmagic import DEADLINE, WINDOW
from gateway.protocols.git_lfs import _SCANNING, VERIFIED_WITHIN
from gateway.protocols.patience import BEAT, MAX_BEATS
from gateway.s3.documents import INCOMING_DAYS
from gateway.s3.parts import MIB
from gateway.settings import Settings
from gateway.uploads import RETRY_AFTER
from gateway.wiring import scans
from gateway.worker import clamd
from tests.docs.pages import ROOT, Step, blocks, page, transcript
from tests.gateways import APP_SECRET, SECRET_KEY
from tests.servers.clamd import CONFIG

PAGE = page("docs/how-to/scan.md")


def test_the_settings_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(PAGE, "toml")
    (tmp_path / "gateway.toml").write_text(block, "utf-8")
    monkeypatch.setenv("GATEWAY_TENANTS__DEFAULT__APP_SECRETS", f'["{APP_SECRET}"]')
    settings = load(secret_keys=[SECRET_KEY], bucket="photos", region="eu-central-1")
    key = ObjectKey("default", "documents", "0" * 32, "pdf")
    assert scans(settings)(key)
    socket = re.search(r"^LocalSocket (.*)$", CONFIG.read_text("utf-8"), re.MULTILINE)
    assert socket is not None
    assert str(settings.clamd_socket) == socket[1]


def test_the_installation_closes_the_socket_and_starts_nothing_before_there_is_a_database() -> None:
    steps = next(block for block in blocks(PAGE, "sh") if "apt-get" in block).splitlines()
    (mode,) = [step for step in steps if step.startswith("printf ")]
    folder = "/etc/systemd/system/clamav-daemon.socket.d"
    assert mode == f"printf '[Socket]\\nSocketMode=0660\\n' > {folder}/mode.conf"
    (start,) = [step for step in steps if step.startswith("systemctl start ")]
    assert {"clamav-daemon.socket", "clamav-daemon.service", "clamav-freshclam"} == set(start.split()[2:])
    first = [
        "systemctl stop",
        "freshclam",
        "cp infra/clamd.conf",
        f"mkdir -p {folder}",
        mode,
        "systemctl daemon-reload",
    ]
    found = [next(place for place, step in enumerate(steps) if step.startswith(each)) for each in first]
    assert [*found, steps.index(start)] == sorted([*found, steps.index(start)])
    assert steps[-1] == "adduser gateway clamav"


def test_the_socket_is_as_the_page_shows_it_also_where_clamd_makes_it() -> None:
    config = dict(line.split(" ", 1) for line in CONFIG.read_text("utf-8").splitlines() if line[:1].isalpha())
    ours = {name: config[name] for name in ("LocalSocket", "LocalSocketGroup", "LocalSocketMode")}
    assert ours == {"LocalSocket": "/run/clamav/clamd.ctl", "LocalSocketGroup": "clamav", "LocalSocketMode": "660"}
    shown = transcript(PAGE)
    assert shown[0] == Step("stat --format '%A %U:%G' /run/clamav/clamd.ctl\n", "srw-rw---- clamav:clamav\n")
    assert shown[1] == Step("clamdscan --ping 1\n", "PONG\n")


def test_the_times_that_clients_wait_are_those_of_the_code() -> None:
    assert f'"retry_after": {RETRY_AFTER}' in PAGE
    assert COMPLETIONS * RETRY_AFTER == 1800
    assert MAX_BEATS * BEAT == 3600
    assert f"{VERIFIED_WITHIN:g} s each of three times" in PAGE
    assert "push again later" in _SCANNING
    wire = (ROOT / "gateway" / "static" / "gateway" / "wire.js").read_text("utf-8")
    assert "PROOF_PATIENCE_MS = 600_000" in wire


def test_the_limits_are_those_of_the_code() -> None:
    assert Settings.model_fields["scan_limit"].default == 25 * MIB
    assert (WINDOW, DEADLINE, INCOMING_DAYS) == (1024, 5.0, 9)
    template = (ROOT / "infra" / "template.yaml").read_text("utf-8")
    assert "maxReceiveCount: 12" in template


def test_the_log_lines_are_those_of_the_code() -> None:
    said = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("| log |")[2].partition("\n\n")[0], re.MULTILINE)
    code = Path(clamd.__file__).read_text("utf-8")
    assert len(said) == 6
    for line in said:
        first = line.partition("…")[0].removesuffix("Heuristics.Limits.Exceeded.")
        assert first in code, line
