"""Evaluators: small rules that score one case each, and what their figures mean.

`ALL` are those of one case; `stability` takes the repeats of one. What every metric is, and what it
cannot see, is in `docs/evaluators.md`. They compute: call `prepare` before a run, and them in a thread.
"""

from __future__ import annotations

from evals.evaluators import (
    cost,
    evidence,
    fit,
    form,
    gaps,
    grounding,
    injection,
    project,
    regeneration,
    stability,
    subjects,
)
from evals.evaluators.base import Evaluator, Metric
from evals.evaluators.similarity import prepare

__all__ = ["ALL", "METRICS", "prepare"]

ALL: list[Evaluator] = [
    form.form,
    fit.fit,
    grounding.market,
    gaps.gaps,
    evidence.evidence,
    project.concrete,
    subjects.subjects,
    regeneration.wishes,
    injection.injection,
    cost.cost,
]
"""The evaluators of one case, in the order in which their scores are shown."""

METRICS: dict[str, Metric] = {
    **form.METRICS,
    **fit.METRICS,
    **grounding.METRICS,
    **gaps.METRICS,
    **evidence.METRICS,
    **project.METRICS,
    **subjects.METRICS,
    **regeneration.METRICS,
    **injection.METRICS,
    **stability.METRICS,
    **cost.METRICS,
}
"""Every metric by its key, in the same order. The judge's are in `evals.judge`."""
