"""What the how-to pages show is true: their settings load, and their commands print what stands there."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway import load
from gateway.cli.dev_files import as_variables
from gateway.http.serving import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from gateway.metrics import Work
from gateway.s3.bucket import WINDOW
from gateway.s3.documents import INCOMING_DAYS, MOST_DELIVERIES
from gateway.setting_tables import PolicySettings
from gateway.settings import Settings
from gateway.worker.consumer import Tempo
from gateway.worker.handling import Again
from tests.docs.conftest import Desk
from tests.docs.pages import ROOT, blocks, page, pages, rows, transcript
from tests.gateways import APP_SECRET, OTHER_APP_SECRET, SECRET_KEY

FOLDER = ROOT / "docs" / "how-to"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in FOLDER.glob("*.md"))
THIRD = "an-app-secret-of-the-tenant-wiki-of-32-bytes-up"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/gateway-events"
BASE = as_variables({"secret_keys": [SECRET_KEY], "bucket": "photos", "region": "eu-central-1", "events_queue": QUEUE})
SECRETS = {"default": APP_SECRET, "shop": OTHER_APP_SECRET, "wiki": THIRD}
# For the pages' settings that are not about tenants.
PHOTOS = {"photos": {"content_types": ["image/jpeg"], "max_size": "20 MB"}}
TENANTS = as_variables({"tenants": {"default": {"app_secrets": [APP_SECRET], "policies": PHOTOS}}})


@pytest.mark.parametrize(("name", "block"), [(name, block) for name in PAGES for block in blocks(page(name), "toml")])
def test_the_settings_of_a_page_load(name: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(block, "utf-8")
    for variable, value in BASE.items():
        monkeypatch.setenv(variable, value)
    if "[tenants." in block:
        for each in re.findall(r"^\[tenants\.(\w+)", block, re.MULTILINE):
            monkeypatch.setenv(f"GATEWAY_TENANTS__{each.upper()}__APP_SECRETS", f'["{SECRETS[each]}"]')
    else:
        for variable, value in TENANTS.items():
            monkeypatch.setenv(variable, value)
    assert load().bucket == "photos", name


def test_a_new_key_is_printed_as_shown(desk: Desk) -> None:
    (step,) = transcript(page("docs/how-to/keys-passes-policies.md"))
    different = [(r"gwk_[a-z0-9]{8}_[a-z0-9]{32}", "KEY"), (r'id = "[a-z0-9]{8}"', "ID"), (r"[0-9a-f]{64}", "SHA256")]
    printed, told = desk.bash(step.command), step.output
    for pattern, name in different:
        assert re.search(pattern, told)
        printed, told = re.sub(pattern, name, printed), re.sub(pattern, name, told)
    assert printed == told


def test_a_pass_is_made_in_a_shell_as_shown(desk: Desk) -> None:
    (command,) = [block for block in blocks(page("docs/how-to/keys-passes-policies.md"), "sh") if "pass" in block]
    sourced = "set -a; . .gateway/dev.env; set +a\n"
    assert desk.bash(sourced + command.replace("photos", "default")).startswith("default.ey")


def test_a_foreign_variable_ends_the_start_with_the_line_that_is_shown(desk: Desk) -> None:
    (step,) = transcript(page("docs/how-to/production.md"))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        desk.bash(f"set -a; . .gateway/dev.env; set +a\n{step.command}")
    assert failed.value.stderr == step.output


def test_the_numbers_of_the_worker_s_page_are_those_of_the_code() -> None:
    worker, tempo = page("docs/how-to/worker.md"), Tempo()
    assert f"| `--at-once` | {tempo.hands} |" in worker
    assert f"| `--take-over` | {tempo.hidden} |" in worker
    assert f"within {tempo.grace:.0f} s" in worker
    assert f"asks\nSQS every {tempo.wait} s" in worker
    assert (Again.COMPLETION.value, Again.ANNOUNCEMENT.value) == (15 * 60, 6 * 3600)
    assert MOST_DELIVERIES == 12
    assert "after 12\n  deliveries" in worker


def test_the_metrics_of_the_worker_s_page_are_those_that_are_counted() -> None:
    work = Work()
    for line in (
        {"event": "upload", "outcome": "a"},
        {"event": "scan", "verdict": "a"},
        {"event": "webhook", "result": "a"},
    ):
        work.observe({**line, "ms": 1.0})
    counted = [line for line in work.text()[0].decode().splitlines() if not line.startswith("#")]
    table = rows(page("docs/how-to/worker.md"), "* `/metrics` answers Prometheus:")
    told = {f'{counter}{{{label.partition(":")[0]}="a"}} 1.0' for counter, label, _ in table}
    assert told == {line for line in counted if line.startswith("gateway_") and "_total" in line}
    histograms = {line.removesuffix("_count 1.0") for line in counted if line.endswith("_count 1.0")}
    assert {histogram for _, _, histogram in table} == histograms


def test_no_page_and_no_message_installs_the_package_from_a_registry() -> None:
    texts = [*pages(), *(ROOT / "gateway").rglob("*.py")]
    wrong = re.compile(r"install [^\n]*signed-url-gateway[\[\s'\"=]")
    assert [str(path) for path in texts if wrong.search(path.read_text("utf-8"))] == []


def test_the_lock_file_of_production_has_the_extras_that_pages_say_it_has() -> None:
    assert "-r requirements/server.lock" in page("docs/how-to/production.md")
    locked = re.findall(r"^([a-z0-9-]+)==", page("requirements/server.lock"), re.MULTILINE)
    assert {"python-magic", "redis"} <= set(locked)


def test_the_numbers_of_the_pages_are_those_of_the_code() -> None:
    production, rotate = page("docs/how-to/production.md"), page("docs/how-to/rotate-and-revoke.md")
    assert f"within {GRACE_SECONDS} s" in production
    assert f"the gateway keeps connections for {KEEP_ALIVE_SECONDS} s" in page("docs/how-to/behind-a-proxy.md")
    assert f"{INCOMING_DAYS} days, until the lifecycle rule has emptied `incoming/`" in rotate
    assert Settings.model_fields["get_expires_in"].default + WINDOW == 600
    assert "a presigned GET that lives for ten minutes at most" in rotate
    assert PolicySettings.model_fields["ticket_expires_in"].default == 3600
