"""The store's credentials: found and refreshed by boto3 (environment, profile, role), frozen for signing."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import boto3
from botocore.credentials import Credentials as BotoCredentials
from botocore.credentials import RefreshableCredentials

from gateway.errors import Code, Refusal
from gateway.s3.sigv4 import MIN_LIFETIME, Credentials
from gateway.s3.threads import Threads

log = logging.getLogger(__name__)

REFRESH_BEFORE = 15 * 60  # seconds before expiry; from here on botocore, too, looks for new ones
WAIT_BEFORE = 2 * 60  # seconds before expiry; from here on a caller waits for new ones
WAIT_AT_MOST = 5.0  # seconds
TRY_EVERY = 10  # seconds from one refresh to the next, also when it failed
NEVER = 1 << 62  # seconds since the epoch


def open_session(region: str, credentials: Credentials | None = None) -> boto3.Session:
    """Return a boto3 session for these credentials, or one that looks for its own when it first needs them."""
    if credentials is None:
        return boto3.Session(region_name=region)
    return boto3.Session(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token, region_name=region
    )


class CredentialSource:
    """Credentials to sign with, which no call has to wait for while there are two minutes left.

    `find` is a boto3 session's `get_credentials`. It, and every refresh, runs in a thread of its own.
    """

    def __init__(self, find: Callable[[], BotoCredentials | None], *, wait_at_most: float = WAIT_AT_MOST) -> None:
        """Look for nothing yet; `wait_at_most` is in seconds."""
        self._find = find
        self._wait_at_most = wait_at_most
        self._threads = Threads(1, "credentials")
        self._lock = threading.Lock()
        self._held: Credentials | None = None
        self._comfortable_until = 0
        self._refreshing: Future[None] | None = None
        self._tried_at = -TRY_EVERY

    def current(self, now: int) -> Credentials:
        """Return what is held, at once; with less than 15 minutes left, a refresh goes on beside it.

        Raises `storage-unavailable` when nothing is held or it ends within the shortest life of a presigned request.
        """
        held = self._held
        if held is not None and now < self._comfortable_until:
            return held
        self._refresh(now)
        return self._usable(now)

    async def fresh(self, now: int) -> Credentials:
        """Return what is held, after a refresh when it has less than 2 minutes left; raises like `current`."""
        if _left(self._held, now) < WAIT_BEFORE and (refresh := self._refresh(now)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_at_most):
                    await asyncio.shield(asyncio.wrap_future(refresh))  # others wait for the same one
        return self.current(now)

    def close(self) -> None:
        """Let the thread end."""
        self._threads.close()

    def _usable(self, now: int) -> Credentials:
        held = self._held
        if held is None or _left(held, now) < MIN_LIFETIME:
            raise Refusal(Code.STORAGE_UNAVAILABLE, retry_after=TRY_EVERY)
        return held

    def _refresh(self, now: int) -> Future[None] | None:
        """Return the refresh under way, or begin one unless the last was just now."""
        with self._lock:
            if self._refreshing is not None and not self._refreshing.done():
                return self._refreshing
            if 0 <= now - self._tried_at < TRY_EVERY:
                return None
            self._tried_at = now
            self._refreshing = self._threads.start(self._load)
            return self._refreshing

    def _load(self) -> None:
        try:
            found = self._find()
        except Exception as error:  # noqa: BLE001 - a provider may raise anything
            log.error("no storage credentials: %s", type(error).__name__)  # noqa: TRY400 - the text may hold addresses
            return
        loaded = None if found is None else _freeze(found)
        if loaded is None:
            log.error("no storage credentials in the environment, a profile or a role")
            return
        self._held = loaded = _not_extended(loaded, self._held)
        self._comfortable_until = NEVER if loaded.expires_at is None else loaded.expires_at - REFRESH_BEFORE


def _left(held: Credentials | None, now: int) -> int:
    if held is None:
        return 0
    return NEVER if held.expires_at is None else held.expires_at - now


def _freeze(found: BotoCredentials) -> Credentials | None:
    """Refresh if botocore finds it due, and return what it then holds, new or not, with its expiry."""
    if not isinstance(found, RefreshableCredentials):
        frozen = found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            return None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
    try:
        found.get_frozen_credentials()
    except Exception as error:  # noqa: BLE001 - the refresher may raise anything; what is held is good until it ends
        log.error("the storage credentials were not refreshed: %s", type(error).__name__)  # noqa: TRY400 - see _load
    # botocore 1.44 has no public way to the expiry. It publishes the keys first: read in this order, another thread's
    # refresh can give new keys with the old expiry, but not old keys with the new one.
    expiry = found._expiry_time  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    keys = found._frozen_credentials  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    if keys is None or expiry is None:
        return None
    return Credentials(keys.access_key, keys.secret_key, keys.token, int(expiry.timestamp()))


def _not_extended(loaded: Credentials, held: Credentials | None) -> Credentials:
    """Keep the expiry under which a session token was first seen.

    While the instance metadata service is out, botocore moves the expiry of the same token on, in this process only
    (InstanceMetadataFetcher._evaluate_expiration): S3 knows nothing of it, and URLs would die before their time.
    """
    same = held is not None and (held.access_key_id, held.session_token) == (loaded.access_key_id, loaded.session_token)
    return held if same and held is not None and _left(held, 0) < _left(loaded, 0) else loaded
