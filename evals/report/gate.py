"""The gate: passes or fails a new run against the baseline of its suite.

A guarded metric fails when it fell beyond its noise (the 95 % interval of the paired difference leaves zero
out) and by more than its tolerance. The intervals are not corrected for the number of guarded metrics, unlike
those of a comparison: a missed fall costs more than a second look, and the tolerance keeps trifles out.

A metric without any tolerance that the baseline has full marks in is a promise (no canary comes out, no
quote is made up): one case that breaks it fails.

What would hide a fall fails as well: a guarded metric that is gone, or that applies to a tenth fewer of
the cases; cases that end in an error now; cases that were not run. Another data set or corpus is no
comparison: the gate refuses, and says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evals.evaluators.base import Metric
from evals.report.compare import Comparison, Row, compare_results, header_differences
from evals.report.format import one_line
from evals.runs.results import Result, read

PASSED, FAILED, REFUSED = 0, 1, 2
"""Exit codes."""
_MAY_LOSE = 0.1
"""Share of its cases on which a guarded metric may no longer apply. Some always do, since what applies
depends on the answers (no gap named: no gap to be judged)."""
_SAME = ("suite", "dataset.name", "dataset.version", "corpus.version")
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found. `refused`: why the runs cannot be compared, and what to do; else null.
    `failures` name what fell; `notes` what a reader should know; `rose` the guarded metrics that are
    better beyond their noise. `comparison` is null when the gate refused."""

    refused: str | None
    failures: list[str]
    notes: list[str]
    rose: list[str]
    comparison: Comparison | None

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 2 refused."""
        if self.refused is not None:
            return REFUSED
        return FAILED if self.failures else PASSED

    def text(self) -> str:
        """Returns the verdict for a terminal or a log, one finding a line."""
        if self.refused is not None:
            return f"gate refused: {self.refused}"
        first = f"gate failed: {len(self.failures)} findings" if self.failures else "gate passed"
        lines = [first, *(f"  ✗ {failure}" for failure in self.failures)]
        lines += [f"  ▲ {metric}" for metric in self.rose]
        return "\n".join([*lines, *(f"  · {note}" for note in self.notes)])


def gate(baseline: Path, new: Path, metrics: Mapping[str, Metric]) -> Verdict:
    """Holds the run in `new` against that in `baseline`.

    Raises:
        InvalidRequestError: one of them is no result file.
    """
    of_baseline, of_new = read(baseline), read(new)
    refusal = _refusal(of_baseline, of_new)
    if refusal is not None:
        return Verdict(refusal, [], [], [], None)
    comparison = compare_results(of_baseline, of_new, metrics)
    guarded = [row for row in comparison.rows if row.guarded]
    return Verdict(
        None,
        [*_missing(comparison), *(failure for row in guarded for failure in _failures(row, of_new))],
        [*comparison.warnings, *_notes(comparison, guarded)],
        [one_line(row) for row in guarded if _beyond_noise(row) and _fall(row) < 0],
        comparison,
    )


def _refusal(baseline: Result, new: Result) -> str | None:
    missing = baseline.incomplete()
    if missing is not None:
        return f"the baseline is no whole run: {missing}. Make a new baseline."
    settings = {one.name: one for one in header_differences(baseline.header, new.header)}
    differ = [settings[name] for name in _SAME if name in settings]
    if not differ:
        return None
    named = "; ".join(f"{one.name} is {one.b}, the baseline's {one.a}" for one in differ)
    return (
        f"{named}. The numbers would not mean the same. Make a new baseline: run the suite "
        "as it is now on the commit that the baseline is of, keep that as the baseline, and say in the "
        "change why the cases or postings changed."
    )


def _missing(comparison: Comparison) -> Iterator[str]:
    missing = comparison.b.incomplete()
    if missing is not None:
        yield missing
    if comparison.only_a:
        yield f"not run: {_some(comparison.only_a)}"
    if comparison.broken:
        yield f"cases that end in an error now: {_some(comparison.broken)}"


def _failures(row: Row, new: Result) -> Iterator[str]:
    had = len(row.lost) + (row.difference.n if row.difference is not None else 0)
    if had and len(row.lost) == had:
        skipped = "".join(f"; skipped: {part}: {why}" for part, why in new.header.skipped.items())
        yield f"{row.key} is gone: it applied to {had} cases, and to none of them now{skipped}"
    elif len(row.lost) > _MAY_LOSE * had:
        yield f"{row.key} does not apply any more to {len(row.lost)} of {had} cases: {_some(row.lost)}"
    if _broke_promise(row) or (_beyond_noise(row) and _fall(row) > _tolerance(row)):
        yield one_line(row)


def _broke_promise(row: Row) -> bool:
    if row.metric is None or row.difference is None or row.metric.tolerance:
        return False
    return row.difference.a == (1.0 if row.metric.better == "higher" else 0.0) and _fall(row) > 0


def _beyond_noise(row: Row) -> bool:
    return row.difference is not None and row.difference.sure


def _fall(row: Row) -> float:
    return -(row.improvement or 0.0)


def _tolerance(row: Row) -> float:
    return row.metric.tolerance if row.metric is not None else 0.0


def _notes(comparison: Comparison, guarded: list[Row]) -> Iterator[str]:
    if not guarded:
        yield "no guarded metric was measured in either run"
    for row in guarded:
        fall = _fall(row)
        if fall <= 0 or row.difference is None or _broke_promise(row):
            continue
        if row.difference.low is None:
            yield f"{one_line(row)}: too few cases to tell whether that is chance"
        elif not row.difference.sure and fall > _tolerance(row):
            yield f"{one_line(row)}: within its noise"
        elif row.difference.sure and fall <= _tolerance(row):
            yield f"{one_line(row)}: within its tolerance of {_tolerance(row):g}"
    if comparison.recovered:
        yield f"cases that end in an error no longer: {_some(comparison.recovered)}"
    if comparison.only_b:
        yield f"not in the baseline: {_some(comparison.only_b)}"


def _some(cases: list[str]) -> str:
    more = f" and {len(cases) - _LISTED} more" if len(cases) > _LISTED else ""
    return ", ".join(cases[:_LISTED]) + more
