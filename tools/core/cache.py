"""A cache in Redis for all workers. What several ask for at the same moment is made once.

| key | what |
|---|---|
| `cache:{name}:{n}` | a slot: hashes of an entry's key and version, and its value; expires |
| `cache:{name}:lease:{hash}` | who makes an entry at the moment: a token; expires LEASE_SECONDS after |

An entry has one slot, by its key's hash, and takes it from whatever entry has it. There is a fixed number of
slots, so a cache holds no more than that whatever is asked, and never needs a Redis that evicts: sessions are
in the same one, and of those nothing may be evicted.

A cache is never what a request fails of: where Redis does not answer, or is full, the value is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from redis import exceptions as redis_errors
from redis.asyncio import Redis

from tools.core.logs import cause
from tools.core.slots import WorkSlot

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
"""How long others wait for a value that one makes, before they make it themselves. A worker that dies while
it makes one delays them so long; who fails or is cancelled gives its lease back at once."""
POLL_SECONDS = 0.05
"""How often a worker looks whether the other's value has come."""
PAUSE_SECONDS = 1.0
"""How long a Redis that did not answer is not asked: requests should not wait for it one after the other."""
SLOT_OVERHEAD = 200
"""Bytes that Redis takes for a slot beside its value: the key, its expiry and the allocator's rounding."""
_HASH_BYTES = 16

_LOOK = """
local kept, stale = redis.call('GET', KEYS[1]), false
if kept and string.sub(kept, 1, 16) == ARGV[1] then
  stale = string.sub(kept, 33)
  if string.sub(kept, 17, 32) == ARGV[2] then return {'hit', stale} end
end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4]) then return {'make', stale} end
return {'wait'}
"""
"""Finds a value, or takes the lease to make it. With the lease comes the value of another version."""
_KEEP = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
"""Keeps a value and gives the lease back. Fenced: who has lost the lease, however late it comes, keeps
nothing."""
_LET_GO = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

Make = Callable[[bytes | None], Awaitable[bytes]]
"""Makes a value. It is given what the key's entry holds in another version, of which parts may hold still."""


@dataclass(slots=True)
class Counts:
    """What became of the questions to a cache, since the process began."""

    hits: int = 0
    """The value was there."""
    shared: int = 0
    """Another was making it, and it was waited for."""
    misses: int = 0
    """It was made."""
    failures: int = 0
    """Redis failed, so that it was made, or was not kept. Such a question is a miss, too."""

    def hit_rate(self) -> float | None:
        """Returns the share of questions for which nothing was made; None before the first."""
        asked = self.hits + self.shared + self.misses
        return round((self.hits + self.shared) / asked, 3) if asked else None


@dataclass(frozen=True, slots=True)
class _Entry:
    slot: str
    lease: str
    key_hash: bytes
    version_hash: bytes


class Cache:
    """One kind of values. Close it at the end, before Redis."""

    def __init__(self, redis: Redis, name: str, *, slots: int, value_bytes: int, ttl_seconds: int) -> None:
        """With no `slots` nothing is kept, nor shared. A value beyond `value_bytes`, or
        an empty one, is not kept."""
        self.counts = Counts()
        self._redis = redis
        self._prefix = f"cache:{name}"
        self._slots = slots
        self._value_bytes = value_bytes
        self._ttl_seconds = ttl_seconds
        self._worker = uuid.uuid4().hex
        self._leases = 0
        self._in_flight: dict[str, asyncio.Future[bytes | None]] = {}
        self._letting_go: set[asyncio.Task[None]] = set()
        self._failing = False
        self._paused_until = 0.0

    async def get_or_make(
        self, key: object, version: object, make: Make, slot: WorkSlot | None = None
    ) -> bytes:
        """Returns the value of `key` in `version` (JSON both), or makes and keeps it. Of those who ask at the
        same time one makes it, over all workers; if that one fails, the others make their own. `slot` is
        given up while another's is waited for.

        Raises:
            whatever `make` raises. The cache itself raises nothing.
        """
        if not self._slots:
            return await make(None)
        entry = self._entry(key, version)
        while (flight := self._in_flight.get(entry.lease)) is not None:
            async with _given_up(slot):
                await asyncio.wait([flight], timeout=LEASE_SECONDS)
            if flight.cancelled():
                continue  # by its listener, who left: one of those who wait takes it over
            value = flight.result() if flight.done() else None
            if value is None:
                return await self._make(make, None)
            self.counts.shared += 1
            return value
        flight = self._in_flight[entry.lease] = asyncio.get_running_loop().create_future()
        try:
            value = await self._get_or_make(entry, make, slot)
            flight.set_result(value)
        except Exception:
            # Its error may name a session, so it is not given to the others.
            flight.set_result(None)
            raise
        finally:
            del self._in_flight[entry.lease]
            flight.cancel()
        return value

    def report(self) -> dict[str, Any]:
        """Returns the counts of this worker, the share of hits, and a warning while Redis fails it."""
        warning = "Redis fails the cache: what it would hold is made each time" if self._failing else None
        return {"ok": True, **asdict(self.counts), "hit_rate": self.counts.hit_rate(), "warning": warning}

    async def aclose(self) -> None:
        """Waits until the leases of what was cancelled are given back."""
        if self._letting_go:
            await asyncio.wait(self._letting_go)

    async def _get_or_make(self, entry: _Entry, make: Make, slot: WorkSlot | None) -> bytes:
        self._leases += 1
        token = f"{self._worker}:{self._leases}"
        until = time.monotonic() + LEASE_SECONDS
        waited = False
        while (found := await self._look(entry, token)) is not None:
            match found:
                case [b"hit", value]:
                    if waited:
                        self.counts.shared += 1
                    else:
                        self.counts.hits += 1
                    return bytes(value)
                case [b"make", stale]:
                    return await self._make_and_keep(entry, token, make, stale)
            if time.monotonic() > until:
                break
            waited = True
            async with _given_up(slot):
                await asyncio.sleep(POLL_SECONDS)
        return await self._make(make, None)

    async def _make_and_keep(self, entry: _Entry, token: str, make: Make, stale: bytes | None) -> bytes:
        try:
            value = await self._make(make, stale)
        except BaseException:
            task = asyncio.create_task(self._let_go(entry, token))
            self._letting_go.add(task)
            task.add_done_callback(self._letting_go.discard)
            raise
        if not 0 < len(value) <= self._value_bytes:
            await self._let_go(entry, token)
        else:
            kept = entry.key_hash + entry.version_hash + value
            await self._ask(_KEEP, 2, entry.slot, entry.lease, token, kept, self._ttl_seconds)
        return value

    async def _make(self, make: Make, stale: bytes | None) -> bytes:
        self.counts.misses += 1
        return await make(stale)

    async def _look(self, entry: _Entry, token: str) -> list[Any] | None:
        """Returns what `_LOOK` returns; None where Redis fails."""
        if time.monotonic() < self._paused_until:
            self.counts.failures += 1
            return None
        lease = round(LEASE_SECONDS * 1_000)
        found: list[Any] | None = await self._ask(
            _LOOK, 2, entry.slot, entry.lease, entry.key_hash, entry.version_hash, token, lease
        )
        return found

    async def _let_go(self, entry: _Entry, token: str) -> None:
        await self._ask(_LET_GO, 1, entry.lease, token)

    async def _ask(self, script: str, *arguments: str | bytes | int) -> Any:
        """Returns what a script returns; None where Redis fails, which is logged once."""
        try:
            answer = await self._redis.execute_command("EVAL", script, *arguments)  # type: ignore[no-untyped-call]
        except (redis_errors.RedisError, OSError) as error:
            self.counts.failures += 1
            if isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError):
                self._paused_until = time.monotonic() + PAUSE_SECONDS
            if not self._failing:
                self._failing = True
                logger.warning("Redis fails a cache", extra={"cache": self._prefix, "cause": cause(error)})
            return None
        if self._failing:
            self._failing = False
            logger.info("Redis serves a cache again", extra={"cache": self._prefix})
        return answer

    def _entry(self, key: object, version: object) -> _Entry:
        key_hash, version_hash = _hash(key), _hash(version)
        number = int.from_bytes(key_hash[:8], "big") % self._slots
        lease = f"{self._prefix}:lease:{key_hash.hex()}{version_hash.hex()}"
        return _Entry(f"{self._prefix}:{number}", lease, key_hash, version_hash)


def _hash(value: object) -> bytes:
    return hashlib.blake2b(orjson.dumps(value), digest_size=_HASH_BYTES).digest()


def _given_up(slot: WorkSlot | None) -> AbstractAsyncContextManager[None]:
    return nullcontext() if slot is None else slot.given_up()
