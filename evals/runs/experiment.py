"""Runs an experiment: a variant of the service over the cases of a suite, through LangSmith's `aevaluate`.

Nothing leaves the machine but what the models are asked. With `upload` the data set and the experiment are
in LangSmith as well (`evals/runs/upload.py`).
"""

from __future__ import annotations

import asyncio
import difflib
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langsmith.schemas import Example
from langsmith.utils import LangSmithError

from evals.datasets.cases import Case, dataset_version
from evals.evaluators import stability
from evals.evaluators.base import Evaluator
from evals.judge.evaluator import JudgeEvaluator
from evals.report.statistics import estimates
from evals.runs.corpus import Corpus
from evals.runs.evaluating import evaluating
from evals.runs.provenance import provenance
from evals.runs.results import CaseResult, Dataset, Header, ResultWriter, Score, Summary
from evals.runs.results import Corpus as CorpusLine
from evals.runs.suites import Suite
from evals.runs.upload import Uploaded
from evals.runs.variants import Target
from tools.core.errors import InvalidRequestError


class Watcher:
    """Who is told how a run goes on; this one hears and does nothing."""

    def began(self, header: Header, path: Path) -> None:
        """The cases are about to be run, and their results go to `path`."""

    def done(self, result: CaseResult) -> None:
        """A case is done, and its line written."""

    def appears(self, url: str) -> None:
        """The experiment can be looked at in LangSmith."""


def require_known(names: Sequence[str], known: Sequence[str], file: Path) -> None:
    """Makes sure that there are cases of these names.

    Raises:
        InvalidRequestError: one is not among the `known` of `file`. The message has some that are like it.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            like = f" There are {', '.join(near)}." if near else ""
            raise InvalidRequestError(f"There is no case {name} in {file.name}.{like}")


def header(name: str, suite: Suite, cases: Sequence[Case], corpus: Corpus, target: Target) -> Header:
    """Returns the first line of the result file: everything needed to run it again."""
    settings = target.services.settings
    chosen = {key: target.services.chat.choice(prompt) for key, prompt in target.prompts.prompts.items()}
    return Header(
        name=name,
        suite=suite.name,
        created_at=datetime.now(UTC),
        variant=target.variant,
        prompts={
            "version": target.prompts.version,
            **{key: prompt.version for key, prompt in target.prompts.prompts.items()},
        },
        models={
            **{key: choice.model for key, choice in chosen.items()},
            "embedding": target.services.embedder.model_name,
        },
        parameters={
            **{key: choice.parameters() for key, choice in chosen.items() if choice.parameters()},
            "embedding_dimensions": settings.embedding_dimensions,
            "structured_output": settings.structured_output,
            "output_retries": settings.output_retries,
            "novelty_similarity": settings.novelty_similarity,
        },
        corpus=CorpusLine(version=corpus.version, postings=corpus.postings, files=list(corpus.files)),
        dataset=Dataset(name=suite.dataset.stem, version=dataset_version(suite.dataset), cases=len(cases)),
        repeats=suite.repeats,
        offline=settings.offline,
        **provenance(),
    )


async def run(
    target: Target,
    cases: Sequence[Case],
    repeats: int,
    writer: ResultWriter,
    *,
    evaluators: Sequence[Evaluator],
    judge: JudgeEvaluator | None,
    concurrency: int,
    uploaded: Uploaded | None,
    watcher: Watcher,
) -> Summary:
    """Runs every case so often, writes its line as soon as it is done, and returns the summary.

    `concurrency` cases are under way at the same time. A case that fails is a result, not an end. Cancelled,
    it cancels the cases under way and waits for them; what was written stays.

    Raises:
        LangSmithError: with `uploaded`, the experiment could not be made.
    """
    examples = uploaded.examples if uploaded else dict(map(_example, cases))
    collected = _Collected(repeats)
    results: list[CaseResult] = []
    began = time.monotonic()
    async with evaluating(
        target,
        [example for example, _ in examples.values()],
        repeats=repeats,
        evaluators=evaluators,
        judge=judge,
        concurrency=concurrency,
        uploaded=uploaded,
    ) as rows:
        async for row in rows:
            scored = _scored(row)
            result = await collected.add(examples[row["example"].id][1], row, scored)
            if uploaded:
                uploaded.scores += len(scored)
                await uploaded.feedback(row["run"].id, rows.experiment_id, result.scores[len(scored) :])
            writer.case(result)
            results.append(result)
            watcher.done(result)
        if uploaded:
            with suppress(LangSmithError):
                watcher.appears(await rows.get_comparison_url() or "")
    paid = [call["usd"] for result in results for call in result.outputs["calls"] if not call["replayed"]]
    summary = Summary(
        metrics=await asyncio.to_thread(estimates, results),
        seconds=round(time.monotonic() - began, 1),
        usd=None if None in paid else round(sum(paid), 6),
    )
    writer.summary(summary)
    return summary


def _example(case: Case) -> tuple[uuid.UUID, tuple[Example, Case]]:
    example = Example(id=uuid.uuid4(), inputs=_inputs(case), outputs=case.expect.model_dump(mode="json"))
    return example.id, (example, case)


def _inputs(case: Case) -> dict[str, Any]:
    return case.inputs.model_dump(mode="json")


class _Collected:
    """Counts the repeats of each case, and scores their stability when the last one is in."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._outputs: dict[str, list[dict[str, Any]]] = defaultdict(list)

    async def add(self, case: Case, row: Mapping[str, Any], scored: Sequence[Score]) -> CaseResult:
        """Returns the case's line. Its last repeat has the scores of them all."""
        outputs: dict[str, Any] = row["run"].outputs
        earlier = self._outputs[case.id]
        earlier.append(outputs)
        scores = list(scored)
        if 1 < len(earlier) == self._repeats:
            scores += [Score(**score) for score in await asyncio.to_thread(stability.stability, earlier)]
        return CaseResult(
            case_id=case.id,
            repeat=len(earlier) - 1,
            family=case.expect.family,
            tags=list(case.tags),
            language=case.inputs.language,
            inputs=_inputs(case),
            outputs=outputs,
            scores=scores,
            run_id=str(row["run"].id),
        )


def _scored(row: Mapping[str, Any]) -> list[Score]:
    found = row["evaluation_results"]["results"]
    return [Score(key=one.key, score=one.score, comment=one.comment or None) for one in found]
