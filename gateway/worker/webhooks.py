"""Webhooks: one announcement, brought to the application by one POST that goes nowhere but where it is allowed to.

The name is resolved once and every address checked; the connection goes to one of the addresses that were checked, so
that a name that answers otherwise a moment later changes nothing. The certificate is still held against the name.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from socket import gaierror
from urllib.parse import SplitResult, urlsplit

import httpx

from gateway.setting_values import reveal
from gateway.settings import Settings
from gateway.standard_webhooks import signature
from gateway.webhook_targets import Address, Network, is_allowed
from gateway.worker.announcements import Announcement

DEADLINE = 10.0  # seconds for all of an attempt
CONNECT_WITHIN = 5.0  # seconds for each address
MAX_REPLY = 65_536  # bytes of a reply that are read before the connection is closed
REPLY_WITHIN = 1.0  # seconds in which they are read
USER_AGENT = "signed-url-gateway"
_PORTS = {"https": 443, "http": 80}
_log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Undelivered(Exception):  # noqa: N818 - an answer that the worker goes on from, not a fault
    """The application does not have the announcement yet: it is to be tried again. The text says why, for the log."""


class Unanswered(Undelivered):
    """The application said nothing, or nothing that is HTTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a tenant's application listens, and the secrets (`whsec_…`) that sign what it hears, newest last."""

    url: str
    secrets: Sequence[str] = field(repr=False)


def configured(settings: Settings) -> dict[str, Target]:
    """Return the targets of the tenants that have one."""
    return {
        name: Target(table.webhook.url, [secret.decode() for secret in reveal(table.webhook.secrets)])
        for name, table in settings.tenants.items()
        if table.webhook is not None
    }


class Webhooks:
    """Delivers announcements to the tenants' targets."""

    def __init__(  # noqa: PLR0913 - where to, and what tests put in the place of the world
        self,
        targets: Mapping[str, Target],
        clock: Callable[[], float],
        *,
        resolve: Resolve,
        networks: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Take the targets by tenant, and the networks of one's own that they may lie in, beside public addresses.

        `resolve` returns the addresses of a host and a port, in the order to try them, or raises OSError;
        `tls` says whose certificates are trusted (httpx's choice unless given), `deadline` is in seconds.
        """
        self._targets = targets
        self._clock = clock
        self._networks = networks
        self._resolve = resolve
        # Made once: reading the certificates takes milliseconds.
        self._tls = tls or httpx.create_ssl_context()
        self._deadline = deadline

    def hears(self, tenant: str) -> bool:
        """Whether the tenant has a target."""
        return tenant in self._targets

    async def deliver(self, tenant: str, announcement: Announcement) -> None:
        """Return when the target has taken the announcement, or is gone for good (410).

        Raises Undelivered, and Unanswered where there was no answer.
        """
        target = self._targets[tenant]
        try:
            async with asyncio.timeout(self._deadline):
                status = await self._post(target, announcement)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise Unanswered(_reason(error)) from None  # some errors repeat what the receiver said
        if status == httpx.codes.GONE:
            _log.warning("The webhook of tenant %s answers 410 Gone: %s is dropped", tenant, announcement.id)
        elif not httpx.codes.is_success(status):
            raise Undelivered(f"answered {status}")

    async def _post(self, target: Target, announcement: Announcement) -> int:
        url = urlsplit(target.url)
        addresses = await self._addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, url, target, announcement)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], url, target, announcement)

    async def _addresses(self, url: SplitResult) -> Sequence[Address]:
        """Resolve the host, once; raises Undelivered unless every address is one that a webhook may go to."""
        found = await self._resolve(url.hostname or "", url.port or _PORTS[url.scheme])
        addresses = [ip_address(text) for text in found]
        if not addresses or not all(is_allowed(address, self._networks) for address in addresses):
            raise Undelivered("not a public address, and in none of GATEWAY_WEBHOOK_NETWORKS")
        if url.scheme != "https" and not all(address.is_loopback for address in addresses):
            raise Undelivered("http is for this machine alone")
        return addresses

    async def _post_to(self, address: Address, url: SplitResult, target: Target, announcement: Announcement) -> int:
        """Post to exactly this address, and return the status."""
        # A client of its own for each POST: kept connections are known by address, whosever name they were proved for.
        patience = httpx.Timeout(None, connect=CONNECT_WITHIN)  # all else ends with the attempt
        client = httpx.AsyncClient(verify=self._tls, timeout=patience, trust_env=False)
        request = client.build_request(
            "POST",
            _at(address, url),
            content=announcement.body,
            headers=self._headers(url.netloc, target, announcement),
            extensions={"sni_hostname": url.hostname},
        )
        async with client:
            response = await client.send(request, stream=True, follow_redirects=False)
            try:
                await _drain(response)
            finally:
                await response.aclose()
        return response.status_code

    def _headers(self, host: str, target: Target, announcement: Announcement) -> dict[str, str]:
        sent_at = int(self._clock())
        return {
            "host": host,
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
            "connection": "close",
            "webhook-id": announcement.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature(target.secrets, announcement.id, sent_at, announcement.body),
        }


def _at(address: Address, url: SplitResult) -> str:
    """Return the URL with the address in the place of its host."""
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6
    port = "" if url.port is None else f":{url.port}"
    return url._replace(netloc=host + port).geturl()


async def _drain(response: httpx.Response) -> None:
    """Read what a receiver says, within bounds, so that it can finish in peace; its status counts already."""
    size = 0
    try:
        async with asyncio.timeout(REPLY_WITHIN):
            async for piece in response.aiter_raw():
                size += len(piece)
                if size >= MAX_REPLY:
                    return
    except (httpx.HTTPError, TimeoutError):
        return


def _reason(error: Exception) -> str:
    """Say why, without what the receiver said: how it could not be reached is told by this machine."""
    told = isinstance(error, (httpx.ConnectError, gaierror)) and str(error)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__
