"""Runs a suite from its settings to its result file."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from langsmith import tracing_context

from evals.datasets.cases import Case, read_cases
from evals.evaluators import ALL, prepare
from evals.judge import evaluator as judging
from evals.judge.judge import Judge
from evals.retrieval import searching
from evals.runs import experiment
from evals.runs.corpus import CORPUS, open_corpus
from evals.runs.experiment import Watcher
from evals.runs.results import RESULTS, writing
from evals.runs.suites import GIVEN, RETRIEVAL, SUITES, Suite
from evals.runs.upload import require_key, uploading
from evals.runs.variants import PromptChoice, Variant, open_target
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run. Of `cases` none means all of the suite; `postings` and `profiles` are for the
    suite `given`; `repeats`, `name` and `folder` have their defaults where they are None."""

    suite: str = "quick"
    variant: Variant = "split"
    prompts: PromptChoice = "in-force"
    cases: tuple[str, ...] = ()
    repeats: int | None = None
    concurrency: int = 4
    postings: tuple[Path, ...] = ()
    profiles: tuple[Path, ...] = ()
    name: str | None = None
    folder: Path | None = None
    upload: bool = False

    def path(self) -> Path:
        """Returns the file that the results go to.

        Raises:
            InvalidRequestError: the name is no plain name, or is taken.
        """
        # The end tells apart what begins at the same moment.
        named = f"{self.suite}-{self.variant}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
        name = (self.name or named).removesuffix(".jsonl")
        if Path(name).name != name:
            raise InvalidRequestError(f"{name} is no name for a result; --folder says where it goes.")
        path = (self.folder or RESULTS) / f"{name}.jsonl"
        if path.exists():
            raise InvalidRequestError(f"{path} is there already. Take another name, or remove it.")
        return path


async def run_suite(settings: Settings, wanted: Wanted, watcher: Watcher) -> Path:
    """Runs a suite over its corpus and returns the result file. `settings` must name every part.

    Without `upload` nothing goes to LangSmith, whatever LANGSMITH_TRACING says.

    Raises:
        InvalidRequestError: there is no such suite or case, an option does not go with the suite, or a file
            is not what it should be.
        SetupError: a store does not answer; with `upload`, LangSmith.
        PromptInvalidError, HubUnavailableError: the wanted prompts cannot be used.
        ModelUnavailableError: the corpus or the queries could not be embedded.
    """
    path = wanted.path()
    with tracing_context(enabled=False):
        if wanted.suite in (RETRIEVAL, GIVEN):
            return await _search(settings, wanted, path, watcher)
        if wanted.suite not in SUITES:
            known = ", ".join([*SUITES, RETRIEVAL, GIVEN])
            raise InvalidRequestError(f"There is no suite {wanted.suite}; there are {known}.")
        _refuse(wanted, postings=wanted.postings, profiles=wanted.profiles)
        return await _answer(settings, wanted, path, watcher)


async def _answer(settings: Settings, wanted: Wanted, path: Path, watcher: Watcher) -> Path:
    """Runs a suite of cases that are answered and judged."""
    if wanted.upload:
        require_key(settings)
    suite = SUITES[wanted.suite]
    suite = replace(suite, repeats=wanted.repeats or suite.repeats)
    if not suite.dataset.exists():
        raise InvalidRequestError(
            f"The suite {suite.name} has no case yet: `checkerboard eval add` makes one."
        )
    cases = await asyncio.to_thread(read_cases, suite.dataset)
    picked = _named(suite, cases, wanted)
    async with AsyncExitStack() as stack:
        corpus = await stack.enter_async_context(open_corpus(settings, CORPUS))
        # Kiwi loads for seconds and lets nothing else run meanwhile; runs under way would lose their locks.
        await asyncio.to_thread(prepare)
        target = await stack.enter_async_context(open_target(corpus.settings, wanted.variant, wanted.prompts))
        header = await asyncio.to_thread(experiment.header, path.stem, suite, picked, corpus, target)
        judge = None
        if why := judging.skipped(settings):
            header = header.model_copy(update={"skipped": {"judge": why}})
        else:
            chat = await stack.enter_async_context(judging.open_chat(settings))
            judge = judging.evaluator(chat)
            judged_by = {f"judge.{key}": version for key, version in Judge(chat).versions.items()}
            header = header.model_copy(update={"models": {**header.models, **judged_by}})
        uploaded = (
            await stack.enter_async_context(uploading(settings, header, cases, picked))
            if wanted.upload
            else None
        )
        writer = stack.enter_context(writing(path, header))
        watcher.began(header, path)
        await experiment.run(
            target,
            picked,
            suite.repeats,
            writer,
            evaluators=ALL,
            judge=judge,
            concurrency=wanted.concurrency,
            uploaded=uploaded,
            watcher=watcher,
        )
    return path


async def _search(settings: Settings, wanted: Wanted, path: Path, watcher: Watcher) -> Path:
    """Runs a suite that searches only."""
    _refuse(
        wanted,
        upload=wanted.upload,
        variant=wanted.variant != "split",
        prompts=wanted.prompts != "in-force",
        repeats=wanted.repeats,
    )
    if wanted.suite == RETRIEVAL:
        _refuse(wanted, postings=wanted.postings, profiles=wanted.profiles)
        await searching.run_queries(settings, wanted.cases, path, watcher)
        return path
    _refuse(wanted, case=wanted.cases)
    if not (wanted.postings and wanted.profiles):
        raise InvalidRequestError("The suite `given` needs --postings and --profiles.")
    await searching.run_given(settings, wanted.postings, wanted.profiles, path, watcher)
    return path


def _refuse(wanted: Wanted, **given: object) -> None:
    """Refuses options that mean nothing to the suite."""
    named = [f"--{option}" for option, value in given.items() if value]
    if named:
        raise InvalidRequestError(f"The suite {wanted.suite} does not go with {', '.join(named)}.")


def _named(suite: Suite, cases: Sequence[Case], wanted: Wanted) -> list[Case]:
    if not wanted.cases:
        return suite.pick(cases)
    # Named, a case of the data set is run whether the suite has it or not.
    known = {case.id: case for case in cases}
    names = list(dict.fromkeys(wanted.cases))
    experiment.require_known(names, list(known), suite.dataset)
    return [known[name] for name in names]
