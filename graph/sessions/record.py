"""What Redis holds of a session beside its checkpoint.

| key | what |
|---|---|
| `session:{id}` | hash: `owner`, `request`, and `paid:…`, the ledger of an unfinished turn |
| `session-answers:{id}` | hash: answers that were given under an Idempotency-Key |
| `session-lock:{id}` | the run that is at work on it |
| `checkpoint:{id}:` | the saver's |

All but the lock expire together, `session_ttl_minutes` after the last use.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from tools.core.errors import RunInProgressError, SessionNotFoundError, StoreUnavailableError
from tools.core.logs import cause
from tools.core.settings import Settings

logger = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
"""After how long the lock of a dead worker frees itself. A living one renews it three times in that."""
_PAID = b"paid:"
_KEEP = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""Adds to a record only while there is one: a session that expired or was lost is not half revived."""
_FORGET = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
-- The answers are kept by the names of their Idempotency-Keys' claims.
for _, claim in ipairs(redis.call('HKEYS', KEYS[2])) do redis.call('DEL', claim) end
redis.call('DEL', unpack(KEYS, 2))
return 1
"""
"""Deletes a session that nobody works on, in one step. It writes nothing, not even a lock, so that it works
on a full Redis."""


@dataclass(slots=True)
class SessionRecord:
    """A session's record as one run sees it; the run's ledger."""

    session_id: str
    owner: str
    request: dict[str, Any]
    redis: Redis
    ttl_seconds: int
    paid: dict[str, bytes] = field(default_factory=dict)

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        return self.paid.get(question)

    async def keep(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.keep`.

        Raises:
            StoreUnavailableError: the record is gone, so what the run makes could not be kept.
        """
        self.paid[question] = answer
        arguments = (_key(self.session_id), f"paid:{question}", answer, self.ttl_seconds)
        if not await self.redis.eval(_KEEP, 1, *arguments):
            raise StoreUnavailableError("The session is gone from Redis while a run was at work on it.")


class SessionLock:
    """A run's hold on a session: the lock, and whether it was lost."""

    def __init__(self, lock: Lock, holder: asyncio.Task[Any]) -> None:
        self._lock = lock
        self._holder = holder
        self.lost = False

    async def ensure_owned(self) -> None:
        """Makes sure that no other run can have taken the session, before something is written.

        Raises:
            StoreUnavailableError: the lock is no longer held.
        """
        if self.lost or not await self._lock.owned():
            self.lost = True
            raise StoreUnavailableError(_LOST, store="redis")

    async def renew(self) -> None:
        """Renews the lock until it is lost; then cancels the run."""
        renewed = time.monotonic()
        pause = LOCK_SECONDS / 3
        while not self.lost:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(LOCK_SECONDS / 3):
                    await self._lock.reacquire()
                renewed = time.monotonic()
                pause = LOCK_SECONDS / 3
            except LockError:
                self.lost = True
            except (RedisError, TimeoutError) as error:
                logger.warning("a session's lock could not be renewed", extra={"cause": cause(error)})
                self.lost = time.monotonic() - renewed >= LOCK_SECONDS
                # Tried again before the lock ends, which after another third it would have.
                pause = LOCK_SECONDS / 30
        logger.warning("a run lost its session and is cancelled", extra={"lock": self._lock.name})
        self._holder.cancel()


_LOST = (
    "This worker or Redis stood still, and the session may be somebody else's by now. Nothing was "
    "changed; ask again on it."
)


class SessionRecords:
    """Creates, reads, locks and forgets the records of sessions."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._ttl_seconds = max(1, round(settings.session_ttl_minutes * 60))

    async def create(self, session_id: str, owner: str, request: dict[str, Any]) -> SessionRecord:
        """Writes the record of a new session."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(session_id), mapping={"owner": owner, "request": orjson.dumps(request)})
            pipe.expire(_key(session_id), self._ttl_seconds)
            await pipe.execute()
        return SessionRecord(session_id, owner, request, self._redis, self._ttl_seconds)

    async def load(self, session_id: str, owner: str) -> SessionRecord:
        """Returns the record, and renews the life of everything the session has in Redis.

        Raises:
            SessionNotFoundError: there is none, it has expired, or it is somebody else's.
        """
        fields: dict[Any, Any] = await self._redis.hgetall(_key(session_id))
        if b"owner" not in fields or fields[b"owner"].decode() != owner:
            raise SessionNotFoundError(session_id=session_id)
        await self._renew(session_id)
        paid = {
            name.removeprefix(_PAID).decode(): value
            for name, value in fields.items()
            if name.startswith(_PAID)
        }
        request = orjson.loads(fields[b"request"])
        return SessionRecord(session_id, owner, request, self._redis, self._ttl_seconds, paid)

    async def clear_pending(self, record: SessionRecord) -> None:
        """Empties the ledger of a turn that has ended; the session's time begins anew."""
        await self._renew(record.session_id, *(f"paid:{question}" for question in record.paid))

    async def forget(self, session_id: str, owner: str) -> None:
        """Deletes everything of a session at once.

        Raises:
            SessionNotFoundError: as `load`.
            RunInProgressError: a run is at work on it and would write it again.
        """
        # First, also because what a Redis that stood still was told last it does when it goes on.
        await self.load(session_id, owner)
        keys = [_lock_key(session_id), answers_key(session_id), *_keys(session_id)]
        if not await self._redis.eval(_FORGET, len(keys), *keys):
            raise RunInProgressError(session_id=session_id)

    @asynccontextmanager
    async def locked(self, session_id: str) -> AsyncIterator[SessionLock]:
        """Holds the session for one run, over all workers.

        The lock is renewed while it is held. A worker that could not renew it in time, because it
        or Redis stood still, is cancelled: another may be at work by then.

        Raises:
            RunInProgressError: another run holds it.
            StoreUnavailableError: the lock was lost while it was held.
        """
        lock = self._redis.lock(_lock_key(session_id), timeout=LOCK_SECONDS, thread_local=False)
        if not await lock.acquire(blocking=False):
            raise RunInProgressError(session_id=session_id)
        holder = asyncio.current_task()
        assert holder is not None  # noqa: S101 - a coroutine runs in a task
        hold = SessionLock(lock, holder)
        renewal = asyncio.create_task(hold.renew())
        try:
            yield hold
        except asyncio.CancelledError:
            if not hold.lost:
                raise
            holder.uncancel()
            raise StoreUnavailableError(_LOST, store="redis", session_id=session_id) from None
        finally:
            while not renewal.done():
                # Python 3.11 may swallow a cancellation that meets the end of a command to Redis.
                renewal.cancel()
                await asyncio.wait({renewal}, timeout=LOCK_SECONDS / 3)
            # Not released, it expires: the session is free a few seconds later.
            with suppress(LockError, RedisError, TimeoutError):
                async with asyncio.timeout(LOCK_SECONDS / 3):
                    await lock.release()

    async def _renew(self, session_id: str, *without: str) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            if without:
                pipe.hdel(_key(session_id), *without)
            for key in _keys(session_id):
                pipe.expire(key, self._ttl_seconds)
            await pipe.execute()


def answers_key(session_id: str) -> str:
    """The hash of answers that were given under an Idempotency-Key."""
    return f"session-answers:{session_id}"


def _key(session_id: str) -> str:
    return f"session:{session_id}"


def _lock_key(session_id: str) -> str:
    return f"session-lock:{session_id}"


def _keys(session_id: str) -> list[str]:
    return [_key(session_id), answers_key(session_id), f"checkpoint:{session_id}:"]
