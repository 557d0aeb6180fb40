"""Working slots: how many runs of a process work at the same time. One that waits for a model does not work.

Thousands of runs wait for models, and each works for a few milliseconds in between. If all that could work
did, each would go on a little at a time, all would wait for the stores' few connections, and time limits
would pass while the event loop is busy with the others. So a run takes its turn. While it waits for that, no
limit of a store's is running, and the run's own stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Self

from tools.core import metrics


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
        self._limit: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_up()

    @asynccontextmanager
    async def given_up(self) -> AsyncIterator[None]:
        """Has the run without its slot, for as long as it waits for a model. Of two branches that wait, the
        first that is answered takes it again for both. Where the wait fails, the run ends without it."""
        self._give_up()
        yield
        await self._take()

    @contextmanager
    def stopping(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Lets `limit`, the run's, stand still while the run waits for its turn."""
        self._limit = limit
        try:
            yield
        finally:
            self._limit = None

    async def _take(self) -> None:
        began = monotonic()
        with self._limit_stopped():
            async with self._taking:
                if not self._held:
                    await self._free.acquire()
                    self._held = True
        metrics.TURN_WAIT_SECONDS.observe(monotonic() - began)

    @contextmanager
    def _limit_stopped(self) -> Iterator[None]:
        limit = self._limit
        if limit is None or limit.expired() or (until := limit.when()) is None:
            yield  # there is none, it is over, or another branch has stopped it
            return
        time = asyncio.get_running_loop().time
        left = until - time()
        limit.reschedule(None)
        try:
            yield
        finally:
            if self._limit is limit:  # the run goes on
                limit.reschedule(time() + left)

    def _give_up(self) -> None:
        if self._held:
            self._held = False
            self._free.release()
