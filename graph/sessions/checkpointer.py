"""The checkpointer that keeps sessions in Redis: a whole turn or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver
from redis.asyncio import Redis

from graph.sessions.record import SessionRecord
from tools.core.settings import Settings

_PENDING = "__pending_turn"


@dataclass(slots=True)
class PendingTurn:
    """The newest checkpoint of a turn that has not succeeded yet. It travels in the run's config.

    `first`: the session is known to have no checkpoint, so none is looked for.
    """

    first: bool = False
    newest: tuple[RunnableConfig, Checkpoint, CheckpointMetadata, ChannelVersions] | None = None

    @property
    def state(self) -> dict[str, Any]:
        """The state at the end of the turn."""
        assert self.newest is not None  # noqa: S101 - a graph that has ended has handed it over
        return self.newest[1]["channel_values"]

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

    def __init__(self, client: Redis, ttl_minutes: float) -> None:
        """`ttl_minutes` is the life of a session that nobody uses; each read renews it."""
        super().__init__(redis_client=client, ttl={"default_ttl": ttl_minutes, "refresh_on_read": True})

    async def save(self, turn: PendingTurn, record: SessionRecord) -> None:
        """Writes the checkpoint of a turn that has succeeded and ends the turn (`SessionRecord.end_turn`).

        Raises:
            StoreUnavailableError: another run has the session.
            redis.exceptions.RedisError: it could not be written.
        """
        if turn.newest is None:
            return
        config, checkpoint, metadata, _ = turn.newest
        key = self._make_shallow_redis_checkpoint_key_cached(
            config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
        )
        await record.end_turn(key, checkpoint["id"], _as_json(config, checkpoint, metadata))

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

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Reads the checkpoint of the last turn; that of a session's first turn is not there to be read."""
        turn: PendingTurn | None = config["configurable"].get(_PENDING)
        return None if turn is not None and turn.first else await super().aget_tuple(config)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Drops the writes of an unfinished step of a pending turn."""
        if _PENDING not in config["configurable"]:
            await super().aput_writes(config, writes, task_id, task_path)


def _as_json(config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> bytes:
    """Returns what `AsyncShallowRedisSaver.aput` would write. The state holds JSON primitives only
    (`graph/state.py`), so it need not be searched for other types, decoded and written again."""
    versions = {channel: str(version) for channel, version in checkpoint["channel_versions"].items()}
    return orjson.dumps(
        {
            "thread_id": config["configurable"]["thread_id"],
            "run_id": "",
            "checkpoint_ns": config["configurable"]["checkpoint_ns"],
            "checkpoint_id": checkpoint["id"],
            "checkpoint_ts": datetime.fromisoformat(checkpoint["ts"]).timestamp() * 1000,
            "checkpoint": {"type": "json", **checkpoint, "channel_versions": versions, "pending_sends": []},
            "metadata": orjson.dumps(metadata).decode(),
            "source": metadata["source"],
            "step": metadata["step"],
        }
    )


async def open_checkpointer(settings: Settings, client: Redis) -> TurnSaver:
    """Returns the saver of sessions.

    It is a shallow one, because a saver that keeps every checkpoint would add the whole state to a session
    with each turn; the turns themselves are in the state's `history`.
    """
    saver = TurnSaver(client, settings.session_ttl_minutes)
    await saver.asetup()
    return saver
