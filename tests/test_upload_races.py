"""Completions, abort, delete and a client that writes again, interleaved at every call to the bucket.

Whatever the order, by a single PUT, in parts or by a form: an object never changes after it first exists, never comes
back after it was deleted, holds only what its client has sent, and what a completion answered is true.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any, Protocol

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.assembly import ClaimedPart
from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.markers import State, marker_of
from gateway.s3.bucket import Bucket
from gateway.s3.clients import Place
from gateway.s3.credentials import open_session
from gateway.s3.endpoints import Endpoint
from gateway.s3.s3_storage import S3Storage
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import ArrivedPart, Changed, Gone, Head, Page, Storage, UnfinishedPage
from gateway.uploads import Outcome, Uploads
from tests.memory_storage import MemoryStorage
from tests.servers.s3 import S3Server

NOW = 1_800_000_000
TOKENS = Tokens([b"a-secret-key-of-the-gateway-32-bytes-or-more"], {})
GOOD, OTHER, BAD = b"first", b"other", b"\x00\x01\x02\x03\x04"
PART_SIZE = 3  # bytes; neither store of these tests asks for 5 MiB
PARTS = {1: [b"fir", b"oth", b"\x00\x01\x02"], 2: [b"st", b"er"]}
NAMES = iter(f"{number:032x}" for number in range(1 << 30))


class Store(Protocol):
    """A bucket, the storage that calls it, and the client that holds what was presigned."""

    @property
    def storage(self) -> Storage: ...

    def grant(self) -> Grant:
        """Grant an upload of five bytes of text, of any content."""

    async def put(self, grant: Grant, body: bytes) -> None:
        """Do what the client does with its presigned PUT; the bucket may refuse because the key is taken."""

    async def put_part(self, ticket: Ticket, number: int, body: bytes) -> None:
        """Do what the client does with a presigned part; the bucket may refuse because the upload is gone."""

    async def post(self, grant: Grant, body: bytes) -> None:
        """Do what the client does with its presigned form, which no bucket refuses as long as it lives."""

    async def content(self, key: str) -> bytes | None:
        """Return an object's bytes; None when there is none."""


class MemoryStore:
    def __init__(self) -> None:
        self.storage = MemoryStorage(NOW, min_part=1)

    def grant(self) -> Grant:
        return a_grant(NOW)

    async def put(self, grant: Grant, body: bytes) -> None:
        metadata = {"grant": TOKENS.seal_grant(grant)[1]}
        with suppress(Changed):
            self.storage.upload(grant.key.upload_key, body, content_type=grant.content_type, metadata=metadata)

    async def put_part(self, ticket: Ticket, number: int, body: bytes) -> None:
        with suppress(Gone):
            self.storage.upload_part(ticket.grant.key.upload_key, ticket.divided().upload_id, number, body)

    async def post(self, grant: Grant, body: bytes) -> None:
        self.storage.objects.pop(grant.key.upload_key, None)
        await self.put(grant, body)

    async def content(self, key: str) -> bytes | None:
        head = await self.storage.head(key)
        return None if head is None else await self.storage.read(key, if_match=head.etag, size=head.size)


class RealStore:
    def __init__(self, server: S3Server) -> None:
        scheme, _, host = server.endpoint.partition("://")
        assert scheme == "http"
        self._credentials = Credentials(server.access_key_id, server.secret_access_key, None, None)
        self._bucket = Bucket(Endpoint("http", host, f"/{server.bucket}/"), server.region)
        self.storage = S3Storage(
            open_session(server.region, self._credentials),
            Place(server.bucket, server.region, server.endpoint, "path"),
        )
        self._client = httpx.Client()
        self._s3, self._name = server.s3(), server.bucket

    def grant(self) -> Grant:
        return a_grant(int(time.time()))

    async def put(self, grant: Grant, body: bytes) -> None:
        request = self._bucket.put_object(
            grant, TOKENS.seal_grant(grant)[1], self._credentials, now=grant.issued_at, expires_in=900
        )
        answer = self._client.put(request.url, content=body, headers=dict(request.headers))
        assert answer.status_code in {200, 412}, answer.text

    async def put_part(self, ticket: Ticket, number: int, body: bytes) -> None:
        now = ticket.grant.issued_at
        part = self._bucket.parts(ticket, self._credentials, now=now, expires_in=900).part(number, len(body))
        answer = self._client.put(part.url, content=body, headers=dict(part.headers))
        assert answer.status_code in {200, 404}, answer.text

    async def post(self, grant: Grant, body: bytes) -> None:
        token, now = TOKENS.seal_grant_token(grant), grant.issued_at
        form = self._bucket.form(grant, token, self._credentials, now=now, expires_in=900)
        answer = self._client.post(form.url, data=dict(form.fields), files={"file": body})
        assert answer.status_code == 201, answer.text

    async def content(self, key: str) -> bytes | None:
        try:
            return self._s3.get_object(Bucket=self._name, Key=key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None

    def close(self) -> None:
        self.storage.close()
        self._client.close()
        self._s3.close()


def a_grant(issued_at: int) -> Grant:
    key = ObjectKey("default", "races", next(NAMES), "txt")
    return Grant("alice", key, "text/plain", 5, None, Filename("a.txt"), {}, issued_at, issued_at + 3600)


class Stepped:
    """A Storage whose every call waits for its turn."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.waiting = asyncio.Event()
        self.writes = 0
        self._turn = asyncio.Event()

    async def head(self, key: str) -> Head | None:
        await self._my_turn()
        return await self._storage.head(key)

    async def read(self, key: str, *, if_match: str, size: int, first: int = 0) -> bytes:
        await self._my_turn()
        return await self._storage.read(key, if_match=if_match, size=size, first=first)

    async def copy(
        self, source: str, target: str, *, if_match: str, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        await self._my_turn()
        self.writes += 1
        await self._storage.copy(source, target, if_match=if_match, content_type=content_type, metadata=metadata)

    async def put(  # noqa: PLR0913 - see Storage
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        create: bool = False,
    ) -> None:
        await self._my_turn()
        self.writes += 1
        await self._storage.put(
            key, body, content_type=content_type, metadata=metadata, if_match=if_match, create=create
        )

    async def delete(self, key: str) -> None:
        await self._my_turn()
        self.writes += 1
        await self._storage.delete(key)

    async def list(self, prefix: str, *, limit: int, after: str) -> Page:
        await self._my_turn()
        return await self._storage.list(prefix, limit=limit, after=after)

    async def create_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str], checksums: bool = False
    ) -> str:
        await self._my_turn()
        return await self._storage.create_upload(key, content_type=content_type, metadata=metadata, checksums=checksums)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[ArrivedPart]:
        await self._my_turn()
        return await self._storage.list_parts(key, upload_id)

    async def copy_part(  # noqa: PLR0913 - see Storage
        self, source: str, target: str, upload_id: str, number: int, *, if_match: str, first: int, last: int
    ) -> ArrivedPart:
        await self._my_turn()
        return await self._storage.copy_part(
            source, target, upload_id, number, if_match=if_match, first=first, last=last
        )

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[ArrivedPart]) -> None:
        await self._my_turn()
        self.writes += 1
        await self._storage.complete_upload(key, upload_id, parts)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self._my_turn()
        self.writes += 1
        await self._storage.abort_upload(key, upload_id)

    async def list_uploads(self, key: str) -> Sequence[str]:
        await self._my_turn()
        return await self._storage.list_uploads(key)

    async def list_unfinished(
        self, prefix: str, *, limit: int = 1000, after: tuple[str, str] | None = None
    ) -> UnfinishedPage:
        await self._my_turn()
        return await self._storage.list_unfinished(prefix, limit=limit, after=after)

    async def check(self) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    async def _my_turn(self) -> None:
        self.waiting.set()
        await self._turn.wait()
        self._turn.clear()

    async def step(self, task: asyncio.Task[object]) -> None:
        """Let one call through, and return when the next one waits or the task is over."""
        self.waiting.clear()
        self._turn.set()
        await self.settled(task)

    async def settled(self, task: asyncio.Task[object]) -> None:
        waiting = asyncio.create_task(self.waiting.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


class Actor:
    """One process of the gateway at work on one call."""

    def __init__(self, name: str, storage: Stepped, task: asyncio.Task[object]) -> None:
        self.name = name
        self.storage = storage
        self.task = task


class Races(RuleBasedStateMachine):
    """Hypothesis chooses who moves next, one call to the bucket at a time."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.runner = asyncio.Runner()
        self.actors: list[Actor] = []
        self.first_content: bytes | None = None
        self.deleted = False
        self.revoked = False
        self.stored = False
        self.puts = 0
        self.looked_at: tuple[object, ...] = ()

    threshold = 1 << 30

    @initialize()
    def issue(self) -> None:
        self.ticket = Ticket(self.store.grant())

    @property
    def grant(self) -> Grant:
        return self.ticket.grant

    def possible(self) -> set[bytes]:
        """Return every content that is proved and that the client has sent."""
        return {GOOD, OTHER}

    def teardown(self) -> None:
        """Let everybody finish, in turn, and look once more."""
        while any(not actor.task.done() for actor in self.actors):
            self.step(0)
        self.look()
        self.runner.close()

    def uploads(self, storage: Storage) -> Uploads:
        return Uploads(
            storage, TOKENS, lambda: f"nonce-{next(NAMES)}", copy_threshold=self.threshold, copied_part=2, pause=0
        )

    def start(self, name: str, work: Callable[[Uploads], Coroutine[Any, Any, object]]) -> None:
        async def begin() -> Actor:
            storage = Stepped(self.store.storage)
            task = asyncio.create_task(work(self.uploads(storage)))
            await storage.settled(task)
            return Actor(name, storage, task)

        self.actors.append(self.runner.run(begin()))

    @precondition(lambda self: sum(actor.name == "complete" for actor in self.actors) < 3)
    @rule()
    def start_completion(self) -> None:
        self.start("complete", lambda uploads: uploads.complete(self.ticket))

    @precondition(lambda self: all(actor.name != "abort" for actor in self.actors))
    @rule()
    def start_abort(self) -> None:
        self.start("abort", lambda uploads: uploads.abort(self.ticket))

    @precondition(lambda self: all(actor.name != "delete" for actor in self.actors))
    @rule()
    def start_deletion(self) -> None:
        self.start("delete", lambda uploads: uploads.delete(self.grant.key))

    @precondition(lambda self: any(not actor.task.done() for actor in self.actors))
    @rule(choice=st.integers(min_value=0, max_value=9))
    def step(self, choice: int) -> None:
        busy = [actor for actor in self.actors if not actor.task.done()]
        actor = busy[choice % len(busy)]
        self.runner.run(actor.storage.step(actor.task))
        if actor.task.done():
            self.finish(actor)

    def finish(self, actor: Actor) -> None:
        error = actor.task.exception()
        if error is None:
            outcome = actor.task.result()
            self.deleted |= actor.name == "delete"
            # An abort that meets a deletion under way has nothing left to do, and says so at once.
            self.revoked |= actor.name == "abort" and not self.deletion_began()
            assert not (self.stored and self.revoked), "aborted after a completion answered stored"
            if isinstance(outcome, Outcome) and outcome.state is State.STORED:
                assert not self.revoked, "stored after an abort was answered"
                self.stored = True
                assert self.content() is not None or self.deletion_began(), "stored, and not there"
        else:
            assert isinstance(error, Refusal), error
            assert error.code in {Code.NOT_UPLOADED, Code.CONTENT_MISMATCH, Code.ALREADY_STORED}, error.code

    def deletion_began(self) -> bool:
        return any(actor.name == "delete" for actor in self.actors)

    def content(self) -> bytes | None:
        return self.runner.run(self.store.content(self.grant.key.key))

    @invariant()
    def what_is_there_is_as_it_should_be(self) -> None:
        """Look whenever somebody has written or was answered: in between, nothing can be otherwise than it was."""
        writes = self.puts + sum(actor.storage.writes for actor in self.actors)
        now = writes, self.stored, self.deleted, self.revoked
        if writes and now != self.looked_at:
            self.looked_at = now
            self.look()

    def look(self) -> None:
        self.an_object_never_changes_and_never_comes_back()
        self.a_key_is_never_freed_and_its_last_word_stands()

    def an_object_never_changes_and_never_comes_back(self) -> None:
        content = self.content()
        if content is None:
            return
        assert content in self.possible(), "bytes are served that were not proved, or not sent"
        assert self.first_content in {None, content}, "an object changed"
        assert not self.deleted, "a deleted object came back"
        assert not self.revoked, "an aborted upload is served"
        self.first_content = content

    def a_key_is_never_freed_and_its_last_word_stands(self) -> None:
        if not (self.stored or self.deleted or self.revoked):
            return
        head = self.runner.run(self.store.storage.head(self.grant.key.state_key))
        assert head is not None, "a key was freed"
        marker = marker_of(head)
        assert marker is not None, "a marker was overwritten"
        if self.deletion_began():
            assert marker.state is State.DELETED or not self.deleted, "deleted, and the marker says otherwise"
        else:
            # An abort that meets a rejected upload has nothing left to revoke.
            assert marker.state in ({State.ABORTED, State.REJECTED} if self.revoked else {State.STORED})


class ByPut(Races):
    """The client has a presigned PUT, and uses it again and again."""

    @rule(body=st.sampled_from([GOOD, OTHER, BAD]))
    def put(self, body: bytes) -> None:
        self.puts += 1
        self.runner.run(self.store.put(self.grant, body))


class InParts(Races):
    """The client has a presigned request for each part; what it names as sent may be out of date."""

    threshold = 2  # bytes, so that a promotion goes by parts as well

    @initialize()
    def issue(self) -> None:
        super().issue()
        self.sent: dict[int, set[bytes]] = {1: set(), 2: set()}
        uploads = self.uploads(self.store.storage)
        self.ticket = self.runner.run(uploads.create_multipart(self.grant, part_size=PART_SIZE))

    def possible(self) -> set[bytes]:
        joined = {b"".join(parts) for parts in product(*self.sent.values())}
        return {content for content in joined if b"\0" not in content}

    @rule(part=st.sampled_from([(number, body) for number, bodies in PARTS.items() for body in bodies]))
    def put_part(self, part: tuple[int, bytes]) -> None:
        number, body = part
        self.puts += 1
        self.sent[number].add(body)
        self.runner.run(self.store.put_part(self.ticket, number, body))

    @precondition(lambda self: sum(actor.name == "complete" for actor in self.actors) < 3)
    @rule()
    def start_completion_of_what_is_named(self) -> None:
        outcome = self.runner.run(self.uploads(self.store.storage).status(self.ticket))
        claimed = [ClaimedPart(part.number, part.etag.strip('"')) for part in outcome.parts]
        self.start("complete", lambda uploads: uploads.complete(self.ticket, claimed or None))

    @rule()
    def ask(self) -> None:
        """Whoever asks at whatever moment is answered, and what is said to have arrived was sent."""
        outcome = self.runner.run(self.uploads(self.store.storage).status(self.ticket))
        assert {part.number for part in outcome.parts} <= {number for number, bodies in self.sent.items() if bodies}
        assert outcome.state is not State.STORED or self.content() is not None


class ByForm(Races):
    """The client has a form, which it can post again, over whatever lies there."""

    @initialize()
    def issue(self) -> None:
        super().issue()
        grant = self.grant
        key = replace(grant.key, name=f"{grant.key.name}form")
        self.ticket = Ticket(replace(grant, key=key, exact=False))

    @rule(body=st.sampled_from([GOOD, OTHER, BAD]))
    def post(self, body: bytes) -> None:
        self.puts += 1
        self.runner.run(self.store.post(self.grant, body))


def over(way: type[Races], store: Callable[[], Store]) -> type[Races]:
    """Return the machine over a store, as hypothesis makes it anew for each example."""
    return type(way.__name__, (way,), {"__init__": lambda self: way.__init__(self, store())})


WAYS = pytest.mark.parametrize("way", [ByPut, InParts, ByForm])


@pytest.mark.threat(2, 3, 33, 34)
@WAYS
def test_no_order_of_calls_changes_or_revives_an_object_in_memory(way: type[Races]) -> None:
    run_state_machine_as_test(
        over(way, MemoryStore), settings=settings(max_examples=300, stateful_step_count=50, deadline=None)
    )


@pytest.fixture
def real_store(ministack: S3Server) -> Iterator[RealStore]:
    store = RealStore(ministack)
    yield store
    store.close()


@pytest.mark.threat(2, 3, 33, 34)
@WAYS
def test_no_order_of_calls_changes_or_revives_an_object_in_a_bucket(way: type[Races], real_store: RealStore) -> None:
    run_state_machine_as_test(
        over(way, lambda: real_store),
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
