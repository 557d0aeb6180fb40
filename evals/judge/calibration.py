"""How far the judge agrees with people, on labelled pairs; and whether it may guard anything.

Cohen's kappa (J. Cohen, "A coefficient of agreement for nominal scales", 1960) over the three verdicts; .6
and more is commonly called substantial (Landis and Koch, 1977). Its interval is the bootstrap's, over pairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.judge.judge import Judge, Preference, Side
from evals.judge.pairs import LabelledPair
from tools.core.errors import ModelOutputError

FEWEST_PAIRS = 24
AGREEMENT = 0.6
"""Kappa from which the judge may guard a metric."""
LEAST_AGREEMENT = 0.3
"""What the lower end of kappa's interval must reach, so that few lucky pairs are not enough."""
POSITION_BIAS = 0.2
"""Share of pairs decided by their place above which the judge reads places and not projects."""
AT_A_TIME = 8
"""Pairs that are asked about at the same time: 16 calls."""

_RESAMPLES = 2_000
_CERTAIN = 1e-12
Cells = NDArray[np.int64]
_SIDES: tuple[Side, ...] = ("a", "b", "tie")


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
    room = asyncio.Semaphore(AT_A_TIME)

    async def asked(pair: LabelledPair) -> Preference | None:
        async with room:
            try:
                return await judge.prefer(pair.setting(), pair.a, pair.b)
            except ModelOutputError:
                return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asked(pair)) for pair in pairs]
    verdicts = [task.result() for task in tasks]
    done = [(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is not None]
    failed = [pair.id for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is None]
    return report(done, failed)


def report(done: Sequence[tuple[LabelledPair, Preference]], failed: list[str]) -> Calibration:
    """Returns the figures of pairs and the judge's preferences."""
    labels = [pair.better for pair, _ in done]
    said = [preference.better for _, preference in done]
    right = np.array([label == verdict for label, verdict in zip(labels, said, strict=True)], dtype=float)
    kappa, kappa_interval = _kappa_with_interval(labels, said)
    bias = _share([preference.one_place for _, preference in done])
    by_trap: dict[str, list[float]] = {}
    for (pair, _), hit in zip(done, right, strict=True):
        by_trap.setdefault(pair.trap or "none", []).append(float(hit))
    return Calibration(
        pairs=len(done),
        accuracy=_share(right),
        accuracy_interval=_wilson(int(right.sum()), len(done)),
        kappa=kappa,
        kappa_interval=kappa_interval,
        position_bias=bias,
        ties=_share([verdict == "tie" for verdict in said]),
        by_trap={trap: (_share(hits), len(hits)) for trap, hits in sorted(by_trap.items())},
        failed=failed,
        wrong=[pair.id for (pair, _), hit in zip(done, right, strict=True) if not hit],
        refusal=_refusal(len(done), kappa, kappa_interval[0], bias),
    )


def _refusal(pairs: int, kappa: float, low: float, bias: float) -> str | None:
    reasons = [
        (pairs < FEWEST_PAIRS, f"{pairs} pairs judged, {FEWEST_PAIRS} are needed"),
        (kappa < AGREEMENT, f"kappa is {kappa:.2f}, below {AGREEMENT}"),
        (low < LEAST_AGREEMENT, f"kappa may be as low as {low:.2f}, below {LEAST_AGREEMENT}"),
        (
            bias > POSITION_BIAS,
            f"{bias:.0%} of the pairs were decided by their place, above {POSITION_BIAS:.0%}",
        ),
    ]
    said = [reason for applies, reason in reasons if applies]
    return f"not fit to guard a metric: {'; '.join(said)}" if said else None


def cohens_kappa(labels: Sequence[Side], said: Sequence[Side]) -> float:
    """Returns Cohen's kappa, from -1 to 1; 0 where agreement by chance is certain or there are no pairs."""
    return float(_kappas(_cells(labels, said)[np.newaxis])[0])


def _cells(labels: Sequence[Side], said: Sequence[Side]) -> Cells:
    """The cell of the table of labels and verdicts that each pair falls into."""
    places = [len(_SIDES) * _SIDES.index(x) + _SIDES.index(y) for x, y in zip(labels, said, strict=True)]
    return np.array(places, dtype=np.int64)


def _kappas(samples: Cells) -> NDArray[np.float64]:
    """Kappa of each row of cells."""
    size = len(_SIDES)
    tables = np.stack([(samples == cell).sum(axis=1) for cell in range(size * size)], axis=1)
    tables = tables.reshape(-1, size, size) / max(1, samples.shape[1])
    observed = np.trace(tables, axis1=1, axis2=2)
    by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1)
    beyond = 1 - by_chance
    certain = (beyond < _CERTAIN) | (samples.shape[1] == 0)
    return np.where(certain, 0.0, (observed - by_chance) / np.where(certain, 1.0, beyond))


def _kappa_with_interval(labels: Sequence[Side], said: Sequence[Side]) -> tuple[float, tuple[float, float]]:
    if not labels:
        return 0.0, (-1.0, 1.0)
    cells = _cells(labels, said)
    picks = np.random.default_rng(1960).integers(0, len(cells), size=(_RESAMPLES, len(cells)))
    low, high = np.percentile(_kappas(cells[picks]), [2.5, 97.5])
    return cohens_kappa(labels, said), (float(low), float(high))


def _wilson(right: int, number: int) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, 1927)."""
    if not number:
        return 0.0, 1.0
    z = 1.96
    share, spread = right / number, z**2 / number
    middle = share + spread / 2
    half = z * ((share * (1 - share) + spread / 4) / number) ** 0.5
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def _share(values: Sequence[float] | Sequence[bool] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0
