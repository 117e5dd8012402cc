"""Local files over real sockets: what is served, under which names, and what never is."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from gateway.http import problems
from gateway.http.guard import Guard
from gateway.http.origin import Origins
from gateway.http.routes import site
from gateway.http.static_files import ROOT_DIR, STATIC_DIR, Folder, static_url
from tests.http.live import Address, Reply, get, serving

STORE = "https://bucket.example"
SCRIPT = b"export const answer = 42;\n"
HASH = hashlib.sha256(SCRIPT).hexdigest()
PART = b"export const part = 1;\n"
PART_HASH = hashlib.sha256(PART).hexdigest()
SET_HASH = hashlib.sha256(f".js {HASH}\n/deep/b.js {PART_HASH}\n/wire.js {PART_HASH}\n".encode()).hexdigest()
FOR_A_YEAR = "public, max-age=31536000, immutable"
LARGE = bytes(range(256)) * 4096  # 1 MiB
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: https://bucket.example; "
    "media-src 'self' https://bucket.example; connect-src 'self' https://bucket.example; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def folders(base: Path) -> tuple[Path, Path]:
    """Lay out a folder of static files, one of root files, and secrets beside them."""
    static, root = base / "static", base / "root"
    (static / "demo").mkdir(parents=True)
    (static / "gateway" / "deep").mkdir(parents=True)
    (static / "empty").mkdir()
    (static / ".hidden").mkdir()
    root.mkdir()
    files = {
        "static/app.js": SCRIPT,
        "static/gateway.js": SCRIPT,
        "static/gateway/wire.js": PART,
        "static/gateway/deep/b.js": PART,
        "static/gateway/.env": b"SECRET",
        "static/large.bin": LARGE,
        "static/logo@2x.png": b"png",
        "static/LICENSE": b"free",
        "static/bundle.tar.gz": b"not looked into",
        "static/old.deadbeef.js": b"named like a hash",
        "static/demo/index.html": b"<!doctype html>",
        "static/demo/demo.css": b"a{}",
        "static/.env": b"SECRET",
        "static/.hidden/a.js": b"SECRET",
        "root/favicon.ico": b"icon",
        "root/robots.txt": b"User-agent: *\n",
        "root/other.txt": b"SECRET",
        "secret.txt": b"SECRET",
    }
    for name, content in files.items():
        (base / name).write_bytes(content)
    (static / "out.txt").symlink_to(base / "secret.txt")
    (static / "outside").symlink_to(base)
    (static / "within.js").symlink_to(static / "app.js")
    (static / "loop.js").symlink_to(static / "loop.js")
    os.mkfifo(static / "pipe")
    return static, root


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    static, root = folders(tmp_path_factory.mktemp("site"))
    app = FastAPI(openapi_url=None, redirect_slashes=False, telemetry={"auto_configure": False})
    problems.install(app)
    app.router.routes.extend(site.routes(static, root, STORE))
    origins = Origins(public_url=None, trusted_proxies=[], forwarded_headers=[], allowed_hosts=["gw.example"])
    with serving(Guard(app, origins=origins, allowed_origins=[], log=lambda _: None)) as served:
        yield served


def assert_not_found(reply: Reply) -> None:
    assert reply.status == 404
    assert b"SECRET" not in reply.body
    assert reply.one("cache-control") == "no-store"


def test_a_file_is_served_with_its_type_and_a_strong_etag(address: Address) -> None:
    reply = get(address, "/static/app.js")
    assert (reply.status, reply.body) == (200, SCRIPT)
    assert reply.one("content-type") == "text/javascript; charset=utf-8"
    assert reply.one("etag") == f'"{HASH}"'
    assert reply.one("cache-control") == "public, max-age=300"
    assert reply.one("accept-ranges") == "bytes"
    assert reply.one("x-content-type-options") == "nosniff"
    assert reply.one("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
    assert reply.one("cross-origin-resource-policy") == "cross-origin"


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        ("/favicon.ico", b"icon", "image/x-icon"),
        ("/robots.txt", b"User-agent: *\n", "text/plain; charset=utf-8"),
        ("/static/demo/demo.css", b"a{}", "text/css; charset=utf-8"),
        ("/static/demo/", b"<!doctype html>", "text/html; charset=utf-8"),
        ("/static/demo/index.html", b"<!doctype html>", "text/html; charset=utf-8"),
        ("/static/logo@2x.png", b"png", "image/png"),
        ("/static/LICENSE", b"free", "application/octet-stream"),
        ("/static/within.js", SCRIPT, "text/javascript; charset=utf-8"),
        ("/static/old.deadbeef.js", b"named like a hash", "text/javascript; charset=utf-8"),
        ("/static/large.bin", LARGE, "application/octet-stream"),
    ],
)
def test_files_are_served_from_both_folders(address: Address, path: str, body: bytes, media_type: str) -> None:
    reply = get(address, path)
    assert (reply.status, reply.body, reply.one("content-type")) == (200, body, media_type)
    assert reply.one("content-encoding") is None


def test_a_page_may_load_its_own_scripts_and_talk_to_the_store(address: Address) -> None:
    assert get(address, "/static/demo/").one("content-security-policy") == PAGE_POLICY


@pytest.mark.parametrize("origin", ["https://a.example; script-src *", "https://a.example b", "'self'", "a,b", "a\nb"])
def test_a_store_that_is_no_origin_ends_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        site.routes(STATIC_DIR, ROOT_DIR, origin)


def test_a_folder_that_does_not_exist_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for missing in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(OSError, match="directory"):
            site.routes(missing, ROOT_DIR, STORE)


def test_only_the_shared_script_and_its_modules_may_be_loaded_by_other_sites(address: Address) -> None:
    for path in ("gateway.js", "gateway/wire.js"):
        for base in ("/static", f"/static/gateway.{SET_HASH[:16]}"):
            reply = get(address, f"{base}/{path}", "Origin: https://other.example")
            assert (reply.status, reply.one("access-control-allow-origin")) == (200, "*")
    for path in ("/static/app.js", "/static/demo/demo.css"):
        assert get(address, path, "Origin: https://other.example").one("access-control-allow-origin") is None


# Hashed names


@pytest.mark.parametrize("length", [8, 16, 64])
def test_a_name_with_the_files_hash_is_kept_for_a_year(address: Address, length: int) -> None:
    reply = get(address, f"/static/app.{HASH[:length]}.js")
    assert (reply.status, reply.body) == (200, SCRIPT)
    assert reply.one("cache-control") == FOR_A_YEAR
    assert reply.one("etag") == f'"{HASH}"'


@pytest.mark.parametrize("digits", [HASH[:7], "0" * 8, HASH[:15] + "g", HASH[:8].upper() + "F", HASH + "0", ""])
def test_a_name_with_any_other_hash_is_not_found(address: Address, digits: str) -> None:
    assert_not_found(get(address, f"/static/app.{digits}.js"))


def test_static_url_writes_the_hashed_name(tmp_path: Path, address: Address) -> None:
    static, _ = folders(tmp_path)
    assert static_url("app.js", static) == f"/static/app.{HASH[:16]}.js"
    assert static_url("demo/index.html", static).startswith("/static/demo/index.")
    alone = ("app.js", "demo/demo.css", "LICENSE", "bundle.tar.gz", "logo@2x.png", "old.deadbeef.js")
    for path in (*alone, "gateway.js", "gateway/wire.js"):
        hashed = static_url(path, static)
        assert get(address, hashed).one("cache-control") == FOR_A_YEAR, hashed
    for path in ("missing.js", "demo", "demo/", "", "../secret.txt", ".env"):
        with pytest.raises(FileNotFoundError):
            static_url(path, static)


def test_static_url_knows_the_packages_own_files() -> None:
    digest = hashlib.sha256((STATIC_DIR / "demo" / "demo.css").read_bytes()).hexdigest()
    assert static_url("demo/demo.css") == f"/static/demo/demo.{digest[:16]}.css"


# A script and its modules


@pytest.mark.parametrize(
    ("path", "body"), [("gateway.js", SCRIPT), ("gateway/wire.js", PART), ("gateway/deep/b.js", PART)]
)
def test_a_script_and_its_modules_have_one_hash_and_import_each_other_under_it(
    tmp_path: Path, address: Address, path: str, body: bytes
) -> None:
    static, _ = folders(tmp_path)
    hashed = f"/static/gateway.{SET_HASH[:16]}/{path}"
    reply = get(address, hashed)
    assert static_url(path, static) == hashed
    assert (reply.status, reply.body, reply.one("cache-control")) == (200, body, FOR_A_YEAR)
    assert reply.one("etag") == f'"{hashlib.sha256(body).hexdigest()}"'


@pytest.mark.parametrize(
    "path",
    [
        # What would import modules of any version.
        *(f"gateway.{HASH[:16]}.js", f"gateway.{SET_HASH[:16]}.js", f"gateway/wire.{PART_HASH[:16]}.js"),
        *(
            f"gateway.{HASH[:16]}/gateway.js",
            f"gateway.{'0' * 16}/gateway/wire.js",
            f"gateway.{SET_HASH[:7]}/gateway.js",
        ),
        # What is not in the set.
        *(
            f"gateway.{SET_HASH[:16]}/{name}"
            for name in ("app.js", "demo/demo.css", "gateway", "gateway/", "other/wire.js")
        ),
        *(
            f"gateway.{SET_HASH[:16]}/gateway/{name}"
            for name in ("missing.js", ".env", "wire.js/", "../app.js", "deep/")
        ),
        *(f"app.{HASH[:16]}/app.js", f"demo.{SET_HASH[:16]}/demo/demo.css"),
    ],
)
def test_a_module_is_found_under_no_other_hash(address: Address, path: str) -> None:
    assert_not_found(get(address, f"/static/{path}"))


@pytest.mark.parametrize("changed", ["gateway.js", "gateway/wire.js", "gateway/new.js"])
def test_a_script_whose_modules_change_has_another_name_and_loses_the_old_one(tmp_path: Path, changed: str) -> None:
    static, _ = folders(tmp_path)
    folder = Folder(static)
    before = folder.hashed_path("gateway.js")
    assert folder.find(before) is not None
    (static / changed).write_bytes(b"changed")
    after = folder.find(folder.hashed_path("gateway.js"))
    assert after is not None
    assert after.immutable
    assert folder.find(before) is None


def test_a_file_that_changes_is_served_anew(tmp_path: Path) -> None:
    static, _ = folders(tmp_path)
    folder = Folder(static)
    before = folder.find("app.js")
    (static / "app.js").write_bytes(b"changed")
    after = folder.find("app.js")
    assert before is not None
    assert after is not None
    assert (before.sha256, after.sha256) == (HASH, hashlib.sha256(b"changed").hexdigest())
    assert folder.find(f"app.{HASH[:16]}.js") is None


# Conditions and ranges


def test_head_answers_as_get_without_the_body(address: Address) -> None:
    got, head = get(address, "/static/app.js"), get(address, "/static/app.js", method="HEAD")
    ours = {"date", "x-request-id"}
    assert head.body == b""
    assert [field for field in head.headers if field[0] not in ours] == [
        field for field in got.headers if field[0] not in ours
    ]


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PUT", "TRACE"])
@pytest.mark.parametrize("path", ["/static/app.js", "/favicon.ico"])
def test_files_are_only_read(address: Address, method: str, path: str) -> None:
    assert get(address, path, method=method).status == 405


@pytest.mark.parametrize("condition", [f'"{HASH}"', f'W/"{HASH}"', f'"other", "{HASH}"', "*"])
@pytest.mark.parametrize("path", ["/static/gateway.js", f"/static/gateway.{SET_HASH[:16]}/gateway.js"])
def test_an_unchanged_file_is_not_sent_again(address: Address, path: str, condition: str) -> None:
    full, reply = get(address, path), get(address, path, f"If-None-Match: {condition}")
    assert (reply.status, reply.body) == (304, b"")
    for name in ("etag", "cache-control", "last-modified", "access-control-allow-origin", "x-content-type-options"):
        assert reply.one(name) == full.one(name) is not None


@pytest.mark.parametrize("condition", ['"other"', HASH, '""', "W/"])
def test_a_changed_file_is_sent_again(address: Address, condition: str) -> None:
    assert get(address, "/static/app.js", f"If-None-Match: {condition}").status == 200


def test_if_modified_since_is_understood(address: Address) -> None:
    modified = get(address, "/static/app.js").one("last-modified")
    assert get(address, "/static/app.js", f"If-Modified-Since: {modified}").status == 304
    assert get(address, "/static/app.js", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    assert get(address, "/static/app.js", "If-Modified-Since: yesterday").status == 200


@pytest.mark.parametrize(
    ("asked", "content_range", "body"),
    [
        ("bytes=0-3", "bytes 0-3/1048576", LARGE[:4]),
        ("bytes=1048570-", "bytes 1048570-1048575/1048576", LARGE[-6:]),
        ("bytes=-6", "bytes 1048570-1048575/1048576", LARGE[-6:]),
        ("bytes=1048570-9999999999", "bytes 1048570-1048575/1048576", LARGE[-6:]),
        ("bytes=100-200100", "bytes 100-200100/1048576", LARGE[100:200_101]),
        ("Bytes = 0-0", "bytes 0-0/1048576", LARGE[:1]),
    ],
)
def test_a_range_is_answered_with_206(address: Address, asked: str, content_range: str, body: bytes) -> None:
    reply = get(address, "/static/large.bin", f"Range: {asked}")
    assert (reply.status, reply.one("content-range"), reply.body) == (206, content_range, body)


def test_several_ranges_are_answered_in_parts(address: Address) -> None:
    reply = get(address, "/static/large.bin", "Range: bytes=0-1, 10-11")
    assert reply.status == 206
    boundary = (reply.one("content-type") or "").removeprefix("multipart/byteranges; boundary=")
    parts = reply.body.split(b"--" + boundary.encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:3]] == [LARGE[0:2] + b"\r\n", LARGE[10:12] + b"\r\n"]


@pytest.mark.parametrize("asked", ["bytes=1048576-", "bytes=9999999999-"])
def test_a_range_beyond_the_file_is_416(address: Address, asked: str) -> None:
    reply = get(address, "/static/large.bin", f"Range: {asked}")
    assert (reply.status, reply.one("content-range"), reply.body) == (416, "bytes */1048576", b"")


@pytest.mark.threat(40)
@pytest.mark.parametrize(
    "asked",
    [
        *("bytes=", "bytes=a-b", "bytes=5-2", "bytes=0-1,5-2", "bytes=-", "bytes", "lines=0-1", "0-1", "bytes=0-1;2-3"),
        *("bytes=--1", "bytes=0-1,", "bytes=" + "9" * 5000 + "-", "bytes=\xb2-3"),
    ],
)
def test_an_invalid_range_is_ignored(address: Address, asked: str) -> None:
    reply = get(address, "/static/app.js", f"Range: {asked}")
    assert (reply.status, reply.body) == (200, SCRIPT)


@pytest.mark.threat(40)
@pytest.mark.parametrize(("count", "status"), [(100, 206), (101, 200), (5000, 200)])
def test_a_hundred_ranges_are_answered_and_more_get_the_whole_file(address: Address, count: int, status: int) -> None:
    ranges = ",".join(f"{number % 100}-" for number in range(count))
    assert get(address, "/static/large.bin", f"Range: bytes={ranges}").status == status


def test_two_range_headers_are_ignored(address: Address) -> None:
    assert get(address, "/static/large.bin", "Range: bytes=0-1", "Range: bytes=2-3").status == 200


@pytest.mark.parametrize(("tag", "status"), [(hashlib.sha256(LARGE).hexdigest(), 206), ("other", 200)])
def test_if_range_sends_the_whole_of_a_changed_file(address: Address, tag: str, status: int) -> None:
    assert get(address, "/static/large.bin", "Range: bytes=0-1", f'If-Range: "{tag}"').status == status


# What is never served


@pytest.mark.threat(39)
@pytest.mark.parametrize(
    "path",
    [
        *("../secret.txt", "../../etc/passwd", "%2e%2e/secret.txt", "..%2fsecret.txt", "%2e%2e%2fsecret.txt"),
        *("..%5csecret.txt", "..\\secret.txt", "..%c0%afsecret.txt", "..%ef%bc%8fsecret.txt", "%252e%252e/secret.txt"),
        *("demo/../app.js", "demo/%2e%2e/app.js", "./app.js", "demo/./demo.css", "/etc/passwd", "//etc/passwd"),
        *("%2fetc/passwd", "/app.js", "demo//demo.css", "demo%2fdemo.css", "C:/secret.txt", "file:///etc/passwd"),
        *("app.js%00", "app.js%00.png", "app.js%0a", "%ff", "app.j%73", "app.js%20", "app.js;a", "app.js::$DATA"),
        "~root",
        *(".env", ".hidden/a.js", "%2eenv", "demo/.", "demo/..", "...", "...."),
        *("out.txt", "outside/secret.txt", "loop.js", "pipe", "static/app.js", "APP.js"),
        *("a" * 300, "a/" * 40, "", "demo", "empty", "empty/", "app.js/", "app.js/index.html", "demo/index.html/"),
        *("index.html", "missing.js", "app.js.", "app.", "*", "%"),
    ],
)
def test_any_other_path_below_static_is_not_found(address: Address, path: str) -> None:
    reply = get(address, f"/static/{path}")
    assert_not_found(reply)
    assert b"root:" not in reply.body


@pytest.mark.threat(39)
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/other.txt", "/index.html", "/favicon.ico/", "/robots.txt/", "/favicon%2eico", "/static", "/.env"),
        *(
            "//static/app.js",
            "//favicon.ico",
            "/STATIC/app.js",
            "/static%2fapp.js",
            "/./static/app.js",
            "/root/robots.txt",
        ),
        *("/x/../static/app.js", "/static/../robots.txt", "/static/../../root/other.txt"),
    ],
)
def test_nothing_else_is_served_from_disk(address: Address, path: str) -> None:
    assert_not_found(get(address, path))


def test_the_index_of_the_folder_itself_is_served_when_there_is_one(tmp_path: Path) -> None:
    static, _ = folders(tmp_path)
    assert Folder(static).find("") is None
    (static / "index.html").write_bytes(b"home")
    found = Folder(static).find("")
    assert found is not None
    assert found.path.name == "index.html"


@pytest.mark.threat(48)
def test_robots_are_told_to_stay_away_from_links() -> None:
    assert "Disallow: /d/\n" in (ROOT_DIR / "robots.txt").read_text()
