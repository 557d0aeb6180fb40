"""Pauses: a provider that says 429 with `Retry-After` to one worker is left alone by all of them.

| in Redis | what |
|---|---|
| key `model:pause:{name}` | is there as long as the pause lasts; its life is what the provider asked for |
| channel `model:pauses` | `{name} {milliseconds}`, told when a pause begins |

The name is a hash of endpoint, key and model: limits are counted for an account and mostly for a model, and
another key is not in its predecessor's pause. A worker hears of pauses by a subscription, so a call asks
Redis nothing. The key is for who could not hear: a worker that asks a model for the first time, or whose
connection to Redis was lost. Where Redis is away, each worker honours what it was told itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tools.core import metrics
from tools.core.logs import cause
from tools.llm.model_errors import Endpoint, NotAskedError

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 600.0
"""Seconds that no worker asks, whatever the provider said; then it is asked whether it still means it."""
LONGEST_WAIT = 120.0
"""Seconds that one call waits for pauses, all together. One that should wait longer fails at once."""
_SHARED = 1.0
"""Seconds from which a pause is told to others: a shorter one is over when they have heard of it."""
_SPREAD = 0.1
"""How far apart the waiting come back, in parts of what they have waited: all at once they would be too many
again."""
_AGAIN_SECONDS = 1.0
_LISTEN_SECONDS = 5.0
_CHANNEL = "model:pauses"
_BEGIN = """
if redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[2]) then return end
redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
redis.call('PUBLISH', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
"""
"""Begins a pause, or lengthens it, and tells all workers."""


def pause_name(endpoint: Endpoint, model: str) -> str:
    """Returns the name of the pauses of a model at an endpoint; its key cannot be read out of it."""
    parts = (endpoint.base_url or "", endpoint.api_key.get_secret_value(), model)
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


class Pauses:
    """The pauses that this process knows of; without `redis` its own alone."""

    def __init__(self, redis: Redis | None = None) -> None:
        self._redis = redis
        self._until: dict[str, float] = {}
        self._known: set[str] = set()
        """The names of what this process asks."""

    async def wait(self, name: str, patience: float = LONGEST_WAIT) -> float:
        """Waits until no pause is in force; returns the seconds that it waited.

        Raises:
            NotAskedError: that would be more than `patience` seconds.
        """
        if name not in self._known:
            self._known.add(name)
            await self._look([name])
        waited = 0.0
        while name in self._until:
            left = self.left(name)
            if left > patience - waited:
                raise NotAskedError("rate_limit", left)
            seconds = left * (1 + random.uniform(0, _SPREAD))  # noqa: S311
            await asyncio.sleep(seconds)
            waited += seconds
        return waited

    def left(self, name: str) -> float:
        """Returns the seconds that a pause has still to last; 0 where none is in force."""
        left = self._until.get(name, 0.0) - time.monotonic()
        if left <= 0:
            self._until.pop(name, None)
        return max(0.0, left)

    async def begin(self, name: str, model: str, seconds: float) -> None:
        """Has no worker ask for so long. Who waits already goes on to."""
        seconds = min(seconds, LONGEST_PAUSE)
        if seconds <= 0 or not self._lengthen(name, seconds):
            return
        metrics.MODEL_PAUSES.labels(model).inc()
        logger.warning(
            "the model's API asks to be left alone", extra={"model": model, "seconds": round(seconds, 1)}
        )
        if self._redis is None or seconds < _SHARED:
            return
        milliseconds = str(round(seconds * 1000))
        try:
            await self._redis.eval(_BEGIN, 2, _key(name), _CHANNEL, name, milliseconds)
        except (RedisError, OSError) as error:
            logger.warning("other workers are not told of a pause", extra={"cause": cause(error)})

    async def listen(self) -> None:
        """Hears of the pauses that others were told; ends when it is cancelled."""
        assert self._redis is not None  # noqa: S101 - without it nobody is heard
        away = False
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(_CHANNEL)
                    await self._look(list(self._known))
                    away = False
                    while True:
                        message = await pubsub.get_message(
                            ignore_subscribe_messages=True, timeout=_LISTEN_SECONDS
                        )
                        if message is not None:
                            name, milliseconds = message["data"].decode().split()
                            self._lengthen(name, int(milliseconds) / 1000)
            except (RedisError, OSError) as error:
                if not away:
                    logger.warning("pauses are not heard: Redis is away", extra={"cause": cause(error)})
                away = True
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _look(self, names: list[str]) -> None:
        """Reads the pauses that are in force: who told of them was not heard."""
        if self._redis is None or not names:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.pttl(_key(name))
                lives = await pipe.execute()
        except (RedisError, OSError) as error:
            logger.warning("pauses cannot be read", extra={"cause": cause(error)})
            return
        for name, life in zip(names, lives, strict=True):
            self._lengthen(name, life / 1000)

    def _lengthen(self, name: str, seconds: float) -> bool:
        """Notes a pause; returns whether it is news. One that others were told in the same moment is none."""
        if seconds <= 0 or seconds <= self.left(name) + min(_SHARED, seconds / 2):
            return False
        self._until[name] = time.monotonic() + seconds
        return True


def _key(name: str) -> str:
    return f"model:pause:{name}"


@asynccontextmanager
async def open_pauses(redis: Redis) -> AsyncIterator[Pauses]:
    """Yields the pauses of this process, which hears of those of others meanwhile."""
    pauses = Pauses(redis)
    listening = asyncio.create_task(pauses.listen())
    try:
        yield pauses
    finally:
        listening.cancel()
        await asyncio.wait({listening})
