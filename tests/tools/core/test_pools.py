"""What the pools of both stores hold after calls were cancelled, again and again, wherever they just were."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.pace import time_limit
from tools.core.database import open_pool
from tools.core.redis_client import open_redis
from tools.core.settings import Settings

ROUNDS = 30
AT_ONCE = 100


async def cancel_at_any_moment(use: Callable[[], Coroutine[Any, Any, None]], cancellations: int) -> None:
    """Lets many wait for connections and cancels each so many times, a fraction of a millisecond apart: as a
    framework that cancels until a task has ended."""
    moments = random.Random(cancellations)  # noqa: S311
    for _ in range(ROUNDS):
        calls = [asyncio.create_task(use()) for _ in range(AT_ONCE)]
        await asyncio.sleep(moments.random() * 0.05)
        for _ in range(cancellations):
            for call in calls:
                call.cancel()
            await asyncio.sleep(moments.random() * 0.0006)
        await asyncio.gather(*calls, return_exceptions=True)


async def end_at_their_first_cancellation(ask_for_ever: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Starts some that never end by themselves, and cancels each once, wherever it just is."""
    moments = random.Random(1)  # noqa: S311
    for _ in range(ROUNDS):
        tasks = [asyncio.create_task(ask_for_ever()) for _ in range(20)]
        await asyncio.sleep(moments.random() * 0.05)
        for task in tasks:
            task.cancel()
            await asyncio.sleep(moments.random() * 0.0005)
        _, going_on = await asyncio.wait(tasks, timeout=time_limit())
        assert not going_on


async def until(done: Callable[[], bool]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(time_limit()):
            while not done():
                await asyncio.sleep(0.02)
    assert done()


@pytest.mark.parametrize("cancellations", [1, 2, 4])
async def test_postgresql_gets_every_connection_back(empty_settings: Settings, cancellations: int) -> None:
    pool = await open_pool(empty_settings)
    try:

        async def use() -> None:
            async with pool.connection() as connection:
                await connection.execute("select pg_sleep(0.002)")

        await cancel_at_any_moment(use, cancellations)
        await until(lambda: pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"])
        await asyncio.gather(*(use() for _ in range(AT_ONCE)))
    finally:
        await pool.close()


@pytest.mark.parametrize("cancellations", [1, 2, 4])
async def test_redis_gets_every_connection_back(embedded: Settings, cancellations: int) -> None:
    async with open_redis(embedded.model_copy(update={"redis_pool": 10})) as client:

        async def use() -> None:
            await client.blpop(["no such list"], timeout=0.002)  # type: ignore[misc]

        await cancel_at_any_moment(use, cancellations)
        await until(lambda: not client.connection_pool._in_use_connections)
        await asyncio.gather(*(client.ping() for _ in range(AT_ONCE)))


async def test_who_asks_postgresql_again_and_again_ends_at_the_first_cancellation(
    empty_settings: Settings,
) -> None:
    pool = await open_pool(empty_settings.model_copy(update={"database_pool": 4}))

    async def ask_for_ever() -> None:
        while True:
            async with pool.connection() as connection:
                await connection.execute("select 1")

    try:
        await end_at_their_first_cancellation(ask_for_ever)
    finally:
        await pool.close()


async def test_who_asks_redis_again_and_again_ends_at_the_first_cancellation(embedded: Settings) -> None:
    async with open_redis(embedded.model_copy(update={"redis_pool": 4})) as client:

        async def ask_for_ever() -> None:
            while True:
                await client.ping()  # type: ignore[misc]

        await end_at_their_first_cancellation(ask_for_ever)
