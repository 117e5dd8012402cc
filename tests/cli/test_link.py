"""`gateway link`: made offline, and followed by a gateway with the same settings."""

import json
import os
import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.grants.app_tokens import Link
from gateway.settings import load
from tests.cli.commands import OFFLINE, SETTINGS, say
from tests.gateways import API_KEY, APP_SECRET, tenant

KEY = "objects/default/default/0123456789abcdef0123456789abcdef.png"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/EXAMPLE"}


def opened(url: str) -> Link:
    token = urlsplit(url).path.split("/")[2]
    return load(**SETTINGS).tokens().open_link(token, int(time.time()))


def test_a_link_leads_to_the_object_for_a_day() -> None:
    said = say("link", KEY, env=OFFLINE)
    assert (said.stderr, said.exit_code) == ("", 0)
    assert said.stdout.startswith("http://127.0.0.1:8000/d/default.")
    link = opened(said.stdout.strip())
    assert link.expires_at is not None
    assert (link.key.key, link.filename, link.disposition) == (KEY, None, "attachment")
    assert link.expires_at - link.issued_at == 86_400


def test_a_link_begins_with_the_public_url_where_there_is_one() -> None:
    environment = {**OFFLINE, "GATEWAY_PUBLIC_URL": "https://files.example"}
    flags = ["--filename", "très bien.png", "--inline", "--expires-in", "60", "--json"]
    made = json.loads(say("link", KEY, *flags, env=environment).stdout)
    assert made["key"] == KEY
    assert made["url"].startswith("https://files.example/d/default.")
    assert made["url"].endswith("/tr%C3%A8s%20bien.png")
    link = opened(made["url"])
    assert link.filename is not None
    assert (link.filename.text, link.disposition) == ("très bien.png", "inline")
    assert link.expires_at == datetime.fromisoformat(made["expires_at"]).timestamp() == link.issued_at + 60


def test_a_link_is_of_the_tenant_s_epoch_and_of_its_policy_s_lifetime() -> None:
    table = tenant(API_KEY, APP_SECRET, link_epoch=7)
    table["policies"] = {"default": {"content_types": ["image/png"], "max_size": 1, "link_expires_in": 120}}
    environment = {**OFFLINE, "GATEWAY_TENANTS": json.dumps({"default": table})}
    link = opened(say("link", KEY, env=environment).stdout.strip())
    assert link.expires_at is not None
    assert (link.epoch, link.expires_at - link.issued_at) == (7, 120)


def test_a_direct_link_is_a_presigned_get_of_the_bucket() -> None:
    said = say("link", KEY, "--direct", "--inline", "--filename", "a.png", env={**OFFLINE, **CREDENTIALS})
    url = urlsplit(said.stdout.strip())
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"https://photos.s3.eu-central-1.amazonaws.com/{KEY}"
    assert query["X-Amz-Expires"] == "3600"
    assert query["response-content-type"] == "image/png"
    assert query["response-content-disposition"].startswith("inline; filename=")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["objects/x"], 2, "KEY is not of the form objects/<tenant>/<policy>/<name>.<ext>"),
        ([KEY.replace("/default/", "/shop/", 1)], 2, "KEY is of a tenant that GATEWAY_TENANTS does not define"),
        ([KEY, "--filename", "\n"], 2, "--filename has to have a visible character and at most 1200 bytes"),
        ([KEY, "--direct", "--expires-in", "604801"], 2, "--expires-in is at most 604800 with --direct"),
        (
            [KEY, "--direct"],
            1,
            "boto3 found no credentials of the store in the environment, a profile or a role.",
        ),
    ],
)
def test_what_cannot_be_linked_is_told_in_one_line(arguments: list[str], code: int, line: str) -> None:
    said = say("link", *arguments, env=OFFLINE)
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{line}\n", code)


def test_without_an_address_there_is_no_link() -> None:
    assert "GATEWAY_URL" not in os.environ
    environment = {name: value for name, value in OFFLINE.items() if name != "GATEWAY_URL"}
    said = say("link", KEY, env=environment)
    assert (said.stdout, said.exit_code) == ("", 1)
    assert said.stderr == "GATEWAY_PUBLIC_URL or GATEWAY_URL has to say where the gateway is.\n"
