"""Bytes that no client of ours would send, over sockets, to `gateway serve`: each is refused as the table says.

What the guard refuses for every application is in tests/http/test_guard.py; this corpus is for the gateway's routes.
"""

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.cli.dev_files import as_variables
from gateway.errors import CODES
from gateway.http import schemas
from gateway.http.guard import MAX_BODIES, MAX_BODY
from tests.cli.commands import running
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, SECRET_KEY, make_app, tenant
from tests.http.live import Address, Reply, get, send, serving
from tests.servers.s3 import S3Server

MIB = 1_048_576
HOST = "127.0.0.1"
SENTINEL = "never-to-be-repeated"
POLICIES = {"default": {"content_types": ALL_TYPES, "min_size": 0, "max_size": "1 TiB"}}
PARTS: dict[str, object] = {"part_numbers": [1]}
UPLOAD = {"filename": "a.png", "content_type": "image/png", "size": 1}
NAME = "default/default/0123456789abcdef0123456789abcdef.png"


@dataclass(frozen=True, slots=True)
class Server:
    """A gateway in a process of its own."""

    address: Address
    pid: int

    def memory(self, field: str) -> int:
        """Return `VmRSS`, or the most it ever was, `VmHWM`; in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition(f"{field}:")[2].split()[0]) * 1024

    def forget_the_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", "ascii")  # proc(5)


@pytest.fixture(scope="module")
def server(ministack: S3Server) -> Iterator[Server]:
    settings: dict[str, Any] = {
        "secret_keys": [SECRET_KEY],
        "tenants": {"default": tenant(API_KEY, APP_SECRET, policies=POLICIES)},
        "bucket": ministack.bucket,
        "region": ministack.region,
        "storage_endpoint": ministack.endpoint,
    }
    credentials = {"AWS_ACCESS_KEY_ID": ministack.access_key_id, "AWS_SECRET_ACCESS_KEY": ministack.secret_access_key}
    with running("serve", "--port", "0", env={**as_variables(settings), **credentials}) as command:
        host, _, port = json.loads(command.wait_for(lambda line: '"listening"' in line))["address"].rpartition(":")
        command.wait_for(lambda line: "startup complete" in line)
        yield Server((host, int(port)), command.process.pid)
        events = [json.loads(line) for line in command.stderr]
    assert [event for event in events if event.get("status") == 500 or "exception" in event] == []


@pytest.fixture
def address(server: Server) -> Iterator[Address]:
    """Where the gateway listens; it still has to answer after the test."""
    yield server.address
    assert get(server.address, "/readyz", host=HOST).status == 200


@pytest.fixture(scope="module")
def ticket(server: Server) -> str:
    return str(json.loads(post(server.address, "/v1/uploads", UPLOAD).body)["ticket"])


@pytest.fixture(scope="module")
def divided(server: Server) -> str:
    """A ticket for an upload in 9,310 parts, of which none has arrived."""
    return divided_ticket(server.address)


def divided_ticket(address: Address, **wish: object) -> str:
    return str(json.loads(post(address, "/v1/uploads", {**UPLOAD, "size": 100 * 2**30, **wish}).body)["ticket"])


def post(
    address: Address,
    target: str,
    body: object,
    *headers: bytes,
    media_type: bytes | None = b"application/json",
    authorization: bytes = API_KEY.encode(),
) -> Reply:
    """Post bytes as they are, or anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(content)}".encode(),
        b"Authorization: Bearer " + authorization,
        *([] if media_type is None else [b"Content-Type: " + media_type]),
        *headers,
    ]
    return send(address, b"\r\n".join(lines) + b"\r\n\r\n" + content)


def refused(reply: Reply) -> str:
    """Return the code of a refusal of the table, after a look at all that it must be and must not say."""
    document = reply.problem()
    code = CODES[document["code"]]
    assert (reply.status, document["type"]) == (code.status, f"urn:signed-url-gateway:problem:{code.code}")
    assert SENTINEL.encode() not in reply.body
    return code.code


def routes_with_a_body(ticket: str) -> list[str]:
    tickets = [f"/v1/uploads/{ticket}/{step}" for step in ("parts", "complete")]
    return ["/v1/uploads", "/v1/uploads/complete", *tickets, "/v1/passes", "/v1/links"]


# Bodies that are no JSON, or not ours

WHOLE = json.dumps(UPLOAD).encode()
NOT_JSON = {
    "nothing": b"",
    "a lone surrogate": b'{"filename":"\\ud800.png"}',
    "a lone low surrogate": b'{"filename":"\\udc00.png"}',
    "surrogates in the wrong order": b'{"filename":"\\udc00\\ud800.png"}',
    "a lone surrogate as a name": b'{"\\ud800":1}',
    "a surrogate in UTF-8": b'{"filename":"\xed\xa0\x80.png"}',
    "an overlong slash": b'{"filename":"\xc0\xaf.png"}',
    "no UTF-8": b'{"filename":"\xff.png"}',
    "Latin-1": '{"filename":"é.png"}'.encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "UTF-16 without a mark": WHOLE.decode().encode("utf-16-le"),
    "UTF-32": WHOLE.decode().encode("utf-32"),
    "5,000 digits": b'{"size":' + b"9" * 5000 + b"}",
    "60,000 brackets": b"[" * 60_000,
    "10,000 objects": b'{"metadata":' * 5_000,
    "60,000 brackets, closed": b"[" * 30_000 + b"]" * 30_000,
    "a zero byte": b"\0",
    "a zero byte in text": b'{"filename":"a\0.png"}',
    "a zero byte behind": WHOLE + b"\0",
    "a line feed in text": b'{"filename":"a\n.png"}',
    "two documents": WHOLE + WHOLE,
    "something behind": WHOLE + b"x",
    "a comment": b'{/**/"filename":"a.png"}',
    "single quotes": b"{'filename':'a.png'}",
    "a trailing comma": b'{"filename":"a.png",}',
    "a number with a plus": b'{"size":+1}',
    "a number with a zero before": b'{"size":01}',
    "hexadecimal": b'{"size":0x1}',
    "half an escape": b'{"filename":"\\u12"}',
    "a form": b"filename=a.png&size=1",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "gzip": gzip.compress(b" " * MIB),
    "null": b"null",
    "true": b"true",
    "a text": b'"filename"',
    "a number": b"1",
    "a list": b"[]",
    "a list of the right thing": b"[" + WHOLE + b"]",
    "not a number": b"NaN",
}


@pytest.mark.threat(42)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=list(NOT_JSON))
def test_a_body_that_is_no_object_in_json_is_refused_by_every_route(address: Address, ticket: str, body: bytes) -> None:
    codes = {route: refused(post(address, route, body)) for route in routes_with_a_body(ticket)}
    assert codes == dict.fromkeys(codes, "invalid-request")


@pytest.mark.threat(42)
def test_json_that_breaks_off_anywhere_is_refused(address: Address) -> None:
    assert {refused(post(address, "/v1/uploads", WHOLE[:end])) for end in range(len(WHOLE))} == {"invalid-request"}


@pytest.mark.threat(42)
def test_a_hundred_thousand_brackets_are_refused(address: Address) -> None:
    assert refused(post(address, "/v1/links", b"[" * 100_000)) == "invalid-request"
    assert refused(post(address, "/v1/links", b'{"links":' + b"[" * 1_000_000)) == "invalid-request"
    assert refused(post(address, "/v1/uploads", b"[" * 100_000)) == "payload-too-large"


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e3", "1.0", "-0.0", "1.5", "-1", "1e-400"]
)
def test_a_number_that_is_no_size_is_refused(address: Address, number: str) -> None:
    body = WHOLE.replace(b'"size": 1', b'"size": ' + number.encode())
    assert body != WHOLE
    assert refused(post(address, "/v1/uploads", body)) == "invalid-request"


def test_a_size_of_4000_digits_is_a_size_and_too_large(address: Address) -> None:
    assert refused(post(address, "/v1/uploads", {**UPLOAD, "size": 10**3999})) == "too-large"
    assert refused(post(address, "/v1/passes", {"max_size": 10**3999})) == "invalid-request"


def test_minus_zero_is_zero(address: Address) -> None:
    assert post(address, "/v1/uploads", WHOLE.replace(b'"size": 1', b'"size": -0')).status == 201


@pytest.mark.threat(42)
def test_of_a_repeated_name_the_last_counts(address: Address) -> None:
    reply = post(address, "/v1/uploads", b'{"filename": 7, "content_type": "text/html", ' + WHOLE[1:])
    assert reply.status == 201
    assert json.loads(reply.body)["upload"]["headers"]["content-type"] == "image/png"
    assert refused(post(address, "/v1/uploads", WHOLE[:-1] + b', "content_type": "text/html"}')) == "type-not-allowed"


# Every field of every route


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field takes, as values that it must refuse; `null` where it may be left out."""

    wrong: tuple[object, ...]
    nullable: bool = False


TEXT = (1, 1.5, True, ["a"], {"a": "b"})
INTEGER = ("1", 1.5, 1.0, True, [1], {"a": 1}, -1, "NaN", "")
LONG = "a" * 5000
NUMBERED = (*INTEGER, 0, 59, 10**9, 10**30)

DIGEST = schemas.EMPTY_SHA256
NO_PART_NAMES = ("0", "00001", "01", "-1", "+1", "1 ", "1.0", "1e3", "0x1", "", "a", "\u0661", "10001", "99999", "2")
LISTS_THAT_ARE_NO_PART_NUMBERS: tuple[object, ...] = (
    *([], {}, [0], [-1], [10_001], [10**30], [1.0], [1.5], ["1"], ["1e3"], [True], [None], [[1]], [{}], ["NaN"]),
    *([1, 1], [1, 2, 1], [1, 9_311], list(range(1, 1002)), [1] * 1000),
)

FIELDS: dict[type[schemas.Request], dict[str, Kind]] = {
    schemas.UploadRequest: {
        "filename": Kind((*TEXT, LONG)),
        "content_type": Kind((*TEXT, LONG)),
        "size": Kind(INTEGER, nullable=True),
        "checksum_sha256": Kind((*TEXT, LONG, "", "=", "a" * 44, "é" * 44), nullable=True),
        "part_checksums": Kind((0, 1, 1.0, "true", "", [], {})),
        "policy": Kind((*TEXT, LONG)),
        "metadata": Kind((1, "a", True, ["a"], {"a": 1}, {"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}), nullable=True),
        "on_behalf_of": Kind((*TEXT, LONG, "", "a\0", "a\r\nb", "a" * 257), nullable=True),
    },
    schemas.PartsRequest: {
        "part_numbers": Kind((*TEXT, *LISTS_THAT_ARE_NO_PART_NUMBERS)),
        "checksums_sha256": Kind(
            (
                *(1, "a", True, [], [DIGEST], {"1": 1}, {"1": None}, {"1": True}, {"1": LONG}, {"1": [DIGEST]}),
                *({name: DIGEST} for name in NO_PART_NAMES),
                {str(number): DIGEST for number in range(1, 1002)},
            ),
            nullable=True,
        ),
        "sizes": Kind(
            (
                *(1, "a", True, [], [1], {"1": None}, {"1": 0}, {"1": 10**30}, {"1": 1}, {"1": 11 * MIB + 1}),
                *({"1": wrong} for wrong in INTEGER),
                *({name: 11 * MIB} for name in NO_PART_NAMES),
                {str(number): 1 for number in range(1, 1002)},
            ),
            nullable=True,
        ),
    },
    schemas.CompleteRequest: {"parts": Kind((1, "a", True, {}, ["a"], [None], [[]]), nullable=True)},
    schemas.CompletedPart: {
        "part_number": Kind((*INTEGER, 0, 10_001)),
        "etag": Kind((*TEXT, LONG)),
        "checksum_sha256": Kind((*TEXT, LONG), nullable=True),
    },
    schemas.CompleteByKeyRequest: {"upload_key": Kind((*TEXT, LONG))},
    schemas.PassRequest: {
        "policy": Kind((*TEXT, LONG)),
        "principal": Kind((*TEXT, LONG, "", "a\0", "\u202e"), nullable=True),
        "max_size": Kind((*INTEGER, 10**30), nullable=True),
        "content_types": Kind((1, "image/png", True, {}, [1], [None], [["image/png"]], ["a"] * 101), nullable=True),
        "expires_in": Kind(NUMBERED),
    },
    schemas.LinksRequest: {
        "links": Kind((1, "a", True, {}, [], [1], [None], [{}] * 1001, ["a"])),
        "via": Kind((*TEXT, "", "DIRECT", "redirect ")),
    },
    schemas.WantedLink: {
        "key": Kind((*TEXT, LONG)),
        "filename": Kind((*TEXT, LONG), nullable=True),
        "disposition": Kind((*TEXT, "", "INLINE", "inline; filename=a.html")),
        "expires_in": Kind(NUMBERED, nullable=True),
    },
}
ROUTES: dict[type[schemas.Request], tuple[str, dict[str, object]]] = {
    schemas.UploadRequest: ("/v1/uploads", UPLOAD),
    schemas.PartsRequest: ("/v1/uploads/{ticket}/parts", PARTS),
    schemas.CompleteRequest: ("/v1/uploads/{ticket}/complete", {}),
    schemas.CompletedPart: ("/v1/uploads/{ticket}/complete", {"part_number": 1, "etag": '"a"'}),
    schemas.CompleteByKeyRequest: ("/v1/uploads/complete", {"upload_key": f"incoming/{NAME}"}),
    schemas.PassRequest: ("/v1/passes", {}),
    schemas.LinksRequest: ("/v1/links", {"links": [{"key": f"objects/{NAME}"}]}),
    schemas.WantedLink: ("/v1/links", {"key": f"objects/{NAME}"}),
}
WITHIN = {schemas.CompletedPart: "parts", schemas.WantedLink: "links"}


def whole_body(model: type[schemas.Request], body: dict[str, object]) -> dict[str, object]:
    """Put what is a part of a body into one."""
    return {WITHIN[model]: [body]} if model in WITHIN else body


def test_the_table_of_fields_is_complete() -> None:
    assert FIELDS.keys() == ROUTES.keys() == set(schemas.Request.__subclasses__())
    assert {model: list(fields) for model, fields in FIELDS.items()} == {
        model: list(model.model_fields) for model in FIELDS
    }
    for model, fields in FIELDS.items():
        for name, kind in fields.items():
            assert kind.nullable == (type(None) in get_args(model.model_fields[name].annotation)), name


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize(
    ("model", "field"),
    [
        pytest.param(model, field, id=f"{model.__name__}.{field}")
        for model, fields in FIELDS.items()
        for field in fields
    ],
)
def test_a_value_that_a_field_does_not_take_is_refused(
    address: Address, divided: str, model: type[schemas.Request], field: str
) -> None:
    route, body = ROUTES[model]
    kind = FIELDS[model][field]
    for value in (*kind.wrong, *([] if kind.nullable else [None])):
        reply = post(address, route.format(ticket=divided), whole_body(model, {**body, field: value}))
        assert refused(reply) == "invalid-request", value
    if kind.nullable:
        assert post(address, route.format(ticket=divided), whole_body(model, {**body, field: None})).status != 422


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize("model", FIELDS)
def test_an_unknown_field_is_refused_and_not_repeated(
    address: Address, divided: str, model: type[schemas.Request]
) -> None:
    route, body = ROUTES[model]
    for name in (SENTINEL, "key", "Size", "size ", "", "__proto__", "\0", "\U0001f4a9" * 1000, "key[]"):
        if name not in body:
            unknown = whole_body(model, {**body, name: SENTINEL})
            assert refused(post(address, route.format(ticket=divided), unknown)) == "invalid-request"


@pytest.mark.threat(42, 45)
@pytest.mark.parametrize("model", FIELDS)
def test_a_missing_field_is_named(address: Address, divided: str, model: type[schemas.Request]) -> None:
    route, body = ROUTES[model]
    for name in (name for name, shape in model.model_fields.items() if shape.is_required()):
        without = {field: value for field, value in body.items() if field != name}
        reply = post(address, route.format(ticket=divided), whole_body(model, without))
        assert refused(reply) == "invalid-request"
        assert f"{name}: missing" in reply.problem()["detail"]


@pytest.mark.threat(24, 42)
@pytest.mark.parametrize(
    "text", ["\0", "a\0b.png", "\r\nX-Evil: 1.png", "\u202egnp.exe", "é" * 2000, "../../a.png", "\x1b[2J"]
)
def test_text_that_is_hostile_is_refused_or_made_harmless(address: Address, text: str) -> None:
    for field in ("filename", "content_type", "policy", "on_behalf_of"):
        reply = post(address, "/v1/uploads", {**UPLOAD, field: text})
        assert reply.one("x-evil") is None
        if reply.status != 201:
            refused(reply)
    assert post(address, "/v1/uploads", {**UPLOAD, "metadata": {text: text}}).status in {201, 422}


# Media types


@pytest.mark.threat(29, 42)
@pytest.mark.parametrize(
    "media_type",
    [
        None,
        *(b"", b"text/plain", b"text/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
        *(b"application/jsonp", b"application/json5", b"application/problem+json", b"application/vnd.api+json", b"*/*"),
        *(b"application/json; charset=utf-16", b"application/json; charset=latin-1", b"application/json;charset=utf-7"),
        *(
            b"application/json; charset=utf-8; charset=utf-16",
            b"application/json;charset='utf-8'",
            b"application /json",
        ),
        *(b"application/json, text/plain", b"text/plain, application/json", b"application/json; x=y", b"application"),
        *(b"application/json;charset=", b"\xe9", b"\xff\xfe", b"application/json\xa0", b"a" * 10_000),
    ],
)
def test_another_media_type_is_refused_by_every_route(address: Address, ticket: str, media_type: bytes | None) -> None:
    codes = [refused(post(address, route, b"{}", media_type=media_type)) for route in routes_with_a_body(ticket)]
    assert codes == ["unsupported-media-type"] * len(codes)


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json",
        b"APPLICATION/JSON",
        b"application/json;charset=UTF-8",
        b'application/json ; charset="utf-8"',
    ],
)
def test_json_in_utf_8_may_be_named_in_other_ways(address: Address, media_type: bytes) -> None:
    assert post(address, "/v1/uploads", UPLOAD, media_type=media_type).status == 201


def test_a_compressed_body_is_not_unpacked(address: Address) -> None:
    bomb = gzip.compress(b" " * 10 * MIB)
    assert len(bomb) < MAX_BODY
    assert refused(post(address, "/v1/uploads", bomb, b"Content-Encoding: gzip")) == "invalid-request"


# Sizes


def links_of(size: int) -> bytes:
    """Return a batch of 1,000 links in exactly `size` bytes."""
    links = [{"key": f"objects/{NAME}", "filename": "a" * 250} for _ in range(1000)]
    return json.dumps({"links": links}).encode().ljust(size)


@pytest.mark.threat(42)
def test_a_batch_of_links_may_have_1_mib(address: Address) -> None:
    most = MAX_BODIES["links"]
    reply = post(address, "/v1/links", links_of(most))
    assert (reply.status, len(json.loads(reply.body)["links"])) == (200, 1000)
    chunked = b"POST /v1/links HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    assert refused(send(address, chunked % (most, links_of(most)))) == "unauthenticated"
    assert refused(send(address, chunked % (most + 1, links_of(most + 1)))) == "payload-too-large"


@pytest.mark.threat(42)
def test_all_parts_of_the_largest_upload_fit_into_one_completion(address: Address, divided: str) -> None:
    part = {"etag": f'"{"0" * 32}"', "checksum_sha256": "0" * 43 + "="}
    whole = json.dumps({"parts": [{"part_number": number, **part} for number in range(1, 10_001)]}).encode()
    assert len(whole) < MAX_BODIES["complete"]
    reply = post(address, f"/v1/uploads/{divided}/complete", whole)
    assert refused(reply) == "not-uploaded", reply.body


@pytest.mark.threat(42)
def test_a_thousand_parts_with_checksum_and_size_fit_into_one_request(address: Address) -> None:
    numbers = list(range(8_001, 9_001))
    parts = {
        "part_numbers": numbers,
        "checksums_sha256": {str(number): "0" * 42 + "A=" for number in numbers},
        "sizes": {str(number): 11 * MIB for number in numbers},
    }
    whole = json.dumps(parts).encode()
    assert len(whole) < MAX_BODIES["parts"]
    reply = post(address, f"/v1/uploads/{divided_ticket(address, part_checksums=True)}/parts", whole)
    assert [part["part_number"] for part in json.loads(reply.body)["parts"]] == numbers


@pytest.mark.threat(42)
def test_a_body_has_at_most_64_kib_and_more_only_where_a_whole_lot_is_sent(address: Address, ticket: str) -> None:
    others = ["/v1/links/", "/v1/links/x", f"/v1/uploads/{ticket}", "/v1/policies", "/nothing", "/"]
    for route in [*routes_with_a_body(ticket), "/lfs/objects/batch", *others]:
        most = MAX_BODIES.get(route.rpartition("/")[2], MAX_BODY)
        assert post(address, route, b" " * most).status != 413
        assert refused(post(address, route, b" " * (most + 1))) == "payload-too-large"


def test_below_a_mount_a_batch_of_links_may_have_1_mib_too(ministack: S3Server) -> None:
    mounted = Starlette(routes=[Mount("/files", make_app(ministack))])
    with serving(mounted) as address:
        assert post(address, "/files/v1/links", links_of(MAX_BODIES["links"])).status == 200
        assert post(address, "/files/v1/uploads", links_of(MAX_BODY + 1)).status == 413


def flood(address: Address, target: str, framing: bytes, piece: bytes) -> Reply:
    """Send 100 MiB, as far as the server lets us."""
    head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {API_KEY}\r\n".encode()
    return send(address, head + b"Content-Type: application/json\r\n" + framing + b"\r\n\r\n", *[piece] * 100)


@pytest.mark.threat(42)
@pytest.mark.parametrize("target", ["/v1/uploads", "/v1/links", "/v1/uploads/complete", "/nothing"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_100_mib_of_json_are_refused_at_once_and_take_no_memory(
    server: Server, address: Address, target: str, *, announced: bool
) -> None:
    json_text = b'{"links":[' + b'{"key":"a"},' * 87_380
    piece = json_text.ljust(MIB)
    framing = b"Content-Length: 104857600" if announced else b"Transfer-Encoding: chunked"
    piece = piece if announced else b"%x\r\n%b\r\n" % (len(piece), piece)
    before = server.memory("VmRSS")
    server.forget_the_peak()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as together:
        replies = list(together.map(lambda _: flood(address, target, framing, piece), range(4)))
    assert [refused(reply) for reply in replies] == ["payload-too-large"] * 4
    assert time.monotonic() - began < 10
    assert server.memory("VmHWM") - before < 20_000_000


@pytest.mark.threat(42)
def test_a_client_that_asks_before_it_sends_100_mib_is_refused_before_it_sends_a_byte(address: Address) -> None:
    head = f"POST /v1/uploads HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 104857600\r\nExpect: 100-continue\r\n\r\n"
    assert refused(send(address, head.encode())) == "payload-too-large"


# Paths, queries and headers

WEIRD = [
    *(
        "%",
        "%zz",
        "%2",
        "%00",
        "%ff",
        "%ff%fe",
        "%ed%a0%80",
        "%c0%af",
        "%0d%0aX-Evil:%201",
        "%e2%80%ae",
        "%7f",
        "%C2%85",
    ),
    *("..%2f..%2f", "%2e%2e", "%252e%252e", "a%00.b", ";x", "a;b=c", "*", "~", "|", "{}", "\"'<>", "\\..\\", "$(id)"),
    *("%25%25", "%f0%9f%92%a9", ".", "..", "a.b.c", ".a", "a.", "default", "default.", "default..", "default.a.b"),
    *("other.a.b", "nobody.a.b", "eyJ.eyJ.a", "null", "-1", "1e400", "=" * 100, "A" * 4000, "%f0" * 1300, "." * 4000),
]
NO_REQUEST_TARGET = [b"\xff", b"\xc3\xa9", b"a b", b"a\tb", b"a\0b", b"a\x7fb", b"\r"]


@pytest.mark.threat(6, 52)
@pytest.mark.parametrize("text", WEIRD)
def test_a_weird_token_or_key_is_no_more_than_not_found(address: Address, text: str) -> None:
    bearer = f"Authorization: Bearer {API_KEY}"
    targets = [
        f"/d/{text}",
        f"/d/{text}/{text}",
        f"/v1/uploads/{text}",
        f"/v1/objects/{text}",
        f"/{text}",
        f"/static/{text}",
    ]
    for target in targets:
        for headers in ([], [bearer]):
            reply = get(address, target, *headers, host=HOST)
            expected = {"not-found", "unauthenticated"} if "/v1/objects" in target and not headers else {"not-found"}
            assert refused(reply) in expected, target
            assert reply.one("x-evil") is None
    assert refused(get(address, f"/v1/uploads/{text}", method="DELETE", host=HOST)) == "not-found"
    assert refused(get(address, f"/v1/objects/{text}", bearer, method="DELETE", host=HOST)) == "not-found"
    assert refused(post(address, f"/v1/uploads/{text}/complete", {})) == "not-found"
    assert get(address, f"/d/{text}", method="HEAD", host=HOST).status == 404
    assert refused(post(address, "/v1/uploads/complete", {"upload_key": text[:1024]})) == "not-found"
    assert json.loads(post(address, "/v1/links", {"links": [{"key": text[:1024]}]}).body) == {
        "links": [{"key": text[:1024], "error": "not-found"}]
    }


@pytest.mark.threat(43, 52)
@pytest.mark.parametrize("text", NO_REQUEST_TARGET)
def test_a_target_that_is_no_uri_is_refused_before_any_route(address: Address, text: bytes) -> None:
    for prefix in (b"/d/", b"/v1/uploads/", b"/v1/objects?cursor="):
        head = b"GET " + prefix + text + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert refused(send(address, head)) == "bad-request"


@pytest.mark.threat(41)
@pytest.mark.parametrize("size", [8_192, 65_536, 131_072, MIB])
@pytest.mark.parametrize(
    "target", ["/d/{}", "/v1/uploads/{}", "/v1/uploads/{}/complete", "/v1/objects?cursor={}", "/{}"]
)
def test_a_target_too_long_is_refused_on_every_route(address: Address, target: str, size: int) -> None:
    reply = get(address, target.format("a" * size), host=HOST)
    assert refused(reply) in {"uri-too-long", "headers-too-large", "bad-request"}


@pytest.mark.threat(5, 42)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        *(
            (f"limit={value}", "invalid-request")
            for value in ("0", "-1", "101", "1.5", "NaN", "1e400", "", "%ff", "1%00")
        ),
        *((f"limit={value}", "invalid-request") for value in ("9" * 5000, "%EF%BC%91", "null", "1,2", "0x1", "[]")),
        *(
            (f"prefix={value}", "invalid-request")
            for value in ("%ff", "%00", "A", "%0a", "*", "a" * 257, "%F0%9F%92%A9")
        ),
        *((f"cursor={value}", "not-found") for value in ("a", "%ff", "%00", "..", "eyJ.eyJ", "A" * 4096)),
        *(
            (query, "invalid-request")
            for query in ("cursor=" + "a" * 4097, "Limit=1", "limit[]=1", "x", "%ff=1", "a=%")
        ),
        *((query, "invalid-request") for query in ("&".join("x%d=1" % n for n in range(1000)), "limit=1;x=2")),  # noqa: UP031
    ],
)
def test_a_wrong_query_is_refused(address: Address, query: str, code: str) -> None:
    reply = get(address, f"/v1/objects?{query}", f"Authorization: Bearer {API_KEY}", host=HOST)
    assert refused(reply) == code


@pytest.mark.threat(27, 41)
@pytest.mark.parametrize(
    "credentials",
    [
        *(
            b"",
            b" ",
            b"\xff\xfe",
            b"\xe9" * 100,
            b"gwk_",
            b"gwk_aaaaaaaa_\xff",
            b"gwk_aaaaaaaa",
            b"gwk_" + b"a" * 30_000,
        ),
        *(b"eyJ", b"eyJ.", b"eyJ..", b"eyJ" + b"a" * 20_000, b"eyJhbGciOiJub25lIn0.e30.", b"default.", b"default.a.b"),
        *(b"nobody.a.b", b"." * 8000, b"a" * 8000, b"a b c", b"a\tb", b'"', b"\\", API_KEY.encode() + b"a"),
    ],
)
def test_weird_credentials_are_401(address: Address, ticket: str, credentials: bytes) -> None:
    bodies = {route: PARTS if route.endswith("/parts") else {} for route in routes_with_a_body(ticket)}
    replies = [post(address, route, body, authorization=credentials) for route, body in bodies.items()]
    assert [refused(reply) for reply in replies] == ["unauthenticated"] * len(replies)
    assert [reply.one("www-authenticate") for reply in replies] == ["Bearer"] * len(replies)


@pytest.mark.threat(41)
def test_huge_headers_are_refused_before_any_route(address: Address) -> None:
    assert refused(post(address, "/v1/uploads", UPLOAD, authorization=b"a" * 33_000)) == "headers-too-large"
    assert refused(post(address, "/v1/uploads", UPLOAD, b"Cookie: " + b"a=b; " * 10_000)) == "headers-too-large"
    assert refused(post(address, "/v1/uploads", UPLOAD, *[b"X: y"] * 200)) == "headers-too-large"
