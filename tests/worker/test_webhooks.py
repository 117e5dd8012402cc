"""One POST over real TLS to where it may go and nowhere else, within bounds, whatever the receiver does."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from socket import gaierror
from typing import Any

import pytest
from standardwebhooks import Webhook

from gateway.apps import verify_webhook
from gateway.grants.tickets import Ticket
from gateway.markers import Marker, State
from gateway.standard_webhooks import TOLERANCE
from gateway.worker.announcements import Announcement, Announcer, announcement_id
from gateway.worker.names import Names
from gateway.worker.webhooks import MAX_REPLY, Resolve, Target, Unanswered, Undelivered, Webhooks, configured
from tests.gateways import API_KEY, APP_SECRET, settings, tenant
from tests.http.routes.flow import NOWHERE
from tests.memory_storage import MemoryStorage
from tests.servers.receivers import (
    Answer,
    CertificateAuthority,
    Receiver,
    WithoutEnd,
    receiving,
    reset,
    silence,
    status,
)
from tests.worker.test_announcements import GRANT, KEY, TOKENS, arrive, uploads_of
from tests.worker.test_targets import SPELLINGS

NOW = 1_800_000_000
HOST = "hooks.example"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWER_SECRET = "whsec_bmV3ZXItc2VjcmV0LW9mLTI0LWJ5dGVzISEh"
MESSAGE = Announcement("msg_1", "upload.stored", NOW, b'{"type":"upload.stored"}')
LOOPBACK = "127.0.0.1/32"
PATIENT = 60.0  # seconds: as good as none, on any machine
REFUSED = "not a public address, and in none of GATEWAY_WEBHOOK_NETWORKS"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@dataclass(slots=True)
class Resolver:
    """Answers with each of the `answers` in turn, then with the last for ever, and counts."""

    answers: Sequence[Sequence[str]] = (("127.0.0.1",),)
    asked: int = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@asynccontextmanager
async def listening(authority: CertificateAuthority, name: str = HOST) -> AsyncIterator[Receiver]:
    async with receiving(authority.serve_as(name)) as receiver:
        yield receiver


def webhooks(authority: CertificateAuthority, url: str, **more: Any) -> Webhooks:  # noqa: ANN401 - as Webhooks takes them
    networks = [ip_network(network) for network in more.pop("networks", [LOOPBACK])]
    target = Target(url, more.pop("secrets", [SECRET]))
    given = {"resolve": Resolver(), "tls": authority.trust(), "deadline": PATIENT, **more}
    return Webhooks({"default": target}, given.pop("clock", lambda: NOW), networks=networks, **given)


async def undelivered(deliveries: Webhooks) -> str:
    with pytest.raises(Undelivered) as caught:
        await deliveries.deliver("default", MESSAGE)
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_an_announcement_comes_as_one_signed_post(authority: CertificateAuthority) -> None:
    async with listening(authority) as receiver:
        await webhooks(authority, f"https://{HOST}:{receiver.port}/hook?of=files").deliver("default", MESSAGE)
        (received,) = receiver.received
    assert (received.line, received.body, received.server_name) == (
        "POST /hook?of=files HTTP/1.1",
        MESSAGE.body,
        HOST,
    )
    assert received.headers == {
        "host": f"{HOST}:{receiver.port}",
        "accept": "*/*",
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(MESSAGE.body)),
        "user-agent": "signed-url-gateway",
        "accept-encoding": "identity",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": "v1,DhXSX0WVbt34YDZZYMEd9WgwXNTGd8c8hoiZTdurePI=",
    }


async def test_what_we_send_the_reference_library_takes_with_the_old_secret_and_the_new(
    authority: CertificateAuthority,
) -> None:
    async with listening(authority) as receiver:
        url = f"https://{HOST}:{receiver.port}"
        sender = webhooks(authority, url, secrets=[SECRET, NEWER_SECRET], clock=time.time)
        await sender.deliver("default", MESSAGE)
        (received,) = receiver.received
    first, second = received.headers["webhook-signature"].split()
    for secret, alone in ((NEWER_SECRET, first), (SECRET, second)):
        for signatures in (f"{first} {second}", alone):
            headers = {**received.headers, "webhook-signature": signatures}
            assert Webhook(secret).verify(received.body, headers) == {"type": "upload.stored"}


async def test_each_attempt_is_signed_anew_under_the_same_id(authority: CertificateAuthority) -> None:
    times = count(NOW, 3600)
    async with listening(authority) as receiver:
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}", clock=lambda: float(next(times)))
        for _ in range(2):
            await sender.deliver("default", MESSAGE)
        sent = [(each.headers["webhook-id"], each.headers["webhook-timestamp"]) for each in receiver.received]
        signatures = {each.headers["webhook-signature"] for each in receiver.received}
    assert sent == [("msg_1", str(NOW)), ("msg_1", str(NOW + 3600))]
    assert len(signatures) == 2


async def test_what_was_stored_reaches_the_application_which_can_prove_it(authority: CertificateAuthority) -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).complete(Ticket(GRANT))
    marker = storage.objects[KEY.upload_key].head
    async with listening(authority) as receiver:
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}", clock=lambda: NOW + TOLERANCE)
        await Announcer(storage, TOKENS, sender).announce(KEY, marker, Marker(State.STORED))
        (received,) = receiver.received
    told = verify_webhook(received.body, received.headers, [SECRET], clock=lambda: NOW)
    assert (told.id, told.type, told.timestamp) == (announcement_id("upload.stored", KEY), "upload.stored", NOW)
    assert (told.data["key"], told.data["metadata"]) == (KEY.key, {"a": "b"})


@pytest.mark.parametrize("line", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_any_2xx_is_a_delivery(authority: CertificateAuthority, line: str) -> None:
    async with listening(authority) as receiver:
        receiver.answer = status(line, body=b"" if line.startswith("204") else b"thanks")
        await webhooks(authority, f"https://{HOST}:{receiver.port}").deliver("default", MESSAGE)
        assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "line", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "429 Too Many", "500 Oops", "503 Later"]
)
async def test_any_other_answer_is_to_be_tried_again(
    authority: CertificateAuthority, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(authority) as receiver:
        receiver.answer = status(line, body=b"a secret of the receiver")
        assert await undelivered(webhooks(authority, f"https://{HOST}:{receiver.port}")) == f"answered {line[:3]}"
    assert "secret" not in caplog.text


async def test_a_receiver_that_is_gone_for_good_is_not_tried_again(
    authority: CertificateAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with listening(authority) as receiver:
        receiver.answer = status("410 Gone", body=b"a secret of the receiver")
        await webhooks(authority, f"https://{HOST}:{receiver.port}/secret-path").deliver("default", MESSAGE)
    assert caplog.messages == ["The webhook of tenant default answers 410 Gone: msg_1 is dropped"]


@pytest.mark.threat(31)
@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_no_redirect_is_followed(authority: CertificateAuthority, line: str) -> None:
    async with listening(authority) as receiver, receiving() as inside:
        for url in (f"http://127.0.0.1:{inside.port}/", f"https://{HOST}:{receiver.port}/again"):
            receiver.answer = status(line, f"location: {url}")
            sender = webhooks(authority, f"https://{HOST}:{receiver.port}/first")
            assert await undelivered(sender) == f"answered {line[:3]}"
        assert (inside.connections, receiver.connections) == (0, 2)


HOSTILE: dict[str, tuple[Answer, str]] = {
    "breaks off": (reset, "ReadError or RemoteProtocolError"),
    "says nothing": (silence, "TimeoutError"),
    "never ends its head": (WithoutEnd(b"HTTP/1.1 200 OK\r\nx: ", b"x" * 100), "RemoteProtocolError"),
    "drips its head": (WithoutEnd(b"HTTP/1.1 200 OK\r\nx: ", b"x", 0.05), "TimeoutError"),
    "sends 1xx for ever": (WithoutEnd(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01), "TimeoutError"),
    "speaks no HTTP": (WithoutEnd(b"a secret of the receiver\r\n\r\n", b"", 0.05), "RemoteProtocolError"),
}


@pytest.mark.threat(31)
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_receiver_costs_no_more_than_the_deadline(authority: CertificateAuthority, name: str) -> None:
    answer, reason = HOSTILE[name]
    async with listening(authority) as receiver:
        receiver.answer = answer
        deadline = 1.0 if reason == "TimeoutError" else PATIENT
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}", deadline=deadline)
        assert await undelivered(sender) in reason.split(" or ")
        if receiver.connections:  # on a slow machine there may be none within the deadline
            await receiver.over.acquire()


@pytest.mark.threat(31)
@pytest.mark.parametrize(
    ("start", "piece", "pause"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * MAX_REPLY, 0),
        (CHUNKED, b"10000\r\n" + b"x" * MAX_REPLY + b"\r\n", 0),
        (CHUNKED, b"1\r\nx\r\n", 0.05),
        (CHUNKED + b"no length\r\n", b"", 0.05),
    ],
    ids=["endless", "endless in chunks", "dripping", "broken"],
)
async def test_a_200_counts_whatever_follows_and_little_of_it_is_read(
    authority: CertificateAuthority, start: bytes, piece: bytes, pause: float
) -> None:
    async with listening(authority) as receiver:
        receiver.answer = reply = WithoutEnd(start, piece, pause)
        await webhooks(authority, f"https://{HOST}:{receiver.port}").deliver("default", MESSAGE)
        await receiver.over.acquire()  # it could not go on: we have hung up
    assert reply.sent < 256 * MAX_REPLY  # most of it waits in the buffers of the kernel, on both sides


@pytest.mark.threat(31)
@pytest.mark.parametrize("proved", ["other.example", "127.0.0.1", "example", "sub.hooks.example"])
async def test_the_certificate_is_held_against_the_name_not_the_address(
    authority: CertificateAuthority, proved: str
) -> None:
    async with listening(authority, proved) as receiver:
        reason = await undelivered(webhooks(authority, f"https://{HOST}:{receiver.port}"))
        assert reason.startswith("ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED]")
        assert "hooks.example" in reason
        assert receiver.received == []


async def test_an_authority_that_nobody_trusts_proves_nothing(authority: CertificateAuthority, tmp_path: Path) -> None:
    async with listening(CertificateAuthority(tmp_path)) as receiver:
        for tls in (authority.trust(), None):
            sender = webhooks(authority, f"https://{HOST}:{receiver.port}", tls=tls)
            assert "CERTIFICATE_VERIFY_FAILED" in await undelivered(sender)
        assert receiver.received == []


async def test_a_private_authority_is_trusted_where_the_environment_names_its_file(
    authority: CertificateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority.pem").write_bytes(authority.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with listening(authority) as receiver:
        await webhooks(authority, f"https://{HOST}:{receiver.port}", tls=None).deliver("default", MESSAGE)
        assert len(receiver.received) == 1


async def test_a_target_may_be_an_address_that_its_certificate_names(authority: CertificateAuthority) -> None:
    async with listening(authority, "127.0.0.1") as receiver:
        await webhooks(authority, f"https://127.0.0.1:{receiver.port}").deliver("default", MESSAGE)
        assert receiver.received[0].headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.threat(31)
@pytest.mark.parametrize("host", [*SPELLINGS, "[::1]", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_not_reached_however_it_is_spelt(authority: CertificateAuthority, host: str) -> None:
    async with receiving() as plain, listening(authority, "localhost") as receiver:
        for url in (f"https://{host}:{receiver.port}", f"http://{host}:{plain.port}"):
            target = Target(url, [SECRET])
            tls = authority.trust()
            sender = Webhooks({"default": target}, lambda: NOW, resolve=Names(PATIENT), tls=tls, deadline=PATIENT)
            assert await undelivered(sender) == REFUSED
        assert (receiver.connections, plain.connections) == (0, 0)


@pytest.mark.threat(31)
@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "169.254.169.254"],
        ["127.0.0.1", "::ffff:127.0.0.1"],
        ["127.0.0.1", "64:ff9b::7f00:1"],
        [],
    ],
)
async def test_one_address_that_is_not_allowed_refuses_all(authority: CertificateAuthority, answer: list[str]) -> None:
    async with listening(authority) as receiver:
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}", resolve=Resolver([answer]))
        assert await undelivered(sender) == REFUSED
        assert receiver.connections == 0


@pytest.mark.threat(31)
async def test_a_name_that_answers_otherwise_a_moment_later_changes_nothing(authority: CertificateAuthority) -> None:
    """127.0.0.1 stands for a public address here, and 127.0.0.2 for what must not be reached."""
    async with (
        listening(authority) as receiver,
        receiving(authority.serve_as(HOST), host="127.0.0.2", port=receiver.port) as inside,
    ):
        resolver = Resolver([["127.0.0.1"], ["127.0.0.2"]])
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}", resolve=resolver)
        await sender.deliver("default", MESSAGE)
        assert (resolver.asked, receiver.connections, inside.connections) == (1, 1, 0)
        assert await undelivered(sender) == REFUSED
        assert (resolver.asked, receiver.connections, inside.connections) == (2, 1, 0)


async def test_an_address_that_does_not_answer_leaves_the_next(authority: CertificateAuthority) -> None:
    async with listening(authority) as receiver:
        resolver = Resolver([["127.0.0.3", "127.0.0.1"]])
        url, networks = f"https://{HOST}:{receiver.port}", ["127.0.0.0/8"]
        await webhooks(authority, url, resolve=resolver, networks=networks).deliver("default", MESSAGE)
        assert resolver.asked == 1
        # An answer is an answer: no other address is asked after it.
        receiver.answer = status("500 Oops")
        resolver.answers = [["127.0.0.1", "127.0.0.1"]]
        assert await undelivered(webhooks(authority, url, resolve=resolver, networks=networks)) == "answered 500"
        assert receiver.connections == 2


async def test_http_is_for_this_machine_and_only_where_its_network_is_listed(authority: CertificateAuthority) -> None:
    async with receiving() as receiver:
        for host in ("127.0.0.1", "localhost"):
            await webhooks(authority, f"http://{host}:{receiver.port}").deliver("default", MESSAGE)
        assert len(receiver.received) == 2
        resolver = Resolver([["10.0.0.1"]])
        sender = webhooks(authority, "http://localhost", resolve=resolver, networks=["10.0.0.0/8"])
        assert await undelivered(sender) == "http is for this machine alone"


async def test_no_proxy_of_the_environment_is_asked(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(authority) as receiver, receiving() as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await webhooks(authority, f"https://{HOST}:{receiver.port}").deliver("default", MESSAGE)
        assert (proxy.connections, len(receiver.received)) == (0, 1)


async def nobody(host: str, port: int) -> Sequence[str]:
    raise gaierror(-2, f"Name {host} not known, port {port}")


@pytest.mark.parametrize(
    ("url", "resolve", "reason"),
    [
        (f"https://{HOST}:1", nobody, "gaierror: [Errno -2] Name hooks.example not known, port 1"),
        (f"https://{'a' * 64}.example", Names(PATIENT), "UnicodeError"),
        ("https://127.0.0.1:9", Names(PATIENT), "ConnectError: All connection attempts failed"),
    ],
)
async def test_a_target_that_cannot_be_reached_says_why(
    authority: CertificateAuthority, url: str, resolve: Resolve, reason: str
) -> None:
    assert await undelivered(webhooks(authority, url, resolve=resolve)) == reason


def test_a_name_server_that_is_silent_keeps_nobody_longer_than_the_deadline_nor_the_worker_from_its_end(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered, left = threading.Event(), threading.Event(), threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        asked.set()
        answered.wait(PATIENT)
        left.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    names = Names(0.2)

    async def worker() -> str:
        return await undelivered(webhooks(authority, f"https://{HOST}:1", resolve=names))

    try:
        assert asyncio.run(worker()) == "TimeoutError"
        assert asked.is_set()
        assert not left.is_set()  # it is still under way, and the loop has ended
    finally:
        answered.set()
        names.close()


async def test_silence_is_told_from_an_answer(authority: CertificateAuthority) -> None:
    async with listening(authority) as receiver:
        sender = webhooks(authority, f"https://{HOST}:{receiver.port}")
        for answer, kind in ((reset, Unanswered), (status("500 Oops"), Undelivered)):
            receiver.answer = answer
            with pytest.raises(Undelivered) as caught:
                await sender.deliver("default", MESSAGE)
            assert type(caught.value) is kind


def test_targets_are_those_of_the_settings_and_keep_their_secrets_to_themselves() -> None:
    webhook = {"url": "https://hooks.example/files", "secrets": [SECRET, NEWER_SECRET]}
    tenants = {
        "default": tenant(API_KEY, APP_SECRET, webhook=webhook),
        "other": tenant("gwk_bbbbbbbb_0123456789abcdef0123456789abcdef", f"other-{APP_SECRET}"),
    }
    queue = "http://127.0.0.1:4566/000000000000/events"
    found = configured(settings(NOWHERE, tenants=tenants, events_queue=queue))
    assert found == {"default": Target("https://hooks.example/files", [SECRET, NEWER_SECRET])}
    assert "whsec" not in repr(found)
    sender = Webhooks(found, lambda: NOW, resolve=Resolver(), tls=ssl.create_default_context())
    assert (sender.hears("default"), sender.hears("other"), sender.hears("")) == (True, False, False)
