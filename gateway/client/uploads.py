"""One upload from its first request to its link: asked for, sent, completed; and gone on with where it was begun."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from gateway.client.bodies import Body, LocalFile
from gateway.client.errors import FileError, GatewayError, RefusedError
from gateway.client.parts import FileParts, PartSender, UploadEndedError, whole_parts
from gateway.client.patience import ATTEMPTS, LONGEST_WAIT, pause
from gateway.client.progress import SENT_AGAIN, Meter, OnProgress, mention
from gateway.client.values import Status, Stored, Ticket
from gateway.client.wire import NO_ANSWER, Wire
from gateway.client.wishes import Wish
from gateway.s3.parts import Plan

TICKETS = 2  # the first, and a fresh one when that expired
COMPLETIONS = 600  # a gateway works on each for up to 20 s before it asks to come again
ABORT_TIMEOUT = 10.0  # seconds; what is not revoked by then ends by itself
HASHED_WHOLE = 100 * 2**20  # bytes; beyond it, policies divide files unless told otherwise, and hash parts
UNDER_WAY = frozenset({"uploaded", "promoting", "scanning"})
LOST = frozenset({"aborted", "not-uploaded"})
OPEN = frozenset({"waiting", "uploading"})


class Memory(Protocol):
    """Where the ticket of an unfinished upload is kept, so that another process can go on with it."""

    def load(self) -> str | None: ...
    def save(self, token: str) -> None: ...
    def forget(self) -> None: ...


async def upload_file(
    wire: Wire, file: LocalFile, wish: Wish, on_progress: OnProgress | None, memory: Memory | None
) -> Stored:
    """Store a file: go on where an earlier try was kept in `memory`, or else begin. Raises GatewayError."""
    token = None if memory is None else await asyncio.to_thread(memory.load)
    if memory is not None and token is not None:
        stored = await _from_memory(wire, token, file, on_progress, memory)
        if stored is not None:
            return stored
        await asyncio.to_thread(memory.forget)
    return await send_new(wire, file, wish, on_progress, memory)


async def resume_file(wire: Wire, token: str, file: LocalFile, on_progress: OnProgress | None) -> Stored:
    """Go on with an upload of which the ticket is known; raises GatewayError, also when nothing is left to do."""
    return await _go_on(wire, token, await wire.status(token), file, on_progress, checksums=None)


async def send_new(
    wire: Wire, body: LocalFile | Body, wish: Wish, on_progress: OnProgress | None, memory: Memory | None = None
) -> Stored:
    """Store bytes of which all are at hand, under a ticket of their own; raises GatewayError."""
    meter, checksum = Meter(body.size, on_progress), None
    whole = body.whole() if isinstance(body, LocalFile) else body
    if body.size < HASHED_WHOLE:
        checksum = await whole.sha256()
    for _ in range(TICKETS):
        try:
            ticket = await wish.ticket(wire, body.size, checksum)
        except RefusedError as refused:
            if refused.code != "checksum-required" or checksum is not None:
                raise
            checksum = await whole.sha256()
            ticket = await wish.ticket(wire, body.size, checksum)
        async with revoked_on_failure(wire, ticket.token, memory if ticket.part_size else None):
            if ticket.part_size is not None:
                return await _send_divided(wire, ticket.token, Plan(body.size, ticket.part_size), body, meter, memory)
            stored = await _send_single(wire, ticket, whole, meter)
        if stored is not None:
            return stored
        await wire.abort(ticket.token)
    raise RefusedError("ticket-expired", "The upload did not arrive in the time that it was given.", 403)


async def complete(wire: Wire, token: str) -> Stored:
    """Complete an upload until it is stored; raises GatewayError."""
    for _ in range(COMPLETIONS):
        try:
            status = await wire.complete(token)
        except RefusedError as refused:
            if refused.code != "content-changed":  # somebody else is at it: a later answer tells how that ended
                raise
            await pause(1)
            continue
        if status.stored is not None:
            return status.stored
        if status.state not in UNDER_WAY:
            raise status.refusal()
        await asyncio.sleep(min(status.retry_after or 1, LONGEST_WAIT))
    raise GatewayError("still-working", "The upload arrived, but to store it takes too long: ask for its status.", 504)


@asynccontextmanager
async def revoked_on_failure(wire: Wire, token: str, memory: Memory | None = None) -> AsyncIterator[None]:
    """Free what an upload holds when it fails for good; with a memory, one that may go on is left and remembered."""
    try:
        yield
    except BaseException as error:
        if memory is None or _is_final(error):
            if memory is not None:
                memory.forget()
            await _abort(wire, token)
        raise
    if memory is not None:
        await asyncio.to_thread(memory.forget)


async def _from_memory(
    wire: Wire, token: str, file: LocalFile, on_progress: OnProgress | None, memory: Memory
) -> Stored | None:
    """Go on with an upload of the caller's own; None when it can no longer be stored."""
    try:
        status = await wire.status(token, authorized=True)
    except RefusedError as refused:
        if refused.code == "not-found":  # it has expired, or is another's
            return None
        raise
    if status.stored is None and status.state not in OPEN | UNDER_WAY:
        mention(SENT_AGAIN)
        return None
    try:
        async with revoked_on_failure(wire, token, memory):
            return await _go_on(wire, token, status, file, on_progress)
    except RefusedError as refused:
        if refused.code not in LOST:
            raise
        mention(SENT_AGAIN)
        return None


async def _go_on(  # noqa: PLR0913 - which upload, how far it is, of what
    wire: Wire,
    token: str,
    status: Status,
    file: LocalFile,
    on_progress: OnProgress | None,
    *,
    checksums: bool | None = True,
) -> Stored:
    if status.stored is not None:
        return status.stored
    if status.state in UNDER_WAY:
        return await complete(wire, token)
    if status.state not in OPEN:
        raise status.refusal()
    plan = Plan.of(max(file.size, 1))
    arrived = whole_parts(plan, status.parts)
    meter = Meter(file.size, on_progress, sum(arrived.values()))
    sender = PartSender(wire, token, meter, checksums=checksums)
    return await _send_file_parts(wire, token, FileParts(sender, file, plan, arrived))


async def _send_divided(  # noqa: PLR0913, PLR0917 - which bytes, divided how, under what, told to whom
    wire: Wire, token: str, plan: Plan, body: LocalFile | Body, meter: Meter, memory: Memory | None
) -> Stored:
    sender = PartSender(wire, token, meter)
    if isinstance(body, LocalFile):
        if memory is not None:
            await asyncio.to_thread(memory.save, token)
        return await _send_file_parts(wire, token, FileParts(sender, body, plan, ()))
    # What is at hand and no file is at most the size of one part.
    (request,) = await sender.presign({1: body})
    await sender.send(1, body, request)
    return await complete(wire, token)


async def _send_file_parts(wire: Wire, token: str, parts: FileParts) -> Stored:
    try:
        await parts.send()
    except UploadEndedError:  # somebody else has completed or aborted it, or our own call whose answer was lost
        status = await wire.status(token)
        if status.stored is None and status.state not in UNDER_WAY:
            raise status.refusal() from None
    return await complete(wire, token)


async def _send_single(wire: Wire, ticket: Ticket, body: Body, meter: Meter) -> Stored | None:
    """Send the bytes until they are stored; None when the ticket expired before they arrived."""
    assert ticket.single is not None  # noqa: S101 - a ticket that has no parts
    for attempt in range(1, ATTEMPTS + 1):
        answer = await wire.put(ticket.single, body, meter.begin(1))
        if answer.stored:
            return await complete(wire, ticket.token)
        if answer.expired:
            return None
        if not answer.unclear:
            break
        status = await wire.status(ticket.token)
        if status.stored is not None:
            return status.stored
        if status.state in UNDER_WAY:
            return await complete(wire, ticket.token)
        if status.state not in OPEN:
            raise status.refusal()
        if attempt < ATTEMPTS:
            await pause(attempt, answer.retry_after, answered=answer.status != NO_ANSWER)
    raise answer.refusal()


async def _abort(wire: Wire, token: str) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ABORT_TIMEOUT):
            await wire.abort(token)


def _is_final(error: BaseException) -> bool:
    """Whether an upload that failed so can never be gone on with; a key that is no longer valid can be replaced."""
    if isinstance(error, RefusedError):
        return not error.passing and error.status not in {401, 403}
    return isinstance(error, FileError)
