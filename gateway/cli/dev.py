"""`gateway dev`: gateway, worker and an S3 server of its own on this machine, with a demo page, in one command."""

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.child import StartError
from gateway.cli.dev_files import ENV_FILE, DevSecrets, as_variables, env_file, kept_secrets, write_private
from gateway.cli.dev_lines import say_request, say_warnings
from gateway.cli.dev_work import say_end, work_beside
from gateway.cli.listening import listen
from gateway.cli.output import Failure, Misuse, bold, dim, say, say_pairs

if TYPE_CHECKING:
    from gateway.cli.ministack import Server

HOST = "127.0.0.1"
PASS_EXPIRES_IN = 86_400  # seconds
WEBHOOK_NETWORKS = ("127.0.0.0/8", "::1/128")  # this machine
ALLOWED_ORIGINS = "GATEWAY_ALLOWED_ORIGINS"
_API_KEY = re.compile(r"gwk_[a-z0-9]{8}_[A-Za-z0-9_-]{16,200}")

_UPLOAD = """\
echo 'Hello from curl' > hello.txt
ticket=$(curl -sS {url}/v1/uploads -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \
-d '{{"filename": "hello.txt", "content_type": "text/plain", "size": 16}}')
python3 -c 'import json; put = json.loads(input())["upload"]; print("url =", put["url"]); \
[print(f"header = \\"{{name}}: {{value}}\\"") for name, value in put["headers"].items()]' <<< "$ticket" \
| curl -sS -K - -T hello.txt
curl -sS -H 'Content-Type: application/json' -d '{{}}' \
$(python3 -c 'import json; print(json.loads(input())["complete_url"])' <<< "$ticket") | python3 -m json.tool"""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a newcomer copies from the terminal."""

    url: str
    passes: Mapping[str, str] = field(repr=False)  # by policy
    api_key: str = field(repr=False)
    s3: str
    webhook_secret: str | None = field(repr=False)
    env: Path

    def say(self, seconds: float) -> None:
        """Print it; the last line tells that all is up, and what it took."""
        say()
        say_pairs(
            [
                *(self._page(policy, each) for policy, each in self.passes.items()),
                ("API key", self.api_key),
                ("API", f"{self.url}/openapi.json"),
                ("S3", self.s3),
                *([] if self.webhook_secret is None else [("Webhook secret", self.webhook_secret)]),
                ("Settings", f"set -a; . {self.env}; set +a"),
            ]
        )
        say()
        say(dim("Upload a file from a terminal: a ticket, the PUT that it grants, the proof of what arrived"))
        say()
        say(_UPLOAD.format(url=self.url, api_key=self.api_key))
        say()
        say(f"Ready in {seconds:.1f} s. Ctrl-C stops it.")

    def _page(self, policy: str, demo_pass: str) -> tuple[str, str]:
        label = "Demo page" if policy == "default" else f"Demo page: {policy}"
        return label, bold(f"{self.url}/static/demo/#pass={demo_pass}&policy={policy}")


def dev(
    port: Annotated[int, typer.Option(help="Port of the gateway, on 127.0.0.1.", min=0, max=65535)] = 8000,
    s3_port: Annotated[
        int | None,
        typer.Option(help="Port of the S3 server: the one after the gateway's, if not given.", min=0, max=65535),
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Folder of all that is kept: objects, secrets, settings.", file_okay=False)
    ] = Path(".gateway"),
    api_key: Annotated[
        str | None, typer.Option(help="API key to let in, instead of the one made for the folder.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Address of an application on this machine that is told of uploads.")
    ] = None,
) -> None:
    """Run the gateway with an S3 server of its own, to try it and to develop against.

    The S3 server (MiniStack) verifies signatures and enforces policies as S3 does. A worker is inside: it stores what
    was uploaded and never completed, and announces it to the webhook. The folder keeps the settings in dev.env, for
    other commands. Ctrl-C stops all.
    """
    began = time.monotonic()
    _check_webhook(webhook)
    if api_key is not None and not _API_KEY.fullmatch(api_key):
        raise Misuse("--api-key takes a key as 'gateway key new' makes them: gwk_<8 characters>_<16 or more>")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bound = listen(HOST, port)
    if s3_port is None:
        s3_port = _next(port)
    port = bound.getsockname()[1]
    # Half of the start is imports, and the other half is waiting for MiniStack.
    importing = Thread(target=__import__, args=("gateway.app",), daemon=True)
    importing.start()
    try:
        store = _start_store(data_dir, _origins(port), s3_port)
    except StartError as error:
        importing.join()  # a process that ends in the middle of an import may abort
        raise Failure(str(error)) from None
    try:
        _run(bound, store, data_dir, _secrets(data_dir, api_key), webhook, began)
    except KeyboardInterrupt:
        say()
    finally:
        store.stop()


def _check_webhook(url: str | None) -> None:
    if url is None:
        return
    from gateway.setting_values import check_webhook_url  # noqa: PLC0415 - see dev
    from gateway.webhook_targets import check_target  # noqa: PLC0415 - as above

    try:
        check_webhook_url(url)
    except ValueError as error:
        raise Misuse(f"--webhook {error}") from None
    try:
        check_target(url, [ip_network(text) for text in WEBHOOK_NETWORKS])
    except ValueError:
        raise Misuse("--webhook takes an address of this machine, or a public one") from None


def _next(port: int) -> int:
    """Return the port beside another; beside any free one (0) goes any free one."""
    return (port + 1) % 65_536 if port else 0


def _origins(port: int) -> list[str]:
    """Return the origins whose pages are let in: the gateway's own, and those that the environment names."""
    from gateway.setting_values import parse_origin  # noqa: PLC0415 - see dev

    try:
        named = [parse_origin(text) for text in json.loads(os.environ.get(ALLOWED_ORIGINS) or "[]")]
    except (ValueError, TypeError, AttributeError):
        raise Misuse(f"{ALLOWED_ORIGINS} has to be a list of origins, as JSON: '[\"http://localhost:5173\"]'") from None
    return list(dict.fromkeys([f"http://{HOST}:{port}", f"http://localhost:{port}", *named]))


def _start_store(data_dir: Path, origins: Sequence[str], s3_port: int) -> "Server":
    from gateway.cli import ministack  # noqa: PLC0415 - boto3 is not for --help to wait

    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        raise StartError(f"{data_dir} cannot be made: choose another folder with --data-dir") from None
    if not (data_dir / "ministack-venv").exists():
        say(f"Installing the S3 server into {data_dir}, once ...")
    return ministack.start(data_dir, origins=origins, port=s3_port)


def _secrets(data_dir: Path, api_key: str | None) -> DevSecrets:
    from gateway.http.auth import KEY_BYTES, new_api_key  # noqa: PLC0415 - see dev

    kept = kept_secrets(data_dir, new_api_key(secrets.token_bytes(KEY_BYTES)).text)
    return kept if api_key is None else DevSecrets(kept.secret_key, kept.app_secret, api_key)


def _settings(store: "Server", made: DevSecrets, port: int, webhook: str | None) -> dict[str, Any]:
    policies = _policies()
    key = {
        "id": made.api_key[4:12],
        "sha256": hashlib.sha256(made.api_key.encode()).hexdigest(),
        "actions": ["upload", "link", "read", "delete"],
        "policies": list(policies),
        "on_behalf_of": True,
    }
    tenant: dict[str, Any] = {"app_secrets": [made.app_secret], "api_keys": [key], "policies": policies}
    announced: dict[str, Any] = {}
    if webhook is not None:
        tenant["webhook"] = {"url": webhook, "secrets": [_webhook_secret(made)]}
        announced["webhook_networks"] = list(WEBHOOK_NETWORKS)
    return {
        "secret_keys": [made.secret_key],
        "tenants": {"default": tenant},
        "bucket": store.bucket,
        "region": store.region,
        "storage_endpoint": store.endpoint,
        "events_queue": store.queue,
        **announced,
        "allowed_origins": _origins(port),
        "docs": True,
    }


def _webhook_secret(made: DevSecrets) -> str:
    """Return the secret that signs webhooks: the same for a data folder, as its other secrets are."""
    return "whsec_" + b64encode(hmac.digest(made.secret_key.encode(), b"webhook", "sha256")).decode()


def _policies() -> dict[str, dict[str, object]]:
    """Return a policy for all that can be proved, and one for the large files of git, which are anything."""
    from gateway.content.media_types import MEDIA_TYPES, OCTETS  # noqa: PLC0415 - see dev

    sizes = {"min_size": 0, "max_size": "5 GiB"}
    proved = sorted(MEDIA_TYPES.keys() - {OCTETS})
    return {
        "default": {"content_types": proved, **sizes, "protocols": ["uppy", "active-storage"]},
        "lfs": {"content_types": [OCTETS], **sizes, "protocols": ["git-lfs"]},
    }


def _config_file() -> dict[str, str]:
    """Return where the file of settings lies, for commands in other folders; nothing where there is none."""
    from gateway.setting_sources import CONFIG_FILE, DEFAULT_FILE, config_file  # noqa: PLC0415 - see dev

    path = Path(config_file() or DEFAULT_FILE)
    return {CONFIG_FILE: str(path.resolve())} if path.exists() else {}


def _variables(url: str, api_key: str, settings: Mapping[str, object], store: "Server") -> dict[str, str]:
    return {
        "GATEWAY_URL": url,
        "GATEWAY_API_KEY": api_key,
        **as_variables(settings),
        **_config_file(),
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_DEFAULT_REGION": store.region,
        "AWS_ACCESS_KEY_ID": store.gateway.access_key_id,
        "AWS_SECRET_ACCESS_KEY": store.gateway.secret_access_key,
        "DEV_S3_ADMIN_ACCESS_KEY_ID": store.admin.access_key_id,
        "DEV_S3_ADMIN_SECRET_ACCESS_KEY": store.admin.secret_access_key,
    }


def _run(  # noqa: PLR0913, PLR0917 - all that was started or said
    bound: socket.socket, store: "Server", data_dir: Path, made: DevSecrets, webhook: str | None, began: float
) -> None:
    from gateway.app import create_app  # noqa: PLC0415 - see dev
    from gateway.apps import make_pass  # noqa: PLC0415 - as above
    from gateway.s3.sigv4 import Credentials  # noqa: PLC0415 - as above
    from gateway.settings import load  # noqa: PLC0415 - as above

    port = bound.getsockname()[1]
    url = f"http://{HOST}:{port}"
    variables = _settings(store, made, port, webhook)
    say_warnings()
    settings = load(**variables)
    policies = list(settings.tenants["default"].policies)
    if policies != list(_policies()):  # gateway.toml or the environment has more
        variables["tenants"]["default"]["api_keys"][0]["policies"] = policies
        settings = load(**variables)
    credentials = Credentials(store.gateway.access_key_id, store.gateway.secret_access_key)
    app = create_app(settings, credentials=credentials, log=say_request)
    others = {} if webhook is None else {"WEBHOOK_SECRETS": _webhook_secret(made)}
    write_private(data_dir / ENV_FILE, env_file({**_variables(url, made.api_key, variables, store), **others}))
    announcement = Announcement(
        url,
        {
            policy: make_pass([made.app_secret], "demo", policy=policy, expires_in=PASS_EXPIRES_IN)
            for policy in sorted(policies, key=lambda name: name != "default")
            if policy != "lfs"  # whose files come by git alone
        },
        made.api_key,
        f"{store.endpoint}, bucket {store.bucket}",
        None if webhook is None else _webhook_secret(made),
        data_dir / ENV_FILE,
    )
    work = partial(work_beside, settings, store.queue, credentials)
    _serve(app, bound, work, lambda: announcement.say(time.monotonic() - began))


def _serve(
    app: Any,  # noqa: ANN401 - an ASGI application
    bound: socket.socket,
    work: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    when_up: Callable[[], None],
) -> None:
    """Serve, and work beside it until the server stops."""
    from uvicorn import Server  # noqa: PLC0415 - see dev

    from gateway.http.serving import run_config  # noqa: PLC0415 - as above

    stop, working = asyncio.Event(), set()

    class Announced(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            when_up()
            task = asyncio.create_task(work(stop))
            task.add_done_callback(say_end)
            working.add(task)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            stop.set()
            await super().shutdown(sockets)
            await asyncio.gather(*working, return_exceptions=True)  # which were said

    Announced(run_config(app)).run([bound])
