"""The client as plain calls: each runs AsyncClient's in a thread of its own, which has the event loop."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx

from gateway.client.asynchronous import TIMEOUT, AsyncClient
from gateway.client.blocks import gathered
from gateway.client.loop_thread import LoopThread
from gateway.client.progress import OnProgress
from gateway.client.values import Downloaded, Link, Object, Status, Stored


class Client:
    """Speaks to one gateway. Use it as `with`, or `close` it; several threads may share it.

    The same as AsyncClient, method by method. `progress` is called in the client's own thread.
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
        self._client = AsyncClient(url, credentials, timeout=timeout, transport=transport)
        self._thread = LoopThread()

    def __repr__(self) -> str:
        """Name the gateway, and no credentials."""
        return repr(self._client).removeprefix("Async")

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close all connections, and end the thread; the second time is no error."""
        if self._thread.runs:
            self._thread.run(self._client.close())
            self._thread.stop()

    def upload(  # noqa: PLR0913 - see AsyncClient.upload
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
        """Store a file: see AsyncClient.upload."""
        return self._thread.run(
            self._client.upload(
                path,
                policy=policy,
                filename=filename,
                content_type=content_type,
                metadata=metadata,
                progress=progress,
                state=state,
            )
        )

    def resume(self, path: str | Path, ticket: str, *, progress: OnProgress | None = None) -> Stored:
        """Go on with a multipart upload that somebody began: see AsyncClient.resume."""
        return self._thread.run(self._client.resume(path, ticket, progress=progress))

    def publish(  # noqa: PLR0913 - see AsyncClient.publish
        self,
        chunks: Iterable[bytes],
        *,
        filename: str,
        content_type: str | None = None,
        policy: str = "default",
        metadata: Mapping[str, str] | None = None,
        progress: OnProgress | None = None,
    ) -> Stored:
        """Store what is being generated: see AsyncClient.publish. It is generated in the caller's own thread."""
        publication = self._client.publication(
            filename=filename, content_type=content_type, policy=policy, metadata=metadata, progress=progress
        )
        try:
            for block in gathered(chunks):
                self._thread.run(publication.add(block))
            stored = self._thread.run(publication.finish())
        except BaseException as error:
            self._thread.run(publication.__aexit__(type(error), error, error.__traceback__))
            raise
        self._thread.run(publication.__aexit__(None, None, None))
        return stored

    def download(self, source: str, path: str | Path, *, progress: OnProgress | None = None) -> Downloaded:
        """Fetch an object by its key or a link: see AsyncClient.download."""
        return self._thread.run(self._client.download(source, path, progress=progress))

    def link(
        self,
        key: str,
        *,
        filename: str | None = None,
        disposition: Literal["attachment", "inline"] = "attachment",
        expires_in: int | None = None,
        via: Literal["redirect", "direct"] = "redirect",
    ) -> Link:
        """Make a link to an object: see AsyncClient.link."""
        return self._thread.run(
            self._client.link(key, filename=filename, disposition=disposition, expires_in=expires_in, via=via)
        )

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Go through all objects whose keys begin so: see AsyncClient.list."""
        objects = self._client.list(prefix)
        while (found := self._thread.run(_next(objects))) is not None:
            yield found

    def delete(self, key: str) -> None:
        """Delete an object for good: see AsyncClient.delete."""
        self._thread.run(self._client.delete(key))

    def status(self, ticket: str) -> Status:
        """Ask where an upload stands, by its ticket."""
        return self._thread.run(self._client.status(ticket))


async def _next(objects: AsyncIterator[Object]) -> Object | None:
    return await anext(objects, None)
