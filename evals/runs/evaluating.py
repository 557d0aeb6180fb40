"""LangSmith's `aevaluate`, held to what an evaluation here needs: silence, order and an end.

`aevaluate` posts runs even when it is told not to upload, prints, and lets its tasks go on when nobody reads
their rows.
"""

from __future__ import annotations

import asyncio
import io
import logging
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from langsmith import Client, tracing_context
from langsmith.evaluation import aevaluate
from langsmith.schemas import Example
from langsmith.utils import LangSmithError

from evals.evaluators.base import Evaluator, Metric, Score, failures, number
from evals.judge.evaluator import JudgeEvaluator
from evals.runs.upload import Uploaded
from evals.runs.variants import Target

logger = logging.getLogger(__name__)

EVALUATED = Metric("higher", "evaluators that could judge the case", guarded=True, tolerance=0.0)
"""The metric `evaluated`. An evaluator that fails is a fault of its own, which must not go unseen."""


def silent_client() -> Client:
    """Returns a LangSmith client that sends nothing: no key, no run sampled, no thread that would ask the
    API what it can do."""
    return Client(
        api_url="http://127.0.0.1:9", api_key="offline", auto_batch_tracing=False, tracing_sampling_rate=0
    )


@asynccontextmanager
async def evaluating(
    target: Target,
    examples: Sequence[Example],
    *,
    repeats: int,
    evaluators: Sequence[Evaluator],
    judge: JudgeEvaluator | None,
    concurrency: int,
    uploaded: Uploaded | None,
) -> AsyncIterator[Any]:
    """Yields the rows of `aevaluate`, each when its case is done and evaluated, by the `judge` too where
    there is one. In the end nothing of it is at work.

    Raises:
        LangSmithError: with `uploaded`, the experiment could not be made.
    """
    client = uploaded.client if uploaded else silent_client()
    working: set[asyncio.Task[Any]] = set()
    over = False

    async def answered(inputs: dict[str, Any]) -> dict[str, Any]:
        # The SDK's tasks go on, and begin, when nobody reads their rows, on services that are closed by then.
        if over:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        working.add(task)
        task.add_done_callback(working.discard)
        return await target.run(inputs)

    with tracing_context(enabled=uploaded is not None, client=client):
        with _quiet():
            rows = await aevaluate(
                answered,
                data=list(examples),
                evaluators=[_adapted(evaluators, judge)],
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
            over = True
            under_way = list(working)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            with suppress(asyncio.CancelledError, LangSmithError):
                await rows.wait()
            if uploaded is None:
                client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Takes what `aevaluate` prints at its start, for it prints and draws a bar wherever it runs, and its
    warning that `upload_results` is new."""
    nowhere = io.StringIO()
    with redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'upload_results' parameter is in beta")
        yield


def _adapted(evaluators: Sequence[Evaluator], judge: JudgeEvaluator | None) -> Any:
    """Returns all evaluators as one that LangSmith can call. They compute, so they do it in a thread; the
    judge asks a model."""

    async def evaluate(
        inputs: dict[str, Any], outputs: dict[str, Any], reference_outputs: dict[str, Any]
    ) -> dict[str, Any]:
        planted = [posting["canary"] for posting in outputs["postings"].values() if posting.get("canary")]
        expected = {**reference_outputs, "canaries": [*reference_outputs.get("canaries", []), *planted]}

        def scores() -> list[Score]:
            found: list[Score] = []
            failed: list[str] = []
            for one in evaluators:
                named = getattr(one, "__name__", repr(one))
                try:
                    found += one(inputs, outputs, expected)
                except Exception as error:
                    logger.exception("an evaluator failed", extra={"evaluator": named})
                    failed.append(f"{named}: {error!r}")
            return [*found, number("evaluated", 1 - len(failed) / len(evaluators), failures(failed))]

        found = await asyncio.to_thread(scores)
        return {"results": [*found, *(await judge(inputs, outputs, expected) if judge else [])]}

    return evaluate
