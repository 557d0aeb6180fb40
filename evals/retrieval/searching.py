"""Runs the suites that search only: the labelled queries, and postings and profiles of one's own."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from evals.datasets.cases import QUERIES, dataset_version
from evals.report.statistics import estimates
from evals.retrieval import given, suites
from evals.runs.corpus import CORPUS, Corpus, open_corpus
from evals.runs.experiment import Watcher, require_known
from evals.runs.provenance import provenance
from evals.runs.results import CaseResult, Dataset, Header, Summary, writing
from evals.runs.results import Corpus as CorpusLine
from evals.runs.suites import GIVEN, RETRIEVAL
from tools.core.settings import Settings
from tools.services import Services, open_services


async def run_queries(settings: Settings, names: Sequence[str], path: Path, watcher: Watcher) -> None:
    """Searches the sample postings for each query of `queries.jsonl`, or for those that are named.

    Raises:
        InvalidRequestError: there is no such query, or the file cannot be written.
        SetupError, ModelUnavailableError: as `open_corpus`.
    """
    queries = await suites.read_queries()
    if names:
        require_known(names, [query.id for query in queries], QUERIES)
        queries = [query for query in queries if query.id in names]
    dataset = Dataset(name=QUERIES.stem, version=dataset_version(QUERIES), cases=len(queries))
    async with open_corpus(settings, CORPUS) as corpus, open_services(corpus.settings) as services:
        header = await asyncio.to_thread(_header, RETRIEVAL, path, services, corpus, dataset)
        await _written(path, header, suites.run(services, queries), watcher)


async def run_given(
    settings: Settings, postings: Sequence[Path], profiles: Sequence[Path], path: Path, watcher: Watcher
) -> None:
    """Searches `postings` (JSONL with a category) for each of `profiles` (JSONL with what they want).

    Raises:
        InvalidRequestError: a file is not what it should be, or the result cannot be written.
        SetupError, ModelUnavailableError: as `open_corpus`.
    """
    people = await asyncio.to_thread(given.read_profiles, profiles)
    version = hashlib.sha256("".join(map(dataset_version, profiles)).encode()).hexdigest()[:16]
    name = "+".join(file.stem for file in profiles)
    dataset = Dataset(name=name, version=version, cases=len(people))
    async with open_corpus(settings, postings) as corpus, open_services(corpus.settings) as services:
        header = await asyncio.to_thread(_header, GIVEN, path, services, corpus, dataset)
        await _written(path, header, given.run(services, postings, profiles), watcher)


def _header(name: str, path: Path, services: Services, corpus: Corpus, dataset: Dataset) -> Header:
    return Header(
        name=path.stem,
        suite=name,
        created_at=datetime.now(UTC),
        models={"embedding": services.embedder.model_name},
        parameters={"embedding_dimensions": services.embedder.dimensions},
        corpus=CorpusLine(version=corpus.version, postings=corpus.postings, files=list(corpus.files)),
        dataset=dataset,
        offline=services.settings.offline,
        **provenance(),
    )


async def _written(path: Path, header: Header, lines: AsyncIterator[CaseResult], watcher: Watcher) -> None:
    began = time.monotonic()
    with writing(path, header) as writer:
        watcher.began(header, path)
        done: list[CaseResult] = []
        async for line in lines:
            writer.case(line)
            done.append(line)
            watcher.done(line)
        metrics = await asyncio.to_thread(estimates, done)
        writer.summary(Summary(metrics=metrics, seconds=round(time.monotonic() - began, 1)))
