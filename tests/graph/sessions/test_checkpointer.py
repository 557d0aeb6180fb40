"""What the saver writes, on the real Redis."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from langgraph.checkpoint.redis.ashallow import AsyncShallowRedisSaver

from graph.sessions.checkpointer import PendingTurn, TurnSaver
from graph.sessions.record import SessionRecord
from serve.context import AppContext
from tests.graph.sessions.test_sessions import generated


async def test_a_turn_is_written_as_the_library_would_write_it(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that its reading, its search and its later versions understand it."""
    redis = app_context.services.redis
    written: list[Any] = []
    save = TurnSaver.save

    async def save_twice(saver: TurnSaver, turn: PendingTurn, record: SessionRecord) -> None:
        assert turn.newest is not None
        key = f"checkpoint:{turn.newest[0]['configurable']['thread_id']}:"
        await AsyncShallowRedisSaver.aput(saver, *turn.newest)
        written.append(await redis.json().get(key))
        await redis.delete(key)
        await save(saver, turn, record)
        written.append(await redis.json().get(key))
        assert await redis.ttl(key) > 0

    monkeypatch.setattr(TurnSaver, "save", save_twice)
    await generated(app_context)
    library, own = written
    assert orjson.loads(own.pop("metadata")) == orjson.loads(library.pop("metadata"))
    assert own == library
