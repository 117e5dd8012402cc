"""What the log holds when things go wrong: one JSON object a line, and nothing of what was sent."""

import json
import signal
import subprocess
import sys
from unittest.mock import ANY
from urllib.parse import quote

import httpx
import pytest

from gateway.apps import Linker, make_pass
from gateway.cli.dev_files import as_variables
from tests.cli.commands import running
from tests.faults.store import error, failing
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant
from tests.http.routes.flow import WISH, bearer

KEY = f"objects/default/default/{'0' * 32}.png"
AWS_SECRET = "an-aws-secret-access-key-in-a-variable"
AWS_SESSION = "an-aws-session-token-in-a-variable"
WRONG_KEY = "gwk_aaaaaaaa_a-key-that-somebody-guessed"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.a-signature-that-is-none"


def variables(endpoint: str) -> dict[str, str]:
    settings = {
        "secret_keys": [SECRET_KEY],
        "tenants": {"default": tenant(API_KEY, APP_SECRET)},
        "bucket": "gateway-test",
        "region": "us-east-1",
        "storage_endpoint": endpoint,
        "log_level": "debug",
    }
    credentials = {
        "AWS_ACCESS_KEY_ID": "AKIANOBODY",
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_SESSION_TOKEN": AWS_SESSION,
    }
    return {**as_variables(settings), **credentials}


@pytest.mark.threat(25, 52)
def test_at_debug_a_failing_store_and_hostile_callers_leave_no_secret_and_no_line_of_their_own() -> None:
    sent = make_pass([APP_SECRET], "alice"), Linker("", [APP_SECRET]).link(KEY).rpartition("/")[2], WRONG_KEY, JWT
    hostile = '\n[ERROR] x "><script>\x1b[2J\u202e'
    with (
        failing(error(403, "SignatureDoesNotMatch")) as bucket,
        running("serve", "--port", "0", env=variables(bucket.endpoint)) as command,
    ):
        line = command.wait_for(lambda line: '"listening"' in line)
        with httpx.Client(base_url=f"http://{json.loads(line)['address']}") as client:
            ticket = client.post("/v1/uploads", json=WISH, headers=bearer(sent[0])).json()
            received = ticket["ticket"], ticket["upload"]["headers"]["x-amz-meta-grant"], ticket["upload"]["url"]
            statuses = [
                client.post(ticket["complete_url"], json={}).status_code,
                client.get(ticket["status_url"] + f"?token={sent[0]}").status_code,
                client.get("/readyz").status_code,
                *(client.get("/v1/policies", headers=bearer(credentials)).status_code for credentials in sent[2:]),
                client.get(f"/d/{sent[1]}/{quote(hostile)}").status_code,
                client.get(f"/d/{sent[1]}x").status_code,
                client.get(f"/v1/uploads/{sent[1]}").status_code,
                client.get(f"/static/{sent[0]}/{quote(hostile)}").status_code,
                client.get("/v1/policies", headers={"x-forwarded-for": '"><script>'}).status_code,
            ]
        assert command.signal(signal.SIGTERM) == 0
    assert statuses == [503, 503, 503, 401, 401, 307, 404, 404, 404, 401]
    lines = [json.loads(line) for line in command.stderr]
    assert [line["status"] for line in lines if line["event"] == "request"] == [201, *statuses]
    assert all(isinstance(line, dict) for line in lines)
    log = "\n".join(command.stderr)
    signature = received[2].rpartition("=")[2]
    secrets = (*sent, *received, signature, SECRET_KEY, APP_SECRET, API_KEY, AWS_SECRET, AWS_SESSION, "AKIANOBODY")
    assert [secret for secret in secrets if secret in log] == []
    assert "X-Amz-" not in log
    assert "secret-bucket" not in log
    assert all(text.isprintable() for line in lines for text in line.values() if isinstance(text, str))


ABOUT = f"""
import asyncio, logging
from gateway import logs

async def work(key, turn, other):
    with logs.about(key):
        turn.set()
        await other.wait()
        logging.getLogger("gateway.work").warning("from %s", key)
        logs.access({{"event": "scan"}})

async def both():
    turns = asyncio.Event(), asyncio.Event()
    await asyncio.gather(work("incoming/a/photos/{"1" * 32}.png", *turns), work("incoming/b/x", *turns[::-1]))
    logs.access({{"event": "over"}})

logs.configure("info")
asyncio.run(both())
"""


def test_lines_within_a_block_name_the_upload_that_it_is_about_and_no_other() -> None:
    done = subprocess.run([sys.executable, "-c", ABOUT], capture_output=True, text=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    upload = {"key": f"incoming/a/photos/{'1' * 32}.png", "tenant": "a", "policy": "photos"}
    assert sorted(lines, key=lambda line: (str(line["event"]), "key" not in line)) == [
        {"event": "from incoming/a/photos/" + "1" * 32 + ".png", "level": "warning", **upload, "timestamp": ANY},
        {"event": "from incoming/b/x", "level": "warning", "timestamp": ANY},
        {"event": "over", "level": "info", "timestamp": ANY},
        {"event": "scan", "level": "info", **upload, "timestamp": ANY},
        {"event": "scan", "level": "info", "timestamp": ANY},
    ]
