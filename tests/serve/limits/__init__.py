"""Limits: what tests see of them in Redis."""

from __future__ import annotations

from redis.asyncio import Redis


async def held(redis: Redis) -> int:
    """How many runs hold something, of whomever."""
    keys = [key async for key in redis.scan_iter(match="limit-held:*")]
    return sum([int(await redis.hget(key, "runs") or 0) for key in keys])  # type: ignore[misc]
