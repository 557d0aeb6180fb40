"""Evaluators: rules that score one case each, and what their figures mean.

What every metric is, and what it cannot see, is in `docs/evaluators.md`. Call `prepare` before a run.
"""

from __future__ import annotations

from evals.evaluators import (
    cost,
    evidence,
    form,
    grounding,
    injection,
    person,
    plan,
    project,
    regeneration,
    subjects,
)
from evals.evaluators.base import Evaluator, Metric
from evals.evaluators.similarity import prepare

__all__ = ["ALL", "METRICS", "prepare"]

ALL: list[Evaluator] = [
    form.form,
    grounding.fit,
    grounding.market,
    grounding.gaps,
    person.person,
    evidence.evidence,
    plan.plan,
    project.concrete,
    subjects.subjects,
    regeneration.wishes,
    injection.injection,
    cost.cost,
]
"""The evaluators of one case, in the order in which their scores are shown. `subjects.stability` takes the
repeats of one case."""

METRICS: dict[str, Metric] = {
    **form.METRICS,
    **grounding.FIT,
    **grounding.MARKET,
    **grounding.GAPS,
    **person.METRICS,
    **evidence.METRICS,
    **plan.METRICS,
    **project.METRICS,
    **subjects.SUBJECTS,
    **regeneration.METRICS,
    **injection.METRICS,
    **subjects.STABILITY,
    **cost.METRICS,
}
"""Every metric by its key, in the same order. The judge's are in `evals/judge/`."""
