"""Replies of the store that never reach us, though it did its work: whoever completes is told that it is stored."""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import pytest

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import State
from gateway.s3.clients import Patience
from gateway.s3.parts import MIN_PART
from gateway.s3.s3_storage import S3Storage
from gateway.uploads import Outcome, Uploads
from tests.faults.proxy import Proxy, Treatment, cut, instead, proxied
from tests.faults.store import answer, error, hang, raw, reset
from tests.s3.subjects import Subject, on_server, place_of, session_of
from tests.servers.s3 import S3Server

TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
LINE = b"a line of a text that is large enough to come in parts\n"
TEXT = LINE * (MIN_PART // len(LINE) + 100)
IMPATIENCE = Patience(threads=4, copy_read=0.5, read=1)
ERROR_INSIDE = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>"
nonces = count()


@dataclass(frozen=True, slots=True)
class Gateway:
    """The use cases through a proxy and without one, and what a client does."""

    proxy: Proxy
    spoiled: Uploads
    whole: Uploads
    client: Subject
    server: S3Server

    async def upload(self) -> Ticket:
        """Get a ticket and send its parts."""
        now = int(time.time())
        key = ObjectKey("default", "texts", secrets.token_hex(16), "txt")
        grant = Grant("alice", key, "text/plain", len(TEXT), None, Filename("a.txt"), {}, now, now + 3600)
        ticket = await self.whole.create_multipart(grant, part_size=MIN_PART)
        for number, body in enumerate((TEXT[:MIN_PART], TEXT[MIN_PART:]), 1):
            self.client.upload_part(key.upload_key, ticket.divided().upload_id, number, body, False)  # noqa: FBT003 - see Subject
        return ticket

    async def is_stored(self, ticket: Ticket, told: Outcome) -> None:
        """Check that what was told is true, and told alike ever after; and that nothing lies about."""
        assert self.proxy.spoiled()
        assert told.state is State.STORED
        assert told.stored is not None
        assert (told.stored.key, told.stored.size) == (ticket.grant.key, len(TEXT))
        assert await self.spoiled.complete(ticket) == await self.whole.complete(ticket) == told
        assert await self.whole.status(ticket) == told
        s3, bucket = self.server.s3(), self.server.bucket
        assert s3.get_object(Bucket=bucket, Key=ticket.grant.key.key)["Body"].read() == TEXT
        for key in (ticket.grant.key.upload_key, ticket.grant.key.key):
            assert s3.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []) == []


@pytest.fixture(params=["ministack", "localstack"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    server: S3Server = request.getfixturevalue(request.param)
    session = session_of(server.region, server.access_key_id, server.secret_access_key)
    with proxied(server.endpoint) as proxy:
        place = place_of(server)
        through = S3Storage(session, replace(place, endpoint=proxy.endpoint), IMPATIENCE)
        direct = S3Storage(session, place)
        try:
            yield Gateway(proxy, uploads_of(through), uploads_of(direct), on_server(server, direct, ""), server)
        finally:
            through.close()
            direct.close()


def uploads_of(storage: S3Storage) -> Uploads:
    """Promote by parts what has more than one of them."""
    return Uploads(storage, TOKENS, lambda: f"nonce-{next(nonces)}", copy_threshold=MIN_PART)


LOST: dict[str, Sequence[Treatment]] = {
    "cut off": [cut(20)],
    "cut off before its body": [instead(raw(b"HTTP/1.1 200 OK\r\n\r\n"))],
    "reset": [instead(reset)],
    "late": [instead(hang)],
    "200 with an error body": [instead(answer(200, ERROR_INSIDE))],
    "NoSuchUpload": [instead(error(404, "NoSuchUpload"))],
    "412": [instead(error(412, "PreconditionFailed"))],
    "409": [instead(error(409, "ConditionalRequestConflict"))],
    "500 and then 412": [instead(error(500, "InternalError")), instead(error(412, "PreconditionFailed"))],
}
every_loss = pytest.mark.parametrize("treatments", LOST.values(), ids=LOST)
every_joining = pytest.mark.parametrize(
    "which", ["/incoming/.*uploadId=", "/objects/.*uploadId="], ids=["assembly", "promotion"]
)


@every_joining
@every_loss
async def test_parts_whose_joining_was_not_told_are_stored(
    gateway: Gateway, which: str, treatments: Sequence[Treatment]
) -> None:
    ticket = await gateway.upload()
    gateway.proxy.spoil("POST", which, *treatments)
    told = await gateway.spoiled.complete(ticket)
    await gateway.is_stored(ticket, told)


@every_joining
async def test_parts_whose_joining_is_never_told_are_stored_the_next_time(gateway: Gateway, which: str) -> None:
    ticket = await gateway.upload()
    gateway.proxy.spoil("POST", which, *[instead(answer(200, ERROR_INSIDE))] * IMPATIENCE.attempts)
    with pytest.raises(Refusal) as refused:
        await gateway.spoiled.complete(ticket)
    assert refused.value.code is Code.STORAGE_UNAVAILABLE
    told = await gateway.spoiled.complete(ticket)
    await gateway.is_stored(ticket, told)


@pytest.mark.parametrize(
    ("method", "which"),
    [
        ("HEAD", "/incoming/"),
        ("HEAD", "/objects/"),
        ("GET", "/incoming/"),
        ("GET", "uploadId="),
        ("GET", "prefix="),
        ("POST", r"\?uploads"),
        ("PUT", "partNumber="),
        ("PUT", "/incoming/"),
    ],
    ids=["look", "look at the target", "proof", "parts", "uploads", "new upload", "copy of a part", "marker"],
)
async def test_any_other_answer_may_be_lost_on_the_way(gateway: Gateway, method: str, which: str) -> None:
    ticket = await gateway.upload()
    gateway.proxy.spoil(method, which, instead(reset))
    told = await gateway.spoiled.complete(ticket)
    await gateway.is_stored(ticket, told)
