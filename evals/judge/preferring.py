"""Two runs, case by case, as a judge prefers: whose project is better, asked in both orders."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.judge.calibration import AT_A_TIME
from evals.judge.evaluator import setting
from evals.judge.judge import Judge, Preference
from evals.report.statistics import Values, estimate
from evals.runs.results import CaseResult, Estimate, Result
from tools.core.errors import InvalidRequestError, ModelOutputError


@dataclass(frozen=True, slots=True)
class Preferences:
    """How often each run's project was the better one. `share_b` is the share of B, ties counting half, with
    its 95 % interval over cases. `one_place`: pairs that were decided by their place, which count
    as ties. `failed`: cases without a verdict."""

    a: int
    b: int
    ties: int
    share_b: Estimate
    one_place: int
    failed: list[str]
    by_case: dict[str, Preference]


async def prefer(judge: Judge, a: Result, b: Result) -> Preferences:
    """Asks about the first answers of every case that both runs have.

    Raises:
        InvalidRequestError: there is no such case, or a file was kept as a baseline, without postings.
        ModelUnavailableError: the model did not answer.
    """
    pairs = list(_pairs(a, b))
    room = asyncio.Semaphore(AT_A_TIME)

    async def asked(one: CaseResult, other: CaseResult) -> Preference | None:
        # What both projects may quote is shown, whoever kept it.
        merged = {**other.outputs, "postings": {**other.outputs["postings"], **one.outputs["postings"]}}
        person = setting(one.inputs, {**merged, "answers": [_joined(one, other)]})
        async with room:
            try:
                return await judge.prefer(person, _project(one), _project(other))
            except ModelOutputError:
                return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked(*pair)) for pair in pairs]
    done = {
        one.case_id: verdict
        for (one, _), task in zip(pairs, tasks, strict=True)
        if (verdict := task.result()) is not None
    }
    return _counted(done, [one.case_id for one, _ in pairs if one.case_id not in done])


def _pairs(a: Result, b: Result) -> Sequence[tuple[CaseResult, CaseResult]]:
    """Returns the cases that both runs have answered and that ask the same."""
    for result in (a, b):
        if any("postings" not in case.outputs for case in result.cases):
            raise InvalidRequestError(
                f"{result.path} was kept as a baseline, without the postings that a judge has to see. Run "
                "the suite again.",
                file=str(result.path),
            )
    others = {case.case_id: case for case in b.cases if not case.repeat and case.outputs["answers"]}
    found = [
        (case, others[case.case_id])
        for case in a.cases
        if not case.repeat
        and case.outputs["answers"]
        and case.case_id in others
        and case.inputs == others[case.case_id].inputs
    ]
    if not found:
        raise InvalidRequestError("The two runs have no case in common that both have answered.")
    return found


def _joined(one: CaseResult, other: CaseResult) -> dict[str, Any]:
    answers = (one.outputs["answers"][0], other.outputs["answers"][0])
    return {"postings": [posting for answer in answers for posting in answer["postings"]]}


def _project(case: CaseResult) -> dict[str, Any]:
    project: dict[str, Any] = case.outputs["answers"][0]["project"]
    return project


def _counted(verdicts: Mapping[str, Preference], failed: list[str]) -> Preferences:
    won = Counter(verdict.better for verdict in verdicts.values())
    worth: Values = {
        case_id: [{"a": 0.0, "tie": 0.5, "b": 1.0}[verdict.better]] for case_id, verdict in verdicts.items()
    }
    share = estimate(worth)
    if share is None:
        raise InvalidRequestError("The judge gave no valid verdict on any case.")
    return Preferences(
        a=won["a"],
        b=won["b"],
        ties=won["tie"],
        share_b=share,
        one_place=sum(verdict.one_place for verdict in verdicts.values()),
        failed=failed,
        by_case=dict(verdicts),
    )
