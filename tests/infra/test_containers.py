"""The container files agree with one another and with the commands they run; nothing builds them here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from gateway.cli import app

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
STAGES = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)


def clamd_option(name: str) -> str:
    [value] = re.findall(rf"^{name} (.+)$", (ROOT / "infra" / "clamd.conf").read_text("utf-8"), re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_built_from_a_stage_and_uses_what_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert (ROOT / "infra" / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == (
        ROOT / "infra" / "Dockerfile"
    )
    assert service["build"]["target"] in STAGES
    assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
    named = {volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
    assert named <= COMPOSE["volumes"].keys()
    assert service["restart"] == "unless-stopped"


def test_the_commands_are_the_gateway_s_own() -> None:
    known: Any = get_command(app)
    [default] = re.findall(r'^CMD \["(\w+)"', DOCKERFILE.partition("AS site")[0], re.MULTILINE)
    ours = [service for service in SERVICES.values() if service["build"]["target"] == "gateway"]
    commands = [service.get("command", [default])[0] for service in ours]
    assert commands == ["serve", "worker"]
    assert set(commands) <= known.commands.keys()


def test_only_the_front_is_published_and_what_speaks_to_strangers_is_read_only() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["front"]
    assert all(SERVICES[name]["read_only"] for name in ("gateway", "worker"))
    assert "USER 10001:10001" in DOCKERFILE.partition("AS site")[0]


@pytest.mark.threat(13)
def test_the_worker_alone_reaches_clamd_and_clamd_reaches_nobody() -> None:
    socket = Path(clamd_option("LocalSocket"))
    holders = {name for name, each in SERVICES.items() if any(str(socket.parent) in v for v in each.get("volumes", []))}
    assert holders == {"worker", "clamd"}
    group = clamd_option("LocalSocketGroup")
    [number] = re.findall(rf"groupadd --system --gid (\d+) {group}\b", DOCKERFILE)
    assert SERVICES["worker"]["group_add"] == [number]
    assert SERVICES["clamd"]["network_mode"] == "none"
    assert clamd_option("User") == "clamav"
