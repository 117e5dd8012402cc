"""How much a tenant's policy has granted within its window: counted by `limits`, in this process or in Redis for many.

Nothing that is promised of an upload leans on these counts: where they are lost, more is granted, and that is all.
A count slides: what the window before this one has granted fades away evenly while this one passes. It takes two
numbers, however many bytes they stand for, and is raised in one step, by what fits alone: a refused wish takes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.circuit import AT_ONCE, DEADLINE, PAUSE, Circuit
from gateway.errors import Code, Refusal
from gateway.grants.policies import Policy
from gateway.setting_sources import SettingsError
from gateway.windows import MARGIN, Window

KEY_PREFIX = (
    "signed-url-gateway"  # before every key in Redis; behind it: what is counted, tenant, policy, quota, window
)
Unit = Literal["uploads", "bytes"]


@dataclass(frozen=True, slots=True)
class Count:
    """What is left of a limit; after `whole_in` seconds without an upload all of it is there again."""

    unit: Unit
    quota: int
    window: int
    remaining: int
    whole_in: int


@dataclass(frozen=True, slots=True)
class _Limit:
    unit: Unit
    item: RateLimitItem
    place: tuple[str, str]
    cost: int


Spent = Sequence[tuple[_Limit, Window]]  # what was counted, and how its window was just after


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a wish: the counts after it, none where nobody counts, and what refuses it, if anything does.

    `spent` is what may be given back.
    """

    counts: Sequence[Count] = ()
    refusal: Refusal | None = None
    spent: Spent = field(default=(), compare=False, repr=False)


class Quotas:
    """Counts what is granted. `in_memory` and `in_redis` make it."""

    def __init__(
        self,
        storage: MemoryStorage | RedisStorage,
        circuit: Circuit | None = None,
        *,
        refuses: bool = False,
        uncounted: Callable[[int], None] = lambda _: None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take where to count. Behind a circuit that may be down: then what is wished is refused, or granted."""
        self._storage = storage
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._circuit = circuit
        self._refuses = refuses
        self._uncounted = uncounted
        self._close = close

    async def spend(self, tenant: str, policy: Policy, uploads: int, size: int) -> Tally:
        """Count so many uploads, of `size` bytes in all, or none of them; a refusal is `too-many-requests`."""
        limits = _limits(tenant, policy, uploads, size)
        if not limits:
            return Tally()
        if self._circuit is None:
            return await self._count(limits)
        tally = await self._circuit.ask(lambda: self._count(limits))
        if tally is not None:
            return tally
        self._uncounted(uploads)
        return Tally(refusal=_refusal("Uploads cannot be counted just now", PAUSE) if self._refuses else None)

    async def give_back(self, spent: Spent) -> None:
        """Take from the counts what `spend` has counted for uploads that could not begin, while its window lasts."""
        if self._circuit is None:
            await self._take_back(spent)
        else:
            await self._circuit.ask(lambda: self._take_back(spent))

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._close is not None:
            await self._close()

    async def _count(self, limits: Sequence[_Limit]) -> Tally:
        spent: list[tuple[_Limit, Window]] = []
        for limit in limits:
            if not await self._limiter.hit(limit.item, *limit.place, cost=limit.cost):
                await self._take_back(spent)
                return await self._refused(limits)
            spent.append((limit, await self._window(limit)))
        return Tally([_counted(limit, window) for limit, window in spent], spent=spent)

    async def _refused(self, limits: Sequence[_Limit]) -> Tally:
        windows = [(limit, await self._window(limit)) for limit in limits]
        wait = max(window.fits_in(limit.cost) for limit, window in windows)
        refusal = _refusal("The quota of this policy is used up for now", max(wait, 1))
        return Tally([_counted(limit, window) for limit, window in windows], refusal)

    async def _take_back(self, spent: Spent) -> bool:
        """Take back within the window that counted it, and no more than it counts: a next one would grant too much."""
        for limit, then in spent:
            window = await self._window(limit)
            cost = min(limit.cost, window.now)
            if cost > 0 and window.ends_in <= then.ends_in + MARGIN:
                await self._limiter.hit(limit.item, *limit.place, cost=-cost)
        return True

    async def _window(self, limit: _Limit) -> Window:
        item = limit.item
        seconds = item.get_expiry()
        before, fades_in, now, kept_for = await self._storage.get_sliding_window(item.key_for(*limit.place), seconds)
        return Window(item.amount, seconds, before, fades_in, now, kept_for - seconds)


def in_memory() -> Quotas:
    """Count in this process alone."""
    return Quotas(MemoryStorage())


def in_redis(
    url: str,
    clock: Callable[[], float],
    *,
    refuses: bool = False,
    uncounted: Callable[[int], None] = lambda _: None,
    deadline: float = DEADLINE,
) -> Quotas:
    """Count in the Redis at `url`, to which nothing is connected yet. Raises SettingsError without the extra.

    While it is down, what is wished is refused, or granted; `uncounted` hears how many uploads it was.
    """
    try:
        from redis.asyncio import ConnectionPool  # noqa: PLC0415 - of an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - as above
        from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
        from redis.exceptions import RedisError  # noqa: PLC0415 - as above
    except ImportError:
        raise SettingsError("GATEWAY_LIMITS_URL needs the extra 'redis': in a clone, pip install '.[redis]'.") from None
    # redis-py alone reads the URL: `limits` repeats it in its errors, with the password. The one retry is for the
    # connections that a restart of Redis leaves dead.
    address = url.replace("redis+unix:", "unix:", 1)
    pool = ConnectionPool.from_url(address, max_connections=AT_ONCE, retry=Retry(NoBackoff(), 1))
    options: dict[str, Any] = {"connection_pool": pool}  # which `limits` takes, and does not declare
    storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options)
    way = Circuit("the store of quotas", (RedisError,), clock, deadline=deadline)
    return Quotas(storage, way, refuses=refuses, uncounted=uncounted, close=pool.aclose)


def _limits(tenant: str, policy: Policy, uploads: int, size: int) -> Sequence[_Limit]:
    quota, place = policy.quota, (tenant, policy.name)
    if quota is None:
        return ()
    wanted: Sequence[tuple[Unit, int | None, int]] = (("uploads", quota.uploads, uploads), ("bytes", quota.size, size))
    return [
        _Limit(unit, _item(unit, most, quota.window), place, cost) for unit, most, cost in wanted if most is not None
    ]


@lru_cache(maxsize=1024)
def _item(unit: Unit, most: int, window: int) -> RateLimitItem:
    return RateLimitItemPerSecond(most, window, namespace=unit)


def _counted(limit: _Limit, window: Window) -> Count:
    return Count(limit.unit, window.limit, window.seconds, max(window.limit - window.used, 0), window.whole_in)


def _refusal(sentence: str, seconds: int) -> Refusal:
    return Refusal(Code.TOO_MANY_REQUESTS, f"{sentence}: try again in {seconds} seconds.", retry_after=seconds)
