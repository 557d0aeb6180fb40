"""What Redis holds of a session beside its checkpoint: its record, its lock, its Idempotency-Keys.

| key | what |
|---|---|
| `session:{id}` | hash: `owner`, `request`, and `paid:…`, the response journal of an unfinished turn |
| `session-answers:{id}` | hash: the claims of its Idempotency-Keys, each with the answer, empty before |
| `idempotency:{hash}` | a claim: which session a key of which owner works on, and a hash of its request |
| `session-lock:{id}` | the run that is at work on it: a token that begins with its worker's id |
| `checkpoint:{id}:` | the saver's |
| `session-runs:{id}` | sorted set: its background runs (`serve/runs/store.py`), which are forgotten with it |

All but the lock and the runs expire together, `session_ttl_minutes` after the last use. A lock holds as long
as the lease of its worker lives (`graph/sessions/lease.py`). What a run writes is fenced: Redis looks in the
same step whether the lock still has the run's token, so a run that another has replaced, however late it
is, writes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from graph.sessions.lease import RELEASE, SessionLock, WorkerLease
from graph.sessions.owners import may_read
from graph.state import Request
from tools.core.errors import (
    IdempotencyConflictError,
    RunInProgressError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from tools.core.settings import Settings

RELEASE_SECONDS = 2.0
"""How long a run tries to free its lock before it leaves that to the lease's thread."""
_PAID = b"paid:"
_LOCK = """
local holder = redis.call('GET', KEYS[1])
if holder and redis.call('EXISTS', 'worker:' .. string.match(holder, '^[^:]*')) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
"""Locks a session, unless a run of a worker whose lease lives has it."""
_RECORD = """
if redis.call('GET', KEYS[2]) ~= ARGV[4] then return 'lost' end
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 'done'
"""
"""Adds an answer to the record only while there is one, because a session that has expired stays gone, and
only for the run that has the lock."""
_CLAIM = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then
  redis.call('HSETNX', KEYS[2], KEYS[1], '')
  redis.call('EXPIRE', KEYS[2], ARGV[2])
  return false
end
return redis.call('GET', KEYS[1])
"""
"""Claims an Idempotency-Key, and notes that with the session, with which it is deleted; returns the claim
that there was."""
_END_TURN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  -- Asked a second time, because the first answer was lost on its way.
  if redis.call('JSON.GET', KEYS[2], 'checkpoint_id') == ARGV[3] then return 1 end
  return 0
end
redis.call('JSON.SET', KEYS[2], '$', ARGV[2])
if ARGV[5] then redis.call('HDEL', KEYS[3], unpack(ARGV, 5)) end
for number = 2, #KEYS do redis.call('EXPIRE', KEYS[number], ARGV[4]) end
redis.call('DEL', KEYS[1])
return 1
"""
"""Ends a turn in one step, for the run that has the lock: writes the checkpoint, deletes the answers that
were recorded until then, and frees the lock. Where Redis is too full for the checkpoint nothing changes."""
_FORGET = """
local holder = redis.call('GET', KEYS[1])
if holder and redis.call('EXISTS', 'worker:' .. string.match(holder, '^[^:]*')) == 1 then return 0 end
-- The answers are kept by the names of their Idempotency-Keys' claims, those that have none yet, too.
for _, claim in ipairs(redis.call('HKEYS', KEYS[2])) do redis.call('DEL', claim) end
for _, run in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  redis.call('DEL', 'run:' .. run, 'run-events:' .. run)
end
redis.call('DEL', unpack(KEYS, 2))
return 1
"""
"""Deletes a session that no run works on, in one step. It writes nothing, not even a lock, so that it works
on a full Redis."""


@dataclass(slots=True)
class SessionRecord:
    """A session's record as one run sees it. It is the run's `ResponseJournal`."""

    session_id: str
    owner: str
    request: Request
    redis: Redis
    ttl_seconds: int
    paid: dict[str, bytes] = field(default_factory=dict)
    lock: SessionLock | None = None
    """The lock of the run that is at work; without one nothing can be recorded."""

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        return self.paid.get(question)

    async def record(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.record`.

        Raises:
            StoreUnavailableError: the session is gone or another run's, so the answer could not be recorded.
        """
        assert self.lock is not None  # noqa: S101 - a run has locked its session
        self.paid[question] = answer
        keys = (_key(self.session_id), self.lock.key)
        arguments = (f"paid:{question}", answer, self.ttl_seconds, self.lock.token)
        outcome = await self.redis.eval(_RECORD, len(keys), *keys, *arguments)
        if outcome == b"lost":
            raise lost_session()
        if outcome == b"gone":
            raise StoreUnavailableError("The session is gone from Redis while a run was at work on it.")

    async def end_turn(self, checkpoint_key: str, checkpoint_id: str, document: bytes) -> None:
        """Writes the checkpoint of a turn that has succeeded, deletes what was recorded for it, renews the
        time to live, and frees the lock.

        Raises:
            StoreUnavailableError: another run has the session. Nothing was changed.
        """
        assert self.lock is not None  # noqa: S101 - a run has locked its session
        keys = (self.lock.key, checkpoint_key, _key(self.session_id), _answers_key(self.session_id))
        recorded = (f"paid:{question}" for question in self.paid)
        known = orjson.dumps(checkpoint_id)
        given = (self.lock.token, document, known, self.ttl_seconds)
        if not await self.redis.eval(_END_TURN, len(keys), *keys, *given, *recorded):
            raise lost_session()
        self.lock.freed = True

    async def forget(self, questions: Sequence[str]) -> None:
        """As `ResponseJournal.forget`."""
        for question in questions:
            self.paid.pop(question, None)
        await self.redis.hdel(_key(self.session_id), *(f"paid:{question}" for question in questions))


def lost_session(session_id: str | None = None) -> StoreUnavailableError:
    """Returns the error of a run whose session another has taken."""
    message = (
        "This worker or Redis stood still, and another run has the session by now. Nothing was changed; ask "
        "again on it."
    )
    return StoreUnavailableError(message, store="redis", session_id=session_id)


class SessionRecords:
    """Creates, reads, locks and deletes the records of sessions."""

    def __init__(self, redis: Redis, settings: Settings, lease: WorkerLease) -> None:
        self._redis = redis
        self._lease = lease
        self._ttl_seconds = max(1, round(settings.session_ttl_minutes * 60))
        # Longer than any run: a lock ends with its run, or with its worker's lease.
        self._lock_seconds = round(2 * settings.run_timeout_seconds) + 60

    async def create(self, session_id: str, owner: str, request: Request) -> SessionRecord:
        """Writes the record of a new session."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_key(session_id), mapping={"owner": owner, "request": orjson.dumps(request)})
            pipe.expire(_key(session_id), self._ttl_seconds)
            await pipe.execute()
        return SessionRecord(session_id, owner, request, self._redis, self._ttl_seconds)

    async def load(self, session_id: str, owner: str, *, may_be_guest: bool = False) -> SessionRecord:
        """Returns the record, and renews the time to live of all keys of the session. `may_be_guest`: whoever
        has a link to it may have it, too.

        Raises:
            SessionNotFoundError: there is none, it has expired, or it is somebody else's.
        """
        fields: dict[Any, Any] = await self._redis.hgetall(_key(session_id))
        known = fields[b"owner"].decode() if b"owner" in fields else None
        if known is None or not (known == owner or (may_be_guest and may_read(owner, known, session_id))):
            raise SessionNotFoundError(session_id=session_id)
        await self._renew(session_id)
        paid = {
            name.removeprefix(_PAID).decode(): value
            for name, value in fields.items()
            if name.startswith(_PAID)
        }
        request = orjson.loads(fields[b"request"])
        return SessionRecord(session_id, known, request, self._redis, self._ttl_seconds, paid)

    async def clear_pending(self, record: SessionRecord) -> None:
        """Deletes the answers that were recorded for a turn that has failed, and renews the time to live."""
        await self._renew(record.session_id, *(f"paid:{question}" for question in record.paid))

    async def forget(self, session_id: str, owner: str) -> None:
        """Deletes everything of a session at once.

        Raises:
            SessionNotFoundError: as `load`.
            RunInProgressError: a run is at work on it and would write it again.
        """
        # First, also because a Redis that stood still runs the last command it received when it goes on.
        await self.load(session_id, owner)
        keys = [_lock_key(session_id), _answers_key(session_id), runs_key(session_id), *_keys(session_id)]
        if not await self._redis.eval(_FORGET, len(keys), *keys):
            raise RunInProgressError(session_id=session_id)

    @asynccontextmanager
    async def locked(self, session_id: str) -> AsyncIterator[SessionLock]:
        """Locks the session for the run that is the current task, over all workers.

        The lock holds while the worker's lease lives. A run whose lock another has taken, because the worker
        stood still for too long, is cancelled.

        Raises:
            RunInProgressError: another run has the session.
            StoreUnavailableError: another has taken it.
        """
        lock = self._lease.new_lock(_lock_key(session_id))
        run = asyncio.current_task()
        assert run is not None  # noqa: S101 - a coroutine runs in a task
        try:
            free = await self._redis.eval(_LOCK, 1, lock.key, lock.token, self._lock_seconds)
        except BaseException:
            self._lease.release_later(lock)  # Redis may have received it all the same
            raise
        if not free:
            raise RunInProgressError(session_id=session_id)
        self._lease.hold(lock, run)
        try:
            yield lock
        except asyncio.CancelledError:
            if not self._lease.is_lost(lock):
                raise
            run.uncancel()
            raise lost_session(session_id) from None
        finally:
            self._lease.let_go(lock)
            if not lock.freed:
                await self._release(lock)

    async def _release(self, lock: SessionLock) -> None:
        released = False
        try:
            with suppress(RedisError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._redis.eval(RELEASE, 1, lock.key, lock.token)
                released = True
        finally:
            if not released:
                self._lease.release_later(lock)

    async def _renew(self, session_id: str, *without: str) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            if without:
                pipe.hdel(_key(session_id), *without)
            for key in _keys(session_id):
                pipe.expire(key, self._ttl_seconds)
            await pipe.execute()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request with an Idempotency-Key: the session it works on, and the answer once there is one."""

    key: str
    session_id: str
    first: bool
    """Whether this is the first request with the key."""
    answer: dict[str, Any] | None


class IdempotencyKeys:
    """The Idempotency-Keys of requests: the same key gives the same answer, which is paid for once.

    A claim holds no more than a hash of the request and the session's id; the answer is kept with the
    session and deleted with it. Both expire like a session, `session_ttl_minutes` after the last use.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._ttl_seconds = max(1, round(settings.session_ttl_minutes * 60))

    async def begin(
        self, owner: str, key: str, request: object, session_id: str, *, run_id: str | None = None
    ) -> Attempt:
        """Claims `key` for `request` on `session_id`, or returns what was claimed before. The claim of a
        background run (`run_id`) names that, and is deleted with the session all the same.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        # Hashed, so that no key of one owner can be written to look like another's.
        name = "idempotency:" + hashlib.sha256(orjson.dumps([owner, key])).hexdigest()
        digest = hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()
        claimed = run_id or session_id
        claim = orjson.dumps({"request": digest, "session_id": claimed})
        keys = (name, _answers_key(session_id))
        stored: Any = await self._redis.eval(_CLAIM, len(keys), *keys, claim, self._ttl_seconds)
        if stored is None:
            return Attempt(name, claimed, first=True, answer=None)
        known = orjson.loads(stored)
        if known["request"] != digest:
            problem = "was used for another request"
            raise IdempotencyConflictError(fields=[{"field": "Idempotency-Key", "problem": problem}])
        answer = await self._redis.hget(_answers_key(known["session_id"]), name)
        given = orjson.loads(answer) if answer else None
        return Attempt(name, known["session_id"], first=False, answer=given)

    async def finish(self, attempt: Attempt, answer: dict[str, Any]) -> None:
        """Keeps the answer for later requests with the key."""
        name = _answers_key(attempt.session_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(name, attempt.key, orjson.dumps(answer))
            pipe.expire(name, self._ttl_seconds)
            pipe.expire(attempt.key, self._ttl_seconds)
            await pipe.execute()


def runs_key(session_id: str) -> str:
    """The key of the session's background runs."""
    return f"session-runs:{session_id}"


def run_key(run_id: str) -> str:
    """The key of a background run."""
    return f"run:{run_id}"


def events_key(run_id: str) -> str:
    """The key of a background run's events."""
    return f"run-events:{run_id}"


def _answers_key(session_id: str) -> str:
    return f"session-answers:{session_id}"


def _key(session_id: str) -> str:
    return f"session:{session_id}"


def _lock_key(session_id: str) -> str:
    return f"session-lock:{session_id}"


def _keys(session_id: str) -> list[str]:
    return [_key(session_id), _answers_key(session_id), f"checkpoint:{session_id}:"]
