"""Figures and findings in words, the same in every report."""

from __future__ import annotations

import math
from typing import Any

import orjson

from evals.report.compare import Comparison, Row

SHARE = "share"
"""The unit of metrics from 0 to 1."""
_WORDS = {
    "better": "▲ better",
    "worse": "▼ worse",
    "changed": "◆ changed",
    "may be chance": "may be chance",
    "no difference shown": "no difference shown",
    "identical": "identical",
    "too few": "too few cases",
}
NO_FIGURE = "–"
_THOUSAND = 1000
_SMALL = 0.001


def unit_of(row: Row) -> str:
    """Returns a metric's unit; one nobody registered counts as a share."""
    return SHARE if row.metric is None else row.metric.unit


def figure(value: float | None, unit: str) -> str:
    """Returns a figure to three places, or three digits where it is no share."""
    if value is None:
        return NO_FIGURE
    if unit == SHARE or abs(value) >= _THOUSAND:
        shown = format(value, ".3f" if unit == SHARE else ",.0f")
    else:
        # Three digits, and never an exponent: prices of a call are small.
        places = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
        shown = format(value, f".{places}f")
    return shown.replace("-", "−")


def signed(value: float | None, unit: str) -> str:
    """Returns a difference with its sign; a zero, also one that is rounded to it, has none."""
    shown = figure(value, unit)
    nothing = not any(digit in shown for digit in "123456789")
    if value is None or nothing:
        return shown.removeprefix("−")
    return shown if value < 0 else f"+{shown}"


def interval(row: Row) -> str:
    """Returns the 95 % interval of a row's difference."""
    found = row.difference
    if found is None or found.low is None:
        return NO_FIGURE
    unit = unit_of(row)
    return f"{signed(found.low, unit)} to {signed(found.high, unit)}"


def probability(p: float | None) -> str:
    """Returns a p-value to three places."""
    if p is None:
        return NO_FIGURE
    return f"<{_SMALL}" if p < _SMALL else f"{p:.3f}"


def way(improvement: float) -> str:
    """Returns whether something is `better`, `worse` or `plain` (neither, or not known)."""
    return "better" if improvement > 0 else "worse" if improvement < 0 else "plain"


def mark(improvement: float) -> str:
    """Returns the sign of that."""
    return {"better": "▲", "worse": "▼", "plain": "◆"}[way(improvement)]


def finding(row: Row) -> str:
    """Returns the verdict on a row in words, with a sign before those that matter."""
    if row.verdict == "one side":
        return "only in A" if row.lost else "only in B"
    return _WORDS[row.verdict]


def tally(comparison: Comparison) -> str:
    """Returns how many metrics are better, worse, and so on."""
    findings = [finding(row) for row in comparison.rows]
    order = [*_WORDS.values(), "only in A", "only in B"]
    return " · ".join(f"{findings.count(one)} {one}" for one in order if one in findings)


def said(row: Row) -> str:
    """Returns a row in one line, for a terminal or a log."""
    found, unit = row.difference, unit_of(row)
    if found is None:
        return f"{row.key}: {finding(row)}"
    of = "" if unit == SHARE else f" {unit}"
    between = "" if found.low is None else f" ({interval(row)})"
    means = f"{figure(found.a, unit)} → {figure(found.b, unit)}{of}"
    return f"{row.key} {means}, {signed(found.difference, unit)}{between}, {found.n} cases"


def setting(value: Any) -> str:
    """Returns a setting's value."""
    if value is None:
        return NO_FIGURE
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
