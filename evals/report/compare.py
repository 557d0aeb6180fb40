"""Compares two runs of a suite: what was different about them, and what came of it.

Differences are B − A over the cases both runs have (`statistics.py`). A metric counts as better or worse when
its corrected p-value is at most 0.05. Over all cases the correction is Holm's, which allows metrics to depend
on each other (as Recall@5 and Recall@10 do). By job family it is Benjamini & Hochberg's: in a table of some
hundred cells, which says where to look closer, Holm's would find nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evals.evaluators.base import Metric
from evals.report.statistics import (
    ALPHA,
    Difference,
    benjamini_hochberg,
    case_means,
    difference,
    holm,
    pair,
    values_of,
)
from evals.runs.results import CaseResult, Header, Result, read
from tools.core.errors import InvalidRequestError

Verdict = Literal[
    "better", "worse", "changed", "may be chance", "no difference shown", "identical", "too few", "one side"
]
"""`changed`: significant, but which way is better is not known. `may be chance`: the interval leaves zero
out, but among so many metrics that is no proof. `one side`: no case has it in both runs."""
NO_FAMILY = "none"
"""The family of a case whose desired job belongs to none."""
MEANING = ("dataset.version", "corpus.version", "offline", "repeats")
"""Where runs differ in these, the same number does not mean the same in both."""
_UNCOMPARED = {"kind", "name", "created_at", "command"}
_CHANGED_CASES = 10
"""Changed cases that are shown."""
_Repeats = Sequence[CaseResult]
"""A case's results, one a repeat."""


@dataclass(frozen=True, slots=True)
class HeaderDifference:
    """A setting in which the runs differ, by its dotted name. None: a run does not have it."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Row:
    """A metric in both runs. `metric` is null where none is registered under the key; `spread` is the
    standard deviation between cases, both runs together; `p` is corrected for the other rows of its
    table; `lost` are the cases that only A has a score for, `gained` those that only B has."""

    key: str
    metric: Metric | None
    difference: Difference | None
    p: float | None
    spread: float
    lost: list[str]
    gained: list[str]

    @property
    def verdict(self) -> Verdict:
        """What can be said of the difference."""
        change = self.difference
        if change is None:
            return "one side"
        if not change.higher and not change.lower:
            return "identical"
        if self.p is None:
            return "too few"
        if self.p > ALPHA:
            return "may be chance" if change.sure else "no difference shown"
        if self.metric is None:
            return "changed"
        return "better" if change.difference * sign(self.metric) > 0 else "worse"

    @property
    def improvement(self) -> float | None:
        """The difference, positive for the better; null where that is not known."""
        if self.difference is None or self.metric is None:
            return None
        return self.difference.difference * sign(self.metric)

    @property
    def guarded(self) -> bool:
        """Whether the gate watches the metric."""
        return self.metric is not None and self.metric.guarded


@dataclass(frozen=True, slots=True)
class Change:
    """A metric of one case: null in a run where it does not apply. `steps` is the change in the metric's
    standard deviations, positive for the better; zero where a side is missing."""

    key: str
    unit: str
    a: float | None
    b: float | None
    steps: float

    @property
    def nothing(self) -> bool:
        """Whether both sides are the same."""
        if self.a is None or self.b is None:
            return self.a is self.b
        return math.isclose(self.a, self.b, rel_tol=1e-9, abs_tol=1e-12)


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found. Cases are named by their ids; `broken` end in an error only in B, `recovered`
    only in A."""

    a: Result
    b: Result
    settings: list[HeaderDifference]
    warnings: list[str]
    common: list[str]
    only_a: list[str]
    only_b: list[str]
    other_inputs: list[str]
    broken: list[str]
    recovered: list[str]
    rows: list[Row]
    families: dict[str, list[Row]]
    family_sizes: dict[str, int]
    changed: list[ChangedCase]


def compare(a: Path, b: Path, metrics: Mapping[str, Metric]) -> Comparison:
    """Compares the runs of two result files, A the older one.

    Raises:
        InvalidRequestError: one of them is no result file, they are of different suites, or they have no
            case in common.
    """
    return compare_results(read(a), read(b), metrics)


def compare_results(a: Result, b: Result, metrics: Mapping[str, Metric]) -> Comparison:
    """Compares two results, as `compare` does."""
    if a.header.suite != b.header.suite:
        raise InvalidRequestError(
            f"{a.header.name} is of the suite {a.header.suite}, {b.header.name} of {b.header.suite}: "
            "they measure different things. Compare runs of one suite."
        )
    of_a, of_b = _by_id(a.cases), _by_id(b.cases)
    shared = [case for case in of_a if case in of_b]
    # An id may have come to stand for other inputs in another version of the data set.
    edited = a.header.dataset.version != b.header.dataset.version
    other_inputs = [case for case in shared if edited and of_a[case][0].inputs != of_b[case][0].inputs]
    common = [case for case in shared if case not in other_inputs]
    if not common:
        raise InvalidRequestError(
            f"{a.header.name} and {b.header.name} have no case in common, so there is nothing to compare."
        )
    settings = header_differences(a.header, b.header)
    families = _families(common, of_b)
    rows = _corrected([_rows(a, b, common, metrics)], holm)[0]
    per_family = _corrected([_rows(a, b, cases, metrics) for cases in families.values()], benjamini_hochberg)
    failed_a, failed_b = ({case.case_id for case in run.cases if case.failed()} for run in (a, b))
    return Comparison(
        a=a,
        b=b,
        settings=settings,
        warnings=list(_warnings(a, b, settings, other_inputs)),
        common=common,
        only_a=[case for case in of_a if case not in of_b],
        only_b=[case for case in of_b if case not in of_a],
        other_inputs=other_inputs,
        broken=[case for case in common if case in failed_b - failed_a],
        recovered=[case for case in common if case in failed_a - failed_b],
        rows=rows,
        families=dict(zip(families, per_family, strict=True)),
        family_sizes={family: len(cases) for family, cases in families.items()},
        changed=_most_changed(
            {case: (of_a[case], of_b[case]) for case in common},
            {row.key: row.metric for row in rows if row.metric is not None and row.metric.guarded},
        ),
    )


def sign(metric: Metric) -> int:
    """Returns 1 where higher is better, else -1."""
    return 1 if metric.better == "higher" else -1


def header_differences(a: Header, b: Header) -> list[HeaderDifference]:
    """Returns the settings in which two runs differ; what changes their numbers' meaning comes first."""
    of_a, of_b = _flat(a.model_dump(mode="json")), _flat(b.model_dump(mode="json"))
    names = [name for name in dict.fromkeys([*of_a, *of_b]) if of_a.get(name) != of_b.get(name)]
    names.sort(key=lambda name: (name not in MEANING, name.startswith("packages.")))
    return [HeaderDifference(name, of_a.get(name), of_b.get(name)) for name in names]


def models_of(header: Header) -> list[str]:
    """Returns the models that answered in a run, most often asked first; none where it only searched."""
    answering = Counter(
        str(model)
        for key, model in header.models.items()
        if key != "embedding" and not key.startswith("judge.")
    )
    return [model for model, _ in answering.most_common()]


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, one in value.items():
        if before or key not in _UNCOMPARED:
            flat |= _flat(one, f"{before}{key}.") if isinstance(one, dict) else {f"{before}{key}": one}
    return flat


def _warnings(
    a: Result, b: Result, settings: Sequence[HeaderDifference], other_inputs: Sequence[str]
) -> Iterator[str]:
    for setting in settings:
        if setting.name in MEANING:
            sides = ["not said" if value is None else str(value) for value in (setting.a, setting.b)]
            yield (
                f"{setting.name} is {sides[0]} in A and {sides[1]} in B: "
                "the numbers do not mean the same in both"
            )
    if a.header.offline and b.header.offline and a.header.prompts and b.header.prompts:
        yield (
            "both were answered by the offline model, whose rules do not read prompts: what a change of "
            "prompts, or of the design, does to a model's answers cannot be seen here"
        )
    if other_inputs:
        names = ", ".join(other_inputs[:10])
        yield f"{len(other_inputs)} cases have other inputs in B and are left out: {names}"
    for result in (a, b):
        if (missing := result.incomplete()) is not None:
            yield missing
        if result.header.dirty:
            yield f"{result.header.name} ran on changes that were not committed: it cannot be repeated"


def _by_id(cases: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    by_id: dict[str, list[CaseResult]] = {}
    for case in sorted(cases, key=lambda case: (case.case_id, case.repeat)):
        by_id.setdefault(case.case_id, []).append(case)
    return by_id


def _families(common: Sequence[str], cases: Mapping[str, _Repeats]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for case in common:
        families.setdefault(cases[case][0].family or NO_FAMILY, []).append(case)
    return dict(sorted(families.items(), key=lambda item: (item[0] == NO_FAMILY, item[0])))


def _rows(a: Result, b: Result, cases: Sequence[str], metrics: Mapping[str, Metric]) -> list[Row]:
    wanted = set(cases)
    of_a = values_of([case for case in a.cases if case.case_id in wanted])
    of_b = values_of([case for case in b.cases if case.case_id in wanted])
    # Registered ones in the registry's order, which is the order they are meant to be read in.
    keys = [key for key in metrics if key in of_a or key in of_b]
    keys += sorted((of_a.keys() | of_b.keys()) - metrics.keys())
    rows = []
    for key in keys:
        paired = pair(of_a.get(key, {}), of_b.get(key, {}))
        change = difference(paired)
        spread = float(np.concatenate([paired.a, paired.b]).std()) if paired.cases else 0.0
        p = None if change is None else change.p
        rows.append(Row(key, metrics.get(key), change, p, spread, paired.only_a, paired.only_b))
    return [row for row in rows if row.difference is not None or row.lost or row.gained]


def _corrected(
    tables: Sequence[Sequence[Row]], correction: Callable[[Sequence[float]], list[float]]
) -> list[list[Row]]:
    """Corrects the p-values of all tables' rows together."""
    corrected = iter(correction([row.p for table in tables for row in table if row.p is not None]))
    return [[row if row.p is None else replace(row, p=next(corrected)) for row in table] for table in tables]


def _most_changed(
    cases: Mapping[str, tuple[_Repeats, _Repeats]], guarded: Mapping[str, Metric]
) -> list[ChangedCase]:
    """Returns the cases that changed most, the furthest first; those that ended in an error in one run only
    before all others.

    How far a case changed is the sum, over the guarded metrics, of |its change| / the metric's standard
    deviation between cases (both runs together), so that no metric outweighs the others by its unit. Rises
    and falls do not cancel out: a case that got better in one thing and worse in another is one to look at.
    """
    of_a, of_b = (
        {
            key: case_means(values)
            for key, values in values_of([one for sides in cases.values() for one in sides[side]]).items()
        }
        for side in (0, 1)
    )
    changes_of: dict[str, list[Change]] = {case_id: [] for case_id in cases}
    for key, metric in guarded.items():
        means_a, means_b = of_a.get(key, {}), of_b.get(key, {})
        both = [means[case] for case in means_a.keys() & means_b.keys() for means in (means_a, means_b)]
        spread = float(np.std(both)) if both else 0.0
        for case_id, changes in changes_of.items():
            before, after = means_a.get(case_id), means_b.get(case_id)
            steps = 0.0
            # Without a spread all values are alike, and nothing changed where both are known.
            if before is not None and after is not None and spread:
                steps = sign(metric) * (after - before) / spread
            changes.append(Change(key, metric.unit, before, after, steps))
    changed = []
    for case_id, (a, b) in cases.items():
        changes = sorted(
            (one for one in changes_of[case_id] if not one.nothing), key=lambda one: -abs(one.steps)
        )
        distance, direction = sum(abs(one.steps) for one in changes), sum(one.steps for one in changes)
        case = ChangedCase(case_id, a[0], b[0], distance, direction, changes)
        if changes or case.one_failed:
            changed.append(case)
    changed.sort(key=lambda case: (not case.one_failed, -case.distance, case.case_id))
    return changed[:_CHANGED_CASES]
