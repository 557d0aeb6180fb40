"""Searches that ask for more than the nearest, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tools.core.database import Pool, open_pool
from tools.core.settings import Settings
from tools.postings.contracts import FoundPosting, Posting
from tools.postings.question import Filters, Question, Weights
from tools.postings.repository import EmbeddingSet, PostingStore, PostingWriter, text_hash

MODEL: dict[str, Any] = {"model": "test-embedding", "dimensions": 2}
NORTH, EAST = [0.0, 1.0], [1.0, 0.0]
TODAY = datetime.now(UTC).date()
LONG = "\n".join(
    f"The {word} of a line that is long enough to be told" for word in ["one", "two", "three", "four", "five"]
)


@pytest.fixture
async def pool(empty_settings: Settings) -> AsyncIterator[Pool]:
    opened = await open_pool(empty_settings)
    yield opened
    await opened.close()


def posting(source_id: str, **fields: Any) -> Posting:
    return Posting(**{"source": "test", "source_id": source_id, "job_title": f"Job {source_id}", **fields})


async def write(pool: Pool, *rows: tuple[Posting, list[float], str | None, Sequence[str]]) -> None:
    """Writes postings with their vector, terms and families."""
    postings = [row[0] for row in rows]
    vectors = EmbeddingSet(pool, **MODEL)
    await vectors.require_ready()
    await vectors.save(postings, [row[1] for row in rows])
    await PostingWriter(pool).upsert(postings)
    async with pool.connection() as connection:
        for one, _, terms, families in rows:
            if terms is not None:
                await connection.execute(
                    "insert into posting_terms values (%s, 'test', %s, %s)",
                    [text_hash(one), terms, list(families)],
                )


async def found(pool: Pool, k: int = 20, **asked: Any) -> list[FoundPosting]:
    return await PostingStore(pool, **MODEL).nearest(NORTH, k=k, question=Question(**asked))


def ids(postings: list[FoundPosting]) -> list[str]:
    return [one.source_id for one in postings]


async def test_shared_terms_come_before_a_nearer_vector_by_their_weight(pool: Pool) -> None:
    await write(
        pool,
        (posting("near"), NORTH, "{1:1}/1000000000", []),
        (posting("said"), EAST, "{2:1}/1000000000", []),
        (posting("unread"), EAST, None, []),
    )
    terms = "{2:1}/1000000000"
    assert ids(await found(pool, weights=Weights(1.0, 0.1), terms=terms))[0] == "near"
    hits = await found(pool, weights=Weights(1.0, 3.0), terms=terms, named_places={2: "word"})
    assert ids(hits)[0] == "said"
    assert (hits[0].terms, hits[0].lexical_rank, hits[0].dense_rank) == (["word"], 1, 2)
    assert len(hits) == 3


async def test_a_wished_family_comes_first_and_other_fields_last(pool: Pool) -> None:
    await write(
        pool,
        (posting("sales"), NORTH, "{1:1}/1000000000", ["sales"]),
        (posting("game"), NORTH, "{1:1}/1000000000", ["game"]),
        (posting("full"), NORTH, "{1:1}/1000000000", ["fullstack"]),
        (posting("back"), NORTH, "{1:1}/1000000000", ["backend"]),
    )
    hits = await found(
        pool,
        weights=Weights(family=1.0),
        families=["backend"],
        near=["fullstack"],
        inside=["backend", "fullstack", "game"],
    )
    assert ids(hits) == ["back", "full", "game", "sales"]


async def test_a_company_has_three_before_all_others_and_the_rest_fills_up(pool: Pool) -> None:
    many = [
        (posting(f"m{n}", company="Many", responsibilities=f"Work {n}"), NORTH, None, ()) for n in range(5)
    ]
    await write(pool, *many, (posting("o", company="Other"), EAST, None, ()), (posting("x"), EAST, None, ()))
    hits = await found(pool, most_of_a_company=3)
    assert ids(hits) == ["m0", "m1", "m2", "o", "x", "m3", "m4"]
    assert [hit.capped for hit in hits] == [None] * 5 + ["company"] * 2
    assert len(await found(pool, k=6, most_of_a_company=3)) == 6


async def test_the_same_text_of_another_company_comes_after_all_others(pool: Pool) -> None:
    copies = [
        (posting(f"c{n}", company=f"Company {n}", responsibilities=LONG), NORTH, None, ()) for n in range(3)
    ]
    await write(
        pool, *copies, (posting("other", company="Other", responsibilities="Own words"), EAST, None, ())
    )
    hits = await found(pool, most_of_a_company=3)
    assert ids(hits) == ["c0", "other", "c1", "c2"]
    assert [hit.capped for hit in hits] == [None, None, "copy", "copy"]


async def test_filters_leave_out_what_does_not_fit(pool: Pool) -> None:
    await write(
        pool,
        (
            posting("1", location="서울 강남구", employment_type="정규직", experience="경력 3~7년"),
            NORTH,
            None,
            (),
        ),
        (posting("2", location="Seoul", employment_type="Contract", experience="신입/경력"), NORTH, None, ()),
        (posting("3", experience="10+ years"), NORTH, None, ()),
        (posting("4", deadline=TODAY - timedelta(days=2)), NORTH, None, ()),
    )
    for filters, expected in (
        (Filters(), ["1", "2", "3"]),
        (Filters(only_open=False), ["1", "2", "3", "4"]),
        (Filters(places=["%서울%", "%seoul%"]), ["1", "2"]),
        (Filters(employment=["%정규직%"]), ["1"]),
        (Filters(years=0), ["2"]),
        (Filters(years=3), ["1", "2"]),
        (Filters(years=10), ["1", "2", "3"]),
    ):
        assert ids(await found(pool, filters=filters)) == expected, filters
