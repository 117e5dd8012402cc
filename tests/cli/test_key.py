"""`gateway key new`: the key is told once, and the settings get its SHA-256 alone."""

import hashlib
import json
import tomllib

import pytest

from gateway.grants.principals import Action, Kind, Principal
from gateway.grants.tokens import Tokens
from gateway.http.auth import Authenticator
from gateway.settings import load
from tests.cli.commands import SETTINGS, say
from tests.gateways import APP_SECRET, SECRET_KEY, tenant


async def test_the_printed_table_lets_the_printed_key_in_and_does_not_hold_it() -> None:
    said = say("key", "new", "--actions", "upload, read", "--on-behalf-of")
    key, _, rest = said.stdout.partition("\n")
    table = rest.partition("[[")[1] + rest.partition("[[")[2]
    (row,) = tomllib.loads(table)["tenants"]["default"]["api_keys"]
    assert key not in rest
    assert key.rpartition("_")[2] not in rest
    assert row == {
        "id": key[4:12],
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "actions": ["upload", "read"],
        "policies": ["default"],
        "on_behalf_of": True,
    }
    settings = load(**{**SETTINGS, "tenants": {"default": tenant(key, APP_SECRET) | {"api_keys": [row]}}})
    authenticator = Authenticator(settings, Tokens([SECRET_KEY.encode()], {}))
    principal = await authenticator.authenticate(f"Bearer {key}".encode(), 0)
    assert principal == Principal(
        "default",
        f"key:{key[4:12]}",
        Kind.API_KEY,
        frozenset({Action.UPLOAD, Action.READ}),
        frozenset({"default"}),
        on_behalf_of=True,
    )


def test_as_json_it_says_the_same_and_for_another_tenant() -> None:
    made = json.loads(say("key", "new", "--tenant", "shop", "--policies", "photos,docs,photos", "--json").stdout)
    assert made == {
        "api_key": made["api_key"],
        "tenant": "shop",
        "table": {
            "id": made["api_key"][4:12],
            "sha256": hashlib.sha256(made["api_key"].encode()).hexdigest(),
            "actions": ["upload", "link"],
            "policies": ["photos", "docs"],
        },
    }


def test_no_two_keys_are_alike() -> None:
    assert say("key", "new").stdout != say("key", "new").stdout


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--actions", "upload,fly"], "--actions takes upload, link, read, delete, with commas between them"),
        (["--actions", " , "], "--actions takes at least one name"),
        (
            ["--policies", "Photos"],
            "--policies has to be named by at most 63 lower-case letters, digits and inner hyphens",
        ),
        (
            ["--tenant", 'x]\n"'],
            "--tenant has to be named by at most 63 lower-case letters, digits and inner hyphens",
        ),
    ],
)
def test_what_the_settings_would_not_take_is_refused_in_one_line(flags: list[str], line: str) -> None:
    said = say("key", "new", *flags)
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{line}\n", 2)
