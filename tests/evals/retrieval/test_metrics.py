"""Measures of a ranking, against values worked out by hand and against what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.retrieval.metrics import (
    CUTS,
    METRICS,
    average_precision,
    measured,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)

# Relevant (2 or 3) at the places 2, 4 and 5; five relevant postings in all.
RANKING = [1, 3, 0, 2, 2, 0]
IDEAL = [3, 3, 2, 2, 2, 1, 0, 0, 0]


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """A ranking that found some of what is there, and all that is there."""
    ideal = draw(st.lists(st.integers(0, 3), min_size=1, max_size=40))
    ideal.append(draw(st.integers(2, 3)))
    ranking = draw(st.permutations(ideal))[: draw(st.integers(0, 25))]
    return ranking, ideal


def test_precision_divides_by_k_even_where_less_was_found() -> None:
    assert [precision(RANKING, IDEAL, k) for k in (1, 3, 5, 10, 20)] == [0, 1 / 3, 3 / 5, 3 / 10, 3 / 20]


def test_recall_divides_by_all_that_is_relevant() -> None:
    assert [recall(RANKING, IDEAL, k) for k in (1, 3, 5, 10)] == [0, 1 / 5, 3 / 5, 3 / 5]


def test_the_reciprocal_rank_is_that_of_the_first_relevant_place() -> None:
    assert [reciprocal_rank(RANKING, IDEAL, k) for k in (1, 3, 20)] == [0, 1 / 2, 1 / 2]


def test_average_precision_takes_the_precision_at_each_hit() -> None:
    assert average_precision(RANKING, IDEAL, 1) == 0
    assert average_precision(RANKING, IDEAL, 3) == pytest.approx((1 / 2) / 3)
    assert average_precision(RANKING, IDEAL, 5) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 5)
    assert average_precision(RANKING, IDEAL, 20) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 5)


def test_ndcg_weighs_grades_and_places() -> None:
    # Gains: grade 3 is 7, 2 is 3, 1 is 1. Discounts: places 1, 2, 3 have 1, 1.58496, 2.
    assert ndcg(RANKING, IDEAL, 1) == pytest.approx(1 / 7)
    found = 1 + 7 / 1.5849625
    best = 7 + 7 / 1.5849625 + 3 / 2
    assert ndcg(RANKING, IDEAL, 3) == pytest.approx(found / best)
    assert ndcg([3, 3, 2], IDEAL, 3) == 1
    # Places 4 and 5 have the discounts 2.32193 and 2.58496.
    found, best = found + 3 / 2.3219281 + 3 / 2.5849625, best + 3 / 2.3219281 + 3 / 2.5849625
    assert ndcg(RANKING, IDEAL, 5) == pytest.approx(found / best) == pytest.approx(0.512, abs=1e-3)


def test_nothing_can_be_measured_where_nothing_is_relevant() -> None:
    for measure in (precision, recall, reciprocal_rank, average_precision):
        with pytest.raises(ValueError, match="grade of 2 or more"):
            measure([1], [1, 1, 0], 3)
    with pytest.raises(ValueError, match="grade above 0"):
        ndcg([0], [0, 0], 3)


@settings(max_examples=40)
@given(rankings())
def test_every_measure_is_a_share(case: tuple[list[int], list[int]]) -> None:
    scores = measured(*case)
    assert set(scores) == set(METRICS)
    assert all(0 <= score <= 1 + 1e-12 for score in scores.values())


@settings(max_examples=40)
@given(rankings())
def test_recall_never_falls_with_k(case: tuple[list[int], list[int]]) -> None:
    scores = measured(*case)
    recalls = [scores[f"recall@{k}"] for k in CUTS]
    assert recalls == sorted(recalls)
    firsts = [scores[f"mrr@{k}"] for k in CUTS]
    assert firsts == sorted(firsts)


@settings(max_examples=40)
@given(rankings())
def test_a_perfect_ranking_reaches_one_wherever_it_can(case: tuple[list[int], list[int]]) -> None:
    _, ideal = case
    scores = measured(sorted(ideal, reverse=True), ideal)
    relevant = sum(one >= 2 for one in ideal)
    for k in CUTS:
        assert scores[f"ndcg@{k}"] == pytest.approx(1)
        assert scores[f"map@{k}"] == pytest.approx(1)
        assert scores[f"mrr@{k}"] == 1
        assert scores[f"recall@{k}"] == pytest.approx(min(1, k / relevant))
        assert scores[f"precision@{k}"] == pytest.approx(min(1, relevant / k))


@settings(max_examples=40)
@given(rankings(), st.data())
def test_the_order_of_what_could_be_found_says_nothing(
    case: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    ranking, ideal = case
    assert measured(ranking, data.draw(st.permutations(ideal))) == measured(ranking, ideal)


@settings(max_examples=40)
@given(rankings(), st.data())
def test_moving_a_better_one_up_never_lowers_a_score(
    case: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    ranking, ideal = case
    pairs = [i for i in range(len(ranking) - 1) if ranking[i] < ranking[i + 1]]
    if not pairs:
        return
    place = data.draw(st.sampled_from(pairs))
    better = [*ranking[:place], ranking[place + 1], ranking[place], *ranking[place + 2 :]]
    before, after = measured(ranking, ideal), measured(better, ideal)
    assert all(after[key] >= before[key] - 1e-12 for key in before)
    # Strictly, for the one that sees grades.
    assert after["ndcg@20"] > before["ndcg@20"] or place >= 20 or math.isclose(before["ndcg@20"], 1)
