"""The ledger of a run: every answer of a model, kept until the run has come to its end.

A checkpoint is written when a run ends. A worker that is killed before leaves none, but what it
was answered is here, by a hash of what it had asked; another worker that runs the same turn asks
the same questions and finds them answered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Protocol

import orjson


class ResponseJournal(Protocol):
    """Where answers are kept."""

    async def find(self, question: str) -> bytes | None:
        """Returns the answer to a question that was asked before.

        Raises:
            redis.exceptions.RedisError, psycopg.Error: the ledger does not answer.
        """

    async def keep(self, question: str, answer: bytes) -> None:
        """Keeps an answer.

        Raises:
            redis.exceptions.RedisError, psycopg.Error: it could not be kept.
        """


current: ContextVar[ResponseJournal | None] = ContextVar("ledger", default=None)
"""The ledger of the run that this code works for; none under Studio, which has checkpoints."""


asked: ContextVar[list[str] | None] = ContextVar("asked", default=None)
"""Where the questions of a piece of work are noted, answered or not, so that its answers can be forgotten."""
_in_flight: dict[tuple[int, str], asyncio.Future[None]] = {}
"""Questions of this process that are being asked, by their ledger: who asks the same waits for the answer."""


async def recorded_call(question: object, ask: Callable[[], Awaitable[bytes]]) -> bytes:
    """Returns the answer to `question` (JSON): the kept one, or else what `ask` gets, which is kept.

    Raises:
        redis.exceptions.RedisError, psycopg.Error: the answer could not be kept. It is lost, and the
            run ends: going on would pay for answers that a crash would lose.
    """
    ledger = current.get()
    if ledger is None:
        return await ask()
    key = hashlib.blake2b(orjson.dumps(question), digest_size=16).hexdigest()
    noted = asked.get()
    if noted is not None:
        noted.append(key)
    while (other := _in_flight.get((id(ledger), key))) is not None:
        # Whatever becomes of it: its answer is found below, or it is asked again here.
        await asyncio.wait([other])
    done = _in_flight[id(ledger), key] = asyncio.get_running_loop().create_future()
    try:
        found = await ledger.find(key)
        if found is not None:
            return found
        answer = await ask()
        await ledger.keep(key, answer)
        return answer
    finally:
        del _in_flight[id(ledger), key]
        done.cancel()
