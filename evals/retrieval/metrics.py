"""Measures of a ranking, each cut off after the first k.

A ranking is the list of its grades, best place first (`evals/retrieval/labels.py`: 0 to 3); `ideal` are the
grades of everything that could have been found, in any order. The binary measures call a posting relevant
from grade `RELEVANT` on; R is the number of relevant postings. A ranking shorter than k counts as if it went
on with grade 0, as in trec_eval. ValueError where nothing in `ideal` is relevant.

All are from 0 to 1, higher is better, and a perfect ranking reaches 1 at every k, except for recall (k / R at
most, where k < R) and precision (R / k at most, where R < k).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from evals.evaluators.base import Metric

CUTS = (1, 3, 5, 10, 20)
"""The k of each measure. 20 is what an answer rests on, 10 and less what weighs most in it."""
DEEPEST = max(CUTS)
RELEVANT = 2
"""The wanted family: an answer that rests on such a posting is about the right job."""

Grades = Sequence[int]


def precision(ranking: Grades, ideal: Grades, k: int) -> float:
    """Precision at k: the relevant among the first k, divided by k (Manning, Raghavan & Schütze 2008,
    *Introduction to Information Retrieval*, section 8.4)."""
    _relevant_in(ideal)
    return _hits(ranking[:k]) / k


def recall(ranking: Grades, ideal: Grades, k: int) -> float:
    """Recall at k: the relevant among the first k, divided by R (the same, section 8.3)."""
    return _hits(ranking[:k]) / _relevant_in(ideal)


def reciprocal_rank(ranking: Grades, ideal: Grades, k: int) -> float:
    """1 / the place of the first relevant one, 0 where none is among the first k. Its mean over
    queries is MRR (Voorhees 1999, *The TREC-8 Question Answering Track Report*)."""
    _relevant_in(ideal)
    return next((1 / place for place, one in enumerate(ranking[:k], 1) if one >= RELEVANT), 0.0)


def average_precision(ranking: Grades, ideal: Grades, k: int) -> float:
    """The precision at the place of each relevant one among the first k, summed and divided by
    min(R, k). Its mean over queries is MAP (the same, section 8.4, where k has no limit)."""
    found, total = 0, 0.0
    for place, one in enumerate(ranking[:k], 1):
        if one >= RELEVANT:
            found += 1
            total += found / place
    return total / min(_relevant_in(ideal), k)


def ndcg(ranking: Grades, ideal: Grades, k: int) -> float:
    """Normalised discounted cumulative gain: DCG = Σ (2^grade - 1) / log2(place + 1) over the first k,
    divided by that of the best order of `ideal` (Järvelin & Kekäläinen 2002, *Cumulated Gain-Based
    Evaluation of IR Techniques*; the gain as in Burges et al. 2005). The one measure that sees the grades."""
    best = _dcg(sorted(ideal, reverse=True)[:k])
    if not best:
        raise ValueError("no posting has a grade above 0")
    return _dcg(ranking[:k]) / best


_MEASURES: dict[str, tuple[Callable[[Grades, Grades, int], float], str]] = {
    "recall": (recall, "the relevant postings that are among the first {k}"),
    "precision": (precision, "relevant ones among the first {k}"),
    "mrr": (reciprocal_rank, "1 / place of the first relevant one, if among the first {k}"),
    "map": (average_precision, "average precision over the first {k}"),
    "ndcg": (ndcg, "gain of the first {k}, grades and places weighed, of the best possible"),
}
_GUARDED = ("recall@20", "precision@20", "mrr@20", "ndcg@10", "ndcg@20")

METRICS: dict[str, Metric] = {
    key: Metric("higher", what.format(k=k), guarded=key in _GUARDED, tolerance=0.01)
    for name, (_, what) in _MEASURES.items()
    for k in CUTS
    for key in (f"{name}@{k}",)
}
"""Every measure at every cut by its key (`ndcg@10`)."""


def measured(ranking: Grades, ideal: Grades) -> dict[str, float]:
    """Returns every measure at every cut, by the keys of `METRICS`."""
    return {f"{name}@{k}": of(ranking, ideal, k) for name, (of, _) in _MEASURES.items() for k in CUTS}


def _hits(grades: Grades) -> int:
    return sum(one >= RELEVANT for one in grades)


def _relevant_in(ideal: Grades) -> int:
    relevant = _hits(ideal)
    if not relevant:
        raise ValueError(f"no posting has a grade of {RELEVANT} or more")
    return relevant


def _dcg(grades: Grades) -> float:
    return math.fsum((2**one - 1) / math.log2(place + 1) for place, one in enumerate(grades, 1))
