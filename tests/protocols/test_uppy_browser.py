"""Uppy 5 and Uppy 6 in Chromium, unchanged from npm and set up as docs/how-to/uppy.md shows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

from gateway.apps import make_pass
from tests.gateways import APP_SECRET, OTHER_APP_SECRET
from tests.protocols.uppy_site import Site, bundled, film, open_site, served_sha256, sha256
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST = 65_536  # bytes that may pass through the gateway in a scenario, headers included
WITHIN = 20  # seconds


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    return {version: bundled(version, tmp_path_factory.mktemp("uppy")) for version in (5, 6)}


@pytest.fixture(params=[5, 6])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def server(request: pytest.FixtureRequest) -> S3Server:
    """MiniStack, unless a test names another."""
    named: S3Server = request.getfixturevalue(getattr(request, "param", "ministack"))
    return named


EACH_SERVER = pytest.mark.parametrize("server", ["ministack", "localstack"], indirect=True)


@pytest_asyncio.fixture(loop_scope="session")
async def site(
    page: Page, server: S3Server, scripts: dict[int, bytes], version: int, tmp_path: Path
) -> AsyncIterator[Site]:
    async with open_site(page, server, scripts[version], tmp_path) as site:
        yield site
        assert 0 < site.gateway.carried < MOST


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, for a bounded time."""
    async with asyncio.timeout(WITHIN):
        while not holds():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


async def assert_stored(site: Site, body: bytes) -> None:
    """Uppy tells of one success, whose link leads to the very bytes and whose key is that of the object."""
    result = await site.ended()
    (file,) = result["files"]
    assert (result["successful"], result["failed"], file["error"], result["seen"]) == (1, 0, None, [])
    assert file["response"]["body"]["key"].startswith("objects/default/default/")
    assert await served_sha256(file["uploadURL"]) == sha256(body)


@EACH_SERVER
async def test_a_single_upload_is_posted_completed_and_served(site: Site) -> None:
    body = film(1, 300_000)
    await site.open()
    await site.add(body, "my film & more.bin")
    await site.start()
    await assert_stored(site, body)
    assert site.bucket.count("POST") == 1
    assert [path.partition("?")[0].rpartition("/")[2] for method, path in site.gateway.requests if method != "OPTIONS"][
        :2
    ] == ["params", "complete"]


async def test_a_text_has_its_type_and_its_name(site: Site) -> None:
    await site.open()
    await site.add("Grüße aus Köln\n".encode(), "Grüße.txt", "text/plain", album="Köln")
    await site.start()
    file = (await site.ended())["files"][0]
    assert file["response"]["body"]["filename"] == "Grüße.txt"
    assert file["response"]["body"]["content_type"] == "text/plain"
    assert file["response"]["body"]["metadata"] == {"album": "Köln"}


@EACH_SERVER
async def test_an_upload_in_parts_is_completed_by_uppy_itself(site: Site) -> None:
    body = film(2)
    await site.open(multipart=True)
    await site.add(body)
    await site.start()
    await assert_stored(site, body)
    assert sorted(site.parts()) == [1, 2, 3]
    assert site.bucket.count("POST") == 0


async def test_a_paused_upload_goes_on_with_what_is_missing(site: Site) -> None:
    body = film(3)
    await site.open(multipart=True)
    held = await site.holding(3)
    file = await site.add(body)
    await site.start()
    await asyncio.wait_for(held.come.wait(), WITHIN)
    await until(lambda: site.arrived() == 2)
    await site.page.evaluate("(id) => uppy.pauseResume(id)", file)
    await site.letting(held)
    assert await site.page.evaluate("(id) => uppy.getFile(id).isPaused", file)
    await site.page.evaluate("(id) => { uppy.pauseResume(id); }", file)
    await assert_stored(site, body)
    assert sorted(site.parts()) == [1, 2, 3]


async def test_a_cancelled_upload_leaves_nothing_behind(site: Site) -> None:
    before, unfinished = site.keys("objects/"), site.unfinished()
    await site.open(multipart=True)
    held = await site.holding(3)
    file = await site.add(film(4))
    await site.start()
    await asyncio.wait_for(held.come.wait(), WITHIN)
    await until(lambda: site.arrived() == 2)
    assert site.unfinished() == unfinished + 1
    await site.page.evaluate("(id) => { uppy.removeFile(id); }", file)
    await until(lambda: site.unfinished() == unfinished)
    await site.letting(held)
    assert site.gateway.count("DELETE") == 1
    assert site.keys("objects/") == before


async def test_a_reloaded_page_goes_on_with_what_is_missing(site: Site) -> None:
    body = film(5)
    await site.open(multipart=True)
    held = await site.holding(3)
    await site.add(body)
    await site.start()
    await asyncio.wait_for(held.come.wait(), WITHIN)
    await until(lambda: site.arrived() == 2)
    await site.kept()
    await site.page.reload()
    await site.letting(held)
    await site.set_up(multipart=True)  # with a new pass of the same principal
    await site.page.wait_for_function("() => uppy.getState().recoveredState")
    await site.page.evaluate("() => { uppy.emit('restore-confirmed'); }")  # what its button does
    await assert_stored(site, body)
    assert sorted(site.parts()) == [1, 2, 3]
    creations = [path for method, path in site.gateway.requests if method == "POST" and path.endswith("/s3/multipart")]
    assert len(creations) == 1


async def test_a_part_that_the_bucket_refuses_for_a_moment_is_sent_again(site: Site) -> None:
    body, refused = film(6), asyncio.Event()

    async def refuse_once(route: Route) -> None:
        if route.request.method != "PUT" or refused.is_set():
            await route.fallback()
            return
        refused.set()
        await route.fulfill(status=503, headers={"access-control-allow-origin": "*"}, body="<Error/>")

    await site.open(multipart=True)
    await site.page.route("**/*partNumber=2&*", refuse_once)
    await site.add(body)
    await site.start()
    await assert_stored(site, body)
    assert refused.is_set()
    assert sorted(site.parts()) == [1, 2, 3]


@pytest.mark.threat(6)
@pytest.mark.parametrize("multipart", [False, True], ids=["single", "multipart"])
@pytest.mark.parametrize("wrong", ["none", "nonsense", "another tenant's"])
async def test_without_a_good_pass_the_user_sees_an_error_and_nothing_is_stored(
    site: Site, version: int, *, multipart: bool, wrong: str
) -> None:
    other = "default" + make_pass([OTHER_APP_SECRET], "ann", tenant="other").removeprefix("other")
    await site.open({"none": "", "nonsense": "nonsense", "another tenant's": other}[wrong], multipart=multipart)
    await site.add(film(7))
    await site.start()
    result = await site.ended()
    assert (result["successful"], result["failed"]) == (0, 1)
    assert len(result["seen"]) == 1
    assert ("Authorization required" if version == 5 else "Companion request failed") in result["seen"][0]
    assert site.bucket.requests == []


async def test_a_file_that_the_policy_does_not_take_is_refused_before_a_byte_is_sent(site: Site, version: int) -> None:
    await site.open()
    await site.add(b"<!doctype html>", "page.html", "text/html")
    await site.start()
    result = await site.ended()
    assert result["failed"] == 1
    assert result["seen"] == [
        "Choose a content type that the policy lists."
        if version == 5
        else "Companion request failed: Unprocessable Entity"
    ]
    assert site.bucket.requests == []


async def test_a_single_upload_that_is_rejected_is_shown_as_failed(site: Site) -> None:
    await site.open(make_pass([APP_SECRET], "ann"))
    await site.add(b"no picture", "dot.png", "image/png")
    await site.start()
    result = await site.ended()
    assert result["seen"] == [
        (
            "The bytes are not of the declared type or checksum (perhaps none at all, damaged, or an archive with "
            "unsafe names): upload again under a new ticket that names the true one."
        )
    ]
    assert result["files"][0]["error"] == result["seen"][0]
