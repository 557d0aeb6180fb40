"""Admission: how many runs are in flight over all workers, and how what is more is refused.

A run needs a place. There are CHECKERBOARD_CONCURRENCY, counted in Redis under the workers' leases
(`graph/sessions/lease.py`), so that those of a dead worker are free when its lease ends. A worker takes some
more than it needs, which spares most runs the question, and gives back what it does not use. Where no place
is free, a few requests wait for a moment; the others are told at once to come again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.sessions.lease import WorkerLease
from serve.limits.state import HOLDS
from tools.core import metrics
from tools.core.errors import OverloadedError
from tools.core.logs import cause

logger = logging.getLogger(__name__)

QUEUE_SECONDS = 0.5
"""How long a request may wait for a place: the answer, if it is none, should be there within a second."""
QUEUE_SHARE = 50
"""The queue is that part of all places: so many are free again within a moment where runs take minutes."""
POLL_SECONDS = 0.1
"""How often the first of the queue looks whether another worker has given a place back."""
SPARE_SHARE = 64
"""A worker takes that part of all places more than it needs, SPARE at most."""
SPARE = 32
_STATE = "places"


class Admission:
    """Gives places to the runs of one worker."""

    def __init__(self, redis: Redis, lease: WorkerLease, limit: int) -> None:
        """`limit` is the number of places over all workers."""
        self.limit = limit
        self.taken = 0
        """Places that runs of this worker have."""
        self._redis = redis
        self._lease = lease
        self._spare = min(SPARE, limit // SPARE_SHARE)
        self._queued = 0
        self._full = False
        self._first = asyncio.Lock()
        self._freed = asyncio.Event()
        self._giving_back: asyncio.Task[None] | None = None

    async def take(self, places: int) -> None:
        """Takes places for so many runs of one request; more than there are count as all. Give them back with
        `give_back`.

        Raises:
            OverloadedError: none became free in time, or too many wait already.
            redis.exceptions.RedisError: Redis does not answer.
        """
        wanted = min(places, self.limit)
        if self._queued == 0 and self.taken + wanted <= self._lease.places:
            self.taken += wanted
            return
        if self._full and self._queued > self.limit // QUEUE_SHARE:
            metrics.OVERLOADED.inc()
            raise OverloadedError
        self._queued += 1
        until = time.monotonic() + QUEUE_SECONDS
        try:
            async with self._first:
                # Refused is who is known to be too much. A worker that is late looks before it refuses.
                while not await self._fits(wanted):
                    if time.monotonic() >= until:
                        metrics.OVERLOADED.inc()
                        raise OverloadedError
                    self._freed.clear()
                    await _set_within(self._freed, POLL_SECONDS)
                self.taken += wanted
        finally:
            self._queued -= 1

    def give_back(self, places: int) -> None:
        """Gives places back."""
        self.taken -= min(places, self.limit)
        self._freed.set()
        unused = self._lease.places - self.taken
        if unused > 2 * self._spare and (self._giving_back is None or self._giving_back.done()):
            self._giving_back = asyncio.create_task(self._give_unused_back())

    def report(self) -> dict[str, Any]:
        """Returns how many runs this worker has `in_flight`, and how many `places` all workers have."""
        return {"ok": True, "in_flight": self.taken, "places": self.limit}

    async def _fits(self, wanted: int) -> bool:
        if self.taken + wanted > self._lease.places:
            # Those that queue will ask for theirs in a moment.
            more = wanted + self._queued - 1 + self._spare
            await self._lease.reserve(
                self._redis, taken=self.taken, wanted=self.taken + more, limit=self.limit
            )
        self._full = self.taken + wanted > self._lease.places
        return not self._full

    async def _give_unused_back(self) -> None:
        async with self._first:
            # Not used any more from here on, though Redis does not know it yet.
            self._lease.places = self.taken + self._spare
            try:
                await self._lease.reserve(
                    self._redis, taken=self.taken, wanted=self._lease.places, limit=self.limit
                )
            except RedisError as error:
                logger.warning("places could not be given back", extra={"cause": cause(error)})


class PlacesMiddleware:
    """ASGI middleware: gives the places of a request back when its answer is sent, or cannot be, and what its
    runs hold of their caller's limits (`serve/limits/`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        with ExitStack() as places:
            state = scope.setdefault("state", {})
            state[_STATE] = places
            try:
                await self._app(scope, receive, send)
            finally:
                if (holds := state.get(HOLDS)) is not None:
                    await holds.settle()


async def admit(request: Request, admission: Admission, runs: int) -> None:
    """Takes the places of a request's runs, for as long as it lasts.

    Raises:
        OverloadedError, redis.exceptions.RedisError: as `Admission.take`.
    """
    await admission.take(runs)
    places: ExitStack = request.scope["state"][_STATE]
    places.callback(admission.give_back, runs)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Waits until the event is set, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
