"""Searching by a text, with what the same text found before, on a real PostgreSQL and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from redis.asyncio import Redis

from tests.databases import cloned
from tests.fakes import ScriptedAnalyser
from tests.pace import time_limit
from tests.tools.postings.test_repository import EAST, MODEL, NORTH, Store, gone, posting, write
from tools.core.database import Pool, Vector, open_pool
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.postings.contracts import FoundPosting
from tools.postings.question import NEAREST, Question
from tools.retrieval.analyser import AnalyserError
from tools.retrieval.search import PostingSearch, search_cache

FIRST_DAY, LAST_DAY = "Pacific/Pago_Pago", "Pacific/Kiritimati"
"""Time zones that never have the same date: 25 hours lie between them."""


class Embedding:
    """Embeds every text as north, and counts."""

    model_name = MODEL
    dimensions = 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def blend(self, parts: Sequence[tuple[str, float]]) -> Vector:
        """As `Embedder.blend`."""
        self.asked += [text for text, _ in parts]
        return np.array(NORTH, dtype=np.float32)


class Counted(Store):
    """Counts the searches."""

    searches = 0

    async def nearest(self, vector: Vector, *, k: int, question: Question = NEAREST) -> list[FoundPosting]:
        """As the store's."""
        self.searches += 1
        return await super().nearest(vector, k=k, question=question)


class Worker:
    """What one worker searches with."""

    def __init__(self, pool: Pool, redis: Redis, settings: Settings) -> None:
        self.store, self.embedding = Counted(pool), Embedding()
        embedder: Any = self.embedding
        self.analyser: Any = ScriptedAnalyser()
        self.search = PostingSearch(self.store, embedder, self.analyser, search_cache(settings, redis))

    async def found(self, text: str = "a back end", k: int = 5) -> list[str]:
        return [one.source_id for one in (await self.search.find(text, k=k)).postings]


@pytest.fixture
def caching(empty_settings: Settings) -> Settings:
    return empty_settings.model_copy(update={"cache_megabytes": 1})


@pytest.fixture
async def pool(caching: Settings) -> AsyncIterator[Pool]:
    opened = await open_pool(caching)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(caching: Settings) -> AsyncIterator[Redis]:
    async with open_redis(caching) as client:
        yield client


@pytest.fixture
async def workers(pool: Pool, redis: Redis, caching: Settings) -> Sequence[Worker]:
    """Two, on a database with two postings."""
    made = [Worker(pool, redis, caching) for _ in range(2)]
    await write(made[0].store, (posting("n"), NORTH), (posting("e"), EAST))
    return made


async def test_what_one_worker_found_the_other_is_given_as_it_was(workers: Sequence[Worker]) -> None:
    one, other = workers
    first = await one.search.find("a back end", k=5)
    assert [hit.source_id for hit in first.postings] == ["n", "e"]
    assert await other.search.find("a back end", k=5) == first
    assert (other.embedding.asked, other.store.searches) == ([], 0)
    assert await other.found("another text") == ["n", "e"]
    assert await other.found(k=1) == ["n"]
    assert other.store.searches == 2


async def test_runs_that_search_for_the_same_at_once_search_once(workers: Sequence[Worker]) -> None:
    found = asyncio.gather(*(workers[n % 2].found() for n in range(8)))
    assert await asyncio.wait_for(found, time_limit()) == [["n", "e"]] * 8
    assert sum(worker.store.searches for worker in workers) == 1


async def test_no_write_is_hidden_by_what_was_found_before(workers: Sequence[Worker], pool: Pool) -> None:
    one, other = workers

    async def by_hand(statement: str) -> None:
        async with pool.connection() as connection:
            await connection.execute(statement)

    assert await one.found() == ["n", "e"]
    await write(one.store, (posting("new"), NORTH))
    assert await other.found() == ["n", "new", "e"]
    await gone(pool, "n")
    assert await other.found() == ["new", "e"]
    # Whoever writes: no revision was raised here.
    await by_hand("update postings set withdrawn_at = null where source_id = 'n'")
    assert await other.found() == ["n", "new", "e"]
    await by_hand("update postings set deadline = current_date - 1 where source_id = 'n'")
    assert await other.found() == ["new", "e"]
    await by_hand("delete from postings where source_id = 'new'")
    assert await other.found() == ["e"]
    # A vector is the text's, whatever was written: only searches were made anew.
    assert other.embedding.asked == []


async def test_a_write_that_is_rolled_back_changes_nothing(workers: Sequence[Worker], pool: Pool) -> None:
    one = workers[0]
    await one.found()
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute("delete from postings")
        # Not committed: what is found meanwhile is kept as it is.
        assert await one.found() == ["n", "e"]
    assert await one.found() == ["n", "e"]
    assert one.store.searches == 1


async def test_a_deadline_passes_with_the_day_though_nobody_writes(
    workers: Sequence[Worker], redis: Redis, caching: Settings
) -> None:
    # The service's day is its database's.
    last = (datetime.now(UTC) - timedelta(hours=11)).date()
    await write(workers[0].store, (posting("closes", deadline=last), NORTH))

    async def on_the_day_of(zone: str) -> list[str]:
        assert caching.database_url is not None
        async with await psycopg.AsyncConnection.connect(caching.database_url) as connection:
            name = connection.info.dbname
            await connection.execute(f"alter database \"{name}\" set timezone = '{zone}'")
        own = await open_pool(caching)
        try:
            return await Worker(own, redis, caching).found()
        finally:
            await own.close()

    assert await on_the_day_of(FIRST_DAY) == ["n", "closes", "e"]
    assert await on_the_day_of(LAST_DAY) == ["n", "e"]


async def test_another_database_with_the_same_postings_has_searches_of_its_own(
    workers: Sequence[Worker], embedded: Settings, redis: Redis
) -> None:
    await workers[0].found()
    async with cloned(embedded, "template1") as own:
        opened = await open_pool(own)
        try:
            other = Worker(opened, redis, own.model_copy(update={"cache_megabytes": 1}))
            await write(other.store, (posting("other"), NORTH), (posting("e"), EAST))
            assert await other.found() == ["other", "e"]
        finally:
            await opened.close()


async def test_a_posting_that_is_gone_since_the_corpus_was_read_is_left_out(
    workers: Sequence[Worker], pool: Pool
) -> None:
    one = workers[0]
    await one.found()
    read = one.store.corpus

    async def read_before() -> Any:
        corpus = await read()
        async with pool.connection() as connection:
            await connection.execute("delete from postings where source_id = 'n'")
        return corpus

    one.store.corpus = read_before  # type: ignore[method-assign]
    assert await one.found() == ["e"]


async def test_nothing_of_a_text_or_of_postings_is_kept(workers: Sequence[Worker], redis: Redis) -> None:
    text = "요리사에서 개발자가 되려는 사람"
    await workers[0].found(text)
    kept = [key async for key in redis.scan_iter(match="cache:search:*")]
    values = [await redis.get(key) or b"" for key in kept]
    assert values
    for said in (text, "Job n"):
        assert not any(said.encode() in part for part in (*kept, *values))
    assert all([0 < await redis.ttl(key) <= 3_600 for key in kept])


async def test_what_was_found_without_the_analyser_is_not_kept(workers: Sequence[Worker]) -> None:
    one, other = workers
    understand = one.analyser.understand

    async def fails(text: str) -> None:
        raise AnalyserError

    one.analyser.understand = fails
    assert await one.found() == ["n", "e"]
    one.analyser.understand = understand
    assert await one.found() == ["n", "e"]
    assert await other.found() == ["n", "e"]
    assert (one.store.searches, other.store.searches) == (2, 0)


async def test_what_is_explained_is_made_anew(workers: Sequence[Worker], redis: Redis) -> None:
    before = {key async for key in redis.scan_iter(match="cache:*")}
    for _ in range(2):
        found = await workers[0].search.find("an end of its own", k=5, explained=True)
        assert [hit.source_id for hit in found.postings] == ["n", "e"]
    assert workers[0].store.searches == 2
    assert {key async for key in redis.scan_iter(match="cache:*")} == before
