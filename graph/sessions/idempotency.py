"""Idempotency keys: the same key gives the same answer, once paid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from graph.sessions.record import answers_key
from tools.core.errors import IdempotencyConflictError
from tools.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a key: the session it works on, and the answer once there is one."""

    key: str
    session_id: str
    first: bool
    """Whether this is the first request with the key."""
    answer: dict[str, Any] | None


class IdempotencyKeys:
    """Remembers what was asked under each key, for as long as a session lives from its last use.

    A claim holds no more than a hash of the request and the session's id; the answer is kept with
    the session and goes with it.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._ttl_seconds = max(1, round(settings.session_ttl_minutes * 60))

    async def begin(self, owner: str, key: str, request: object, session_id: str) -> Attempt:
        """Claims `key` for `request` on `session_id`, or returns what was claimed before.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        name = _name(owner, key)
        digest = hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()
        claim = orjson.dumps({"request": digest, "session_id": session_id})
        if await self._redis.set(name, claim, nx=True, ex=self._ttl_seconds):
            return Attempt(name, session_id, first=True, answer=None)
        stored = await self._redis.get(name)
        if stored is None:  # it expired between the two commands
            return await self.begin(owner, key, request, session_id)
        known = orjson.loads(stored)
        if known["request"] != digest:
            problem = "was used for another request"
            raise IdempotencyConflictError(fields=[{"field": "Idempotency-Key", "problem": problem}])
        answer = await self._redis.hget(answers_key(known["session_id"]), name)
        given = orjson.loads(answer) if answer is not None else None
        return Attempt(name, known["session_id"], first=False, answer=given)

    async def finish(self, attempt: Attempt, answer: dict[str, Any]) -> None:
        """Keeps the answer for whoever asks again with the key."""
        name = answers_key(attempt.session_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(name, attempt.key, orjson.dumps(answer))
            pipe.expire(name, self._ttl_seconds)
            pipe.expire(attempt.key, self._ttl_seconds)
            await pipe.execute()


def _name(owner: str, key: str) -> str:
    """The Redis key: hashed, so that no key of one owner can be written to look like another's."""
    return "idempotency:" + hashlib.sha256(orjson.dumps([owner, key])).hexdigest()
