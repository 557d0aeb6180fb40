"""Runs an experiment: a variant of the service over the cases of a suite, through LangSmith's `aevaluate`.

`aevaluate` posts runs even when told not to upload, prints, and lets its tasks go on when nobody reads their
rows; what keeps it from that is in `_evaluate`. Without an upload (`evals/runs/upload.py`) nothing leaves the
machine but what the models are asked.
"""

from __future__ import annotations

import asyncio
import difflib
import io
import logging
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from langsmith import Client, tracing_context
from langsmith.evaluation import aevaluate
from langsmith.schemas import Example
from langsmith.utils import LangSmithError

from evals.datasets.cases import Case
from evals.evaluators import base
from evals.evaluators.base import Evaluator, Metric, failures, number
from evals.evaluators.subjects import stability
from evals.judge.judge import JudgeEvaluator
from evals.report.statistics import estimates
from evals.runs.results import CaseResult, Header, ResultWriter, Score, Summary
from evals.runs.upload import Upload
from evals.runs.variants import Target
from tools.core.errors import InvalidRequestError

logger = logging.getLogger(__name__)

EVALUATED = Metric("higher", "evaluators that could judge the case", guarded=True, tolerance=0.0)
"""The metric `evaluated`. An evaluator that fails is a fault of its own, which must not go unseen."""


class Progress:
    """Is told how a run goes on; this one ignores it."""

    def started(self, header: Header, path: Path) -> None:
        """The cases are about to be run, and their results go to `path`."""

    def case_done(self, result: CaseResult) -> None:
        """A case is done, and its line written."""

    def uploaded_to(self, url: str) -> None:
        """The experiment can be looked at in LangSmith."""


def require_known(names: Sequence[str], known: Sequence[str], file: Path) -> None:
    """Makes sure that there are cases of these names.

    Raises:
        InvalidRequestError: one is not among the `known` of `file`. The message has similar ones.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            similar = f" There are {', '.join(near)}." if near else ""
            raise InvalidRequestError(f"There is no case {name} in {file.name}.{similar}")


async def run(
    target: Target,
    cases: Sequence[Case],
    repeats: int,
    writer: ResultWriter,
    *,
    evaluators: Sequence[Evaluator],
    judge: JudgeEvaluator | None,
    concurrency: int,
    uploaded: Upload | None,
    progress: Progress,
) -> None:
    """Runs every case `repeats` times, `concurrency` at a time, and writes its line as soon as it is done.

    A case that fails is a result, not an end. Cancelled, it cancels the cases under way and waits for them;
    what was written stays.

    Raises:
        LangSmithError: with `uploaded`, the experiment could not be made.
    """
    examples = uploaded.examples if uploaded else {(one := _example(case)).id: (one, case) for case in cases}
    outputs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    results: list[CaseResult] = []
    started = time.monotonic()
    async with _evaluate(
        target,
        [example for example, _ in examples.values()],
        repeats=repeats,
        evaluators=evaluators,
        judge=judge,
        concurrency=concurrency,
        uploaded=uploaded,
    ) as rows:
        async for row in rows:
            case = examples[row["example"].id][1]
            repeated = outputs[case.id]
            repeated.append(row["run"].outputs)
            scored = row["evaluation_results"]["results"]
            scores = [Score(key=one.key, score=one.score, comment=one.comment or None) for one in scored]
            # Only the last repeat can be scored by how much alike they all are.
            over_repeats: list[Score] = []
            if 1 < len(repeated) == repeats:
                over_repeats = [Score(**one) for one in await asyncio.to_thread(stability, repeated)]
            if uploaded:
                uploaded.scores += len(scores)
                await uploaded.feedback(row["run"].id, rows.experiment_id, over_repeats)
            result = CaseResult(
                case_id=case.id,
                repeat=len(repeated) - 1,
                family=case.expect.family,
                tags=list(case.tags),
                language=case.inputs.language,
                inputs=case.inputs.model_dump(mode="json"),
                outputs=repeated[-1],
                scores=[*scores, *over_repeats],
                run_id=str(row["run"].id),
            )
            writer.write(result)
            results.append(result)
            progress.case_done(result)
        if uploaded:
            with suppress(LangSmithError):
                progress.uploaded_to(await rows.get_comparison_url() or "")
    paid = [call["usd"] for result in results for call in result.outputs["calls"] if not call["replayed"]]
    writer.write(
        Summary(
            metrics=await asyncio.to_thread(estimates, results),
            seconds=round(time.monotonic() - started, 1),
            usd=None if None in paid else round(sum(paid), 6),
        )
    )


def _example(case: Case) -> Example:
    inputs, expected = case.inputs.model_dump(mode="json"), case.expect.model_dump(mode="json")
    return Example(id=uuid.uuid4(), inputs=inputs, outputs=expected)


@asynccontextmanager
async def _evaluate(
    target: Target,
    examples: Sequence[Example],
    *,
    repeats: int,
    evaluators: Sequence[Evaluator],
    judge: JudgeEvaluator | None,
    concurrency: int,
    uploaded: Upload | None,
) -> AsyncIterator[Any]:
    """Yields the rows of `aevaluate`, each when its case is done and scored. At the end none of its tasks is
    left running."""
    # The second client sends nothing: no run is sampled, and no thread asks the API what it can do.
    client = (
        uploaded.client
        if uploaded
        else Client("http://127.0.0.1:9", api_key="-", auto_batch_tracing=False, tracing_sampling_rate=0)
    )
    running: set[asyncio.Task[Any]] = set()
    ended = False

    async def run_case(inputs: dict[str, Any]) -> dict[str, Any]:
        # The SDK starts tasks also when nobody reads their rows any more and the services are closed.
        if ended:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        running.add(task)
        task.add_done_callback(running.discard)
        return await target.run(inputs)

    with tracing_context(enabled=uploaded is not None, client=client):
        with _quiet():
            rows = await aevaluate(
                run_case,
                data=list(examples),
                evaluators=[_as_one(evaluators, judge)],
                client=client,
                max_concurrency=concurrency,
                num_repetitions=repeats,
                blocking=False,
                upload_results=uploaded is not None,
                **(uploaded.experiment if uploaded else {}),
            )
            # Its progress bar is made in the first step of its task.
            await asyncio.sleep(0)
        try:
            yield rows
        finally:
            ended = True
            under_way = list(running)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            with suppress(asyncio.CancelledError, LangSmithError):
                await rows.wait()
            if uploaded is None:
                client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Swallows what `aevaluate` prints at its start, its progress bar, and its warning about
    `upload_results`."""
    nowhere = io.StringIO()
    with redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'upload_results' parameter is in beta")
        yield


def _as_one(evaluators: Sequence[Evaluator], judge: JudgeEvaluator | None) -> Any:
    """Returns all evaluators as one that LangSmith can call. The rules compute, so they run in a thread."""

    async def evaluate(
        inputs: dict[str, Any], outputs: dict[str, Any], reference_outputs: dict[str, Any]
    ) -> dict[str, Any]:
        planted = [posting["canary"] for posting in outputs["postings"].values() if posting.get("canary")]
        expected = {**reference_outputs, "canaries": [*reference_outputs.get("canaries", []), *planted]}

        def by_rule() -> list[base.Score]:
            scores: list[base.Score] = []
            failed: list[str] = []
            for evaluator in evaluators:
                name = getattr(evaluator, "__name__", repr(evaluator))
                try:
                    scores += evaluator(inputs, outputs, expected)
                except Exception as error:
                    logger.exception("an evaluator failed", extra={"evaluator": name})
                    failed.append(f"{name}: {error!r}")
            return [*scores, number("evaluated", 1 - len(failed) / len(evaluators), failures(failed))]

        scores = await asyncio.to_thread(by_rule)
        return {"results": [*scores, *(await judge(inputs, outputs, expected) if judge else [])]}

    return evaluate
