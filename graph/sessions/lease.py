"""A worker's lease: while it lives in Redis, the worker's locks hold and its places are taken.

| key | what |
|---|---|
| `worker:{id}` | for how many runs the worker has places; expires LEASE_SECONDS after it was last renewed |
| `workers` | the ids of the workers that have had one |

There is one lease for all sessions of a worker, and a thread renews it over a connection of its own: an event
loop that is late does not lose it, nor has it anything to do for it. A worker that stood still for longer has
lost nothing by that alone. What others have taken meanwhile is theirs: it is refused to write there
(`graph/sessions/record.py`), and the runs concerned are cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tools.core.logs import cause
from tools.core.redis_client import redis_url
from tools.core.settings import Settings

logger = logging.getLogger(__name__)

WORKERS = "workers"
"""The set of the workers that share the places."""
LEASE_SECONDS = 20.0
"""After how long the locks and the places of a dead worker are free. A worker that got a tenth of a core for
2,000 people, and whose loop was late by minutes, could not renew it for 15 seconds (docs/load.md)."""
RENEW_SECONDS = 1.0
SOCKET_SECONDS = 3.0
"""How long Redis may take to answer a renewal before it is tried again, over a new connection."""

_RENEW = """
if redis.call('PEXPIRE', KEYS[1], ARGV[3]) == 1 then return 1 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 0
"""
"""Returns 0 where the lease had ended. Of a full Redis it asks nothing new, unless it had."""
_RESERVE = """
local others = 0
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if id ~= ARGV[1] then
    local places = redis.call('GET', 'worker:' .. id)
    if places then others = others + tonumber(places) else redis.call('SREM', KEYS[2], id) end
  end
end
local taken, wanted, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local places = math.max(taken, math.min(wanted, limit - others))
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], places, 'PX', ARGV[5])
return places
"""
"""Returns for how many runs the worker has places now: as many as it wants, if all workers together stay
within the limit, and no fewer than it has taken."""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
"""Frees a lock, unless it is another's by now."""


@dataclass(frozen=True, slots=True)
class SessionLock:
    """A lock that a run holds: its key, and a token that nobody else has had. What the run writes is written
    in one step with a look whether the key still has the token."""

    key: str
    token: str


class WorkerLease:
    """The lease of one worker. `open_lease` makes one."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url is not None  # noqa: S101 - `embedded_servers` has filled it
        self.worker_id = uuid.uuid4().hex
        self.places = 0
        """For how many runs it has places. The event loop alone asks for them."""
        self._key = f"worker:{self.worker_id}"
        self._redis = redis.Redis.from_url(
            redis_url(settings.redis_url),
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._loop = asyncio.get_running_loop()
        self._held: dict[SessionLock, asyncio.Task[Any]] = {}
        self._lost: set[SessionLock] = set()
        self._unreleased: list[SessionLock] = []
        self._locks = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def new_lock(self, key: str) -> SessionLock:
        """Returns what a lock at `key` is taken with. Its token names the worker, whose lease it hangs on."""
        self._locks += 1
        return SessionLock(key, f"{self.worker_id}:{self._locks}")

    def hold(self, lock: SessionLock, run: asyncio.Task[Any]) -> None:
        """Notes that `run` has the lock: it is cancelled when another has taken it."""
        self._held[lock] = run

    def is_lost(self, lock: SessionLock) -> bool:
        """Whether another has taken the lock, and the run was cancelled for it."""
        return lock in self._lost

    def let_go(self, lock: SessionLock) -> None:
        """Notes that the run has ended."""
        self._held.pop(lock, None)
        self._lost.discard(lock)

    def release_later(self, lock: SessionLock) -> None:
        """Has the thread free a lock that could not be freed."""
        self._unreleased.append(lock)

    async def reserve(self, client: Redis, *, taken: int, wanted: int, limit: int) -> int:
        """Asks for places for `wanted` runs, and returns for how many the worker has some now. `taken` are in
        use; over all workers there are `limit`.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        self.places = int(
            await client.eval(
                _RESERVE, 2, self._key, WORKERS, self.worker_id, taken, wanted, limit, _milliseconds()
            )
        )
        return self.places

    def start(self) -> None:
        """Takes the lease, and has it renewed. It blocks.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        self._renew()
        self._thread.start()

    def end(self) -> None:
        """Gives it up. It blocks, at most for the time that Redis may take."""
        self._ending.set()
        self._thread.join()
        with suppress(RedisError):  # it expires
            self._redis.delete(self._key)
        self._redis.close()

    def _keep(self) -> None:
        while not self._ending.wait(RENEW_SECONDS):
            try:
                if not self._renew():
                    logger.warning("a worker's lease had ended and is taken anew")
                    self._cancel_taken()
                while self._unreleased:
                    lock = self._unreleased[0]
                    self._redis.eval(RELEASE, 1, lock.key, lock.token)
                    self._unreleased.pop(0)
            except RedisError as error:
                logger.warning("a worker's lease could not be renewed", extra={"cause": cause(error)})

    def _renew(self) -> bool:
        """Returns whether the lease had not ended."""
        found = self._redis.eval(_RENEW, 2, self._key, WORKERS, self.worker_id, self.places, _milliseconds())
        return bool(found)

    def _cancel_taken(self) -> None:
        """Cancels the runs whose locks others have taken: they could write nothing."""
        held = list(self._held)
        tokens: Any = self._redis.mget([lock.key for lock in held]) if held else []
        for lock, token in zip(held, tokens, strict=True):
            if token != lock.token.encode():
                self._loop.call_soon_threadsafe(self._cancel, lock)

    def _cancel(self, lock: SessionLock) -> None:
        if (run := self._held.get(lock)) is not None:
            logger.warning("a run lost its session and is cancelled", extra={"lock": lock.key})
            self._lost.add(lock)
            run.cancel()


@asynccontextmanager
async def open_lease(settings: Settings) -> AsyncIterator[WorkerLease]:
    """Yields the lease of this worker; gives it up at the end.

    Raises:
        redis.exceptions.RedisError: Redis does not answer.
    """
    lease = WorkerLease(settings)
    await asyncio.to_thread(lease.start)
    try:
        yield lease
    finally:
        await asyncio.to_thread(lease.end)


def _milliseconds() -> int:
    return round(LEASE_SECONDS * 1_000)
