"""What an application is told of a marker: the same id and bytes, whoever tells it and however often."""

import asyncio
import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

import pytest

from gateway.apps import open_receipt
from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.app_tokens import AppTokens
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant, Tenant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.http import bodies
from gateway.markers import Marker, State, marker_of
from gateway.s3.storage import Head
from gateway.uploads import Uploads
from gateway.worker.announcements import Announcement, Announcer, announcement_id
from tests.gateways import APP_SECRET, SECRET_KEY
from tests.memory_storage import MemoryStorage

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z
NAME = "0123456789abcdef0123456789abcdef"
KEY = ObjectKey("default", "texts", NAME, "txt")
BODY = b"bytes of a text"
SHA256 = b64encode(sha256(BODY).digest()).decode()
GRANT = Grant("alice", KEY, "text/plain", len(BODY), SHA256, Filename("Zürich.txt"), {"a": "b"}, NOW, NOW + 3600)
IDENTITY = {
    "tenant": "default",
    "policy": "texts",
    "key": f"objects/default/texts/{NAME}.txt",
    "upload_key": f"incoming/default/texts/{NAME}.txt",
    "filename": "Zürich.txt",
    "principal": "alice",
    "metadata": {"a": "b"},
}


def tokens_of(*secret_keys: str) -> Tokens:
    app = AppTokens(Tenant("default"), [APP_SECRET.encode()])
    return Tokens([key.encode() for key in secret_keys], {"default": app})


TOKENS = tokens_of(SECRET_KEY)


class Deliveries:
    """Keeps what it is given for one tenant, in the place of the tenant's application."""

    def __init__(self, tenant: str = "default") -> None:
        self.tenant = tenant
        self.taken: list[Announcement] = []

    def hears(self, tenant: str) -> bool:
        return tenant == self.tenant

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        await asyncio.sleep(0)
        assert tenant == self.tenant
        self.taken.append(announcement)


def uploads_of(storage: MemoryStorage) -> Uploads:
    numbers = count()
    return Uploads(storage, TOKENS, lambda: f"nonce-{next(numbers)}", pause=0)


def arrive(storage: MemoryStorage, grant: Grant = GRANT, body: bytes = BODY) -> None:
    """Do what the client's presigned PUT, or its form, does."""
    metadata = {"grant": TOKENS.seal_grant_token(grant)}
    checksum = b64encode(sha256(body).digest()).decode() if grant.checksum_sha256 else None
    storage.upload(
        grant.key.upload_key, body, content_type=grant.content_type, metadata=metadata, checksum_sha256=checksum
    )


async def told(storage: MemoryStorage, key: ObjectKey = KEY, tokens: Tokens = TOKENS) -> list[Announcement]:
    """Announce the marker of an upload as the worker does, which knows the key that the event names."""
    deliveries, head = Deliveries(), storage.objects[key.state_key].head
    marker = marker_of(head)
    assert marker is not None
    named = ObjectKey.parse_upload_key(key.upload_key)
    await Announcer(storage, tokens, deliveries).announce(named, head, marker)
    return deliveries.taken


def message(announcement: Announcement) -> Any:  # noqa: ANN401 - JSON
    return json.loads(announcement.body)


async def rejected(storage: MemoryStorage, grant: Grant = GRANT) -> None:
    with pytest.raises(Refusal):
        await uploads_of(storage).complete(Ticket(grant))


async def test_a_stored_upload_is_announced_as_the_api_describes_it() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    outcome = await uploads_of(storage).complete(Ticket(GRANT))
    (announcement,) = await told(storage)
    stored = outcome.stored
    assert stored is not None
    receipt = bodies.receipt(TOKENS, stored, NOW)
    assert message(announcement) == {
        "type": "upload.stored",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {
            **IDENTITY,
            "size": len(BODY),
            "content_type": "text/plain",
            "checksum_sha256": SHA256,
            "checksum_type": "full",
            "etag": stored.etag,
            "stored_at": "2027-01-15T08:00:00Z",
            "receipt": receipt,
        },
    }
    assert message(announcement)["data"].items() >= json.loads(json.dumps(bodies.stored(stored))).items()
    assert open_receipt(receipt, [APP_SECRET], clock=lambda: NOW).key == KEY
    assert (announcement.type, announcement.timestamp) == ("upload.stored", NOW)


async def test_a_rejected_upload_is_announced_with_its_problem() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage, body=b"<script>alert()")
    await rejected(storage, replace(GRANT, checksum_sha256=None))
    (announcement,) = await told(storage)
    assert message(announcement) == {
        "type": "upload.rejected",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {
            **IDENTITY,
            "content_type": "text/plain",
            "size": len(BODY),
            "problem": {"code": "active-content", "detail": Code.ACTIVE_CONTENT.sentence},
        },
    }


async def test_a_size_that_nobody_counted_is_not_told() -> None:
    storage, grant = MemoryStorage(NOW), replace(GRANT, exact=False, checksum_sha256=None)
    arrive(storage, grant, b"\x7fELF")
    await rejected(storage, grant)
    (announcement,) = await told(storage)
    assert message(announcement)["data"]["size"] is None


async def test_a_deletion_is_announced_with_what_was_granted() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).complete(Ticket(GRANT))
    storage.now += 60
    await uploads_of(storage).delete(KEY)
    (announcement,) = await told(storage)
    assert message(announcement) == {"type": "object.deleted", "timestamp": "2027-01-15T08:01:00Z", "data": IDENTITY}


async def test_a_deletion_is_announced_where_nothing_tells_what_was_granted() -> None:
    storage = MemoryStorage(NOW)
    await uploads_of(storage).delete(KEY)
    (announcement,) = await told(storage)
    assert message(announcement) == {
        "type": "object.deleted",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {**IDENTITY, "filename": None, "principal": None, "metadata": None},
    }


async def test_an_aborted_upload_is_not_announced() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).abort(Ticket(GRANT))
    assert await told(storage) == []


async def test_what_is_gone_before_it_is_told_is_announced_as_deleted_alone() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).complete(Ticket(GRANT))
    stored = storage.objects[KEY.upload_key].head
    await uploads_of(storage).delete(KEY)
    deliveries = Deliveries()
    announcer = Announcer(storage, TOKENS, deliveries)
    await announcer.announce(KEY, stored, Marker(State.STORED))
    assert deliveries.taken == []
    assert [each.type for each in await told(storage)] == ["object.deleted"]


async def test_a_repeat_is_the_same_to_the_byte() -> None:
    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).complete(Ticket(GRANT))
    first = await told(storage)
    storage.now += 86_400
    assert await told(storage, tokens=tokens_of(SECRET_KEY)) == first


def test_the_id_is_a_hash_of_type_and_upload_key_and_never_changes() -> None:
    other = replace(KEY, tenant="other")
    ids = [announcement_id(kind, key) for kind in ("upload.stored", "object.deleted") for key in (KEY, other)]
    expected = sha256(f"upload.stored incoming/default/texts/{NAME}.txt".encode()).hexdigest()
    assert ids[0] == f"msg_{expected[:32]}" == "msg_22b62decdfaeb4a901e1dc2b17c00ebc"
    assert len(set(ids)) == 4


async def test_uploads_of_one_content_are_announced_each_under_the_one_object() -> None:
    storage, content = MemoryStorage(NOW), sha256(BODY).hexdigest()
    taken = []
    for principal, name in (("alice", "a" * 32), ("bob", "b" * 32)):
        grant = replace(GRANT, principal=principal, key=ObjectKey("default", "texts", content, "txt", name))
        arrive(storage, grant)
        await uploads_of(storage).complete(Ticket(grant))
        taken += await told(storage, grant.key)
    keys = [(each["data"]["key"], each["data"]["upload_key"]) for each in map(message, taken)]
    assert keys == [
        (f"objects/default/texts/{content}.txt", f"incoming/default/texts/{name * 32}.txt") for name in "ab"
    ]
    assert len({each.id for each in taken}) == 2


async def test_what_came_by_a_form_is_announced_by_the_marker_over_its_claim() -> None:
    storage, key = MemoryStorage(NOW), replace(KEY, name=f"{NAME}form")
    grant = replace(GRANT, key=key, checksum_sha256=None, exact=False)
    arrive(storage, grant)
    await uploads_of(storage).complete(Ticket(grant))
    (announcement,) = await told(storage, key)
    assert (
        message(announcement)["data"].items()
        >= {
            "key": f"objects/default/texts/{NAME}form.txt",
            "upload_key": f"incoming/default/texts/{NAME}form.txt",
            "filename": "Zürich.txt",
            "size": len(BODY),
        }.items()
    )


@pytest.mark.parametrize("state", [State.STORED, State.REJECTED, State.DELETED])
@pytest.mark.parametrize("grant", ["sealed with a secret that is not known here", "another upload's"])
async def test_a_grant_that_does_not_open_is_not_passed_over(grant: str, state: State) -> None:
    storage = MemoryStorage(NOW)
    await reached(storage, state)
    if grant == "another upload's":
        others = TOKENS.seal_grant_token(replace(GRANT, key=replace(KEY, name="f" * 32)))
        with_grant(storage, others)
    with pytest.raises(Refusal) as caught:
        await told(storage, tokens=TOKENS if grant == "another upload's" else tokens_of(f"another-{SECRET_KEY}"))
    assert caught.value.code is Code.NOT_FOUND
    storage = MemoryStorage(NOW)
    await reached(storage, state)
    assert len(await told(storage, tokens=tokens_of(SECRET_KEY, f"newer-{SECRET_KEY}"))) == 1


async def test_content_under_its_own_address_is_not_missed_where_the_grant_does_not_open() -> None:
    storage, key = MemoryStorage(NOW), replace(KEY, name=sha256(BODY).hexdigest(), upload_name="a" * 32)
    grant = replace(GRANT, key=key)
    arrive(storage, grant)
    await uploads_of(storage).complete(Ticket(grant))
    with pytest.raises(Refusal, match="not-found"):
        await told(storage, key, tokens_of(f"another-{SECRET_KEY}"))


async def test_a_rejection_is_announced_where_nothing_tells_what_was_granted() -> None:
    storage = MemoryStorage(NOW)
    await reached(storage, State.REJECTED)
    with_grant(storage, None)
    (announcement,) = await told(storage)
    assert message(announcement)["data"] == {
        **IDENTITY,
        "filename": None,
        "principal": None,
        "metadata": None,
        "content_type": None,
        "size": None,
        "problem": {"code": "size-mismatch", "detail": Code.SIZE_MISMATCH.sentence},
    }


@pytest.mark.parametrize("key", [KEY, replace(KEY, name=f"{NAME}form")])
async def test_what_is_stored_is_announced_to_the_byte_as_ever_when_its_marker_is_gone(key: ObjectKey) -> None:
    storage, grant = MemoryStorage(NOW), replace(GRANT, key=key, checksum_sha256=None, exact=not key.by_form)
    arrive(storage, grant)
    await uploads_of(storage).complete(Ticket(grant))
    before = await told(storage, key)
    storage.objects = {name: stored for name, stored in storage.objects.items() if name == key.key}
    storage.now += 12 * 86_400
    deliveries = Deliveries()
    assert await Announcer(storage, TOKENS, deliveries).announce_object(ObjectKey.parse_upload_key(key.upload_key))
    assert deliveries.taken == before


async def test_where_nothing_is_stored_nothing_is_announced() -> None:
    storage, deliveries, others = MemoryStorage(NOW), Deliveries(), Deliveries("other")
    assert not await Announcer(storage, TOKENS, deliveries).announce_object(KEY)
    await reached(storage, State.STORED)
    assert await Announcer(storage, TOKENS, others).announce_object(KEY)
    assert (deliveries.taken, others.taken) == ([], [])


async def reached(storage: MemoryStorage, state: State) -> None:
    """Bring the upload to a state."""
    arrive(storage, body=b"\x7fELF" if state is State.REJECTED else BODY)
    if state is State.REJECTED:
        await rejected(storage)
        return
    await uploads_of(storage).complete(Ticket(GRANT))
    if state is State.DELETED:
        await uploads_of(storage).delete(KEY)


def with_grant(storage: MemoryStorage, token: str | None) -> None:
    """Put another grant token beside the marker, or none."""
    stored = storage.objects[KEY.upload_key]
    kept = {name: value for name, value in stored.head.metadata.items() if name != "grant"}
    metadata = kept if token is None else {**kept, "grant": token}
    storage.objects[KEY.upload_key] = replace(stored, head=replace(stored.head, metadata=metadata))


async def test_for_a_tenant_that_does_not_listen_nothing_is_asked_and_nothing_said() -> None:
    class NoStorage(MemoryStorage):
        async def head(self, key: str) -> Head | None:
            raise AssertionError(key)

    storage = MemoryStorage(NOW)
    arrive(storage)
    await uploads_of(storage).complete(Ticket(GRANT))
    deliveries = Deliveries("other")
    head = storage.objects[KEY.upload_key].head
    await Announcer(NoStorage(), TOKENS, deliveries).announce(KEY, head, Marker(State.STORED))
    assert deliveries.taken == []
