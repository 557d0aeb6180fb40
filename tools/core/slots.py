"""Working slots: how many runs of a process work at the same time. One that waits for a model does not work.

Thousands of runs wait for models, and each works for a few milliseconds in between. If all that could work
did, each would go on a little at a time, all would wait for the stores' few connections, and time limits
would pass while the event loop is busy with the others. So a run takes its turn. While it waits for that, no
limit of a store's is running, nor, at its start, its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self


class WorkSlots:
    """The slots of a process, first come first served."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)

    def slot(self) -> WorkSlot:
        """Returns the slot of one run; entering it waits for a turn."""
        return WorkSlot(self._free)


class WorkSlot:
    """The slot of one run, which it has while it works."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._held = False
        self._taking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._give_up()

    @asynccontextmanager
    async def given_up(self) -> AsyncIterator[None]:
        """Has the run without its slot, for as long as it waits for a model. Of two branches that wait, the
        first that is answered takes it again for both. Where the wait fails, the run ends without it."""
        self._give_up()
        yield
        await self._take()

    async def _take(self) -> None:
        async with self._taking:
            if not self._held:
                await self._free.acquire()
                self._held = True

    def _give_up(self) -> None:
        if self._held:
            self._held = False
            self._free.release()
