"""News from worker to worker, over one subscription of Redis a process.

LISTEN of PostgreSQL would need a connection of its own, which PgBouncer in transaction mode does not give.
A piece of news says only that there is something to look at, and may get lost with a connection: whoever
waits for it looks from time to time all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from tools.core.logs import cause

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""How long after a lost connection the next is tried."""
_LISTEN_SECONDS = 5.0


class Signals:
    """What this worker hears from the others, and tells them."""

    def __init__(self, redis: Redis, queue: str) -> None:
        """`queue` names the queue whose jobs are told of."""
        self._redis = redis
        self._jobs = f"runs:{queue}"
        self._pubsub: PubSub | None = None
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.on_job: Callable[[str], Awaitable[None]] | None = None
        """Is called with what workers tell one another of jobs."""

    async def tell_of_job(self, words: str) -> None:
        """Tells all workers of the queue.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        await self._redis.publish(self._jobs, words)

    @asynccontextmanager
    async def news(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """Yields an event that is set whenever something is told on `channel`, when this worker has begun to
        hear it, and after a lost connection."""
        event = asyncio.Event()
        first = not self._waiting[channel]
        self._waiting[channel].add(event)
        try:
            if first:
                await self._follow(channel)
            yield event
        finally:
            self._waiting[channel].discard(event)
            if not self._waiting[channel]:
                del self._waiting[channel]
                await self._leave(channel)

    def wake(self) -> None:
        """Sets every event that somebody waits for."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def listen(self) -> None:
        """Hears what is told; ends when it is cancelled."""
        away = False
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._jobs, *self._waiting)
                    self._pubsub, away = pubsub, False
                    self.wake()
                    while True:
                        await self._hear(await pubsub.get_message(timeout=_LISTEN_SECONDS))
            except (RedisError, OSError) as error:
                if not away:
                    logger.warning("news of runs are not heard: Redis is away", extra={"cause": cause(error)})
                away = True
            finally:
                self._pubsub = None
            await asyncio.sleep(AGAIN_SECONDS)

    async def _hear(self, message: dict[str, object] | None) -> None:
        if message is None or not isinstance(message["channel"], bytes):
            return
        channel, words = message["channel"].decode(), message["data"]
        for event in self._waiting.get(channel, ()):
            event.set()
        if channel == self._jobs and isinstance(words, bytes) and self.on_job is not None:
            await self.on_job(words.decode())

    async def _follow(self, channel: str) -> None:
        if self._pubsub is not None:
            with suppress(RedisError, OSError):  # `listen` finds it out, and subscribes to all anew
                await self._pubsub.subscribe(channel)

    async def _leave(self, channel: str) -> None:
        if self._pubsub is not None:
            with suppress(RedisError, OSError):  # as above
                await self._pubsub.unsubscribe(channel)
