import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.content.media_types import MEDIA_TYPES
from gateway.grants.policies import Policy, Quota, Tenant
from gateway.s3.endpoints import Endpoint
from gateway.setting_sources import SettingsError
from gateway.setting_tables import PolicySettings
from gateway.settings import Settings, load

SECRETS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
DIGEST = hashlib.sha256(b"an API key").hexdigest()
VALUE = "hunter2-hunter2-#!"  # no value of any setting, and not to be seen in any message
POLICY: dict[str, Any] = {"content_types": ["image/png", "image/jpeg"], "max_size": "100 MB"}
API_KEY: dict[str, Any] = {"id": "abcdefgh", "sha256": DIGEST, "actions": ["upload"], "policies": ["photos"]}
TENANT: dict[str, Any] = {"app_secrets": [SECRETS[1]], "policies": {"photos": POLICY}}
ISSUER: dict[str, Any] = {
    "issuer": "https://idp.example",
    "audience": "gateway",
    "algorithms": ["HS256"],
    "secret": SECRETS[3],
    "tenant": "shop",
    "policies": ["photos"],
}
WEBHOOK_SECRETS = [f"whsec_{base64.b64encode(bytes.fromhex(secret)).decode()}" for secret in SECRETS]
WEBHOOK: dict[str, Any] = {"url": "https://app.example/hooks", "secrets": WEBHOOK_SECRETS[:2]}
REDIS = "redis://user:hunter2-hunter2@redis.internal:6379/2"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/gateway-events"
GOOD: dict[str, Any] = {
    "GATEWAY_SECRET_KEYS": [SECRETS[0]],
    "GATEWAY_BUCKET": "my-bucket",
    "GATEWAY_REGION": "eu-central-1",
    "GATEWAY_TENANTS": {"shop": TENANT},
}
NO_TYPE = "has to be a media type that the gateway knows: docs/settings.md lists them."
NO_QUEUE = "has to be the URL of an SQS queue: https://sqs.<region>.amazonaws.com/<account>/<name>."
NO_REDIS = (
    "has to be the address of a Redis: redis://host:6379/0, rediss://host:6379/0 or redis+unix:///path?db=0, "
    "with user and password (percent-encoded) as in redis://user:password@host."
)
NO_SOCKET = "has to be the absolute path of a socket, of at most 107 bytes."
NO_NETWORK = "has to be a network such as 10.0.0.0/8 or 192.0.2.7 (no host bits set)."
NO_WEBHOOK = "has to be an https address (http is for this machine alone), without credentials and fragment."
NO_QUOTA = "has a quota of fewer bytes than its max_size, which would never be granted."
NO_STEP = r"has to match pattern '^[a-z]+\.[a-z_]+:[1-9][0-9]*$'."
NO_SIZE = "has to be a number of bytes, or one with a unit, as in '100 MB' or '5 GiB'."
Environment = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Begin in an empty folder with what is required; the function sets more, and None takes away."""
    monkeypatch.chdir(tmp_path)

    def change(**variables: object) -> None:
        for name, value in variables.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))

    change(**GOOD)
    return change


def line() -> str:
    """Load the settings and return the one line that refuses them."""
    with pytest.raises(SettingsError) as ended:
        load()
    assert (ended.value.__cause__, ended.value.__context__) == (None, None), "a chain would hold the value"
    assert "\n" not in str(ended.value)
    return str(ended.value)


# Order of the sources.


def test_flags_come_before_environment_before_dotenv_before_toml(environment: Environment) -> None:
    Path("gateway.toml").write_text(
        'bucket = "from-toml"\nregion = "from-toml"\nlog_level = "error"\nstorage_threads = 4\n'
    )
    Path(".env").write_text("GATEWAY_BUCKET=from-dotenv\nGATEWAY_REGION=from-dotenv\nGATEWAY_LOG_LEVEL=warning\n")
    environment(GATEWAY_BUCKET="from-environment", GATEWAY_REGION="from-environment")

    settings = load(bucket="from-flags", log_level=None)

    assert (settings.bucket, settings.region, settings.log_level, settings.storage_threads) == (
        "from-flags",
        "from-environment",
        "warning",
        4,
    )


def test_tables_of_several_sources_become_one(environment: Environment) -> None:
    Path("gateway.toml").write_text(
        """
        [tenants.shop]
        link_epoch = 3
        [tenants.shop.policies.photos]
        content_types = ["image/png"]
        max_size = "5 GiB"
        [tenants.shop.policies.empty]
        content_types = ["text/plain"]
        min_size = 0
        max_size = 10
        inline = false
        """
    )
    Path(".env").write_text("GATEWAY_TENANTS__SHOP__LINK_EPOCH=4\nGATEWAY_TENANTS__SHOP__UNLIMITED_LINKS=true\n")
    environment(
        GATEWAY_TENANTS={"shop": {"link_epoch": 5}},
        GATEWAY_TENANTS__SHOP__APP_SECRETS=[SECRETS[1]],
        GATEWAY_TENANTS__shop__POLICIES__PHOTOS__TICKET_EXPIRES_IN="7200",
    )

    assert load(put_expires_in=60).tenant_values() == {
        "shop": Tenant(
            "shop",
            {
                "photos": Policy(
                    "photos",
                    {"image/png": MEDIA_TYPES["image/png"]},
                    5 * 2**30,
                    put_expires_in=60,
                    ticket_expires_in=7200,
                ),
                "empty": Policy(
                    "empty", {"text/plain": MEDIA_TYPES["text/plain"]}, 10, 0, inline=False, put_expires_in=60
                ),
            },
            link_epoch=5,
            unlimited_links=True,
        )
    }


def test_a_policy_says_all_about_parts_and_dialects(environment: Environment) -> None:
    environment(
        GATEWAY_TENANTS__SHOP__POLICIES__LARGE={
            "content_types": ["application/octet-stream"],
            "min_size": "6 GiB",
            "max_size": "48 TiB",
            "multipart_from": "1",
            "multipart_expires_in": 604_800,
            "protocols": ["uppy", "git-lfs", "uppy"],
        },
        GATEWAY_COPY_THRESHOLD="20 MiB",
    )
    settings = load()

    assert settings.copy_threshold == 20_971_520
    assert settings.tenant_values()["shop"].policies["large"] == Policy(
        "large",
        {"application/octet-stream": MEDIA_TYPES["application/octet-stream"]},
        48 * 2**40,
        6 * 2**30,
        multipart_from=1,
        multipart_expires_in=604_800,
        protocols=frozenset({"uppy", "git-lfs"}),
    )


def test_the_worker_and_the_quotas_are_told_all_they_need(environment: Environment) -> None:
    environment(
        GATEWAY_EVENTS_QUEUE=QUEUE,
        GATEWAY_CLAMD_SOCKET="/run/clamav/clamd.ctl",
        GATEWAY_SCAN_LIMIT="100 MB",
        GATEWAY_SCAN_TIMEOUT="300",
        GATEWAY_WEBHOOK_NETWORKS=["10.0.0.0/8", "192.0.2.7"],
        GATEWAY_MAGIC="true",
        GATEWAY_LIMITS_URL=REDIS,
        GATEWAY_LIMITS_WHEN_DOWN="closed",
        GATEWAY_CRASH_AT="storage.create_upload:12",
        GATEWAY_TENANTS__SHOP__WEBHOOK=WEBHOOK,
    )
    settings = load()

    shown = settings.model_dump(include={"events_queue", "clamd_socket", "scan_limit", "scan_timeout", "crash_at"})
    assert shown == {
        "events_queue": QUEUE,
        "clamd_socket": Path("/run/clamav/clamd.ctl"),
        "scan_limit": 100_000_000,
        "scan_timeout": 300,
        "crash_at": "storage.create_upload:12",
    }
    assert (settings.webhook_networks, settings.magic) == (["10.0.0.0/8", "192.0.2.7/32"], True)
    assert settings.limits_url is not None
    assert (settings.limits_url.get_secret_value(), settings.limits_when_down) == (REDIS, "closed")
    webhook = settings.tenants["shop"].webhook
    assert webhook is not None
    assert (webhook.url, [each.get_secret_value() for each in webhook.secrets]) == tuple(WEBHOOK.values())


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"uploads": 100}, Quota(100, None, 3600)),
        ({"bytes": "100 MB"}, Quota(None, 100_000_000, 3600)),
        ({"uploads": 1, "bytes": "10 GiB", "window": 2_678_400}, Quota(1, 10 * 2**30, 2_678_400)),
        ({"uploads": 999_999_999_999_999, "window": 1}, Quota(999_999_999_999_999, None, 1)),
    ],
)
def test_a_policy_says_how_much_it_grants_and_whether_it_scans(
    environment: Environment, quota: dict[str, object], expected: Quota
) -> None:
    environment(
        GATEWAY_EVENTS_QUEUE=QUEUE,
        GATEWAY_CLAMD_SOCKET="/run/clamav/clamd.ctl",
        GATEWAY_SCAN_LIMIT="100 MB",
        GATEWAY_TENANTS={"shop": TENANT | {"policies": {"photos": POLICY | {"scan": True, "quota": quota}}}},
    )
    types = {name: MEDIA_TYPES[name] for name in POLICY["content_types"]}
    policy = Policy("photos", types, 100_000_000, scan=True, quota=expected)
    assert load().tenant_values() == {"shop": Tenant("shop", {"photos": policy})}


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"GATEWAY_CLAMD_SOCKET": None}, "scans, which the worker does: it needs GATEWAY_EVENTS_QUEUE and"),
        ({"GATEWAY_EVENTS_QUEUE": None}, "scans, which the worker does: it needs GATEWAY_EVENTS_QUEUE and"),
        ({"GATEWAY_SCAN_LIMIT": "99999999"}, "takes files that are too large to be scanned: max_size is at most"),
        ({"GATEWAY_SCAN_LIMIT": None}, "takes files that are too large to be scanned: max_size is at most"),
    ],
)
def test_a_policy_that_scans_needs_somebody_who_does_and_files_that_can_be(
    environment: Environment, variables: dict[str, object], reason: str
) -> None:
    environment(
        GATEWAY_EVENTS_QUEUE=QUEUE,
        GATEWAY_CLAMD_SOCKET="/run/clamav/clamd.ctl",
        GATEWAY_SCAN_LIMIT="100000000",
        GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__SCAN="true",
    )
    assert load().tenants["shop"].policies["photos"].scan
    environment(**variables)
    ends = {"scans": "GATEWAY_CLAMD_SOCKET", "takes": "GATEWAY_SCAN_LIMIT"}
    assert line() == f"tenants.shop.policies.photos {reason} {ends[reason[:5]]}."


INSIDE = "names an address that is not public: it needs a network in GATEWAY_WEBHOOK_NETWORKS"
NEVER = "names an address to which no webhook may go"


@pytest.mark.parametrize(
    ("url", "networks", "reason"),
    [
        ("http://127.0.0.1:8000/hooks", [], INSIDE),
        ("http://127.0.0.1:8000/hooks", ["10.0.0.0/8"], INSIDE),
        ("http://127.0.0.1:8000/hooks", ["127.0.0.0/8"], None),
        ("http://localhost:8000/hooks", [], INSIDE),
        ("http://localhost:8000/hooks", ["127.0.0.0/8"], None),
        ("https://10.0.0.5/x", [], INSIDE),
        ("https://10.0.0.5/x", ["10.0.0.0/8"], None),
        ("https://169.254.169.254/x", ["169.254.0.0/16"], NEVER),
    ],
)
def test_a_webhook_whose_every_delivery_would_fail_ends_the_start(
    environment: Environment, url: str, networks: list[str], reason: str | None
) -> None:
    environment(
        GATEWAY_EVENTS_QUEUE=QUEUE,
        GATEWAY_WEBHOOK_NETWORKS=networks,
        GATEWAY_TENANTS__SHOP__WEBHOOK=WEBHOOK | {"url": url},
    )
    if reason is None:
        webhook = load().tenants["shop"].webhook
        assert webhook is not None
        assert webhook.url == url
    else:
        assert line() == f"tenants.shop.webhook.url {reason}."


def test_a_webhook_needs_the_queue_that_the_worker_hears_of_uploads_by(environment: Environment) -> None:
    environment(GATEWAY_TENANTS__SHOP__WEBHOOK=WEBHOOK)
    assert line() == "tenants.shop.webhook is told by the worker: it needs GATEWAY_EVENTS_QUEUE."


def test_the_queue_is_in_the_region_of_the_bucket(environment: Environment) -> None:
    environment(GATEWAY_EVENTS_QUEUE=QUEUE.replace("eu-central-1", "us-east-1"))
    assert line() == "GATEWAY_EVENTS_QUEUE has to be in GATEWAY_REGION: a bucket reports to no other region."
    environment(GATEWAY_REGION="us-east-1")
    assert load().region == "us-east-1"


@pytest.mark.parametrize(("size", "expected"), [("5 MiB", 5_242_880), ("5 GiB", 5_368_709_120), (None, 2**30)])
def test_the_copy_threshold_is_one_that_a_single_copy_and_a_part_can_have(
    environment: Environment, size: str | None, expected: int
) -> None:
    environment(GATEWAY_COPY_THRESHOLD=size)
    assert load().copy_threshold == expected


def test_the_file_may_be_elsewhere_and_then_has_to_be_there(environment: Environment, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.toml"
    path.write_text('bucket = "elsewhere"\n')
    environment(GATEWAY_BUCKET=None, GATEWAY_CONFIG_FILE=str(path))
    assert load().bucket == "elsewhere"

    environment(GATEWAY_CONFIG_FILE=None)
    Path(".env").write_text(f"GATEWAY_CONFIG_FILE={path}\n")
    assert load().bucket == "elsewhere"

    path.unlink()
    assert line() == "GATEWAY_CONFIG_FILE names a file that is not there."


def test_what_other_programs_and_our_commands_read_is_let_be(environment: Environment) -> None:
    Path(".env").write_text("AWS_ACCESS_KEY_ID=x\nBUCKET=x\nGATEWAY_URL=http://127.0.0.1:8000\n")
    environment(GATEWAY_API_KEY="gwk_abcdefgh_x", GATEWAYS="2", MY_GATEWAY_BUCKET="x")

    assert load().bucket == "my-bucket"


def test_folders_and_files_that_are_there_are_taken(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "jwks.json").touch()
    issuer = ISSUER | {"secret": None, "algorithms": ["RS256"], "jwks_file": str(tmp_path / "jwks.json")}
    environment(GATEWAY_STATIC_DIR=str(tmp_path), GATEWAY_JWT_ISSUERS=[issuer])
    settings = load(root_dir=tmp_path)

    assert (settings.static_dir, settings.root_dir) == (tmp_path, tmp_path)
    assert settings.jwt_issuers[0].jwks_file == tmp_path / "jwks.json"


def test_defaults_are_closed() -> None:
    shown = load().model_dump(exclude={"secret_keys", "tenants", "bucket", "region"})

    assert shown == {
        "jwt_issuers": [],
        "storage_endpoint": None,
        "public_storage_endpoint": None,
        "address_style": "auto",
        "expected_bucket_owner": None,
        "storage_timeout": 10.0,
        "storage_threads": 16,
        "copy_threshold": 1_073_741_824,
        "public_url": None,
        "trusted_proxies": [],
        "forwarded_headers": ["x-forwarded-proto"],
        "allowed_hosts": ["127.0.0.1", "localhost", "[::1]"],
        "allowed_origins": [],
        "put_expires_in": 900,
        "get_expires_in": 300,
        "events_queue": None,
        "clamd_socket": None,
        "scan_limit": 26_214_400,
        "scan_timeout": 120,
        "webhook_networks": [],
        "magic": False,
        "limits_url": None,
        "limits_when_down": "open",
        "crash_at": None,
        "static_dir": None,
        "root_dir": None,
        "docs": False,
        "metrics_port": None,
        "log_level": "info",
    }


# Names and values that end the start.


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"GATEWAY_BUKCET": "x"}, "GATEWAY_BUKCET is not a setting."),
        ({"GATEWAY_": "x"}, "GATEWAY_ is not a setting."),
        ({"GATEWAY_SECRET_KEYS": None}, "GATEWAY_SECRET_KEYS is missing."),
        ({"GATEWAY_SECRET_KEYS": None, "GATEWAY_SECRET_KEY": VALUE}, "GATEWAY_SECRET_KEY is not a setting."),
        ({"gateway_bukcet": "x"}, "GATEWAY_BUKCET is not a setting."),
        ({"GATEWAY_TENANTS__SHOP__LINK_EPCH": "1"}, "GATEWAY_TENANTS__SHOP__LINK_EPCH is not a setting."),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAXSIZE": "1"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAXSIZE is not a setting.",
        ),
        ({"GATEWAY_BUCKET__NAME": "x"}, "GATEWAY_BUCKET has to be a valid string."),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"link_epch": VALUE}}},
            "GATEWAY_TENANTS (shop.link_epch) is not a setting.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {SECRETS[2]: 1}}},
            "GATEWAY_TENANTS (shop.…) is not a setting.",
        ),
        (
            {"GATEWAY_JWT_ISSUERS": [ISSUER | {"algorithm": "none"}]},
            "GATEWAY_JWT_ISSUERS (0.algorithm) is not a setting.",
        ),
        ({"GATEWAY_TENANTS": {}}, "GATEWAY_TENANTS has to have at least 1 item after validation, not 0."),
        (
            {"GATEWAY_TENANTS": {"Shop": TENANT}},
            "GATEWAY_TENANTS (Shop.[key]) has to be named by at most 63 lower-case letters, digits and inner hyphens.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": {"policies": {}}}},
            "GATEWAY_TENANTS (shop.app_secrets) is missing.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"app_secrets": []}}},
            "GATEWAY_TENANTS (shop.app_secrets) has to hold at least one secret.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"api_keys": [API_KEY | {"policies": ["x"]}]}}},
            "GATEWAY_TENANTS (shop) has an API key (abcdefgh) for a policy that it does not define.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"api_keys": [API_KEY, API_KEY]}}},
            "GATEWAY_TENANTS names one API key twice: ids are unique over all tenants.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"api_keys": [API_KEY | {"sha256": VALUE}]}}},
            "GATEWAY_TENANTS (shop.api_keys.0.sha256) has to match pattern '^[0-9a-f]{64}$'.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"api_keys": [API_KEY | {"actions": [VALUE]}]}}},
            "GATEWAY_TENANTS (shop.api_keys.0.actions.0) has to be 'upload', 'link', 'read' or 'delete'.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__CONTENT_TYPES": ["image/x-unknown"]},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__CONTENT_TYPES (0) " + NO_TYPE,
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAX_SIZE": "5.1 GiB"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAX_SIZE " + NO_SIZE,
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAX_SIZE": "49 TiB"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MAX_SIZE has to be less than or equal to 53687091200000.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_FROM": "0"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_FROM has to be greater than or equal to 1.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_FROM": "5368709121"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_FROM has to be less than or equal to 5368709120.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_EXPIRES_IN": "604801"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MULTIPART_EXPIRES_IN has to be less than or equal to 604800.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__PROTOCOLS": ["tus"]},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__PROTOCOLS (0) has to be 'uppy', 'active-storage' or 'git-lfs'.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__PROTOCOLS": "uppy"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__PROTOCOLS has to be a list (in a variable: as JSON).",
        ),
        ({"GATEWAY_COPY_THRESHOLD": "5 MB"}, "GATEWAY_COPY_THRESHOLD has to be greater than or equal to 5242880."),
        ({"GATEWAY_COPY_THRESHOLD": "6 GiB"}, "GATEWAY_COPY_THRESHOLD has to be less than or equal to 5368709120."),
        ({"GATEWAY_COPY_THRESHOLD": "all"}, "GATEWAY_COPY_THRESHOLD " + NO_SIZE),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__MIN_SIZE": "100000001"},
            "GATEWAY_TENANTS (shop.policies.photos) has a min_size above its max_size.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__LINK_EPOCH": "-1"},
            "GATEWAY_TENANTS__SHOP__LINK_EPOCH has to be greater than or equal to 0.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"link_epoch": True}}},
            "GATEWAY_TENANTS (shop.link_epoch) has to be a number.",
        ),
        ({"GATEWAY_PUT_EXPIRES_IN": "59"}, "GATEWAY_PUT_EXPIRES_IN has to be greater than or equal to 60."),
        ({"GATEWAY_GET_EXPIRES_IN": "3601"}, "GATEWAY_GET_EXPIRES_IN has to be less than or equal to 3600."),
        ({"GATEWAY_STORAGE_TIMEOUT": "nan"}, "GATEWAY_STORAGE_TIMEOUT has to be a finite number."),
        ({"GATEWAY_ADDRESS_STYLE": VALUE}, "GATEWAY_ADDRESS_STYLE has to be 'auto', 'path' or 'virtual'."),
        (
            {"GATEWAY_ADDRESS_STYLE": "virtual", "GATEWAY_BUCKET": "my.bucket"},
            "GATEWAY_ADDRESS_STYLE has to be 'path' for a bucket whose name is not a DNS label.",
        ),
        ({"GATEWAY_STATIC_DIR": "/nowhere"}, "GATEWAY_STATIC_DIR has to be a folder that is there."),
        ({"GATEWAY_JWT_ISSUERS": [ISSUER, ISSUER]}, "GATEWAY_JWT_ISSUERS names one issuer twice."),
        (
            {"GATEWAY_JWT_ISSUERS": [ISSUER | {"tenant": "blog"}]},
            "GATEWAY_JWT_ISSUERS names a tenant that GATEWAY_TENANTS does not define.",
        ),
        (
            {"GATEWAY_JWT_ISSUERS": [ISSUER | {"policies": ["papers"]}]},
            "GATEWAY_JWT_ISSUERS names a policy that its tenant does not define.",
        ),
        ({"GATEWAY_EVENTS_QUEUE": "gateway-events"}, "GATEWAY_EVENTS_QUEUE " + NO_QUEUE),
        ({"GATEWAY_EVENTS_QUEUE": "https://[::1/000000000000/e"}, "GATEWAY_EVENTS_QUEUE " + NO_QUEUE),
        ({"GATEWAY_CLAMD_SOCKET": "clamd.ctl"}, "GATEWAY_CLAMD_SOCKET " + NO_SOCKET),
        ({"GATEWAY_SCAN_LIMIT": "0"}, "GATEWAY_SCAN_LIMIT has to be greater than or equal to 1."),
        ({"GATEWAY_SCAN_LIMIT": "all"}, "GATEWAY_SCAN_LIMIT " + NO_SIZE),
        ({"GATEWAY_SCAN_TIMEOUT": "0"}, "GATEWAY_SCAN_TIMEOUT has to be greater than or equal to 1."),
        ({"GATEWAY_SCAN_TIMEOUT": "3601"}, "GATEWAY_SCAN_TIMEOUT has to be less than or equal to 3600."),
        ({"GATEWAY_WEBHOOK_NETWORKS": ["10.0.0.1/8"]}, "GATEWAY_WEBHOOK_NETWORKS (0) " + NO_NETWORK),
        ({"GATEWAY_WEBHOOK_NETWORKS": ["unix"]}, "GATEWAY_WEBHOOK_NETWORKS (0) " + NO_NETWORK),
        (
            {"GATEWAY_WEBHOOK_NETWORKS": "10.0.0.0/8"},
            "GATEWAY_WEBHOOK_NETWORKS has to be a list (in a variable: as JSON).",
        ),
        ({"GATEWAY_MAGIC": "perhaps"}, "GATEWAY_MAGIC has to be a valid boolean, unable to interpret input."),
        ({"GATEWAY_LIMITS_URL": "redis://:hunter2/x@127.0.0.1"}, "GATEWAY_LIMITS_URL " + NO_REDIS),
        ({"GATEWAY_LIMITS_URL": "redis://127.0.0.1?db=0&surprise=1"}, "GATEWAY_LIMITS_URL " + NO_REDIS),
        ({"GATEWAY_LIMITS_WHEN_DOWN": "ajar"}, "GATEWAY_LIMITS_WHEN_DOWN has to be 'open' or 'closed'."),
        ({"GATEWAY_CRASH_AT": "storage.copy"}, "GATEWAY_CRASH_AT " + NO_STEP),
        ({"GATEWAY_CRASH_AT": "storage.copy:0"}, "GATEWAY_CRASH_AT " + NO_STEP),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"webhook": {"url": "https://app.example"}}}},
            "GATEWAY_TENANTS (shop.webhook.secrets) is missing.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"webhook": WEBHOOK | {"secrets": []}}}},
            "GATEWAY_TENANTS (shop.webhook.secrets) has to hold at least one secret.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"webhook": WEBHOOK | {"url": "http://app.example"}}}},
            "GATEWAY_TENANTS (shop.webhook.url) " + NO_WEBHOOK,
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"webhook": WEBHOOK | {"secrets": SECRETS[2:3]}}}},
            "GATEWAY_TENANTS (shop.webhook.secrets.0) has to be 'whsec_' and the base64 of 24 to 64 random bytes.",
        ),
        (
            {"GATEWAY_TENANTS": {"shop": TENANT | {"webhook": WEBHOOK | {"secrets": WEBHOOK_SECRETS[:1] * 2}}}},
            "GATEWAY_TENANTS (shop.webhook.secrets) holds the same secret twice.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA has to limit uploads, bytes or both.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"window": 60}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA has to limit uploads, bytes or both.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"uploads": 0}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA (uploads) has to be greater than or equal to 1.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"uploads": True}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA (uploads) has to be a number.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA__BYTES": "1000 TB"},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA__BYTES has to be less than or equal to 999999999999999.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"uploads": 1, "window": 0}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA (window) has to be greater than or equal to 1.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"uploads": 1, "window": 2_678_401}},
            "GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA (window) has to be less than or equal to 2678400.",
        ),
        (
            {"GATEWAY_TENANTS__SHOP__POLICIES__PHOTOS__QUOTA": {"bytes": 99_999_999}},
            "GATEWAY_TENANTS (shop.policies.photos) " + NO_QUOTA,
        ),
    ],
)
def test_an_unknown_name_or_unusable_value_ends_the_start(
    environment: Environment, variables: dict[str, object], expected: str
) -> None:
    environment(**variables)

    assert line() == expected


@pytest.mark.threat(28)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"secret": None}, "has to have exactly one of jwks_url, jwks_file and secret"),
        ({"jwks_url": "https://idp.example/jwks"}, "has to have exactly one of jwks_url, jwks_file and secret"),
        (
            {"algorithms": ["HS256", "RS256"]},
            "has to have a secret for HS256 alone, and public keys for all other algorithms",
        ),
        ({"algorithms": ["RS256"]}, "has to have a secret for HS256 alone, and public keys for all other algorithms"),
        ({"jwks_url": "https://idp.example/jwks", "secret": None}, "has to have a secret for HS256"),
        ({"tenant": None}, "has to have exactly one of tenant and tenant_claim"),
        ({"tenant_claim": "org"}, "has to have exactly one of tenant and tenant_claim"),
        ({"algorithms": ["none"]}, "(0.algorithms.0) has to be 'RS256', 'ES256', 'EdDSA' or 'HS256'"),
        ({"algorithms": []}, "(0.algorithms) has to have at least 1 item after validation, not 0"),
        ({"secret": "short"}, "(0.secret) has to be at least 32 bytes: take 32 random ones in hexadecimal"),
        ({"jwks_file": "/nowhere", "secret": None}, "(0.jwks_file) has to be a file that is there"),
    ],
)
def test_an_issuer_has_one_kind_of_keys_and_one_way_to_its_tenant(
    environment: Environment, change: dict[str, object], reason: str
) -> None:
    environment(GATEWAY_JWT_ISSUERS=[ISSUER | change])

    place = "" if reason.startswith("(") else "(0) "
    assert line() == f"GATEWAY_JWT_ISSUERS {place}{reason}."


def test_names_of_the_file_are_told_by_their_place_in_it(environment: Environment) -> None:
    for text, expected in [
        ("bukcet = 'x'", "bukcet in gateway.toml is not a setting."),
        ("[tenants.shop.polices]", "tenants.shop.polices in gateway.toml is not a setting."),
        ("storage_threads = 0", "storage_threads in gateway.toml has to be greater than or equal to 1."),
    ]:
        Path("gateway.toml").write_text(text)
        assert line() == expected

    environment(GATEWAY_TENANTS=None)
    Path("gateway.toml").write_text(f"[tenants.shop.policies.photos]\nmax_size = '{VALUE}'")
    assert line() == "tenants.shop.app_secrets in gateway.toml is missing."


def test_a_file_that_cannot_be_read_ends_the_start_and_is_not_quoted() -> None:
    Path("gateway.toml").write_text(f"bucket = 'x'\n{VALUE} = =")
    assert line() == "gateway.toml has to be TOML in UTF-8: see line 2, column 17."
    Path("gateway.toml").write_bytes(b"\xff")
    assert line() == "gateway.toml has to be TOML in UTF-8."
    Path("gateway.toml").unlink()
    Path("gateway.toml").mkdir()
    assert line() == "gateway.toml cannot be read."
    Path(".env").write_bytes(b"GATEWAY_BUCKET=\xff")
    assert line() == ".env has to be a file of text in UTF-8."


@pytest.mark.threat(26)
def test_no_message_about_any_setting_holds_its_value(environment: Environment) -> None:
    names = [f"GATEWAY_{name.upper()}" for name in Settings.model_fields]
    forms: list[object] = [
        VALUE,
        [VALUE],
        {VALUE: VALUE},
        {"shop": VALUE},
        {"shop": {"app_secrets": VALUE}},
        [{"secret": VALUE}],
    ]
    told = 0
    for name in names:
        for form in (*forms, f'["{VALUE}', f"[{VALUE}]", f"{{{VALUE}"):
            environment(**GOOD | {name: form})
            message = line()
            assert name in message
            assert VALUE not in message
            told += 1
        environment(**{name: GOOD.get(name)})
    assert told == 9 * len(names)


@pytest.mark.threat(26)
def test_secrets_are_in_no_repr_error_or_dump_of_the_settings(environment: Environment) -> None:
    environment(
        GATEWAY_JWT_ISSUERS=[ISSUER],
        GATEWAY_LIMITS_URL=REDIS,
        GATEWAY_EVENTS_QUEUE=QUEUE,
        GATEWAY_TENANTS={"shop": TENANT | {"webhook": WEBHOOK}},
    )
    settings = load()
    with pytest.raises(ValidationError) as invalid:
        Settings.model_validate({"bucket": SECRETS[4] * 3})

    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()} {invalid.value}"
    assert not any(secret in shown for secret in [*SECRETS, *WEBHOOK_SECRETS, "hunter2"])


@pytest.mark.threat(26, 46)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "has to be a list (in a variable: as JSON)"),
        (SECRETS[0], "has to be a list (in a variable: as JSON)"),
        (f"{SECRETS[0]},{SECRETS[1]}", "has to be a list (in a variable: as JSON)"),
        ("[]", "has to hold at least one secret"),
        ('[""]', "(0) has to be at least 32 bytes: take 32 random ones in hexadecimal"),
        ('["hunter2-hunter2-#!"]', "(0) has to be at least 32 bytes: take 32 random ones in hexadecimal"),
        ('["changeme"]', "(0) has to be at least 32 bytes: take 32 random ones in hexadecimal"),
        ('["changemechangemechangemechangeme"]', "(0) is easily guessed: take 32 random bytes in hexadecimal"),
        ('["zQ8-Change_Me-before-you-go-live-7"]', "(0) is easily guessed: take 32 random bytes in hexadecimal"),
        (f'["{"a" * 64}"]', "(0) is easily guessed: take 32 random bytes in hexadecimal"),
        ('["kJ9s82hGkJ9s82hGkJ9s82hGkJ9s82hG"]', "(0) is easily guessed: take 32 random bytes in hexadecimal"),
        (f'["{SECRETS[0]}", "{SECRETS[0]}"]', "holds the same secret twice"),
        (f'["{SECRETS[0]},{SECRETS[1]}"]', "(0) has to be printable ASCII without spaces and commas"),
        (f'["{SECRETS[0]} "]', "(0) has to be printable ASCII without spaces and commas"),
        (f'["{SECRETS[0]}\\n"]', "(0) has to be printable ASCII without spaces and commas"),
        (f'["{SECRETS[0]}\\ud800"]', "(0) has to be printable ASCII without spaces and commas"),
    ],
)
def test_a_weak_secret_ends_the_process_with_one_plain_line(value: str, reason: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from gateway.settings import load; load()"],
        env={**os.environ, "GATEWAY_SECRET_KEYS": value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"GATEWAY_SECRET_KEYS {reason}.\n")


@pytest.mark.threat(46)
def test_one_secret_serves_one_purpose(environment: Environment) -> None:
    shared = "GATEWAY_SECRET_KEYS, app_secrets, webhook and JWT secrets share a secret: each needs its own."
    environment(GATEWAY_SECRET_KEYS=[SECRETS[0], SECRETS[1]])
    assert line() == shared
    environment(
        GATEWAY_SECRET_KEYS=[SECRETS[0]], GATEWAY_TENANTS={"shop": TENANT, "blog": {"app_secrets": [SECRETS[1]]}}
    )
    assert line() == shared
    environment(GATEWAY_TENANTS={"shop": TENANT}, GATEWAY_JWT_ISSUERS=[ISSUER | {"secret": SECRETS[0]}])
    assert line() == shared
    both = {name: {"app_secrets": [SECRETS[number]], "webhook": WEBHOOK} for number, name in enumerate(["a", "b"], 1)}
    environment(GATEWAY_TENANTS=both, GATEWAY_JWT_ISSUERS=None, GATEWAY_EVENTS_QUEUE=QUEUE)
    assert line() == shared
    environment(GATEWAY_SECRET_KEYS=[WEBHOOK_SECRETS[0]], GATEWAY_TENANTS={"shop": TENANT | {"webhook": WEBHOOK}})
    assert line() == shared


# What the settings become.


@pytest.mark.parametrize(
    ("variables", "endpoint", "style"),
    [
        ({}, Endpoint("https", "my-bucket.s3.eu-central-1.amazonaws.com", "/"), "virtual"),
        (
            {"GATEWAY_REGION": "cn-north-1"},
            Endpoint("https", "my-bucket.s3.cn-north-1.amazonaws.com.cn", "/"),
            "virtual",
        ),
        ({"GATEWAY_BUCKET": "my.bucket"}, Endpoint("https", "s3.eu-central-1.amazonaws.com", "/my.bucket/"), "path"),
        ({"GATEWAY_ADDRESS_STYLE": "path"}, Endpoint("https", "s3.eu-central-1.amazonaws.com", "/my-bucket/"), "path"),
        (
            {"GATEWAY_STORAGE_ENDPOINT": "http://127.0.0.1:9000"},
            Endpoint("http", "127.0.0.1:9000", "/my-bucket/"),
            "path",
        ),
        (
            {
                "GATEWAY_STORAGE_ENDPOINT": "http://minio:9000",
                "GATEWAY_PUBLIC_STORAGE_ENDPOINT": "HTTPS://Files.Example:443",
            },
            Endpoint("https", "files.example", "/my-bucket/"),
            "path",
        ),
        (
            {"GATEWAY_STORAGE_ENDPOINT": "https://s3.example", "GATEWAY_ADDRESS_STYLE": "virtual"},
            Endpoint("https", "my-bucket.s3.example", "/"),
            "virtual",
        ),
        (
            {"GATEWAY_PUBLIC_STORAGE_ENDPOINT": "https://files.example"},
            Endpoint("https", "files.example", "/my-bucket/"),
            "virtual",
        ),
    ],
)
def test_the_address_of_the_bucket_follows_from_its_name_and_the_endpoints(
    environment: Environment, variables: dict[str, object], endpoint: Endpoint, style: str
) -> None:
    environment(**variables)
    settings = load()

    assert (settings.public_endpoint(), settings.storage_style()) == (endpoint, style)


def test_the_tokens_are_sealed_by_the_newest_secrets(environment: Environment) -> None:
    cursor = load().tokens().seal_cursor("shop", "", "key")
    environment(GATEWAY_SECRET_KEYS=[SECRETS[0], SECRETS[2]])

    assert load().tokens().open_cursor(cursor, "shop", "") == "key"
    assert load().tokens().seal_cursor("shop", "", "key") != cursor
    assert list(load().tokens().apps) == ["shop"]


def test_the_address_of_an_upload_dies_with_its_ticket_at_the_latest() -> None:
    policy = PolicySettings(content_types=["image/png"], max_size=1, ticket_expires_in=60)
    assert policy.value("brief", 900) == Policy(
        "brief", {"image/png": MEDIA_TYPES["image/png"]}, 1, put_expires_in=60, ticket_expires_in=60
    )
