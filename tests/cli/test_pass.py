"""`gateway pass`: made offline, and taken by a gateway with the same settings."""

import json
import re
import time
from datetime import datetime

import pytest

from gateway.grants.principals import Action, Kind, Limits, Principal
from gateway.settings import load
from tests.cli.commands import OFFLINE, SETTINGS, say
from tests.gateways import ALL_TYPES


def opened(token: str, after: int = 0) -> Principal:
    return load(**SETTINGS).tokens().open_pass(token, int(time.time()) + after)


def test_a_pass_may_upload_under_one_policy_for_an_hour() -> None:
    said = say("pass", "alice", env=OFFLINE)
    assert (said.stderr, said.exit_code) == ("", 0)
    assert re.fullmatch(r"default\.[\w-]+\.[\w-]{43}\n", said.stdout)
    alice = Principal("default", "alice", Kind.PASS, frozenset({Action.UPLOAD}), frozenset({"default"}))
    assert opened(said.stdout.strip()) == opened(said.stdout.strip(), after=3500) == alice


def test_its_limits_are_as_asked() -> None:
    flags = ["--max-size", "2 MiB", "--content-type", "image/PNG", "--content-type", "text/csv", "--expires-in", "60"]
    made = json.loads(say("pass", "--json", *flags, env=OFFLINE).stdout)
    principal = opened(made["pass"])
    assert (principal.name, principal.limits) == ("cli", Limits(2 * 1024**2, frozenset({"image/png", "text/csv"})))
    lives = datetime.fromisoformat(made["expires_at"]).timestamp() - time.time()
    assert 50 < lives <= 60


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--policy", "photos"], "--policy names a policy that the tenant does not define"),
        (["--tenant", "shop"], "--tenant names a tenant that GATEWAY_TENANTS does not define"),
        (["a\nb"], "PRINCIPAL is 1 to 128 bytes of printable text"),
        (
            ["--max-size", "much"],
            "--max-size has to be a number of bytes, or one with a unit, as in '100 MB' or '5 GiB'",
        ),
        (
            ["--content-type", "text/html"],
            f"--content-type takes what the policy does: {', '.join(ALL_TYPES)}",
        ),
        (
            ["--expires-in", "59"],
            "Invalid value for '--expires-in': Input should be greater than or equal to 60: see 'gateway pass --help'",
        ),
    ],
)
def test_what_no_gateway_would_take_is_refused_in_one_line(arguments: list[str], line: str) -> None:
    said = say("pass", *arguments, env=OFFLINE)
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{line}\n", 2)
