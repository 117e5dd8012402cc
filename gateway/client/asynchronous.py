"""The client as coroutines, on asyncio: the one implementation."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlencode

import httpx

from gateway.client.blocks import gathered_in_background
from gateway.client.bodies import LocalFile
from gateway.client.downloads import Download, filename_of
from gateway.client.errors import FileError, RefusedError
from gateway.client.partial import unwritable
from gateway.client.progress import OnProgress
from gateway.client.publication import Publication
from gateway.client.unfinished import Unfinished
from gateway.client.uploads import resume_file, upload_file
from gateway.client.values import Downloaded, Json, Link, Object, Status, Stored, read
from gateway.client.wire import Wire
from gateway.client.wishes import Wish
from gateway.errors import Refusal
from gateway.grants.keys import ObjectKey

TIMEOUT = 60.0  # seconds that the other side may be silent; a completion answers within 20


class AsyncClient:
    """Speaks to one gateway. Use it as `async with`, or `close` it.

    `credentials` are an API key, a JWT or a pass; links are followed without any. Whatever fails raises GatewayError.
    """

    def __init__(
        self,
        url: str,
        credentials: str | None,
        *,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the gateway's address; raises ValueError for what is none."""
        self._wire = Wire(url, credentials, timeout=timeout, transport=transport)

    def __repr__(self) -> str:
        """Name the gateway, and no credentials."""
        return f"{type(self).__name__}({self._wire.url!r})"

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()

    async def upload(  # noqa: PLR0913 - what an upload may be told
        self,
        path: str | Path,
        *,
        policy: str = "default",
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
        state: str | Path | None = None,
    ) -> Stored:
        """Store a file, in parts if it is large, and verified by SHA-256 on its way.

        The type comes from the extension unless it is named. `state` is a folder in which the ticket of an unfinished
        upload is kept: the same call goes on with it, in whatever process. Without it a failed upload is revoked.
        """
        file = await asyncio.to_thread(LocalFile.find, Path(path))
        wish = Wish.of(file.path.name if filename is None else filename, content_type, policy, metadata)
        memory = None if state is None else Unfinished(Path(state), self._wire.url, file, wish)
        return await upload_file(self._wire, file, wish, progress, memory)

    async def resume(self, path: str | Path, ticket: str, *, progress: OnProgress | None = None) -> Stored:
        """Go on with a multipart upload that somebody began, of exactly this file; only what is missing is sent."""
        file = await asyncio.to_thread(LocalFile.find, Path(path))
        return await resume_file(self._wire, ticket, file, progress)

    async def publish(  # noqa: PLR0913 - what an upload may be told
        self,
        chunks: Iterable[bytes] | AsyncIterable[bytes],
        *,
        filename: str,
        content_type: str | None = None,
        policy: str = "default",
        metadata: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
    ) -> Stored:
        """Store what is being generated, part by part; a plain iterable is read in other threads, and may block."""
        publication = self.publication(
            filename=filename, content_type=content_type, policy=policy, metadata=metadata, progress=progress
        )
        async with publication:
            async with aclosing(gathered_in_background(chunks)) as blocks:
                async for block in blocks:
                    await publication.add(block)
            return await publication.finish()

    def publication(
        self,
        *,
        filename: str,
        content_type: str | None = None,
        policy: str = "default",
        metadata: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
    ) -> Publication:
        """Begin what `publish` does, for bytes that are handed over: `add` them within `async with`, then `finish`."""
        return Publication(self._wire, Wish.of(filename, content_type, policy, metadata), progress)

    async def download(self, source: str, path: str | Path, *, progress: OnProgress | None = None) -> Downloaded:
        """Fetch an object by its key or a link, go on with what an earlier try left, check it, and give it its name.

        In a folder it gets its own filename, if there is none of that name yet; a file is replaced.
        """
        is_link = source.startswith(("http://", "https://"))
        link, target = source if is_link else (await self.link(source)).url, Path(path)
        with unwritable():
            if await asyncio.to_thread(target.is_dir):
                target /= await filename_of(self._wire, link)
                if await asyncio.to_thread(target.exists) or await asyncio.to_thread(target.is_symlink):
                    raise FileError("file-exists", "A file of that name is there already: name another one.")
        return await (await asyncio.to_thread(Download, self._wire, link, target, progress)).run()

    async def link(
        self,
        key: str,
        *,
        filename: str | None = None,
        disposition: Literal["attachment", "inline"] = "attachment",
        expires_in: int | None = None,
        via: Literal["redirect", "direct"] = "redirect",
    ) -> Link:
        """Make a link to an object, which is not looked up; `expires_in` in seconds."""
        wanted = {"key": key, "filename": filename, "disposition": disposition, "expires_in": expires_in}
        answer = await self._wire.ask("POST", "/v1/links", {"links": [wanted], "via": via})
        return read(_only_link, answer)

    async def list(self, prefix: str = "") -> AsyncIterator[Object]:
        """Go through all objects whose keys begin so, relative to the tenant, page by page."""
        cursor = ""
        while True:
            query = urlencode({"prefix": prefix, "limit": 100, **({"cursor": cursor} if cursor else {})})
            page = await self._wire.ask("GET", f"/v1/objects?{query}")
            objects, cursor = read(_page, page)
            for found in objects:
                yield found
            if not cursor:
                return

    async def delete(self, key: str) -> None:
        """Delete an object for good; the second time is no error."""
        try:
            path = f"/v1/objects/{ObjectKey.parse_key(key).key}"
        except Refusal as refused:
            raise RefusedError(refused.code.code, refused.detail, refused.code.status) from None
        await self._wire.ask("DELETE", path)

    async def status(self, ticket: str) -> Status:
        """Ask where an upload stands, by its ticket."""
        return await self._wire.status(ticket)


def _only_link(answer: Json) -> Link:
    (link,) = answer["links"]
    return Link.read(link)


def _page(answer: Json) -> tuple[Sequence[Object], str]:
    return [Object.read(found) for found in answer["objects"]], answer["cursor"] or ""
