"""Stability: how much alike the answers are when one case is run several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from evals.evaluators.base import Metric, Score, absent, number
from evals.evaluators.reading import Json, answers, kept_ids, named
from evals.evaluators.similarity import likeness
from evals.evaluators.subjects import shown

METRICS = {
    "stable_kept": Metric("higher", "overlap of the kept postings of two runs"),
    "stable_skills": Metric("higher", "overlap of the summary's skills of two runs"),
    "stable_subjects": Metric("higher", "likeness of the subjects of two runs", tolerance=0.05),
}


def stability(repeats: Sequence[Json]) -> list[Score]:
    """Scores the first answers of several runs of one case (the `outputs` of each), averaged over all
    pairs of runs. All are 0 to 1, higher is more stable; None for fewer than two runs with an answer.

    `stable_kept`, `stable_skills`: Jaccard overlap of the ids kept and of the skills the summary names.
    `stable_subjects`: likeness (`likeness.py`) of each subject to the nearest one of the other run.

    Stability is no virtue by itself: compare it at equal quality. It cannot see whether what changed
    mattered.
    """
    firsts = [listed[0] for outputs in repeats if (listed := answers(outputs))]
    if len(firsts) < 2:  # noqa: PLR2004 - a pair
        return [absent(key, "fewer than two runs with an answer") for key in METRICS]
    return [
        _over_pairs("stable_kept", firsts, lambda a, b: jaccard(set(kept_ids(a)), set(kept_ids(b)))),
        _over_pairs("stable_skills", firsts, lambda a, b: jaccard(_skills(a), _skills(b))),
        _over_pairs("stable_subjects", firsts, _subjects),
    ]


def jaccard(one: set[str], other: set[str]) -> float:
    """Returns the overlap of two sets, from 0 to 1; two empty ones are the same."""
    return len(one & other) / len(one | other) if one | other else 1.0


def _over_pairs(key: str, firsts: list[Json], measure: Callable[[Json, Json], float]) -> Score:
    values = [measure(one, other) for one, other in combinations(firsts, 2)]
    return number(key, sum(values) / len(values), f"{len(firsts)} runs")


def _skills(answer: Json) -> set[str]:
    return named(line["text"] for line in (answer.get("summary") or {}).get("skills", []))


def _subjects(one: Json, other: Json) -> float:
    table = [[likeness(a, b) for b in shown(other)] for a in shown(one)]
    nearest = [max(row) for row in table] + [max(column) for column in zip(*table, strict=True)]
    return sum(nearest) / len(nearest)
