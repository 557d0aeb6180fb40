"""The suites: which cases are run, how often, and how a suite becomes a result file."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from langsmith import tracing_context

from evals.datasets.cases import DATASETS, PROFILES, Case, dataset_version, read_cases
from evals.evaluators import ALL, prepare
from evals.evaluators import METRICS as ANSWER_METRICS
from evals.evaluators.base import Metric
from evals.judge import judge as judging
from evals.judge.pairwise import metrics as judge_metrics
from evals.retrieval import search_suites as retrieval
from evals.retrieval.search_suites import CROSSLINGUAL, GIVEN, RETRIEVAL
from evals.runs import experiment
from evals.runs.corpus import CORPUS, Corpus, open_corpus
from evals.runs.experiment import EVALUATED, Progress
from evals.runs.results import RESULTS, Dataset, Header, provenance, writing
from evals.runs.upload import require_key, uploading
from evals.runs.variants import PromptChoice, Target, Variant, open_target
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

ADDED = DATASETS / "sessions.jsonl"
"""The cases that `eval add` made: a data set of its own, so that adding one does not void a baseline."""
METRICS: Mapping[str, Metric] = {
    **ANSWER_METRICS,
    "evaluated": EVALUATED,
    # No model's calibration is on record, so the judge guards nothing.
    **judge_metrics(None),
    **retrieval.QUERY_METRICS,
    **retrieval.FILE_METRICS,
}
"""Every metric of every suite."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases of a data set, each run `repeats` times."""

    name: str
    description: str
    pick: Callable[[Sequence[Case]], list[Case]]
    repeats: int = 1
    dataset: Path = PROFILES


def quick(cases: Sequence[Case]) -> list[Case]:
    """Returns a case of each job family, preferring those that regenerate, every third in English, and the
    first hostile case of each language. CI runs these."""
    picked: dict[str, Case] = {}
    families = dict.fromkeys(case.expect.family for case in cases if case.expect.family is not None)
    for number, family in enumerate(families):
        language = ("ko", "ko", "en")[number % 3]
        of_family = [case for case in cases if case.expect.family == family and "hostile" not in case.tags]
        best = min(of_family, key=lambda case: (case.inputs.language != language, not case.inputs.turns))
        picked[best.id] = best
    for language in ("ko", "en"):
        hostile = next(c for c in cases if "hostile" in c.tags and c.inputs.language == language)
        picked[hostile.id] = hostile
    return list(picked.values())


SUITES = {
    suite.name: suite
    for suite in (
        Suite("quick", "a case of each job family and two hostile ones; what CI runs", quick),
        Suite("full", "every case that was written for the project", list),
        Suite(
            "hostile",
            "cases that carry instructions to the model",
            lambda cases: [case for case in cases if "hostile" in case.tags],
        ),
        Suite("stability", "the quick cases, three times each", quick, repeats=3),
        Suite("added", "what `eval add` made of sessions and traces", list, dataset=ADDED),
    )
}
"""The suites of cases; the others only search (`evals/retrieval/search_suites.py`)."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `eval run`. No `cases` means all of the suite; `postings` and `profiles` are for the
    suite `given`; None stands for the default."""

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
        """Returns the path of the result file.

        Raises:
            InvalidRequestError: the name is not a plain file name, or is taken.
        """
        # The random end tells apart runs that begin in the same second.
        default = f"{self.suite}-{self.variant}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
        name = (self.name or default).removesuffix(".jsonl")
        if Path(name).name != name:
            raise InvalidRequestError(f"{name} is no name for a result; --folder says where it goes.")
        path = (self.folder or RESULTS) / f"{name}.jsonl"
        if path.exists():
            raise InvalidRequestError(f"{path} is there already. Take another name, or remove it.")
        return path

    def refuse(self, **values: object) -> None:
        """Raises InvalidRequestError where one of the options, which mean nothing to the suite, is set."""
        names = [f"--{option}" for option, value in values.items() if value]
        if names:
            raise InvalidRequestError(f"The suite {self.suite} does not go with {', '.join(names)}.")


async def run_suite(settings: Settings, options: RunOptions, progress: Progress) -> Path:
    """Runs a suite over its corpus and returns the result file. `settings` must name every server.

    Without `upload` nothing goes to LangSmith, whatever LANGSMITH_TRACING says.

    Raises:
        InvalidRequestError: there is no such suite or case, an option does not go with the suite, or a file
            is malformed.
        SetupError: a store does not answer; with `upload`, LangSmith.
        PromptInvalidError, HubUnavailableError: the chosen prompts cannot be used.
        ModelUnavailableError: the corpus or the queries could not be embedded.
    """
    path = options.path()
    with tracing_context(enabled=False):
        if options.suite in (RETRIEVAL, CROSSLINGUAL, GIVEN):
            await _run_search(settings, options, path, progress)
        elif options.suite in SUITES:
            options.refuse(postings=options.postings, profiles=options.profiles)
            await _run_cases(settings, options, path, progress)
        else:
            known = ", ".join([*SUITES, RETRIEVAL, CROSSLINGUAL, GIVEN])
            raise InvalidRequestError(f"There is no suite {options.suite}; there are {known}.")
    return path


async def _run_cases(settings: Settings, options: RunOptions, path: Path, progress: Progress) -> None:
    if options.upload:
        require_key(settings)
    suite = SUITES[options.suite]
    suite = replace(suite, repeats=options.repeats or suite.repeats)
    if not suite.dataset.exists():
        raise InvalidRequestError(
            f"The suite {suite.name} has no case yet: `checkerboard eval add` makes one."
        )
    cases = await asyncio.to_thread(read_cases, suite.dataset)
    if options.cases:
        # A case that is named is run whether the suite picks it or not.
        known = {case.id: case for case in cases}
        experiment.require_known(options.cases, list(known), suite.dataset)
        picked = [known[name] for name in dict.fromkeys(options.cases)]
    else:
        picked = suite.pick(cases)
    async with AsyncExitStack() as stack:
        corpus = await stack.enter_async_context(open_corpus(settings, CORPUS))
        # Kiwi loads for seconds and lets nothing else run meanwhile; runs under way would lose their locks.
        await asyncio.to_thread(prepare)
        target = await stack.enter_async_context(
            open_target(corpus.settings, options.variant, options.prompts)
        )
        header = await asyncio.to_thread(_header, path.stem, suite, picked, corpus, target)
        judge = None
        if reason := judging.skip_reason(settings):
            header = header.model_copy(update={"skipped": {"judge": reason}})
        else:
            chat = await stack.enter_async_context(judging.open_chat(settings))
            judge = judging.evaluator(chat)
            versions = {f"judge.{key}": value for key, value in judging.Judge(chat).versions.items()}
            header = header.model_copy(update={"models": {**header.models, **versions}})
        uploaded = None
        if options.upload:
            uploaded = await stack.enter_async_context(uploading(settings, header, cases, picked))
        writer = stack.enter_context(writing(path, header))
        progress.started(header, path)
        await experiment.run(
            target,
            picked,
            suite.repeats,
            writer,
            evaluators=ALL,
            judge=judge,
            concurrency=options.concurrency,
            uploaded=uploaded,
            progress=progress,
        )


def _header(name: str, suite: Suite, cases: Sequence[Case], corpus: Corpus, target: Target) -> Header:
    """Returns the first line of the result file: everything needed to run it again."""
    settings, embedder = target.services.settings, target.services.embedder
    prompts = target.prompts.prompts
    choices = {key: target.services.chat.choice(prompt) for key, prompt in prompts.items()}
    return Header(
        name=name,
        suite=suite.name,
        created_at=datetime.now(UTC),
        variant=target.variant,
        prompts={
            "version": target.prompts.version,
            **{key: prompt.version for key, prompt in prompts.items()},
        },
        models={
            **{key: choice.model for key, choice in choices.items()},
            "embedding": embedder.model_name,
        },
        parameters={
            **{key: choice.parameters() for key, choice in choices.items() if choice.parameters()},
            "embedding_dimensions": embedder.dimensions,
            "structured_output": settings.structured_output,
            "output_retries": settings.output_retries,
            "novelty_similarity": settings.novelty_similarity or embedder.model.novelty_similarity,
        },
        corpus=corpus.line,
        dataset=Dataset(name=suite.dataset.stem, version=dataset_version(suite.dataset), cases=len(cases)),
        repeats=suite.repeats,
        offline=settings.offline,
        **provenance(),
    )


async def _run_search(settings: Settings, options: RunOptions, path: Path, progress: Progress) -> None:
    options.refuse(
        upload=options.upload,
        variant=options.variant != "split",
        prompts=options.prompts != "in-force",
        repeats=options.repeats,
    )
    if options.suite in (RETRIEVAL, CROSSLINGUAL):
        options.refuse(postings=options.postings, profiles=options.profiles)
        await retrieval.run_queries(settings, options.suite, options.cases, path, progress)
        return
    options.refuse(case=options.cases)
    if not (options.postings and options.profiles):
        raise InvalidRequestError("The suite `given` needs --postings and --profiles.")
    await retrieval.run_files(settings, options.postings, options.profiles, path, progress)
