"""Which of many objects are stored: looked up a few at a time, however many ask."""

import asyncio
from collections.abc import Mapping

from gateway.grants.keys import ObjectKey
from gateway.s3.storage import Head, Storage

LOOKUPS = 8  # at once, of the threads that speak to the store (16 unless set), which others need as well


class Lookups:
    """At most `LOOKUPS` at once in an event loop, of which a process has one. Batches take turns."""

    def __init__(self) -> None:
        """Know no event loop yet."""
        self._slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    async def heads(self, storage: Storage, keys: Mapping[str, ObjectKey]) -> Mapping[str, Head | None]:
        """Look for each key, by the name that it has here; the first failure is raised, and ends the looking."""
        slots, waiting = self._slots_here(), dict(keys)
        found: dict[str, Head | None] = {}

        async def look() -> None:
            while waiting:
                async with slots:
                    if not waiting:  # the last is taken by now, or a look-up has failed
                        return
                    name, key = waiting.popitem()
                    try:
                        found[name] = await storage.head(key.key)
                    except BaseException:
                        waiting.clear()
                        raise

        try:
            async with asyncio.TaskGroup() as looking:
                for _ in range(min(LOOKUPS, len(keys))):
                    looking.create_task(look())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the others were cancelled, or failed alike
        return found

    def _slots_here(self) -> asyncio.Semaphore:
        """Return this event loop's: once it was waited for, a semaphore serves no other loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._slots:
            self._slots = {known: slots for known, slots in self._slots.items() if not known.is_closed()}
            self._slots[loop] = asyncio.Semaphore(LOOKUPS)
        return self._slots[loop]
