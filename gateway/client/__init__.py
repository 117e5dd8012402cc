"""The gateway from Python: upload, publish, download, link, list and delete, as a coroutine or as a plain call.

    with Client("https://files.example.com", "gwk_…") as client:
        stored = client.upload("holiday.jpg", policy="photos")
        print(stored.link)

`AsyncClient` is the one implementation, on asyncio and httpx; `Client` runs it in a thread of its own. It needs
httpx and, of this package, only modules that need nothing else. docs/how-to/python-client.md tells the rest.
"""

from gateway.client.asynchronous import AsyncClient
from gateway.client.blocking import Client
from gateway.client.errors import FileError, GatewayError, RefusedError, UnreachableError
from gateway.client.progress import Progress
from gateway.client.values import ArrivedPart, Downloaded, Link, Object, Status, Stored

__all__ = [
    "ArrivedPart",
    "AsyncClient",
    "Client",
    "Downloaded",
    "FileError",
    "GatewayError",
    "Link",
    "Object",
    "Progress",
    "RefusedError",
    "Status",
    "Stored",
    "UnreachableError",
]
