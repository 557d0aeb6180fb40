"""The judge as an evaluator, and why it is left out where it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from evals.evaluators.base import Metric, Score, absent, number
from evals.judge.calibration import Calibration
from evals.judge.judge import Judge, Setting
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.settings import Settings
from tools.core.tracing import traced
from tools.llm.chat import ChatModel
from tools.llm.journal import Call
from tools.llm.openai_client import open_http_client
from tools.llm.prices import usd

Json = dict[str, Any]
JudgeEvaluator = Callable[[Json, Json, Json], Awaitable[list[Score]]]

CRITERIA = {
    "judge_fit": "fit",
    "judge_grounding": "grounding",
    "judge_concreteness": "concreteness",
    "judge_feasibility": "feasibility",
}


def metrics(calibration: Calibration | None) -> dict[str, Metric]:
    """Returns what the judge's metrics are: guarded only when a calibration says that it may be."""
    guarded = calibration is not None and calibration.refusal is None
    marks = {
        key: Metric("higher", f"{name}, as a judge marks it", unit="of 5", guarded=guarded, tolerance=0.2)
        for key, name in CRITERIA.items()
    }
    cost = Metric("lower", "what the judge cost, of a case", unit="USD", tolerance=0.0005)
    return {**marks, "judge_usd": cost}


@asynccontextmanager
async def open_chat(settings: Settings) -> AsyncIterator[ChatModel]:
    """Yields the chat model that judges, `settings.judge_model` where it is set."""
    own = settings.model_copy(update={"chat_model": settings.judge_model or settings.chat_model})
    async with traced(), open_http_client(own) as http_client:
        yield ChatModel(own, http_client)


def skipped(settings: Settings) -> str | None:
    """Returns why the judge is left out under these settings, or None when it can be asked."""
    return "offline: the offline model cannot judge; set OPENAI_API_KEY" if settings.offline else None


def evaluator(chat: ChatModel) -> JudgeEvaluator:
    """Returns an evaluator that has the first answer's project marked, 1 to 5 by each criterion of the
    rubric; higher is better.

    Scores are None, and say why, for a case without an answer and for one on which the judge's own answer
    stayed invalid or did not come. `judge_usd` is what its calls cost. It cannot see regenerations (their
    wishes are checked by rule), and what it says is an opinion: `calibration.py` tells how far it agrees
    with people.
    """

    async def judged(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
        if not outputs.get("answers"):
            return [absent(key, "no answer") for key in CRITERIA]
        calls: list[Call] = []
        judge = Judge(chat.for_run(None, calls))
        try:
            marks = await judge.mark(setting(inputs, outputs), outputs["answers"][0]["project"])
        except (ModelOutputError, ModelUnavailableError) as error:
            why_not = f"the judge gave no valid answer: {error.message}"
            return [*(absent(key, why_not) for key in CRITERIA), _cost(calls)]
        given = {key: getattr(marks, name) for key, name in CRITERIA.items()}
        marked = [Score(key=key, score=float(mark.score), comment=mark.reason) for key, mark in given.items()]
        return [*marked, _cost(calls)]

    return judged


def _cost(calls: Sequence[Call]) -> Score:
    if any(call.input_tokens is None for call in calls):
        return absent("judge_usd", "an API did not tell its tokens")
    paid = [usd(call.model, call.input_tokens or 0, call.output_tokens or 0) for call in calls]
    known = [price for price in paid if price is not None]
    if len(known) < len(paid):
        return absent("judge_usd", f"price unknown: {calls[0].model}")
    return number("judge_usd", sum(known))


def setting(inputs: Json, outputs: Json) -> Setting:
    """Returns for whom and on what market a case's first answer is judged: its kept postings."""
    kept = {p["posting_id"] for p in outputs["answers"][0]["postings"] if p["kept"]}
    return Setting(
        language=inputs["language"],
        profile=inputs["profile"],
        postings={i: posting for i, posting in outputs["postings"].items() if i in kept},
        wishes={},
    )
