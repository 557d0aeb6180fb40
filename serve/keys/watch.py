"""What a worker does for stored keys: has them in force within two seconds, and writes when they were used.

Each second it asks for a version, which every change of the keys renews, and reads them anew where that is
another. That works behind a pooler, too, which LISTEN does not (`tools/core/database.py`). While the database
is away, the keys last read go on counting; those that end by themselves do so on time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from serve.callers import ApiKeys
from serve.keys.store import StoredKeys, are_stored, keys_in_force, version, write_uses
from tools.core.database import Pool
from tools.core.logs import cause

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
STALE_SECONDS = 3.0
"""From when on a worker says that it may have missed a change."""
WRITE_SECONDS = 60.0
"""How often the last use of a key is written at most, by all workers together."""
CLOSE_SECONDS = 2.0
_OPEN = (
    "Keys were made after this service was started without any, so it lets everybody call until it is "
    "started again."
)


class KeyWatch:
    """Keeps the stored keys of a worker up to date."""

    def __init__(self, keys: ApiKeys, pool: Pool) -> None:
        self._keys = keys
        self._pool = pool
        self._read: StoredKeys | None = None
        self._read_at = 0.0
        self._write_at = time.monotonic() + WRITE_SECONDS
        self._failing: set[str] = set()

    async def open(self, *, needed: bool | None) -> None:
        """Reads the keys for the first time, and fixes whether callers need one: as is said, or, where
        that is not known, if any was ever made.

        Raises:
            psycopg.Error, PoolTimeout: PostgreSQL does not answer.
        """
        await self.look()
        if needed is None and not self._keys.needed:
            async with self._pool.connection() as connection:
                needed = await are_stored(connection)
        self._keys.fix_need(self._keys.needed if needed is None else needed)

    async def run(self) -> None:
        """Looks each second, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (psycopg.Error, PoolTimeout) as error:
                self._failed("read", error)
            else:
                self._failing.discard("read")
            if time.monotonic() >= self._write_at:
                await self.write()

    async def look(self) -> None:
        """Reads the keys where they have changed.

        Raises:
            psycopg.Error, PoolTimeout: PostgreSQL does not answer.
        """
        asked_at = time.monotonic()
        async with self._pool.connection() as connection:
            if self._read is None or await version(connection) != self._read.version:
                self._read = await keys_in_force(connection)
                self._keys.store(self._read.by_hash, read_at=asked_at)
        self._read_at = asked_at

    async def write(self) -> None:
        """Writes which keys were used since it did so last. What cannot be written is tried again."""
        self._write_at = time.monotonic() + WRITE_SECONDS
        if not (used := self._keys.take_used()):
            return
        now = time.monotonic()
        try:
            async with self._pool.connection() as connection:
                await write_uses(connection, {key: now - at for key, at in used.items()}, WRITE_SECONDS)
        except (psycopg.Error, PoolTimeout) as error:
            self._failed("write", error)
            self._keys.give_back_used(used)
        else:
            self._failing.discard("write")

    def report(self) -> dict[str, Any]:
        """Returns what `/readyz` says of the keys."""
        age = time.monotonic() - self._read_at
        current = age < STALE_SECONDS
        return {
            "ok": current,
            "needed": self._keys.needed,
            "message": None if current else f"not read for {age:.0f} seconds: those known then count",
            "warning": _OPEN if self._read and self._read.by_hash and not self._keys.needed else None,
        }

    def _failed(self, what: str, error: Exception) -> None:
        if what not in self._failing:
            self._failing.add(what)
            if what == "read":
                logger.warning(
                    "stored keys cannot be read; those known so far count", extra={"cause": cause(error)}
                )
            else:
                logger.warning("last use of keys cannot be written", extra={"cause": cause(error)})


@asynccontextmanager
async def watching(keys: ApiKeys, pool: Pool, *, needed: bool | None) -> AsyncIterator[KeyWatch]:
    """Yields a watch that has read the keys and goes on, and writes their last use at the end.

    Raises:
        psycopg.Error, PoolTimeout: PostgreSQL does not answer.
    """
    watch = KeyWatch(keys, pool)
    await watch.open(needed=needed)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await watch.write()
        except TimeoutError:
            logger.warning("last use of keys was not written: the database takes too long")
