"""The Redis pool of a process."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tools.core.errors import StoreUnavailableError
from tools.core.settings import Settings
from tools.core.store_urls import redis_url

POOL_WAIT_SECONDS = 5.0
SOCKET_SECONDS = 3.0
"""How long Redis may take to answer. A run that is caught by a Redis that stands still waits this
long a few times over, and then says so."""
_PROBE_KEPT_SECONDS = 10
"""What a probe has written lives so long where it could not delete it."""


@asynccontextmanager
async def open_redis(settings: Settings, *, patient: bool = True) -> AsyncIterator[Redis]:
    """Yields the client of this process. It tries again for a while on a connection that broke; told not to,
    once and at once.

    Its pool blocks: the default one raises at its limit, which 50 concurrent runs reach.

    Raises:
        SetupError: REDIS_URL is none that can be used.
    """
    assert settings.redis_url is not None  # noqa: S101 - `embedded_servers` has filled it
    pool = BlockingConnectionPool.from_url(
        redis_url(settings.redis_url),
        max_connections=settings.redis_pool,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=30,
        **({} if patient else {"retry": Retry(NoBackoff(), 1)}),
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


async def write_and_read(client: Redis) -> None:
    """Keeps a document as a session's is kept, reads it back and deletes it.

    Raises:
        RedisError: Redis does not answer, or refuses one of these.
        StoreUnavailableError: what was read is not what was written.
    """
    key, value = f"session:probe:{uuid.uuid4().hex}", f'"{time.time_ns()}"'
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("JSON.SET", key, "$", value)
        pipe.expire(key, _PROBE_KEPT_SECONDS)
        pipe.execute_command("JSON.GET", key)
        pipe.delete(key)
        found = (await pipe.execute())[2]
    if found != value.encode():
        raise StoreUnavailableError("Redis did not give back what was written to it.", store="redis")
