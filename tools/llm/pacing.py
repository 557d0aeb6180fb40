"""Pacing: so many calls a second, spread evenly, over everything that shares a pacer."""

from __future__ import annotations

import asyncio


class Pacer:
    """Gives turns, at most `per_second` of them a second, first come first served.

    What was not used is not saved up: after a pause there is no burst.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Returns when it is the caller's turn. A caller that is cancelled while it waits leaves its
        turn unused."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._interval
        if at > now:
            await asyncio.sleep(at - now)
