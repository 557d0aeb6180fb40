"""The suite over the sample corpus: queries whose relevant postings are known by rule.

    async with open_services(settings) as services:
        results = [result async for result in run(services, await read_queries())]
    summary, families = estimates(results), by_family(results)

A query is a search text, or a profile from which the service's own node builds one. Results are cases of
a result file (`evals.runs.results`), so comparison, gate and report take them as any other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from langgraph.runtime import Runtime
from pydantic import StringConstraints, model_validator

from evals.datasets.cases import QUERIES, Family, Record, read_records
from evals.evaluators.base import Metric
from evals.report.statistics import estimates
from evals.retrieval import metrics
from evals.retrieval.labels import SHARED, Key, Label, Wants, grades, read_hostile, read_samples
from evals.retrieval.metrics import DEEPEST, measured
from evals.retrieval.ranking import Nearest, Ranker
from evals.runs.results import CaseResult, Estimate, Score
from nodes.build_query import Reads, build_query
from nodes.state import profile_dict
from samples.programs.write_postings import SOURCE
from tools.context import RunContext
from tools.core.errors import InvalidRequestError
from tools.postings.contracts import FoundPosting, Language, Profile
from tools.services import Services

METRICS: dict[str, Metric] = {
    **metrics.METRICS,
    f"judged@{DEEPEST}": Metric("higher", f"first {DEEPEST} that have a label"),
}
"""What a case of this suite is scored by."""
AT_ONCE = 8
"""Queries under way at the same time: below the connections of the default pool."""


class Query(Record):
    """One line of `queries.jsonl`: a search text or a profile, and what it is after."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = None
    profile: Profile | None = None
    language: Language
    family: Family
    wants: Wants

    @model_validator(mode="after")
    def _one_of_two(self) -> Query:
        if (self.query is None) == (self.profile is None):
            raise ValueError("give either `query` or `profile`")
        if 0 < len(self.wants.skills) < SHARED:
            raise ValueError(f"`wants.skills` needs {SHARED} or more: that many must be shared")
        return self


async def read_queries(path: Path = QUERIES) -> list[Query]:
    """Returns the queries of a file.

    Raises:
        InvalidRequestError: it cannot be read, or a line is no query.
    """
    return await asyncio.to_thread(read_records, path, Query)


async def run(
    services: Services, queries: Sequence[Query], *, ranker: Ranker | None = None
) -> AsyncIterator[CaseResult]:
    """Ranks the postings for each query and yields its scores, in the order of `queries`. Without a
    `ranker`, what is measured is the service's own search.

    Labels are known of the sample postings and, where they are loaded beside, of the hostile ones. What
    else the corpus holds counts as grade 0; `judged@20` says how much of a ranking had a label.

    Raises:
        InvalidRequestError: the sample postings are not all loaded, so recall would mean nothing.
        ModelUnavailableError, StoreUnavailableError, EmbeddingMismatchError, NoPostingsError: as in a
            search of the service.
    """
    await services.postings.corpus()
    known = await _labels(services)
    asked = ranker or Nearest(services)
    rest = iter(queries)
    while batch := list(itertools.islice(rest, AT_ONCE)):
        for result in await asyncio.gather(*(_result(services, asked, query, known) for query in batch)):
            yield result


def by_family(results: Sequence[CaseResult]) -> dict[str, dict[str, Estimate]]:
    """Returns the mean and interval of every measure for each job family, by name."""
    families = sorted({result.family for result in results if result.family is not None})
    return {name: estimates([result for result in results if result.family == name]) for name in families}


async def _labels(services: Services) -> dict[Key, Label]:
    """The labels of what is loaded."""
    loaded = await services.postings.sources()
    samples = await asyncio.to_thread(read_samples)
    if loaded.get(SOURCE, 0) < len(samples):
        raise InvalidRequestError(
            f"The corpus has {loaded.get(SOURCE, 0)} of the {len(samples)} sample postings, on which the "
            "labels rest. Load them with `checkerboard ingest load --samples`."
        )
    hostile = await asyncio.to_thread(read_hostile)
    return samples | {key: label for key, label in hostile.items() if key[0] in loaded}


async def _result(services: Services, ranker: Ranker, query: Query, known: Mapping[Key, Label]) -> CaseResult:
    text = query.query or await _search_text(services, query)
    found = await ranker.rank(text, DEEPEST)
    ideal = grades(query.family, query.wants, known.values())
    ranked = _ranked(found, ideal, known)
    scores = measured([row["grade"] or 0 for row in ranked], list(ideal.values()))
    judged = sum(row["grade"] is not None for row in ranked) / len(ranked) if ranked else None
    return CaseResult(
        case_id=query.id,
        family=query.family,
        tags=["text" if query.profile is None else "profile"],
        language=query.language,
        # What is built from a profile is an output: another way of building it is measured, not left out.
        inputs=query.model_dump(mode="json", include={"query", "profile", "wants"}),
        outputs={"query": text, "ranked": ranked},
        scores=[
            *(Score(key=key, score=value) for key, value in scores.items()),
            Score(key=f"judged@{DEEPEST}", score=judged),
        ],
    )


async def _search_text(services: Services, query: Query) -> str:
    assert query.profile is not None  # noqa: S101 - the record has one of the two
    state: Reads = {"profile": profile_dict(query.profile), "language": query.language}
    built = await build_query(state, Runtime(context=RunContext.of(services)))
    return str(built["query"])


def _ranked(
    found: Sequence[FoundPosting], ideal: Mapping[Key, int], known: Mapping[Key, Label]
) -> list[dict[str, Any]]:
    """The ranking with its grades (null: no label). Of near-duplicates the first counts; the others are
    left out, and what comes after moves up."""
    rows: dict[Key | str, dict[str, Any]] = {}
    for posting in found:
        label = known.get((posting.source, posting.source_id))
        row = {
            "source": posting.source,
            "source_id": posting.source_id,
            "company": posting.company,
            "job_title": posting.job_title,
            "family": label.family if label else None,
            "score": round(posting.score, 4),
            "grade": ideal[label.stands_for] if label else None,
        }
        rows.setdefault(label.stands_for if label else posting.posting_id, row)
    return list(rows.values())
