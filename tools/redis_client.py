"""The Redis pool of a process and the checkpointer that keeps sessions in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver
from redis.asyncio import BlockingConnectionPool, Redis

from tools.settings import Settings

POOL_WAIT_SECONDS = 10.0
SOCKET_SECONDS = 10.0


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[Redis]:
    """Yields the client of this process.

    Its pool blocks: the default one raises at its limit, which 50 concurrent runs reach.
    """
    assert settings.redis_url is not None  # noqa: S101 - `attached` has filled it
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=settings.redis_pool,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=30,
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


async def open_checkpointer(settings: Settings, client: Redis) -> AsyncShallowRedisSaver:
    """Returns the saver of sessions: one checkpoint a thread, the newest.

    A saver that keeps every checkpoint would add the whole state to a session with each turn; the
    turns themselves are in the state's `history`. The TTL is in minutes and renewed by each read.
    """
    saver = AsyncShallowRedisSaver(
        redis_client=client,
        ttl={"default_ttl": settings.session_ttl_minutes, "refresh_on_read": True},
    )
    await saver.asetup()
    return saver
