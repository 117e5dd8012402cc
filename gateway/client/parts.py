"""The parts of one upload: several at a time, each hashed first, and presigned shortly before it is sent."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from gateway.client.bodies import Body, LocalFile
from gateway.client.errors import RefusedError, unexpected
from gateway.client.patience import ATTEMPTS, pause
from gateway.client.progress import Meter
from gateway.client.values import ArrivedPart, Json, Presigned, read
from gateway.client.wire import NO_ANSWER, Wire, upload_path
from gateway.s3.parts import Plan

AT_ONCE = 4
SIGNED_AHEAD = 64 * 2**20  # bytes; a line of 1 Mbit/s sends them within the 15 minutes that a presigned part lives
ENDED = "ended"  # what an upload is called here that takes no more parts: its status tells why


class UploadEndedError(RefusedError):
    """The bucket knows no such multipart upload any more: it was completed, or aborted."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(ENDED, "This upload takes no more parts.", 404)


class PartSender:
    """Sends single parts of one upload, again where that is worth it."""

    def __init__(
        self, wire: Wire, token: str, meter: Meter, *, checksums: bool | None = True, stream: bool = False
    ) -> None:
        """Take the upload's ticket; `checksums` says whether S3 wants a SHA-256 with every part, None: nobody knows.

        Of a stream every length is stated, since nobody else knows which part is the last.
        """
        self._wire = wire
        self._token = token
        self._meter = meter
        self._checksums = checksums
        self._stream = stream

    async def presign(self, bodies: Mapping[int, Body]) -> list[Presigned]:
        """Ask for the requests of these parts, in their order; raises GatewayError."""
        if self._checksums is not None:
            return await self._ask(bodies, checksums=self._checksums)
        # The gateway tells of an upload that needs them; of one that takes none only S3 would, by refusing the bytes.
        try:
            signed = await self._ask(bodies, checksums=False)
        except RefusedError as refused:
            if refused.code != "checksum-required":
                raise
            signed = await self._ask(bodies, checksums=True)
            self._checksums = True
        else:
            self._checksums = False
        return signed

    async def _ask(self, bodies: Mapping[int, Body], *, checksums: bool) -> list[Presigned]:
        wanted: dict[str, object] = {"part_numbers": list(bodies)}
        if checksums:
            wanted["checksums_sha256"] = {str(number): await body.sha256() for number, body in bodies.items()}
        if self._stream:
            wanted["sizes"] = {str(number): body.size for number, body in bodies.items()}
        try:
            answer = await self._wire.ask("POST", f"{upload_path(self._token)}/parts", wanted, authorized=False)
        except RefusedError as refused:
            if self._stream and refused.code == "invalid-request":  # such a part lies beyond what was granted
                raise RefusedError("too-large", "This is more than the policy takes.", refused.status) from None
            raise
        signed = read(_presigned, answer)
        if len(signed) != len(bodies):
            raise unexpected()
        return signed

    async def send(self, number: int, body: Body, request: Presigned) -> None:
        """Send one part until it is there, with a fresh signature each time; raises GatewayError."""
        for attempt in range(1, ATTEMPTS + 1):
            answer = await self._wire.put(request, body, self._meter.begin(number))
            if answer.stored or (answer.unclear and await self._has_arrived(number, body.size)):
                self._meter.settle(number, body.size)
                return
            if answer.code == "NoSuchUpload":
                raise UploadEndedError
            if attempt == ATTEMPTS or not (answer.unclear or answer.expired):
                break
            await pause(attempt, answer.retry_after, answered=answer.status != NO_ANSWER)
            (request,) = await self.presign({number: body})
        raise answer.refusal()

    async def _has_arrived(self, number: int, size: int) -> bool:
        status = await self._wire.status(self._token)
        if status.state not in {"waiting", "uploading"}:
            raise UploadEndedError
        return any(part.number == number and part.size == size for part in status.parts)


class FileParts:
    """The parts of a file that have not arrived yet."""

    def __init__(self, sender: PartSender, file: LocalFile, plan: Plan, arrived: Collection[int]) -> None:
        """Divide the file by the plan, and leave out what has arrived."""
        self._sender = sender
        self._file = file
        self._plan = plan
        self._missing: Iterator[int] = (number for number in range(1, plan.part_count + 1) if number not in arrived)
        self._signed: deque[tuple[int, Body, Presigned]] = deque()
        self._turn = asyncio.Lock()

    async def send(self) -> None:
        """Send all of them, several at a time; raises the first GatewayError."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(AT_ONCE):
                    workers.create_task(self._work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled, or failed alike

    async def _work(self) -> None:
        while part := await self._next():
            await self._sender.send(*part)

    async def _next(self) -> tuple[int, Body, Presigned] | None:
        async with self._turn:
            if not self._signed:
                bodies = dict(self._some())
                if not bodies:
                    return None
                signed = await self._sender.presign(bodies)
                self._signed.extend(zip(bodies, bodies.values(), signed, strict=True))
            return self._signed.popleft()

    def _some(self) -> Iterator[tuple[int, Body]]:
        for number in islice(self._missing, max(1, SIGNED_AHEAD // self._plan.part_size)):
            yield number, self._file.slice((number - 1) * self._plan.part_size, self._plan.part(number))


def whole_parts(plan: Plan, arrived: Iterable[ArrivedPart]) -> dict[int, int]:
    """Return the size by number of the parts that have arrived as the plan has them."""
    return {
        part.number: part.size
        for part in arrived
        if 1 <= part.number <= plan.part_count and part.size == plan.part(part.number)
    }


def _presigned(answer: Json) -> list[Presigned]:
    return [Presigned.read(part) for part in answer["parts"]]
