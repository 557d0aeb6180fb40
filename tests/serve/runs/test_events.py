"""Events of a run as any number of readers see them: cut, replayed, slow, over a Redis that loses some."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis

from graph.sessions.record import events_key, run_key
from serve.runs import events as watching_module
from serve.runs import store as store_module
from serve.runs.events import Watching
from serve.runs.signals import Signals
from serve.runs.store import RunStore, StoredEvent, event_of, number_of
from tests.pace import scaled, time_limit
from tools.core.errors import OverloadedError
from tools.core.settings import Settings

RESULT = event_of("result", {"done": True})


class World:
    """Runs in Redis, and a worker's readers."""

    def __init__(self, redis: Redis, bound: int = 10_000) -> None:
        self.redis = redis
        queue = uuid.uuid4().hex
        self.store = RunStore(redis, ttl_seconds=600, queue=queue, bound=bound)
        self.signals = Signals(redis, queue)
        self.watching = Watching(self.store, self.signals)

    async def begun(self) -> tuple[str, int, int]:
        """A run that a worker has begun: its id, its attempt, and the number of its newest event."""
        run_id = uuid.uuid4().hex
        await self.store.create(run_id, owner="", session_id=run_id, kind="generate", asked={})
        begun = await self.store.begin(await self.store.get(run_id), 1, "worker")
        assert begun is not None
        return run_id, begun.attempt, begun.events

    async def all_of(self, run_id: str, after: str | None = None) -> list[StoredEvent]:
        """Everything from a place on, to the end of the run."""
        async with asyncio.timeout(time_limit()), aclosing(self.watching.watch(run_id, after)) as batches:
            return [event async for batch in batches for event in batch]


@asynccontextmanager
async def opened(embedded: Settings) -> AsyncIterator[World]:
    async with Redis.from_url(embedded.redis_url or "") as redis:
        world = World(redis)
        listening = asyncio.create_task(world.signals.listen())
        try:
            yield world
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture
async def world(embedded: Settings) -> AsyncIterator[World]:
    async with opened(embedded) as made:
        yield made


def told(number: int) -> dict[str, Any]:
    return {"type": "task", "node": "generate_tasks", "elapsed_ms": number, "data": {"number": number}}


READERS = st.lists(
    st.lists(st.integers(1, 8), max_size=6),  # after how many events each of its connections is cut
    min_size=1,
    max_size=5,
)


@given(batches=st.lists(st.integers(1, 5), max_size=8), readers=READERS)
@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_number_of_readers_however_they_are_cut_see_the_same_events(
    embedded: Settings, batches: list[int], readers: list[list[int]]
) -> None:
    async with opened(embedded) as world:
        run_id, attempt, newest = await world.begun()

        async def tell() -> None:
            number = newest
            for size in batches:
                number = await world.store.tell(run_id, attempt, number, [told(i) for i in range(size)])
                await asyncio.sleep(0)
            await world.store.settle(run_id, "succeeded", RESULT, attempt=attempt)

        async def read(cuts: list[int]) -> list[StoredEvent]:
            seen: list[StoredEvent] = []
            for cut in cuts:
                left = cut
                async with aclosing(world.watching.watch(run_id, seen[-1].id if seen else None)) as parts:
                    async for part in parts:
                        # A connection may end in the middle of what was sent.
                        seen += part[:left]
                        left -= len(part)
                        if left <= 0:
                            break
            return seen + await world.all_of(run_id, seen[-1].id if seen else None)

        async with asyncio.timeout(time_limit()), asyncio.TaskGroup() as group:
            reading = [group.create_task(read(cuts)) for cuts in readers]
            group.create_task(tell())
        expected = await world.all_of(run_id)
        assert [event.number for event in expected] == list(range(1, newest + sum(batches) + 2))
        assert expected[-1].event == RESULT.event
        for reader in reading:
            assert reader.result() == expected


async def test_a_reader_that_is_far_behind_is_told_of_the_gap_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, attempt, newest = await world.begun()
    number = await world.store.tell(run_id, attempt, newest, [told(1)])
    (*_, last) = (await world.store.read(run_id, None, 10))[0]
    for _ in range(3):
        number = await world.store.tell(run_id, attempt, number, [told(0)] * (store_module.MAX_EVENTS // 2))
    await world.store.settle(run_id, "succeeded", RESULT, attempt=attempt)
    seen = await world.all_of(run_id, last.id)
    assert len(seen) == store_module.MAX_EVENTS + 1
    gap, first, *_ = seen
    assert gap.type == "gap"
    assert gap.as_json()["data"] == {"after": last.number, "next": first.number}
    assert await world.all_of(run_id, gap.id) == seen[1:]


async def test_a_redis_that_has_lost_the_newest_events_is_noticed(world: World) -> None:
    run_id, attempt, newest = await world.begun()
    await world.store.tell(run_id, attempt, newest, [told(1), told(2)])
    kept = [await world.redis.dump(key) for key in (run_key(run_id), events_key(run_id))]
    await world.store.tell(run_id, attempt, newest + 2, [told(3), told(4)])
    seen = (await world.store.read(run_id, None, 10))[0]
    for key, value in zip((run_key(run_id), events_key(run_id)), kept, strict=True):
        await world.redis.restore(key, 0, value, replace=True)
    await world.store.tell(run_id, attempt, newest + 4, [told(5)])
    await world.store.settle(run_id, "succeeded", RESULT, attempt=attempt)
    rest = await world.all_of(run_id, seen[-1].id)
    assert [event.type for event in rest] == ["gap", "task", "result"]
    assert rest[1].as_json()["data"] == {"number": 5}


async def test_what_an_earlier_attempt_still_says_is_refused(world: World) -> None:
    run_id, attempt, newest = await world.begun()
    again = await world.store.begin(await world.store.get(run_id), 1, "another")
    assert again is not None
    assert (again.attempt, again.losses) == (attempt + 1, 1)
    assert await world.store.tell(run_id, attempt, newest, [told(1)]) == -1
    assert not await world.store.settle(run_id, "failed", event_of("error", {}), attempt=attempt)
    assert await world.store.settle(run_id, "succeeded", RESULT, attempt=again.attempt)
    assert not await world.store.settle(run_id, "cancelled", event_of("error", {}))
    assert [event.type for event in await world.all_of(run_id)] == ["queued", "queued", "result"]


async def test_what_is_told_twice_because_its_answer_was_lost_is_there_once(world: World) -> None:
    run_id, attempt, newest = await world.begun()
    for _ in range(2):
        assert await world.store.tell(run_id, attempt, newest, [told(1), told(2)]) == newest + 2
    assert await world.store.tell(run_id, attempt, newest, [told(1), told(2), told(3)]) == newest + 3
    read, _, _ = await world.store.read(run_id, None, 10)
    assert [event.as_json()["data"]["number"] for event in read[1:]] == [1, 2, 3]


async def test_only_so_many_runs_wait(embedded: Settings) -> None:
    async with Redis.from_url(embedded.redis_url or "") as redis:
        store = World(redis, bound=2).store
        asked: dict[str, Any] = {"owner": "", "session_id": uuid.uuid4().hex, "kind": "generate", "asked": {}}
        ids = [uuid.uuid4().hex for _ in range(3)]
        assert await store.create(ids[0], **asked)
        assert await store.create(ids[1], **asked)
        assert not await store.create(ids[1], **asked)
        with pytest.raises(OverloadedError):
            await store.create(ids[2], **asked)
        assert await store.begin(await store.get(ids[0]), 1, "worker")
        assert await store.create(ids[2], **asked)


async def test_a_reader_hears_of_an_event_at_once_and_of_the_end_of_a_forgotten_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "HEARTBEAT_SECONDS", scaled(0.2))
    run_id, attempt, newest = await world.begun()
    async with asyncio.timeout(time_limit()), aclosing(world.watching.watch(run_id)) as batches:
        assert [event.type for event in await anext(batches)] == ["queued"]
        assert await anext(batches) == []  # a heartbeat
        await world.store.tell(run_id, attempt, newest, [told(1)])
        while not (batch := await anext(batches)):
            pass
        assert number_of(batch[0].id) == newest + 1
        await world.redis.delete(run_key(run_id), events_key(run_id))
        while not (batch := await anext(batches)):
            pass
        assert batch[0].as_json()["data"]["code"] == "run_not_found"
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
