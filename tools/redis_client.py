"""The Redis pool of a process and the checkpointer that keeps sessions in it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tools.errors import StoreUnavailableError
from tools.settings import Settings
from tools.store_urls import redis_url

POOL_WAIT_SECONDS = 5.0
SOCKET_SECONDS = 3.0
"""How long Redis may take to answer. A run that is caught by a Redis that stands still waits this
long a few times over, and then says so."""
_PROBE_KEPT_SECONDS = 10
"""What a probe has written lives so long where it could not delete it."""


@asynccontextmanager
async def open_redis(settings: Settings, *, patient: bool = True) -> AsyncIterator[Redis]:
    """Yields the client of this process. It tries again for a while on a connection that broke; told not to,
    once and at once.

    Its pool blocks: the default one raises at its limit, which 50 concurrent runs reach.

    Raises:
        SetupError: REDIS_URL is none that can be used.
    """
    assert settings.redis_url is not None  # noqa: S101 - `attached` has filled it
    pool = BlockingConnectionPool.from_url(
        redis_url(settings.redis_url),
        max_connections=settings.redis_pool,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=30,
        **({} if patient else {"retry": Retry(NoBackoff(), 1)}),
    )
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()


async def write_and_read(client: Redis) -> None:
    """Keeps a document as a session's is kept, reads it back and deletes it.

    Raises:
        RedisError: Redis does not answer, or refuses one of these.
        StoreUnavailableError: what was read is not what was written.
    """
    key, value = f"session:probe:{uuid.uuid4().hex}", f'"{time.time_ns()}"'
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("JSON.SET", key, "$", value)
        pipe.expire(key, _PROBE_KEPT_SECONDS)
        pipe.execute_command("JSON.GET", key)
        pipe.delete(key)
        found = (await pipe.execute())[2]
    if found != value.encode():
        raise StoreUnavailableError("Redis did not give back what was written to it.", store="redis")


@dataclass(slots=True)
class Unsaved:
    """The newest checkpoint of a run that has not come to its end."""

    newest: tuple[RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions] | None = None


_unsaved: ContextVar[Unsaved | None] = ContextVar("unsaved", default=None)


class TurnSaver(AsyncShallowRedisSaver):
    """Saves whole turns or nothing: one checkpoint a thread, that of its last turn that succeeded.

    LangGraph saves at the end of a run, however it ends. What a failed or cancelled run would leave,
    half a turn and writes that wait for a step that never comes, gets in the way of the next turn;
    so here a run's checkpoint waits until `save` is called. A failed turn loses nothing that was paid
    for: that is in the ledger (`tools/ledger.py`).
    """

    def begin(self) -> Unsaved:
        """Starts a turn in this context; from here on its checkpoint waits."""
        turn = Unsaved()
        _unsaved.set(turn)
        return turn

    async def save(self, turn: Unsaved) -> None:
        """Writes the checkpoint of a turn that has succeeded.

        Raises:
            redis.exceptions.RedisError: it could not be written.
        """
        if turn.newest is not None:
            await super().aput(*turn.newest)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keeps the checkpoint for `save`."""
        turn = _unsaved.get()
        if turn is None:
            return await super().aput(config, checkpoint, metadata, new_versions)
        turn.newest = (config, checkpoint, metadata, new_versions)
        named = {**config["configurable"], "checkpoint_id": checkpoint["id"]}
        return {"configurable": named}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keeps nothing of an unfinished step."""
        if _unsaved.get() is None:
            await super().aput_writes(config, writes, task_id, task_path)


async def open_checkpointer(settings: Settings, client: Redis) -> TurnSaver:
    """Returns the saver of sessions.

    A saver that keeps every checkpoint would add the whole state to a session with each turn; the
    turns themselves are in the state's `history`. The TTL is in minutes and renewed by each read.
    """
    saver = TurnSaver(
        redis_client=client,
        ttl={"default_ttl": settings.session_ttl_minutes, "refresh_on_read": True},
    )
    await saver.asetup()
    return saver
