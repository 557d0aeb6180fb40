"""The checkpointer that keeps sessions in Redis: a whole turn or nothing."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver
from redis.asyncio import Redis

from graph.sessions.lease import SessionLock
from graph.sessions.record import lost_session
from tools.core.settings import Settings

_PENDING = "__pending_turn"
_SAVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('JSON.SET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""
"""Writes a checkpoint, unless another run has the session."""


@dataclass(slots=True)
class PendingTurn:
    """The newest checkpoint of a turn that has not succeeded yet. It travels in the run's config."""

    newest: tuple[RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions] | None = None

    def configurable(self) -> dict[str, Any]:
        """Returns what the run's `configurable` needs, so that its checkpoint waits here."""
        return {_PENDING: self}


class TurnSaver(AsyncShallowRedisSaver):
    """Saves whole turns or nothing: one checkpoint a thread, that of its last turn that succeeded.

    LangGraph saves at the end of a run, however it ends. A failed or cancelled run would leave half a turn
    and writes that wait for a step that never comes, which would disturb the next turn. So the checkpoint of
    a run with a PendingTurn waits there until `save` is called. A failed turn loses nothing that was paid
    for: that is in the response journal (`tools/llm/journal.py`).
    """

    async def save(self, turn: PendingTurn, lock: SessionLock) -> None:
        """Writes the checkpoint of a turn that has succeeded, for the run that has the lock.

        Raises:
            StoreUnavailableError: another run has the session.
            redis.exceptions.RedisError: it could not be written.
        """
        if turn.newest is not None:
            locked = copy.copy(self)
            locked._redis = cast(Redis, _LockedClient(self._redis, lock))
            await super(TurnSaver, locked).aput(*turn.newest)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Lets the checkpoint of a pending turn wait; writes any other."""
        turn: PendingTurn | None = config["configurable"].get(_PENDING)
        if turn is None:
            return await super().aput(config, checkpoint, metadata, new_versions)
        turn.newest = (config, checkpoint, metadata, new_versions)
        return {"configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Drops the writes of an unfinished step of a pending turn."""
        if _PENDING not in config["configurable"]:
            await super().aput_writes(config, writes, task_id, task_path)


class _LockedClient:
    """The client with which one checkpoint is written: its document is written by a script that looks at the
    lock in the same step. It has what the saver uses: a pipeline with one JSON.SET, and EXPIRE."""

    def __init__(self, redis: Redis, lock: SessionLock) -> None:
        self._redis = redis
        self._lock = lock
        self._document: tuple[str, str, bytes] | None = None

    def pipeline(self, *, transaction: bool) -> _LockedClient:
        """Returns what collects the commands of a pipeline."""
        return self

    def json(self) -> _LockedClient:
        """Returns what has the commands of the JSON module."""
        return self

    def set(self, key: str, path: str, document: Any) -> None:
        """Collects a JSON.SET."""
        self._document = key, path, orjson.dumps(document)

    async def execute(self) -> None:
        """Writes what was collected.

        Raises:
            StoreUnavailableError: another run has the session.
        """
        assert self._document is not None  # noqa: S101 - the saver has set it
        key, path, document = self._document
        keys = (self._lock.key, key)
        if not await self._redis.eval(_SAVE, len(keys), *keys, self._lock.token, path, document):
            raise lost_session()

    async def expire(self, key: str, seconds: int) -> bool:
        """As the client's."""
        return bool(await self._redis.expire(key, seconds))


async def open_checkpointer(settings: Settings, client: Redis) -> TurnSaver:
    """Returns the saver of sessions.

    It is a shallow one, because a saver that keeps every checkpoint would add the whole state to a session
    with each turn; the turns themselves are in the state's `history`. The TTL is in minutes and renewed by
    each read.
    """
    saver = TurnSaver(
        redis_client=client,
        ttl={"default_ttl": settings.session_ttl_minutes, "refresh_on_read": True},
    )
    await saver.asetup()
    return saver
