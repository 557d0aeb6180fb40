"""Figures, findings and answers in words, the same in every report."""

from __future__ import annotations

import math
from typing import Any

import orjson
from pydantic import ValidationError

from evals.report.compare import Comparison, Row, models_of
from evals.runs.results import CaseResult, Header
from tools.core.contracts import Answer

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
    if value is None or not any(digit in shown for digit in "123456789"):
        return shown.removeprefix("−")
    return shown if value < 0 else f"+{shown}"


def means(row: Row) -> list[str]:
    """Returns the means of A and B and their difference."""
    change, unit = row.difference, unit_of(row)
    if change is None:
        return [NO_FIGURE] * 3
    return [figure(change.a, unit), figure(change.b, unit), signed(change.difference, unit)]


def interval(row: Row) -> str:
    """Returns the 95 % interval of a row's difference."""
    change, unit = row.difference, unit_of(row)
    if change is None or change.low is None:
        return NO_FIGURE
    return f"{signed(change.low, unit)} to {signed(change.high, unit)}"


def probability(p: float | None) -> str:
    """Returns a p-value to three places."""
    if p is None:
        return NO_FIGURE
    return f"<{_SMALL}" if p < _SMALL else f"{p:.3f}"


def direction(improvement: float) -> str:
    """Returns whether something is `better`, `worse` or `plain` (neither, or not known)."""
    return "better" if improvement > 0 else "worse" if improvement < 0 else "plain"


def mark(improvement: float) -> str:
    """Returns the sign of that."""
    return {"better": "▲", "worse": "▼", "plain": "◆"}[direction(improvement)]


def finding(row: Row) -> str:
    """Returns the verdict on a row in words, with a sign before those that matter."""
    if row.verdict == "one side":
        return "only in A" if row.lost else "only in B"
    return _WORDS[row.verdict]


def answered_by(header: Header) -> str:
    """Returns which models answered in a run; nothing where it only searched."""
    models = ", ".join(models_of(header))
    return f"{models}{' (offline)' if header.offline else ''}" if models else ""


def sides(comparison: Comparison) -> str:
    """Returns who answered on both sides of a comparison; nothing where neither asked a model."""
    of_a, of_b = (answered_by(run.header) or "no model" for run in (comparison.a, comparison.b))
    return "" if of_a == of_b == "no model" else f"A answered by {of_a}, B by {of_b}"


def tally(comparison: Comparison) -> str:
    """Returns how many metrics are better, worse, and so on."""
    findings = [finding(row) for row in comparison.rows]
    order = [*_WORDS.values(), "only in A", "only in B"]
    return " · ".join(f"{findings.count(one)} {one}" for one in order if one in findings)


def one_line(row: Row) -> str:
    """Returns a row in one line, for a terminal or a log."""
    change, unit = row.difference, unit_of(row)
    if change is None:
        return f"{row.key}: {finding(row)}"
    of = "" if unit == SHARE else f" {unit}"
    between = "" if change.low is None else f" ({interval(row)})"
    means = f"{figure(change.a, unit)} → {figure(change.b, unit)}{of}"
    return f"{row.key} {means}, {signed(change.difference, unit)}{between}, {change.n} cases"


def setting(value: Any) -> str:
    """Returns a setting's value."""
    if value is None:
        return NO_FIGURE
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def answers_of(outputs: dict[str, Any]) -> list[Answer] | None:
    """Returns the answers in a case's outputs; None where they have another version's shape."""
    try:
        return [Answer.model_validate(one) for one in outputs["answers"]]
    except (KeyError, TypeError, ValidationError):
        return None


def error_of(outputs: dict[str, Any]) -> str | None:
    """Returns the error of the first answer in a line; None when there is none."""
    error = outputs.get("error")
    if not error:
        return None
    return f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else str(error)


def desired_job(case: CaseResult) -> str:
    """Returns the desired job of a case, or its query."""
    profile = case.inputs.get("profile")
    wanted = profile.get("desired_job") if isinstance(profile, dict) else case.inputs.get("query")
    return wanted if isinstance(wanted, str) else ""
