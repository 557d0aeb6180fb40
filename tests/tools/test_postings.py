"""The store of postings, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from tools.contracts import Posting
from tools.database import Pool, open_pool
from tools.errors import EmbeddingMismatchError, NoPostingsError
from tools.postings import PostingStore
from tools.settings import Settings

MODEL = "test-embedding"
TODAY = datetime.now(UTC).date()
NORTH, NORTH_EAST, EAST, SOUTH = [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, -1.0]


@pytest.fixture
async def pool(empty_settings: Settings) -> AsyncIterator[Pool]:
    opened = await open_pool(empty_settings)
    yield opened
    await opened.close()


@pytest.fixture
def store(pool: Pool) -> PostingStore:
    return PostingStore(pool)


def posting(source_id: str, **fields: Any) -> Posting:
    return Posting(**{"source": "test", "source_id": source_id, "job_title": f"Job {source_id}", **fields})


async def write(store: PostingStore, *postings: tuple[Posting, list[float]], model: str = MODEL) -> int:
    return await store.upsert([p for p, _ in postings], [v for _, v in postings], model=model)


async def ids(store: PostingStore, vector: list[float], k: int = 20) -> list[str]:
    return [found.source_id for found in await store.nearest(vector, k=k)]


async def test_the_nearest_come_first_with_their_cosine_as_score(store: PostingStore) -> None:
    await write(
        store, (posting("s"), SOUTH), (posting("ne"), NORTH_EAST), (posting("n"), NORTH), (posting("e"), EAST)
    )
    found = await store.nearest([0.0, 3.0], k=20)
    assert [hit.source_id for hit in found] == ["n", "ne", "e", "s"]
    assert [hit.score for hit in found] == pytest.approx([1.0, 0.5**0.5, 0.0, -1.0])
    assert await ids(store, NORTH, k=2) == ["n", "ne"]


async def test_the_search_is_exact(store: PostingStore) -> None:
    random = np.random.default_rng(20)
    vectors = random.normal(size=(400, 64))
    await write(store, *((posting(str(n)), vector.tolist()) for n, vector in enumerate(vectors)))
    for query in random.normal(size=(5, 64)):
        cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
        expected = [str(n) for n in np.argsort(-cosines)[:20]]
        assert await ids(store, query.tolist()) == expected


async def test_postings_that_are_equally_near_keep_one_order(store: PostingStore) -> None:
    await write(store, *((posting(str(n)), NORTH) for n in range(8)))
    assert await ids(store, NORTH, k=5) == ["0", "1", "2", "3", "4"]


async def test_a_posting_past_its_deadline_is_not_searched_but_still_there(store: PostingStore) -> None:
    await write(
        store,
        (posting("past", deadline=TODAY - timedelta(days=2)), NORTH),
        (posting("open", deadline=TODAY + timedelta(days=2)), EAST),
        (posting("none"), SOUTH),
    )
    assert await ids(store, NORTH) == ["open", "none"]
    assert (await store.by_ids(["p-1"]))["p-1"].source_id == "past"


async def test_every_field_comes_back_as_it_was_written(store: PostingStore) -> None:
    given = posting(
        "1",
        company="회사",
        responsibilities="설계\n운영",
        requirements='Java "3" years\'s; drop table postings; --',
        preferred="%s %(id)s \\n",
        url="https://example.org/1",
        deadline=TODAY,
        location="Seoul",
        employment_type="full-time",
        experience="3+",
        skills=["Java", "C++, C#", '"quoted"', "{}"],
    )
    await write(store, (given, NORTH))
    [stored] = (await store.by_ids(["p-1"])).values()
    assert stored.model_dump(exclude={"posting_id"}) == given.model_dump()
    assert stored.posting_id == "p-1"


async def test_loading_a_posting_again_changes_it_in_place_and_keeps_its_id(store: PostingStore) -> None:
    first = await write(store, (posting("1", company="Old", skills=["Java"]), NORTH), (posting("2"), EAST))
    [before] = await store.nearest(NORTH, k=1)
    second = await write(store, (posting("1", company="New", deadline=TODAY), SOUTH))
    [after] = (await store.by_ids([before.posting_id])).values()
    assert (after.company, after.skills, after.deadline) == ("New", [], TODAY)
    assert await ids(store, NORTH) == ["2", "1"]
    assert (await store.corpus()).postings == 2
    assert second == first + 1 == (await store.corpus()).revision


async def test_one_source_id_in_two_sources_is_two_postings(store: PostingStore) -> None:
    await write(store, (posting("1"), NORTH), (posting("1", source="other"), NORTH))
    assert (await store.corpus()).postings == 2


async def test_the_last_row_of_a_posting_that_is_given_twice_counts(store: PostingStore) -> None:
    await write(store, (posting("1", company="Old"), NORTH), (posting("1", company="New"), EAST))
    assert [hit.company for hit in await store.nearest(NORTH, k=5)] == ["New"]


@pytest.mark.parametrize(("model", "vector"), [("another", NORTH), (MODEL, [1.0, 0.0, 0.0])])
async def test_postings_of_another_embedding_are_refused_and_nothing_is_written(
    store: PostingStore, model: str, vector: list[float]
) -> None:
    await write(store, (posting("1"), NORTH))
    before = await store.corpus()
    with pytest.raises(EmbeddingMismatchError) as refused:
        await write(store, (posting("2"), vector), model=model)
    assert refused.value.details == {"stored": [MODEL, 2], "configured": [model, len(vector)]}
    assert await store.corpus() == before


@pytest.mark.parametrize(("model", "vector"), [("another", NORTH), (MODEL, [1.0, 0.0, 0.0])])
async def test_another_embedding_is_refused_because_distances_would_mean_nothing(
    store: PostingStore, model: str, vector: list[float]
) -> None:
    await write(store, (posting("1"), NORTH))
    with pytest.raises(EmbeddingMismatchError, match="test-embedding in 2 dimensions"):
        (await store.corpus()).require(model, len(vector))


async def test_a_batch_is_written_whole_or_not_at_all(store: PostingStore) -> None:
    with pytest.raises(psycopg.DataError, match="NaN"):
        await write(store, (posting("1"), NORTH), (posting("2"), [float("nan"), 1.0]))
    with pytest.raises(NoPostingsError):
        await store.corpus()


async def test_a_vector_of_another_length_within_a_batch_is_refused(store: PostingStore) -> None:
    with pytest.raises((ValueError, EmbeddingMismatchError)):
        await write(store, (posting("1"), NORTH), (posting("2"), [1.0, 0.0, 0.0]))


async def test_loads_at_the_same_time_lose_nothing(pool: Pool) -> None:
    stores = [PostingStore(pool) for _ in range(4)]
    revisions = await asyncio.gather(
        *(
            write(store, *((posting(str(n), company=str(place)), NORTH) for n in range(10)))
            for place, store in enumerate(stores)
        )
    )
    assert sorted(revisions) == [1, 2, 3, 4]
    assert (await stores[0].corpus()).postings == 10


async def test_without_postings_one_is_told_what_to_run(store: PostingStore) -> None:
    with pytest.raises(NoPostingsError, match="checkerboard ingest load"):
        await store.corpus()
    assert await store.nearest(NORTH, k=20) == []
    assert await store.by_ids(["p-1"]) == {}


async def test_postings_come_back_in_the_order_they_are_asked_for(store: PostingStore) -> None:
    await write(store, *((posting(str(n)), NORTH) for n in range(3)))
    assert list(await store.by_ids(["p-3", "p-1", "p-2", "p-1"])) == ["p-3", "p-1", "p-2"]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "p-",
        "p-0",
        "p-01",
        "1",
        "P-1",
        " p-1",
        "p-1\n",
        "p-1 or 1=1",
        "p-99",
        "p-١",
        "p-999999999999999999",
        "p-" + "9" * 40,
    ],
)
async def test_an_id_that_is_none_finds_nothing_and_hurts_nobody(store: PostingStore, garbage: str) -> None:
    await write(store, (posting("1"), NORTH))
    assert list(await store.by_ids([garbage, "p-1"])) == ["p-1"]


async def test_asking_for_no_ids_finds_none(store: PostingStore) -> None:
    assert await store.by_ids([]) == {}
