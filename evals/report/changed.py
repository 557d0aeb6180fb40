"""Which cases changed most between two runs.

How far a case changed is the sum, over the guarded metrics, of |its change| / the metric's standard
deviation between cases (both runs together): each metric counts in its own usual distance from case to
case, so that none outweighs the others by its unit. Rises and falls do not cancel out, because a case
that got better in one thing and worse in another is one to look at. A case that ended in an error in one
run only comes before all others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.evaluators.base import Metric
from evals.report.statistics import case_means, values_of
from evals.runs.results import CaseResult

SHOWN = 10
"""Cases that are shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """A metric of one case: null in a run where it does not apply. `steps` is the change in the metric's
    standard deviations, turned so that more is better; zero where a side is missing."""

    key: str
    unit: str
    a: float | None
    b: float | None
    steps: float


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """A case in both runs, with the guarded metrics that changed, furthest first. `distance` is the sum
    of their |steps|, `direction` that of their steps: above zero the case is better on the whole. `a` and
    `b` are the first repeats."""

    case_id: str
    a: CaseResult
    b: CaseResult
    distance: float
    direction: float
    changes: list[Change]

    @property
    def one_failed(self) -> bool:
        """Whether the case ended in an error in one of the runs only."""
        return self.a.failed() != self.b.failed()


def sign(metric: Metric) -> int:
    """Returns 1 where higher is better, else -1."""
    return 1 if metric.better == "higher" else -1


Repeats = Sequence[CaseResult]
"""A case's results, one a repeat."""


def most_changed(
    cases: Mapping[str, tuple[Repeats, Repeats]], guarded: Mapping[str, Metric]
) -> list[ChangedCase]:
    """Returns up to `SHOWN` cases that changed, the furthest first.

    Args:
        cases: the results of each case in A and in B.
        guarded: the metrics that count.
    """
    of_a, of_b = (
        {
            key: case_means(values)
            for key, values in values_of([one for sides in cases.values() for one in sides[side]]).items()
        }
        for side in (0, 1)
    )
    spreads = {key: _spread(of_a.get(key, {}), of_b.get(key, {})) for key in guarded}
    found = []
    for case_id, (a, b) in cases.items():
        changes = [
            _change(key, metric, of_a.get(key, {}).get(case_id), of_b.get(key, {}).get(case_id), spreads[key])
            for key, metric in guarded.items()
        ]
        changes = sorted((one for one in changes if _differs(one)), key=lambda one: -abs(one.steps))
        distance, direction = sum(abs(one.steps) for one in changes), sum(one.steps for one in changes)
        found.append(ChangedCase(case_id, a[0], b[0], distance, direction, changes))
    found = [one for one in found if one.changes or one.one_failed]
    found.sort(key=lambda one: (not one.one_failed, -one.distance, one.case_id))
    return found[:SHOWN]


def _spread(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    both = [means[case] for case in a.keys() & b.keys() for means in (a, b)]
    return float(np.std(both)) if both else 0.0


def _change(key: str, metric: Metric, a: float | None, b: float | None, spread: float) -> Change:
    # Without a spread all values are alike, and nothing changed where both are known.
    steps = 0.0 if a is None or b is None or not spread else sign(metric) * (b - a) / spread
    return Change(key, metric.unit, a, b, steps)


def _differs(change: Change) -> bool:
    if change.a is None or change.b is None:
        return change.a is not change.b
    return not math.isclose(change.a, change.b, rel_tol=1e-9, abs_tol=1e-12)
