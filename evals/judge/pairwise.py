"""Pairs of projects before the judge: labelled ones, to learn how far it agrees with people (`calibrate`),
and those of two runs, to learn which are better (`prefer`).

Agreement is Cohen's kappa (J. Cohen, "A coefficient of agreement for nominal scales", 1960) over the three
verdicts; .6 and more is commonly called substantial (Landis and Koch, 1977). Its interval is the bootstrap's,
over pairs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from evals.datasets.cases import DATASETS, Record, read_records
from evals.evaluators.base import Metric
from evals.judge.judge import CRITERIA, Judge, Preference, Setting, Side, setting_of
from evals.report.statistics import Values, estimate
from evals.runs.results import CaseResult, Estimate, Result
from tools.core.contracts import Language, Profile, Project
from tools.core.errors import InvalidRequestError, ModelOutputError

PAIRS = DATASETS / "judge_pairs.jsonl"
FEWEST_PAIRS = 24
AGREEMENT = 0.6
"""Kappa from which the judge may guard a metric."""
LEAST_AGREEMENT = 0.3
"""What the lower end of kappa's interval must reach, so that few lucky pairs are not enough."""
POSITION_BIAS = 0.2
"""Share of pairs decided by their place above which the judge reads places and not projects."""
_AT_ONCE = 8
"""Pairs that are asked about at the same time: 16 calls."""
_RESAMPLES = 2_000
_CERTAIN = 1e-12
_SIDES: tuple[Side, ...] = ("a", "b", "tie")
_WORTH: dict[Side, float] = {"a": 0.0, "tie": 0.5, "b": 1.0}
_Cells = NDArray[np.int64]


class LabelledPair(Record):
    """Two projects for one person, and which one people find better. `trap`: what the worse project has that
    could mislead a judge."""

    language: Language
    profile: dict[str, Any]
    wishes: dict[str, Any] = Field({})
    postings: dict[str, dict[str, Any]]
    a: dict[str, Any]
    b: dict[str, Any]
    better: Side
    why: str
    trap: Literal["verbosity", "praise", "names", "injection", "position"] | None = None

    @model_validator(mode="after")
    def _check(self) -> LabelledPair:
        Profile.model_validate(self.profile)
        for project in (self.a, self.b):
            Project.model_validate(project)
        return self

    def setting(self) -> Setting:
        """Returns the person and the market of the two projects."""
        return Setting(self.language, self.profile, self.postings, self.wishes)


def read_pairs(path: Path = PAIRS) -> list[LabelledPair]:
    """Returns the labelled pairs of a file."""
    return read_records(path, LabelledPair)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came of the labelled pairs. Intervals are 95 %, rates from 0 to 1.

    `accuracy`: verdicts that are the label. `position_bias`: pairs of which both orders chose the same
    place. `ties`: verdicts that are a tie. `by_trap`: accuracy and pairs of each trap. `failed`: ids of
    pairs without a verdict, because the judge's answer stayed invalid. `refusal`: why the judge must not
    guard a metric, or None when it may.
    """

    pairs: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    kappa: float
    kappa_interval: tuple[float, float]
    position_bias: float
    ties: float
    by_trap: dict[str, tuple[float, int]]
    failed: list[str]
    wrong: list[str]
    refusal: str | None


async def calibrate(judge: Judge, pairs: Sequence[LabelledPair]) -> Calibration:
    """Asks the judge about every pair in both orders and compares with the labels.

    Raises:
        ModelUnavailableError: the model did not answer.
    """
    verdicts = await _ask_all(judge, [(pair.setting(), pair.a, pair.b) for pair in pairs])
    judged = [(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is not None]
    failed = [pair.id for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is None]
    return report(judged, failed)


async def _ask_all(judge: Judge, questions: Sequence[tuple[Setting, Any, Any]]) -> list[Preference | None]:
    """The judge's preferences; None where its answer stayed invalid."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def ask(setting: Setting, a: Any, b: Any) -> Preference | None:
        async with limit:
            try:
                return await judge.prefer(setting, a, b)
            except ModelOutputError:
                return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(*question)) for question in questions]
    return [task.result() for task in tasks]


def report(judged: Sequence[tuple[LabelledPair, Preference]], failed: list[str]) -> Calibration:
    """Returns the figures of pairs and the judge's preferences."""
    labels = [pair.better for pair, _ in judged]
    verdicts = [preference.better for _, preference in judged]
    right = [label == verdict for label, verdict in zip(labels, verdicts, strict=True)]
    kappa, kappa_interval = _kappa_with_interval(labels, verdicts)
    bias = _share([preference.one_place for _, preference in judged])
    by_trap: dict[str, list[bool]] = {}
    for (pair, _), hit in zip(judged, right, strict=True):
        by_trap.setdefault(pair.trap or "none", []).append(hit)
    return Calibration(
        pairs=len(judged),
        accuracy=_share(right),
        accuracy_interval=_wilson(sum(right), len(judged)),
        kappa=kappa,
        kappa_interval=kappa_interval,
        position_bias=bias,
        ties=_share([verdict == "tie" for verdict in verdicts]),
        by_trap={trap: (_share(hits), len(hits)) for trap, hits in sorted(by_trap.items())},
        failed=failed,
        wrong=[pair.id for (pair, _), hit in zip(judged, right, strict=True) if not hit],
        refusal=_refusal(len(judged), kappa, kappa_interval[0], bias),
    )


def _refusal(pairs: int, kappa: float, low: float, bias: float) -> str | None:
    reasons = []
    if pairs < FEWEST_PAIRS:
        reasons.append(f"{pairs} pairs judged, {FEWEST_PAIRS} are needed")
    if kappa < AGREEMENT:
        reasons.append(f"kappa is {kappa:.2f}, below {AGREEMENT}")
    if low < LEAST_AGREEMENT:
        reasons.append(f"kappa may be as low as {low:.2f}, below {LEAST_AGREEMENT}")
    if bias > POSITION_BIAS:
        reasons.append(f"{bias:.0%} of the pairs were decided by their place, above {POSITION_BIAS:.0%}")
    return f"not fit to guard a metric: {'; '.join(reasons)}" if reasons else None


def metrics(calibration: Calibration | None) -> dict[str, Metric]:
    """Returns the judge's metrics: guarded only when a calibration says that they may be."""
    guarded = calibration is not None and calibration.refusal is None
    marks = {
        key: Metric("higher", f"{name}, as a judge marks it", unit="of 5", guarded=guarded, tolerance=0.2)
        for key, name in CRITERIA.items()
    }
    cost = Metric("lower", "what the judge cost, of a case", unit="USD", tolerance=0.0005)
    return {**marks, "judge_usd": cost}


def cohens_kappa(labels: Sequence[Side], verdicts: Sequence[Side]) -> float:
    """Returns Cohen's kappa, from -1 to 1; 0 where agreement by chance is certain or there are no pairs."""
    return float(_kappas(_cells(labels, verdicts)[np.newaxis])[0])


def _cells(labels: Sequence[Side], verdicts: Sequence[Side]) -> _Cells:
    """The cell of the table of labels and verdicts that each pair falls into."""
    pairs = zip(labels, verdicts, strict=True)
    return np.array([len(_SIDES) * _SIDES.index(x) + _SIDES.index(y) for x, y in pairs], dtype=np.int64)


def _kappas(samples: _Cells) -> NDArray[np.float64]:
    """Kappa of each row of cells."""
    size = len(_SIDES)
    tables = np.stack([(samples == cell).sum(axis=1) for cell in range(size * size)], axis=1)
    tables = tables.reshape(-1, size, size) / max(1, samples.shape[1])
    observed = np.trace(tables, axis1=1, axis2=2)
    by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1)
    beyond = 1 - by_chance
    certain = (beyond < _CERTAIN) | (samples.shape[1] == 0)
    return np.where(certain, 0.0, (observed - by_chance) / np.where(certain, 1.0, beyond))


def _kappa_with_interval(
    labels: Sequence[Side], verdicts: Sequence[Side]
) -> tuple[float, tuple[float, float]]:
    if not labels:
        return 0.0, (-1.0, 1.0)
    cells = _cells(labels, verdicts)
    picks = np.random.default_rng(1960).integers(0, len(cells), size=(_RESAMPLES, len(cells)))
    low, high = np.percentile(_kappas(cells[picks]), [2.5, 97.5])
    return cohens_kappa(labels, verdicts), (float(low), float(high))


def _wilson(right: int, number: int) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, 1927)."""
    if not number:
        return 0.0, 1.0
    z = 1.96
    share, spread = right / number, z**2 / number
    middle = share + spread / 2
    half = z * ((share * (1 - share) + spread / 4) / number) ** 0.5
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


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
        InvalidRequestError: there is no such case, a file was kept as a baseline, without postings, or the
        judge
            gave no valid verdict on any case.
        ModelUnavailableError: the model did not answer.
    """
    pairs = _common_cases(a, b)
    verdicts = await _ask_all(judge, [(_setting(a, b), _project(a), _project(b)) for a, b in pairs])
    by_case = {a.case_id: verdict for (a, _), verdict in zip(pairs, verdicts, strict=True) if verdict}
    failed = [case.case_id for case, _ in pairs if case.case_id not in by_case]
    worth: Values = {case_id: [_WORTH[verdict.better]] for case_id, verdict in by_case.items()}
    share = estimate(worth)
    if share is None:
        raise InvalidRequestError("The judge gave no valid verdict on any case.")
    won = Counter(verdict.better for verdict in by_case.values())
    return Preferences(
        a=won["a"],
        b=won["b"],
        ties=won["tie"],
        share_b=share,
        one_place=sum(verdict.one_place for verdict in by_case.values()),
        failed=failed,
        by_case=by_case,
    )


def _common_cases(a: Result, b: Result) -> list[tuple[CaseResult, CaseResult]]:
    """The cases with the same inputs that both runs have answered."""
    for result in (a, b):
        if any("postings" not in case.outputs for case in result.cases):
            raise InvalidRequestError(
                f"{result.path} was kept as a baseline, without the postings that a judge has to see. Run "
                "the suite again.",
                file=str(result.path),
            )
    answered = [
        {case.case_id: case for case in result.cases if not case.repeat and case.outputs["answers"]}
        for result in (a, b)
    ]
    common = [
        (case, answered[1][case_id])
        for case_id, case in answered[0].items()
        if case_id in answered[1] and case.inputs == answered[1][case_id].inputs
    ]
    if not common:
        raise InvalidRequestError("The two runs have no case in common that both have answered.")
    return common


def _setting(a: CaseResult, b: CaseResult) -> Setting:
    """Both projects may quote what either run has kept."""
    postings = {**b.outputs["postings"], **a.outputs["postings"]}
    kept = [posting for case in (a, b) for posting in case.outputs["answers"][0]["postings"]]
    return setting_of(a.inputs, {"postings": postings, "answers": [{"postings": kept}]})


def _project(case: CaseResult) -> dict[str, Any]:
    project: dict[str, Any] = case.outputs["answers"][0]["project"]
    return project
