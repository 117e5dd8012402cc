"""A gateway and a bucket in one small process, which speak just enough of both and keep no byte: for measuring clients.

It is told on standard output where it listens. What it says of an upload is true: the sizes that arrived, and the
SHA-256 that was signed for each part is compared with what came.
"""

import asyncio
import base64
import hashlib
import json
from typing import Any

PART = 8 * 2**20  # bytes
CHUNK = 2**18  # bytes


class Sink:
    """One upload at a time."""

    def __init__(self) -> None:
        self.url = ""
        self.size: int | None = None
        self.arrived: dict[int, int] = {}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                method, target = head.split(" ", 2)[:2]
                headers = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
                status, body = await self.answer(method, target, int(headers.get("content-length", 0)), head, reader)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(
        self, method: str, target: str, length: int, head: str, reader: asyncio.StreamReader
    ) -> tuple[int, bytes]:
        if target.startswith("/bucket/"):
            return await self.take(int(target.rpartition("/")[2]), length, head, reader), b""
        wanted = json.loads(await reader.readexactly(length) or b"{}")
        return (201 if target == "/v1/uploads" else 200), json.dumps(self.told(method, target, wanted)).encode()

    async def take(self, number: int, length: int, head: str, reader: asyncio.StreamReader) -> int:
        digest, left = hashlib.sha256(), length
        while left and (piece := await reader.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
        if base64.b64encode(digest.digest()).decode() not in head:
            return 400
        self.arrived[number] = length
        return 200

    def told(self, method: str, target: str, wanted: dict[str, Any]) -> dict[str, Any]:
        if target == "/v1/uploads":
            self.size = wanted["size"]
            self.arrived.clear()
            return {"ticket": "t", "upload": None, "multipart": {"part_size": PART}}
        if target.endswith("/parts"):
            return {"parts": [self.part(number, wanted) for number in wanted["part_numbers"]]}
        parts = [{"part_number": number, "size": size, "etag": '"e"'} for number, size in self.arrived.items()]
        if method == "GET":
            return self.status("uploading", parts)
        return self.status("stored", parts)

    def part(self, number: int, wanted: dict[str, Any]) -> dict[str, Any]:
        checksum = wanted["checksums_sha256"][str(number)]
        return {"method": "PUT", "url": f"{self.url}/bucket/{number}", "headers": {"x-amz-checksum-sha256": checksum}}

    def status(self, state: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        found = {
            "key": "objects/default/default/0123456789abcdef0123456789abcdef.bin",
            "size": sum(self.arrived.values()),
            "content_type": "application/octet-stream",
            "filename": "large.bin",
            "checksum_sha256": None,
            "checksum_type": None,
            "etag": '"e"',
            "principal": "key:aaaaaaaa",
            "metadata": {},
            "stored_at": "2026-11-21T02:00:00Z",
        }
        stored = found if state == "stored" else None
        told = {"object": stored, "receipt": "r", "link": "l", "problem": None, "retry_after": None}
        return {"status": state, "parts": parts, **told}


async def serve() -> None:
    sink = Sink()
    server = await asyncio.start_server(sink.handle, "127.0.0.1", 0, limit=CHUNK)
    sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(sink.url, flush=True)  # noqa: T201 - how the test learns of it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
