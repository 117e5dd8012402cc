"""What the README shows is run here, as a reader would: its commands in bash, its Python, its settings."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway import Linker, create_app, load
from gateway.apps import make_pass
from gateway.grants.policies import MAX_SINGLE_PUT
from tests.docs.conftest import Desk
from tests.docs.pages import ROOT, blocks, page, pages, transcript
from tests.gateways import SECRET_KEY

README = page("README.md")
SECRET = "an-app-secret-of-the-readme-of-32-bytes-or-more"
END = "-- end of step --"
# What is another one each time: port, time, the random part of a key, the id of an API key and of a request.
DIFFERENT = [
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"/[0-9a-f]{32}\.", "/NAME."),
    (r'"key:[a-z0-9]{8}"', '"key:ID"'),
    (r'"request_id": "[0-9a-f]{12}"', '"request_id": "ID"'),
]
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<heading>[^)]*))?\)")


def python(start: str) -> str:
    """Return the one example that begins so."""
    (found,) = [block for block in blocks(README, "python") if block.startswith(start)]
    return found


def same_shape(told: str, printed: str) -> bool:
    """Compare line by line; `…` stands for anything within a line."""
    for pattern, name in DIFFERENT:
        told, printed = re.sub(pattern, name, told), re.sub(pattern, name, printed)
    return re.fullmatch(re.escape(told).replace("…", ".*"), printed) is not None


def test_the_transcript_is_what_a_shell_prints(desk: Desk) -> None:
    steps = transcript(README)
    printed = desk.bash("".join(f"{step.command}echo {shlex.quote(END)}\n" for step in steps)).split(f"{END}\n")
    assert printed.pop() == ""
    assert len(steps) >= 10
    for step, output in zip(steps, printed, strict=True):
        assert same_shape(step.output, output), f"$ {step.command}{output}"


def test_a_shape_differs_by_a_field_a_value_or_a_line() -> None:
    told = '{\n    "ticket": "eyJ…",\n    "size": 14\n}\n'
    assert same_shape(told, '{\n    "ticket": "eyJzdWIi",\n    "size": 14\n}\n')
    for other in ('{\n    "ticket": "eyJ",\n}\n', '{\n    "ticket": "eyJ",\n    "size": 15\n}\n', told + "\n"):
        assert not same_shape(told, other)


async def test_the_gateway_mounted_in_another_application_writes_its_path_into_every_link(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in desk.variables().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "app.py").write_text(python("from fastapi"), "utf-8")
    app: Any = runpy.run_path(str(tmp_path / "app.py"))["app"]
    authorization = {"authorization": f"Bearer {desk.variables()['GATEWAY_API_KEY']}"}
    url, body = "http://127.0.0.1:8002", b"Hello, mount\n"
    wanted = {"filename": "hello.txt", "content_type": "text/plain", "size": len(body)}
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=url)
    async with app.router.lifespan_context(app), client, httpx.AsyncClient() as bucket:
        ticket = (await client.post("/files/v1/uploads", json=wanted, headers=authorization)).json()
        put = ticket["upload"]
        assert (await bucket.put(put["url"], content=body, headers=put["headers"])).status_code == 200
        status = (await client.post(ticket["complete_url"], json={})).json()
        redirect = await client.get(status["link"])
        assert (await bucket.get(redirect.headers["location"])).content == body
        assert (await client.get("/files/static/gateway.js")).status_code == 200
        assert (await client.get("/v1/policies", headers=authorization)).status_code == 404
    names = ("status_url", "complete_url", "abort_url")
    assert all(ticket[name].startswith(f"{url}/files/v1/uploads/") for name in names)
    assert status["link"].startswith(f"{url}/files/d/")


def test_the_command_that_is_given_for_it_serves_the_mounted_gateway(desk: Desk) -> None:
    (desk.folder / "app.py").write_text(python("from fastapi"), "utf-8")
    match = re.search(r"^`(?P<command>set -a; .*uvicorn .*)` runs it", README, re.MULTILINE)
    assert match
    command = match["command"].replace(".venv/bin/", f"{Path(sys.executable).parent}/").replace("8002", "0")
    server = subprocess.Popen(
        ["bash", "-c", command.replace(f"{Path(sys.executable).parent}/uvicorn", f"exec {sys.executable} -m uvicorn")],
        cwd=desk.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    told = ""
    for told in server.stderr:
        if "Uvicorn running on" in told:
            break
    found = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert found, told
    assert httpx.get(f"{found[0]}/files/healthz").json() == {"status": "alive"}
    server.terminate()
    rest = server.stderr.read()
    server.stderr.close()
    server.wait(30)
    assert "Application shutdown complete." in rest


def test_links_and_passes_are_made_offline_as_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_of(desk, monkeypatch)
    (app_secret,) = settings.tenants["default"].app_secrets
    monkeypatch.setenv("APP_SECRET", app_secret.get_secret_value())
    example: dict[str, Any] = {}
    code = python("import os\n\nfrom gateway import")
    exec(compile(code, "README.md", "exec"), example)  # noqa: S102 - what the README tells to run
    status = stored(desk)
    key = status["object"]["key"]
    assert example["key_of"](status["receipt"]) == key
    with pytest.raises(ValueError, match="receipt"):
        example["key_of"](status["receipt"][:-8] + "AAAAAAAA")
    match = re.fullmatch(r'<img src="(https://files\.example\.com/d/[^"]+)">', example["picture"](key))
    assert match
    gateway = desk.variables()["GATEWAY_URL"]
    found = httpx.get(gateway + urlsplit(match[1]).path, follow_redirects=True)
    assert (found.status_code, found.content) == (200, b"Hello, desk\n")
    bearer = {"authorization": f"Bearer {example['upload_pass']('alice')}"}
    (policy,) = httpx.get(f"{gateway}/v1/policies", headers=bearer).json()["policies"]
    assert (policy["max_size"], policy["content_types"]) == (20_000_000, ["image/jpeg", "image/png"])


def test_the_client_publishes_what_is_generated_and_gets_it_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GATEWAY_URL", "GATEWAY_API_KEY"):
        monkeypatch.setenv(name, desk.variables()[name])
    monkeypatch.chdir(tmp_path)
    code = python("import os\n\nfrom gateway.client")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - what the README tells to run
    rows = "".join(f"{number},{number**2}\n" for number in range(1_000_000))
    assert (tmp_path / "squares.csv").read_text("utf-8") == rows
    link = capsys.readouterr().out.strip()
    assert httpx.get(link, follow_redirects=True).text == rows


def load_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - settings
    """Read the settings that `make run` has left."""
    for name, value in desk.variables().items():
        monkeypatch.setenv(name, value)
    return load()


def stored(desk: Desk) -> dict[str, Any]:
    """Upload a file, and return its status."""
    variables, body = desk.variables(), b"Hello, desk\n"
    bearer = {"authorization": f"Bearer {variables['GATEWAY_API_KEY']}"}
    wanted = {"filename": "hello.txt", "content_type": "text/plain", "size": len(body)}
    ticket = httpx.post(f"{variables['GATEWAY_URL']}/v1/uploads", json=wanted, headers=bearer).json()
    put = ticket["upload"]
    assert httpx.put(put["url"], content=body, headers=put["headers"]).status_code == 200
    status: dict[str, Any] = httpx.post(ticket["complete_url"], json={}).json()
    return status


def test_the_settings_of_the_readme_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = blocks(README, "toml")
    (tmp_path / "gateway.toml").write_text(file, "utf-8")
    monkeypatch.chdir(tmp_path)
    (exports,) = [block for block in blocks(README, "sh") if "export" in block]
    names = re.findall(r"^export (\w+)='\[\"…\"\]'$", exports, re.MULTILINE)
    assert names == ["GATEWAY_SECRET_KEYS", "GATEWAY_TENANTS__DEFAULT__APP_SECRETS"]
    for name, secret in zip(names, (SECRET_KEY, SECRET), strict=True):
        monkeypatch.setenv(name, f'["{secret}"]')
    settings = load()
    policies = settings.tenant_values()["default"].policies
    assert {name: policy.max_size for name, policy in policies.items()} == {"photos": 20 * 10**6, "papers": 2**30}
    assert all(policy.max_size <= MAX_SINGLE_PUT for policy in policies.values())
    assert create_app(settings).title == "Signed-URL gateway"


def test_a_linker_of_the_package_is_the_one_of_apps() -> None:
    key = f"objects/default/default/{'a' * 32}.png"
    assert (
        Linker("https://files.example.com/", [SECRET], clock=lambda: 0)
        .link(key)
        .startswith("https://files.example.com/d/default.")
    )
    assert make_pass([SECRET], "alice", clock=lambda: 0).startswith("default.")


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(path: Path) -> None:
    for match in LINK.finditer(path.read_text("utf-8")):
        target = (path.parent / match["path"]) if match["path"] else path
        assert target.exists(), match[0]
        if match["heading"]:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert match["heading"] in slugs, match[0]
