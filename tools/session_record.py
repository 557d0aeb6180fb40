"""What Redis holds of a session beside its checkpoint.

| key | what |
|---|---|
| `session:{id}` | hash: `owner`, `request`, and `paid:…`, the ledger of an unfinished turn |
| `session-lock:{id}` | the run that is at work on it |
| `checkpoint:{id}:` and `checkpoint_write:{id}:…`, `write_keys_zset:{id}:…` | the saver's |

All expire together, `session_ttl_minutes` after the last use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import LockError, RedisError

from tools.errors import RunInProgressError, SessionNotFoundError, StoreUnavailableError
from tools.settings import Settings

logger = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
"""After how long the lock of a dead worker frees itself. A living one renews it three times in that."""
_PAID = b"paid:"


@dataclass(slots=True)
class SessionRecord:
    """A session's record as one run sees it; the run's ledger."""

    session_id: str
    owner: str
    request: dict[str, Any]
    redis: Redis
    paid: dict[str, bytes] = field(default_factory=dict)
    leftovers: list[bytes] = field(default_factory=list)
    """Keys of pending writes that a failed turn left with the saver."""

    def find(self, question: str) -> bytes | None:
        """As `Ledger.find`."""
        return self.paid.get(question)

    async def keep(self, question: str, answer: bytes) -> None:
        """As `Ledger.keep`."""
        self.paid[question] = answer
        await self.redis.hset(_key(self.session_id), f"paid:{question}", answer)


class SessionRecords:
    """Creates, reads, locks and forgets the records of sessions."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._ttl_seconds = max(1, round(settings.session_ttl_minutes * 60))

    async def create(self, session_id: str, owner: str, request: dict[str, Any]) -> SessionRecord:
        """Writes the record of a new session."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(_key(session_id), mapping={"owner": owner, "request": orjson.dumps(request)})
            pipe.expire(_key(session_id), self._ttl_seconds)
            await pipe.execute()
        return SessionRecord(session_id, owner, request, self._redis)

    async def load(self, session_id: str, owner: str) -> SessionRecord:
        """Returns the record, and renews the life of everything the session has in Redis.

        Raises:
            SessionNotFoundError: there is none, it has expired, or it is somebody else's.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(session_id))
            pipe.zrange(_writes_key(session_id), 0, -1)
            fields, writes = await pipe.execute()
        if not fields or fields[b"owner"].decode() != owner:
            raise SessionNotFoundError(session_id=session_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in _keys(session_id, writes):
                pipe.expire(key, self._ttl_seconds)
            await pipe.execute()
        paid = {
            name.removeprefix(_PAID).decode(): value
            for name, value in fields.items()
            if name.startswith(_PAID)
        }
        request = orjson.loads(fields[b"request"])
        return SessionRecord(session_id, owner, request, self._redis, paid, writes)

    async def settle(self, record: SessionRecord) -> None:
        """Empties the ledger of a turn whose checkpoint is written, and drops what earlier failures
        left of the saver's."""
        async with self._redis.pipeline(transaction=False) as pipe:
            if record.paid:
                pipe.hdel(_key(record.session_id), *(f"paid:{question}" for question in record.paid))
            if record.leftovers:
                pipe.delete(_writes_key(record.session_id), *record.leftovers)
            await pipe.execute()

    async def forget(self, session_id: str, owner: str) -> None:
        """Deletes everything of a session at once.

        Raises:
            SessionNotFoundError: as `load`.
            RunInProgressError: a run is at work on it and would write it again.
        """
        await self.load(session_id, owner)
        async with self.locked(session_id):
            writes = await self._redis.zrange(_writes_key(session_id), 0, -1)
            await self._redis.delete(*_keys(session_id, writes))

    @asynccontextmanager
    async def locked(self, session_id: str) -> AsyncIterator[None]:
        """Holds the session for one run, over all workers.

        The lock is renewed while it is held. A worker that could not renew it in time, because it
        or Redis stood still, is cancelled: another may be at work by then.

        Raises:
            RunInProgressError: another run holds it.
            StoreUnavailableError: the lock was lost while it was held.
        """
        lock = self._redis.lock(f"session-lock:{session_id}", timeout=LOCK_SECONDS, thread_local=False)
        if not await lock.acquire(blocking=False):
            raise RunInProgressError(session_id=session_id)
        holder = asyncio.current_task()
        assert holder is not None  # noqa: S101 - a coroutine runs in a task
        lost = asyncio.Event()
        renewal = asyncio.create_task(_renew(lock, holder, lost))
        try:
            yield
        except asyncio.CancelledError:
            if not lost.is_set():
                raise
            holder.uncancel()
            raise StoreUnavailableError(store="redis", session_id=session_id) from None
        finally:
            renewal.cancel()
            # Not released, it expires: the session is free a few seconds later.
            with suppress(LockError, RedisError):
                await lock.release()


async def _renew(lock: Any, holder: asyncio.Task[Any], lost: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(LOCK_SECONDS / 3)
        try:
            await lock.reacquire()
        except LockError:
            logger.warning("a run lost its session's lock and is cancelled", extra={"lock": lock.name})
            lost.set()
            holder.cancel()
            return
        except RedisError as error:
            logger.warning("a session's lock could not be renewed", extra={"cause": repr(error)})


def _key(session_id: str) -> str:
    return f"session:{session_id}"


def _writes_key(session_id: str) -> str:
    return f"write_keys_zset:{session_id}:__empty__:shallow"


def _keys(session_id: str, writes: Any) -> list[str | bytes]:
    return [_key(session_id), f"checkpoint:{session_id}:", _writes_key(session_id), *writes]
