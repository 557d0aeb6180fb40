"""The suites that search only: labelled queries over the sample postings, and files of your own.

Results are cases of a result file, so `eval compare`, `eval gate` and the reports take them like any other.

**retrieval**: a query is a search text, or a profile from which `build_query` makes one. Which postings are
relevant follows by rule (`evals/retrieval/labels.py`).

**crosslingual**: queries of that suite in the other language (`crosslingual.jsonl`, translated by hand), and
of what is found the postings that are not in the query's own: what a person finds whose profile is in English
and whose market is Korean, and the other way round. A query ranks all postings, so that those in its own
language do not crowd the others out.

**given**: postings are lines of JSON as `ingest load` takes them, with a `category` (the field of the job).
Profiles are lines of JSON with `desired_work`, and optionally `skills_text`, `experience` and an `id`; their
`target_categories` are the categories they look for, or `비개발` for no IT job. Two shares of the first 20:
`wanted@20` are in a wanted category (for `비개발`: in no IT category); `other_fields@20` are in no IT
category, for profiles that look for an IT job. `possible@20` is what a perfect ranking of this corpus would
reach.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from evals.datasets.cases import (
    CROSSLINGUAL_QUERIES,
    QUERIES,
    Family,
    Record,
    dataset_version,
    line_error,
    read_records,
    records,
)
from evals.evaluators.base import Metric
from evals.report.statistics import estimates
from evals.retrieval import metrics
from evals.retrieval.labels import SHARED, Key, Label, Wants, grades, read_hostile, read_samples
from evals.retrieval.metrics import DEEPEST, measured
from evals.runs.corpus import CORPUS, SAMPLE_SOURCE, Corpus, open_corpus
from evals.runs.experiment import Progress, require_known
from evals.runs.results import CaseResult, Dataset, Header, Score, Summary, provenance, writing
from ingest.errors import DocumentUnreadableError
from ingest.structured.columns import as_posting
from nodes.build_query import Reads, build_query
from nodes.state import profile_dict
from tools.context import RunContext
from tools.core.contracts import Language, Profile
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings
from tools.postings.contracts import FoundPosting
from tools.services import Services, open_services

RETRIEVAL, CROSSLINGUAL, GIVEN = "retrieval", "crosslingual", "given"
"""The names of the suites."""
QUERY_METRICS: dict[str, Metric] = {
    **metrics.METRICS,
    f"judged@{DEEPEST}": Metric("higher", f"first {DEEPEST} that have a label"),
}
FILE_METRICS: dict[str, Metric] = {
    f"wanted@{DEEPEST}": Metric("higher", "first 20 that are in a wanted category", guarded=True),
    f"possible@{DEEPEST}": Metric("higher", "the same of a perfect ranking of this corpus"),
    f"other_fields@{DEEPEST}": Metric("lower", "first 20 from other fields, for those who look for IT jobs"),
}
NO_IT_JOB = "비개발"
_KOREAN = {
    "ai-ml": "AI/ML",
    "software-general": "SW개발 기타",
    "devops-infra": "DevOps/인프라",
    "data": "데이터",
    "backend": "백엔드",
    "fullstack": "풀스택",
    "security": "보안",
    "qa": "QA",
    "mobile": "모바일",
    "frontend": "프론트엔드",
    "embedded-hw": "임베디드/HW",
    "game": "게임",
}
"""The category names of English files, and the Korean ones that mean the same."""
IT_CATEGORIES = frozenset({*_KOREAN.values(), "SI/솔루션", "PM/리드"})
"""Every other category is of another field."""
_AT_ONCE = 8
"""Searches under way at the same time: fewer than the connections of the default pool."""

Ranker = Callable[[str, int], Awaitable[list[FoundPosting]]]
"""Takes a search text and k; returns at most k postings, best first, none of them twice."""
PostingKey = tuple[str, str, int]
"""Source, source id and position."""
Category = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
T = TypeVar("T")


class Query(Record):
    """A line of `queries.jsonl`: a search text or a profile, and what it looks for."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = None
    profile: Profile | None = None
    language: Language
    family: Family
    wants: Wants

    @model_validator(mode="after")
    def _check(self) -> Query:
        if (self.query is None) == (self.profile is None):
            raise ValueError("give either `query` or `profile`")
        if 0 < len(self.wants.skills) < SHARED:
            raise ValueError(f"`wants.skills` needs {SHARED} or more: that many must be shared")
        return self


class _CategorisedPosting(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    category: Category


class Seeker(BaseModel):
    """A profile of your own file, and the categories of postings it looks for."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str | None = None
    desired_work: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    skills_text: str = ""
    experience: str = ""
    target_categories: list[Category] = Field(min_length=1)

    def search_text(self) -> str:
        """Returns the text that is searched for: the desired work first, as in `build_query`."""
        return "\n".join(part for part in (self.desired_work, self.skills_text, self.experience) if part)


def nearest(services: Services) -> Ranker:
    """Returns the service's own search (`nodes/retrieve.py`)."""

    async def rank(query: str, k: int) -> list[FoundPosting]:
        return (await services.search.find(query, k=k)).postings

    return rank


async def run_queries(
    settings: Settings, suite: str, names: Sequence[str], path: Path, progress: Progress
) -> None:
    """Searches the sample postings for each query of the suite `retrieval` or `crosslingual`, or for those
    that are named."""
    file = CROSSLINGUAL_QUERIES if suite == CROSSLINGUAL else QUERIES
    queries = await read_queries(file)
    if names:
        require_known(names, [query.id for query in queries], file)
        queries = [query for query in queries if query.id in names]
    dataset = Dataset(name=file.stem, version=dataset_version(file), cases=len(queries))
    async with open_corpus(settings, CORPUS) as corpus, open_services(corpus.settings) as services:
        header = await asyncio.to_thread(_header, suite, path, services, corpus, dataset)
        results = search_queries(services, queries, across=suite == CROSSLINGUAL)
        await _write(path, header, results, progress)


async def run_files(
    settings: Settings, postings: Sequence[Path], profiles: Sequence[Path], path: Path, progress: Progress
) -> None:
    """Searches `postings` (JSONL with a category) for each of `profiles` (JSONL with wanted categories)."""
    people = await asyncio.to_thread(_read_profiles, profiles)
    version = hashlib.sha256("".join(map(dataset_version, profiles)).encode()).hexdigest()[:16]
    dataset = Dataset(name="+".join(file.stem for file in profiles), version=version, cases=len(people))
    async with open_corpus(settings, postings) as corpus, open_services(corpus.settings) as services:
        header = await asyncio.to_thread(_header, GIVEN, path, services, corpus, dataset)
        await _write(path, header, search_files(services, postings, profiles), progress)


def _header(suite: str, path: Path, services: Services, corpus: Corpus, dataset: Dataset) -> Header:
    return Header(
        name=path.stem,
        suite=suite,
        created_at=datetime.now(UTC),
        models={"embedding": services.embedder.model_name},
        parameters={"embedding_dimensions": services.embedder.dimensions},
        corpus=corpus.line,
        dataset=dataset,
        offline=services.settings.offline,
        **provenance(),
    )


async def _write(path: Path, header: Header, results: AsyncIterator[CaseResult], progress: Progress) -> None:
    started = time.monotonic()
    with writing(path, header) as writer:
        progress.started(header, path)
        written: list[CaseResult] = []
        async for result in results:
            writer.write(result)
            written.append(result)
            progress.case_done(result)
        means = await asyncio.to_thread(estimates, written)
        writer.write(Summary(metrics=means, seconds=round(time.monotonic() - started, 1)))


async def _concurrently(
    items: Iterable[T], work: Callable[[T], Awaitable[CaseResult]]
) -> AsyncIterator[CaseResult]:
    rest = iter(items)
    while some := list(itertools.islice(rest, _AT_ONCE)):
        for result in await asyncio.gather(*map(work, some)):
            yield result


async def read_queries(path: Path = QUERIES) -> list[Query]:
    """Returns the queries of a file."""
    return await asyncio.to_thread(read_records, path, Query)


async def search_queries(
    services: Services, queries: Sequence[Query], *, ranker: Ranker | None = None, across: bool = False
) -> AsyncIterator[CaseResult]:
    """Ranks the postings for each query and yields its scores, in the order of `queries`. Without a
    `ranker`, the service's own search is measured. `across`: only postings that are not in a query's own
    language count, and no others are looked for.

    Postings without a label (neither samples nor hostile ones) count as grade 0; `judged@20` says how much of
    a ranking has one.

    Raises:
        InvalidRequestError: the sample postings are not all loaded, so recall would mean nothing.
        ModelUnavailableError, StoreUnavailableError, EmbeddingMismatchError, NoPostingsError: as in a
            search of the service.
    """
    await services.postings.corpus()
    labels = await _labels(services)
    rank = ranker or nearest(services)

    async def search(query: Query) -> CaseResult:
        text = query.query or await _search_text(services, query)
        wanted = labels
        if across:
            wanted = {key: label for key, label in labels.items() if label.language != query.language}
        ideal = grades(query.family, query.wants, wanted.values())
        found = await rank(text, len(labels) if across else DEEPEST)
        if across:
            found = [posting for posting in found if (posting.source, posting.source_id) in wanted]
        ranked = _ranked(found, ideal, wanted)[:DEEPEST]
        scores = measured([row["grade"] or 0 for row in ranked], list(ideal.values()))
        judged = sum(row["grade"] is not None for row in ranked) / len(ranked) if ranked else None
        return CaseResult(
            case_id=query.id,
            family=query.family,
            tags=["text" if query.profile is None else "profile"],
            language=query.language,
            # The text built from a profile is an output: another way to build it is to be compared.
            inputs=query.model_dump(mode="json", include={"query", "profile", "wants"}),
            outputs={"query": text, "ranked": ranked},
            scores=[
                *(Score(key=key, score=value) for key, value in scores.items()),
                Score(key=f"judged@{DEEPEST}", score=judged),
            ],
        )

    async for result in _concurrently(queries, search):
        yield result


async def _labels(services: Services) -> dict[Key, Label]:
    loaded = await services.postings.sources()
    samples = await asyncio.to_thread(read_samples)
    if loaded.get(SAMPLE_SOURCE, 0) < len(samples):
        raise InvalidRequestError(
            f"The corpus has {loaded.get(SAMPLE_SOURCE, 0)} of the {len(samples)} sample postings, on which "
            "the labels rest. Load them with `checkerboard ingest load --samples`."
        )
    hostile = await asyncio.to_thread(read_hostile)
    return samples | {key: label for key, label in hostile.items() if key[0] in loaded}


async def _search_text(services: Services, query: Query) -> str:
    assert query.profile is not None  # noqa: S101 - the record has one of the two
    state: Reads = {"profile": profile_dict(query.profile), "language": query.language}
    return str((await build_query(state, Runtime(context=RunContext.of(services))))["query"])


def _ranked(
    postings: Sequence[FoundPosting], ideal: Mapping[Key, int], labels: Mapping[Key, Label]
) -> list[dict[str, Any]]:
    """The ranking with its grades (null: no label). Only the first of near-duplicates counts."""
    rows: dict[Key | str, dict[str, Any]] = {}
    for posting in postings:
        label = labels.get((posting.source, posting.source_id))
        row = {
            **posting.model_dump(include={"source", "source_id", "company", "job_title"}),
            "family": label.family if label else None,
            "score": round(posting.score, 4),
            "grade": ideal[label.stands_for] if label else None,
        }
        rows.setdefault(label.stands_for if label else posting.posting_id, row)
    return list(rows.values())


async def search_files(
    services: Services, postings: Sequence[Path], profiles: Sequence[Path]
) -> AsyncIterator[CaseResult]:
    """Ranks the loaded postings for each profile and yields its shares, in the order of the files. The
    corpus of `services` must hold the postings of the files, and no others. `family` names the wanted ones.

    Raises:
        InvalidRequestError: a file cannot be read, a line is malformed, or the search found a posting that
            is in none of the files.
        ModelUnavailableError, StoreUnavailableError, EmbeddingMismatchError, NoPostingsError: as in a
            search of the service.
    """
    await services.postings.corpus()
    categories = await asyncio.to_thread(_categories, postings)
    people = await asyncio.to_thread(_read_profiles, profiles)
    sizes = Counter(categories.values())
    rank = nearest(services)

    async def search(person: tuple[str, Seeker]) -> CaseResult:
        case_id, profile = person
        text = profile.search_text()
        wanted = {_KOREAN.get(category, category) for category in profile.target_categories}
        rows = []
        for posting in await rank(text, DEEPEST):
            category = categories.get((posting.source, posting.source_id, posting.position))
            if category is None:
                raise InvalidRequestError(
                    f"The corpus holds {posting.source_id} of {posting.source}, which is in none of the "
                    "given files, so its category is not known."
                )
            rows.append((posting, category))
        possible = sum(size for category, size in sizes.items() if _matches(category, wanted))
        shares = {
            f"wanted@{DEEPEST}": sum(_matches(category, wanted) for _, category in rows) / DEEPEST,
            f"possible@{DEEPEST}": min(1.0, possible / DEEPEST),
            f"other_fields@{DEEPEST}": None
            if NO_IT_JOB in wanted
            else sum(category not in IT_CATEGORIES for _, category in rows) / DEEPEST,
        }
        ranked = [
            {"source_id": posting.source_id, "job_title": posting.job_title, "category": category}
            for posting, category in rows
        ]
        return CaseResult(
            case_id=case_id,
            family=" · ".join(sorted(wanted)),
            inputs={"query": text, "wanted": sorted(wanted)},
            outputs={"ranked": ranked},
            scores=[Score(key=key, score=share) for key, share in shares.items()],
        )

    async for result in _concurrently(people.items(), search):
        yield result


def _matches(category: str, wanted: set[str]) -> bool:
    return category in wanted or (NO_IT_JOB in wanted and category not in IT_CATEGORIES)


def _categories(files: Sequence[Path]) -> dict[PostingKey, str]:
    """The category of each posting. Rows that are no postings are skipped: `ingest load` reports them."""
    categories: dict[PostingKey, str] = {}
    for path in files:
        for _, row in records(path, _CategorisedPosting):
            try:
                posting = as_posting(row.model_dump(exclude={"category"}), source=path.stem)
            except DocumentUnreadableError:
                continue
            key = (posting.source, posting.source_id, posting.position)
            categories[key] = _KOREAN.get(row.category, row.category)
    return categories


def _read_profiles(files: Sequence[Path]) -> dict[str, Seeker]:
    """The profiles by id; one without an id is named by its file and line."""
    people: dict[str, Seeker] = {}
    for path in files:
        for line, profile in records(path, Seeker):
            name = profile.id or f"{path.stem}-{line}"
            if name in people:
                raise line_error(path, line, [("id", f"{name} stands twice")])
            people[name] = profile
    return people
