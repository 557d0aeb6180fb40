"""Compares two runs of a suite: what was different about them, and what came of it.

Differences are B − A over the cases both runs have, by `statistics`. A metric counts as better or worse
when its corrected p-value is at most 0.05:

* over all cases the correction is Holm's: each line of that table is read as a finding of its own, and
  the metrics lean on each other in every way (Recall@5 on Recall@10 upwards, quality on latency downwards),
  which Holm's allows;
* by job family it is Benjamini & Hochberg's: a table of some hundred cells that is looked through for
  where to look closer, in which Holm's would find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evals.evaluators.base import Metric
from evals.report.changed import ChangedCase, most_changed, sign
from evals.report.statistics import (
    ALPHA,
    Difference,
    Paired,
    benjamini_hochberg,
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
"""`changed`: significant, but nobody said which way is better. `may be chance`: the interval leaves zero
out, but among so many metrics that is no proof. `one side`: no case has it in both runs."""
NO_FAMILY = "none"
"""The family of a case whose desired job belongs to none."""
MEANING = ("dataset.version", "corpus.version", "offline", "repeats")
"""Where runs differ in these, the same number does not mean the same in both."""
_UNCOMPARED = {"kind", "name", "created_at", "command"}


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
        found = self.difference
        if found is None:
            return "one side"
        if not found.higher and not found.lower:
            return "identical"
        if self.p is None:
            return "too few"
        if self.p > ALPHA:
            return "may be chance" if found.sure else "no difference shown"
        if self.metric is None:
            return "changed"
        return "better" if found.difference * sign(self.metric) > 0 else "worse"

    @property
    def improvement(self) -> float | None:
        """The difference, turned so that more is better; null where that is not known."""
        if self.difference is None or self.metric is None:
            return None
        return self.difference.difference * sign(self.metric)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found. Cases are named by their ids."""

    a: Result
    b: Result
    settings: list[HeaderDifference]
    warnings: list[str]
    common: list[str]
    only_a: list[str]
    only_b: list[str]
    other_inputs: list[str]
    broken: list[str]
    mended: list[str]
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
    """Compares two results that were read, as `compare` does."""
    if a.header.suite != b.header.suite:
        raise InvalidRequestError(
            f"{a.header.name} is of the suite {a.header.suite}, {b.header.name} of {b.header.suite}: "
            "they measure different things. Compare runs of one suite."
        )
    of_a, of_b = _by_id(a.cases), _by_id(b.cases)
    shared = [case for case in of_a if case in of_b]
    # An id may have come to stand for other inputs in another version of the data set.
    edited = a.header.dataset.version != b.header.dataset.version
    other = [case for case in shared if edited and of_a[case][0].inputs != of_b[case][0].inputs]
    common = [case for case in shared if case not in other]
    if not common:
        raise InvalidRequestError(
            f"{a.header.name} and {b.header.name} have no case in common, so there is nothing to compare."
        )
    settings = header_differences(a.header, b.header)
    families = _families(common, of_b)
    rows = _corrected([_rows(a, b, common, metrics)], holm)[0]
    per_family = _corrected([_rows(a, b, cases, metrics) for cases in families.values()], benjamini_hochberg)
    failed_a, failed_b = _failed(a.cases), _failed(b.cases)
    return Comparison(
        a=a,
        b=b,
        settings=settings,
        warnings=list(_warnings(a, b, settings, other)),
        common=common,
        only_a=[case for case in of_a if case not in of_b],
        only_b=[case for case in of_b if case not in of_a],
        other_inputs=other,
        broken=[case for case in common if case in failed_b - failed_a],
        mended=[case for case in common if case in failed_a - failed_b],
        rows=rows,
        families=dict(zip(families, per_family, strict=True)),
        family_sizes={family: len(cases) for family, cases in families.items()},
        changed=most_changed(
            {case: (of_a[case], of_b[case]) for case in common},
            {row.key: row.metric for row in rows if row.metric is not None and row.metric.guarded},
        ),
    )


def header_differences(a: Header, b: Header) -> list[HeaderDifference]:
    """Returns the settings in which two runs differ; what changes their numbers' meaning comes first."""
    of_a, of_b = _flat(a.model_dump(mode="json")), _flat(b.model_dump(mode="json"))
    names = [name for name in dict.fromkeys([*of_a, *of_b]) if of_a.get(name) != of_b.get(name)]
    names.sort(key=lambda name: (name not in MEANING, name.startswith("packages.")))
    return [HeaderDifference(name, of_a.get(name), of_b.get(name)) for name in names]


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, one in value.items():
        if not before and key in _UNCOMPARED:
            continue
        flat |= _flat(one, f"{before}{key}.") if isinstance(one, dict) else {f"{before}{key}": one}
    return flat


def _warnings(
    a: Result, b: Result, settings: Sequence[HeaderDifference], other: Sequence[str]
) -> Iterable[str]:
    for setting in settings:
        if setting.name in MEANING:
            yield (
                f"{setting.name} is {_shown(setting.a)} in A and {_shown(setting.b)} in B: "
                "the numbers do not mean the same in both"
            )
    if other:
        yield f"{len(other)} cases have other inputs in B and are left out: {', '.join(other[:10])}"
    for result in (a, b):
        lacks = result.incomplete()
        if lacks is not None:
            yield lacks
        if result.header.dirty:
            yield f"{result.header.name} ran on changes that were not committed: it cannot be repeated"


def _shown(value: Any) -> str:
    return "not said" if value is None else str(value)


def _by_id(cases: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    found: dict[str, list[CaseResult]] = {}
    for case in sorted(cases, key=lambda case: (case.case_id, case.repeat)):
        found.setdefault(case.case_id, []).append(case)
    return found


def _failed(cases: Sequence[CaseResult]) -> set[str]:
    return {case.case_id for case in cases if case.failed()}


def _families(common: Sequence[str], cases: Mapping[str, Sequence[CaseResult]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in common:
        found.setdefault(cases[case][0].family or NO_FAMILY, []).append(case)
    return dict(sorted(found.items(), key=lambda item: (item[0] == NO_FAMILY, item[0])))


def _rows(a: Result, b: Result, cases: Sequence[str], metrics: Mapping[str, Metric]) -> list[Row]:
    wanted = set(cases)
    of_a = values_of([case for case in a.cases if case.case_id in wanted])
    of_b = values_of([case for case in b.cases if case.case_id in wanted])
    # Registered ones in the registry's order, which is the order they are meant to be read in.
    keys = [key for key in metrics if key in of_a or key in of_b]
    keys += sorted((of_a.keys() | of_b.keys()) - metrics.keys())
    rows = (_row(key, metrics.get(key), pair(of_a.get(key, {}), of_b.get(key, {}))) for key in keys)
    return [row for row in rows if row.difference is not None or row.lost or row.gained]


def _row(key: str, metric: Metric | None, paired: Paired) -> Row:
    found = difference(paired)
    spread = float(np.concatenate([paired.a, paired.b]).std()) if paired.cases else 0.0
    p = None if found is None else found.p
    return Row(key, metric, found, p, spread, paired.only_a, paired.only_b)


def _corrected(
    tables: Sequence[Sequence[Row]], correction: Callable[[Sequence[float]], list[float]]
) -> list[list[Row]]:
    """Corrects the p-values of all tables' rows together."""
    corrected = iter(correction([row.p for table in tables for row in table if row.p is not None]))
    return [[row if row.p is None else replace(row, p=next(corrected)) for row in table] for table in tables]
