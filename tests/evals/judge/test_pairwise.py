"""Calibration: which judges are let in, which are refused and why; and the labelled pairs themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.evaluators.base import folded, posting_text
from evals.judge.judge import CRITERIA, Preference, Side
from evals.judge.pairwise import Calibration, LabelledPair, cohens_kappa, metrics, read_pairs, report
from tools.core.errors import InvalidRequestError

PAIRS = read_pairs()


def judged(verdict: Callable[[LabelledPair], Side], *, one_place: bool = False) -> Calibration:
    return report([(pair, Preference(verdict(pair), one_place, ("", ""))) for pair in PAIRS], [])


def sides(letters: str) -> list[Side]:
    names: dict[str, Side] = {"a": "a", "b": "b"}
    return [names[letter] for letter in letters]


def longer(pair: LabelledPair) -> Side:
    return "a" if len(str(pair.a)) > len(str(pair.b)) else "b"


def test_a_judge_that_agrees_with_the_labels_may_guard() -> None:
    good = judged(lambda pair: pair.better)
    assert (good.accuracy, good.kappa, good.wrong, good.refusal) == (1.0, 1.0, [], None)
    assert good.ties == pytest.approx(sum(pair.better == "tie" for pair in PAIRS) / len(PAIRS))
    assert all(metrics(good)[key].guarded for key in CRITERIA)


def test_a_judge_that_reads_places_is_refused() -> None:
    biased = judged(lambda _: "tie", one_place=True)
    assert (biased.position_bias, biased.ties, biased.kappa) == (1.0, 1.0, 0.0)
    assert biased.refusal is not None
    assert "decided by their place" in biased.refusal
    assert not any(metric.guarded for metric in metrics(biased).values())


def test_a_judge_that_counts_words_is_refused() -> None:
    wordy = judged(longer)
    assert wordy.refusal is not None
    assert "kappa" in wordy.refusal
    assert wordy.by_trap["verbosity"][0] < 0.5


def test_mistakes_widen_the_interval_and_are_listed() -> None:
    missed = {pair.id for pair in PAIRS if pair.better == "a"} - {"ko-backend-shop"}
    some = set(sorted(missed)[:3])
    calibration = judged(lambda pair: "b" if pair.id in some else pair.better)
    assert set(calibration.wrong) == some
    low, high = calibration.kappa_interval
    assert low < calibration.kappa < high
    low, high = calibration.accuracy_interval
    assert 0 < low < calibration.accuracy < high < 1


def test_a_judge_that_is_right_by_few_lucky_pairs_is_refused() -> None:
    labels, said = sides("a" * 22 + "b" * 2), sides("a" * 21 + "b" * 3)
    done = [
        (pair.model_copy(update={"better": label}), Preference(verdict, False, ("", "")))
        for pair, label, verdict in zip(PAIRS, labels, said, strict=False)
    ]
    lucky = report(done, [])
    assert lucky.kappa >= 0.6
    assert lucky.refusal is not None
    assert "may be as low as" in lucky.refusal


def test_a_judge_that_is_right_but_reads_places_is_refused_for_that() -> None:
    done = [(pair, Preference(pair.better, place < 12, ("", ""))) for place, pair in enumerate(PAIRS)]
    refusal = report(done, []).refusal
    assert refusal == "not fit to guard a metric: 30% of the pairs were decided by their place, above 20%"


def test_a_pair_without_a_project_is_refused(tmp_path: Path) -> None:
    broken = PAIRS[0].model_copy(update={"b": {"title": "no project"}})
    (tmp_path / "pairs.jsonl").write_text(broken.model_dump_json() + "\n\n", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=r"pairs\.jsonl, line 1: subject_id: Field required"):
        read_pairs(tmp_path / "pairs.jsonl")


def test_no_verdicts_at_all_are_refused_and_no_error() -> None:
    nothing = report([], ["all failed"])
    assert (nothing.pairs, nothing.accuracy, nothing.kappa) == (0, 0.0, 0.0)
    assert nothing.refusal is not None


def test_kappa_is_what_one_gets_by_hand() -> None:
    # 7 of 10 agree; by chance .5 * .4 + .5 * .6 = .5.
    labels, said = sides("aaaaabbbbb"), sides("aaabbbbbba")
    assert cohens_kappa(labels, said) == pytest.approx((0.7 - 0.5) / 0.5)


SIDE: st.SearchStrategy[Side] = st.sampled_from(["a", "b", "tie"])
SIDES = st.lists(st.tuples(SIDE, SIDE), max_size=12)


@settings(max_examples=25)
@given(SIDES)
def test_kappa_is_bounded_and_symmetric(both: list[tuple[Side, Side]]) -> None:
    labels, said = [one for one, _ in both], [other for _, other in both]
    kappa = cohens_kappa(labels, said)
    assert -1 <= kappa <= 1
    assert kappa == pytest.approx(cohens_kappa(said, labels))
    if labels == said and len(set(labels)) > 1:
        assert kappa == pytest.approx(1)


def test_the_labelled_pairs_leave_no_cheap_way_to_be_right() -> None:
    labelled = Counter(pair.better for pair in PAIRS)
    assert len(PAIRS) >= 24
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    assert abs(labelled["a"] - labelled["b"]) <= 2
    assert labelled["tie"] >= 4
    assert {pair.language for pair in PAIRS} == {"ko", "en"}
    assert {pair.trap for pair in PAIRS} >= {"verbosity", "praise", "names", "injection", "position"}
    assert all(pair.why and pair.profile["desired_job"] for pair in PAIRS)
    decided = [pair for pair in PAIRS if pair.better != "tie"]
    assert sum(longer(pair) == pair.better for pair in decided) / len(decided) <= 0.65


def test_what_is_labelled_better_quotes_its_postings() -> None:
    for pair in PAIRS:
        for project in [pair.a] * (pair.better != "b") + [pair.b] * (pair.better != "a"):
            for quote in project["evidence"]:
                text = folded(posting_text(pair.postings[quote["posting_id"]]))
                assert folded(quote["quote"]) in text, (pair.id, quote["quote"])
