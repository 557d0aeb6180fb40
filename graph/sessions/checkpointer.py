"""The checkpointer that keeps sessions in Redis: a whole turn or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver
from redis.asyncio import Redis

from tools.core.settings import Settings


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
    for: that is in the response journal (`tools/llm/journal.py`).
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
