"""The page of webhooks: its messages are those that are sent, its receivers take them, its numbers are the code's."""

import asyncio
import json
import subprocess
import time
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from gateway.content.filenames import Filename
from gateway.errors import Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.s3.documents import KEPT_SECONDS
from gateway.setting_values import check_webhook_secret
from gateway.standard_webhooks import TOLERANCE, signature
from gateway.worker.announcements import Announcement
from gateway.worker.consumer import FIRST_AGAIN, delay
from gateway.worker.handling import Again
from gateway.worker.webhooks import DEADLINE, MAX_REPLY, USER_AGENT
from tests.docs.pages import ROOT, blocks, page
from tests.http.routes.flow import PNG, PNG_SHA256
from tests.memory_storage import MemoryStorage
from tests.worker.test_announcements import arrive, told, uploads_of

PAGE = page("docs/how-to/webhooks.md")
NOW = 1_800_000_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "png")
GRANT = Grant(
    "alice", KEY, "image/png", len(PNG), PNG_SHA256, Filename("holiday.png"), {"album": "holidays"}, NOW, NOW + 3600
)


async def announced() -> list[Announcement]:
    """Return what is told of an upload that is stored, of one that is rejected, and of the first one's deletion."""
    storage, other = MemoryStorage(NOW), MemoryStorage(NOW)
    arrive(storage, GRANT, PNG)
    await uploads_of(storage).complete(Ticket(GRANT))
    stored = await told(storage, KEY)
    unlike = replace(GRANT, checksum_sha256=None)
    arrive(other, unlike, b"x" * len(PNG))
    with pytest.raises(Refusal):
        await uploads_of(other).complete(Ticket(unlike))
    storage.now += 60
    await uploads_of(storage).delete(KEY)
    return [*stored, *await told(other, KEY), *await told(storage, KEY)]


def signed(announcement: Announcement, sent_at: int, secret: str = SECRET) -> dict[str, str]:
    return {
        "webhook-id": announcement.id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": signature([secret], announcement.id, sent_at, announcement.body),
    }


async def test_each_message_is_sent_as_it_is_shown() -> None:
    sent = [json.loads(announcement.body) for announcement in await announced()]
    receipt, sent[0]["data"]["receipt"] = sent[0]["data"]["receipt"], "default.eyJrZXkiOi…"
    assert receipt.startswith("default.eyJrZXkiOi")
    shown = blocks(PAGE, "json")
    assert [json.loads(block) for block in shown] == sent
    assert [list(json.loads(block)["data"]) for block in shown] == [list(each["data"]) for each in sent]


async def test_the_headers_are_those_of_the_first_message() -> None:
    (request,), (stored, *_) = blocks(PAGE, "http"), await announced()
    secret = tomllib.loads(blocks(PAGE, "toml")[0])["tenants"]["default"]["webhook"]["secrets"][0]
    shown = dict(line.split(": ", 1) for line in request.splitlines()[1:])
    assert shown == {
        "host": "app.example.com",
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signed(stored, NOW, secret),
    }


async def test_the_receiver_in_python_takes_each_once_and_nothing_forged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = blocks(PAGE, "python")
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{SECRET} whsec_bmV3ZXItc2VjcmV0LW9mLTI0LWJ5dGVzISEh")
    names: dict[str, Any] = {}
    exec(compile(snippet, "webhooks.md", "exec"), names)  # noqa: S102 - what the page tells its readers to run
    now, statuses = int(time.time()), []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(names["app"]), base_url="https://app.example") as client:

        async def post(body: bytes, headers: Mapping[str, str]) -> int:
            return (await client.post("/hooks/files", content=body, headers=headers)).status_code

        for announcement in await announced():
            headers = signed(announcement, now)
            statuses += [await post(announcement.body, headers), await post(announcement.body, headers)]
            statuses += [await post(announcement.body + b" ", headers), await post(announcement.body, {})]
    assert statuses == [204, 204, 400, 400] * 3
    assert capsys.readouterr().out.splitlines() == [
        f"{kind} {KEY.key}" for kind in ("upload.stored", "upload.rejected", "object.deleted")
    ]


JAVASCRIPT = """
import { readFileSync } from "node:fs";
import { verify } from "./verify.mjs";
for (const [body, headers] of JSON.parse(readFileSync(0, "utf-8"))) {
  try {
    console.log(verify(Buffer.from(body), headers, ["%(other)s", "%(secret)s"], %(now)d).type);
  } catch (error) {
    console.log(error.message);
  }
}
"""


async def test_the_receiver_in_javascript_takes_what_is_ours_and_nothing_forged(tmp_path: Path) -> None:
    (snippet,) = blocks(PAGE, "js")
    (tmp_path / "verify.mjs").write_text(snippet, "utf-8")
    other = "whsec_bmV3ZXItc2VjcmV0LW9mLTI0LWJ5dGVzISEh"
    script = JAVASCRIPT % {"other": other, "secret": SECRET, "now": NOW}
    (tmp_path / "main.mjs").write_text(script, "utf-8")
    messages = [(each.body.decode(), signed(each, NOW)) for each in await announced()]
    body, headers = messages[0]
    (first, *_) = await announced()
    messages += [(body + " ", headers), (body, signed(first, NOW, f"{other[:-4]}AAAA")), (body, {})]
    messages += [(body, signed(first, NOW - TOLERANCE)), (body, signed(first, NOW - TOLERANCE - 1))]
    done = await asyncio.to_thread(
        subprocess.run,
        ["node", "main.mjs"],
        cwd=tmp_path,
        input=json.dumps(messages),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "upload.stored",
        "upload.rejected",
        "object.deleted",
        "forged",
        "forged",
        "not a webhook",
        "upload.stored",
        "too old, or from the future",
    ]


def test_a_secret_is_made_as_shown() -> None:
    _, command = blocks(PAGE, "sh")
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert check_webhook_secret(SecretStr(made.removesuffix("\n")))


def test_the_numbers_are_those_of_the_code() -> None:
    assert (DEADLINE, MAX_REPLY, TOLERANCE, FIRST_AGAIN) == (10, 64 * 1024, 5 * 60, 5)
    assert (Again.ANNOUNCEMENT.value, KEPT_SECONDS) == (6 * 3600, 14 * 86_400)
    days = [sum(delay(delivery, Again.ANNOUNCEMENT, random) for delivery in range(1, 12)) / 86_400 for random in (0, 1)]
    assert 0.9 < days[0] < days[1] < 1.4
    for told_of in ("within 10 s", "64 KiB are read", "five minutes off", "after 5 s at first", "up to six hours"):
        assert told_of in PAGE
    assert "maxReceiveCount: 12" in page("infra/template.yaml")
    assert "After twelve deliveries" in PAGE
