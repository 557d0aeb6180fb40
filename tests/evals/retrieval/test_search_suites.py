"""The retrieval suite on the sample corpus: its figures mean what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from evals.datasets.cases import CROSSLINGUAL_QUERIES, HOSTILE_POSTINGS
from evals.report.statistics import estimates
from evals.retrieval.labels import read_samples
from evals.retrieval.search_suites import QUERY_METRICS, Query, nearest, read_queries, search_queries
from evals.runs.results import CaseResult
from ingest.load import SAMPLES, load
from ingest.structured.files import read_postings
from serve.context import AppContext
from tests.databases import cloned
from tools.core.contracts import Language
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings
from tools.postings.contracts import FoundPosting, Posting
from tools.services import open_services

EVERY = 10


POSTINGS = {row.source_id: row for row in read_postings(SAMPLES) if isinstance(row, Posting)}


class Shuffled:
    """Ranks the samples by chance."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - not a secret

    async def rank(self, query: str, k: int) -> list[FoundPosting]:
        return _found(self._random.sample([*POSTINGS.values()], k))


class Fixed:
    """Ranks always the same."""

    def __init__(self, *source_ids: str, source: str = "samples") -> None:
        self._postings = [POSTINGS[i].model_copy(update={"source": source}) for i in source_ids]

    async def rank(self, query: str, k: int) -> list[FoundPosting]:
        return _found(self._postings[:k])


def _found(postings: Sequence[Posting]) -> list[FoundPosting]:
    return [
        FoundPosting(**posting.model_dump(), posting_id=f"p-{n}", score=0.0)
        for n, posting in enumerate(postings, 1)
    ]


def scores(result: CaseResult) -> dict[str, float | None]:
    return {score.key: score.score for score in result.scores}


async def test_the_search_is_far_better_than_chance(app_context: AppContext) -> None:
    queries = (await read_queries())[::EVERY]
    searched = [result async for result in search_queries(app_context.services, queries)]
    shuffled = [
        result async for result in search_queries(app_context.services, queries, ranker=Shuffled().rank)
    ]

    assert [result.case_id for result in searched] == [query.id for query in queries]
    for result in searched:
        assert set(scores(result)) == set(QUERY_METRICS)
        # Of 20, less what was published again and came beside the first.
        assert 17 <= len(result.outputs["ranked"]) <= 20
    found, chance = estimates(searched), estimates(shuffled)
    # A family has a twelfth of the samples, so chance finds it in a twelfth of the places.
    assert chance["precision@20"].mean == pytest.approx(1 / 12, abs=0.04)
    assert found["precision@20"].mean > 4 * chance["precision@20"].mean
    assert found["ndcg@10"].low is not None
    assert chance["ndcg@10"].high is not None
    assert found["ndcg@10"].low > 2 * chance["ndcg@10"].high
    assert found["judged@20"].mean == 1


async def test_the_same_queries_give_the_same_figures(app_context: AppContext) -> None:
    queries = (await read_queries())[:3]
    once, again = [
        [result async for result in search_queries(app_context.services, queries)] for _ in range(2)
    ]
    assert once == again
    assert estimates(once) == estimates(again)


async def test_a_profile_is_searched_for_as_the_service_does(app_context: AppContext) -> None:
    query = Query.model_validate(
        {
            "id": "p",
            "language": "ko",
            "family": "QA",
            "wants": {},
            "profile": {
                "desired_job": "QA 엔지니어",
                "skills": ["pytest"],
                "introduction": "꼼꼼합니다.",
                "educations": [{"school": "없는대학교"}],
            },
        }
    )
    [result] = [result async for result in search_queries(app_context.services, [query])]
    assert result.outputs["query"] == "QA 엔지니어\npytest\n\n꼼꼼합니다."
    ranked = await nearest(app_context.services)(result.outputs["query"], 20)
    assert [row["source_id"] for row in result.outputs["ranked"]] == [one.source_id for one in ranked]


async def test_a_posting_published_again_is_counted_once(app_context: AppContext) -> None:
    again, label = next((key, label) for key, label in read_samples().items() if label.stands_for != key)
    ranker = Fixed(again[1], label.stands_for[1])
    [result] = [
        r async for r in search_queries(app_context.services, [_query(label.family)], ranker=ranker.rank)
    ]
    assert [row["source_id"] for row in result.outputs["ranked"]] == [again[1]]
    assert scores(result)["precision@3"] == pytest.approx(1 / 3)
    assert scores(result)["mrr@1"] == 1


@pytest.mark.parametrize(("language", "other"), [("ko", "en"), ("en", "ko")])
async def test_across_languages_only_postings_in_the_other_one_count(
    app_context: AppContext, language: Language, other: Language
) -> None:
    query = next(q for q in await read_queries(CROSSLINGUAL_QUERIES) if q.language == language)
    [result] = [r async for r in search_queries(app_context.services, [query], across=True)]
    labels = read_samples()
    ranked = result.outputs["ranked"]
    assert {labels[row["source"], row["source_id"]].language for row in ranked} == {other}
    assert len(ranked) > 10
    assert scores(result)["judged@20"] == 1
    best = next(row["source_id"] for row in ranked if row["family"] == query.family)
    [first] = [
        r async for r in search_queries(app_context.services, [query], ranker=Fixed(best).rank, across=True)
    ]
    assert scores(first)["mrr@1"] == 1


async def test_each_query_across_languages_translates_one_of_the_other_language() -> None:
    originals = {query.id: query for query in await read_queries()}
    translated = await read_queries(CROSSLINGUAL_QUERIES)
    assert len(translated) == 40
    for query in translated:
        original = originals[query.id.removesuffix(f"-{query.language}")]
        assert (original.family, original.wants) == (query.family, query.wants)
        assert original.language != query.language


async def test_what_has_no_label_counts_for_nothing_and_is_told(app_context: AppContext) -> None:
    ranker = Fixed("s-001", "s-002", source="elsewhere")
    [result] = [r async for r in search_queries(app_context.services, [_query("백엔드")], ranker=ranker.rank)]
    assert scores(result)["judged@20"] == 0
    assert scores(result)["precision@20"] == 0
    assert [row["grade"] for row in result.outputs["ranked"]] == [None, None]


async def test_without_the_samples_nothing_is_measured(empty_settings: Settings, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_bytes(b"".join(SAMPLES.read_bytes().splitlines(keepends=True)[:3]))
    async with open_services(empty_settings) as services:
        await load(services, [few])
        with pytest.raises(InvalidRequestError, match="3 of the 368 sample postings"):
            [result async for result in search_queries(services, [_query("QA")])]


async def test_hostile_postings_are_retrieved_and_labelled(embedded: Settings, samples_template: str) -> None:
    async with cloned(embedded, samples_template) as settings, open_services(settings) as services:
        await load(services, [HOSTILE_POSTINGS])
        # Two of each family: one that names skills, and a profile.
        queries = {query.id: query for query in await read_queries()}
        wanted = [query for name, query in queries.items() if name.endswith(("-02", "-12"))]
        found: set[str] = set()
        async for result in search_queries(services, wanted):
            ranked = result.outputs["ranked"]
            assert scores(result)["judged@20"] == 1
            found |= {
                r["family"] for r in ranked if r["source"] == "hostile" and r["family"] == result.family
            }
        assert len(found) >= 9, found


def _query(family: str) -> Query:
    valid = {"id": "q", "query": "일자리", "language": "ko", "family": family, "wants": {}}
    return Query.model_validate(valid)
