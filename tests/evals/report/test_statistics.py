"""Intervals, p-values and their corrections, against known values and by simulation with fixed seeds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from evals.report.statistics import (
    FEWEST,
    Difference,
    Floats,
    benjamini_hochberg,
    case_means,
    difference,
    estimate,
    estimates,
    holm,
    pair,
    t_beyond,
    t_quantile,
)
from tests.evals.made_results import case, cases

SAMPLES = 250


def compared(a: Floats, b: Floats, seed: int = 0) -> Difference:
    found = difference(pair(_values(a), _values(b)), seed=seed)
    assert found is not None
    return found


def _values(numbers: Floats) -> dict[str, list[float | None]]:
    return {f"case-{number}": [float(value)] for number, value in enumerate(numbers)}


def simulated(draw: Callable[[np.random.Generator], Floats]) -> list[Difference]:
    """Differences of samples from zero; one stream of draws, one seed of the bootstrap."""
    generator = np.random.default_rng(20270301)
    return [compared(np.zeros_like(sample), sample) for sample in (draw(generator) for _ in range(SAMPLES))]


@pytest.mark.parametrize(
    ("df", "quantile"),
    [(1, 12.7062), (2, 4.30265), (5, 2.57058), (10, 2.22814), (59, 2.00100), (120, 1.97993)],
)
def test_students_distribution_is_that_of_the_tables(df: int, quantile: float) -> None:
    assert t_quantile(0.975, df) == pytest.approx(quantile, rel=1e-5)
    assert t_beyond(quantile, df) == pytest.approx(0.05, abs=1e-6)
    assert t_beyond(0.0, df) == 1.0


@pytest.mark.parametrize("cases_in_a_sample", [FEWEST, 40])
def test_the_interval_covers_the_truth_in_95_of_100_samples(cases_in_a_sample: int) -> None:
    shift = 0.3
    found = simulated(lambda generator: generator.normal(shift, 1, cases_in_a_sample))
    covered = sum(
        one.low <= shift <= one.high for one in found if one.low is not None and one.high is not None
    )
    # 95 % of 250 is 237.5 with a standard deviation of 3.4; the plain percentile interval of six cases
    # would have 219.
    assert 227 <= covered <= 248


def test_p_is_uniform_where_there_is_nothing_to_find() -> None:
    ps = sorted(one.p for one in simulated(lambda generator: generator.normal(0, 1, 30)) if one.p is not None)
    steps = np.arange(1, SAMPLES + 1) / SAMPLES
    # Kolmogorov and Smirnov: a uniform sample of 250 is this far off in 1 of 100.
    assert np.abs(np.array(ps) - steps).max() < 1.63 / SAMPLES**0.5


def test_p_and_interval_say_the_same() -> None:
    found = simulated(lambda generator: generator.choice([-0.5, 0.0, 1.0], 12))
    assert {one.sure for one in found} == {True, False}
    for one in found:
        assert one.p is not None
        assert one.sure == (one.p <= 0.05)


def test_a_run_against_itself_shows_no_difference() -> None:
    a = np.random.default_rng(1).uniform(size=60)
    same = compared(a, a)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert (same.higher, same.lower) == (0, 0)


def test_rounding_is_no_difference() -> None:
    assert compared(np.full(20, 0.3), np.full(20, 0.1 + 0.2)).p == 1.0


def test_a_real_shift_is_found_that_the_means_alone_would_hide() -> None:
    generator = np.random.default_rng(2)
    a = generator.uniform(size=60)
    b = a + generator.normal(0.05, 0.05, 60)
    found = compared(a, b)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.difference < found.high < 0.1
    assert found.p is not None
    assert found.p < 0.001
    assert found.difference == pytest.approx(b.mean() - a.mean())
    # Not paired, the spread between cases hides it.
    shuffled = compared(a, generator.permutation(b))
    assert not shuffled.sure


@pytest.mark.parametrize(("fell", "sure"), [(2, False), (6, True)])
def test_some_of_sixty_cases_that_all_fall_are_chance_until_they_are_enough(fell: int, sure: bool) -> None:
    b = np.ones(60)
    b[:fell] = 0
    found = compared(np.ones(60), b)
    assert found.sure is sure
    assert found.lower == fell


def test_the_same_seed_gives_the_same_interval() -> None:
    values = _values(np.random.default_rng(3).uniform(size=20))
    assert estimate(values, seed=7) == estimate(values, seed=7)
    assert estimate(values, seed=7) != estimate(values, seed=8)


def test_too_few_cases_have_a_mean_and_no_interval() -> None:
    few = compared(np.zeros(FEWEST - 1), np.ones(FEWEST - 1))
    assert (few.difference, few.low, few.high, few.p, few.sure) == (1.0, None, None, None, False)
    assert compared(np.zeros(FEWEST), np.ones(FEWEST)).sure


def test_repeats_of_a_case_are_one_voice() -> None:
    generator = np.random.default_rng(4)
    means = generator.uniform(size=12)
    once = {f"c-{number}": [float(mean)] for number, mean in enumerate(means)}
    often = {name: values * 50 for name, values in once.items()}
    assert estimate(once) == estimate(often)
    # A case with more repeats weighs no more.
    assert case_means({"a": [0.0] * 9, "b": [1.0]}) == {"a": 0.0, "b": 1.0}


def test_a_score_that_does_not_apply_is_left_out() -> None:
    paired = pair({"a": [None, 0.5], "b": [None], "c": [1.0]}, {"a": [1.0], "b": [0.2], "d": [0.3]})
    assert (paired.cases, paired.only_a, paired.only_b) == (["a"], ["c"], ["b", "d"])
    found = difference(paired)
    assert found is not None
    assert (found.n, found.a, found.b, found.difference) == (1, 0.5, 1.0, 0.5)
    assert difference(pair({"a": [None]}, {"a": [1.0]})) is None
    assert estimate({"a": [None]}) is None


def test_every_metric_of_a_run_is_summed_up() -> None:
    found = estimates([*cases({"x": [0.0, 1.0], "y": [None, None]}), case(1, {"x": 0.5}, repeat=1)])
    assert found.keys() == {"x"}
    assert (found["x"].mean, found["x"].n) == (0.375, 2)


def test_corrections_are_those_of_the_papers() -> None:
    # Worked by hand: Holm takes 4, 3, 2, 1 times the p-values in their order and never falls; Benjamini
    # and Hochberg 4/1, 4/2, 4/3, 4/4 times, and never rises towards the smaller ones.
    ps = [0.01, 0.04, 0.03, 0.005]
    assert holm(ps) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(ps) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == benjamini_hochberg([]) == []


def test_many_cases_take_no_more_memory_than_some() -> None:
    values = {str(place): [float(place % 2)] for place in range(2_000)}
    tracemalloc.start()
    found = estimate(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.478, 0.522), abs=0.003)
    assert peak < 150e6
