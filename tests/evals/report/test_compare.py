"""Two runs against each other: what differed, what came of it, and in which cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.report.compare import NO_FAMILY, Comparison, Row, compare
from evals.report.format import sides
from evals.runs.results import Corpus, Dataset, writing
from tests.evals.made_results import METRICS, Values, answer, case, cases, header, outputs, write
from tools.core.errors import InvalidRequestError

COUNT = 24
FLAT = [0.5] * COUNT
NOISE = list(np.random.default_rng(5).normal(0, 0.02, COUNT))


def compared(folder: Path, a: Values, b: Values, **of_b: Any) -> Comparison:
    return compare(write(folder, "a", cases(a)), write(folder, "b", cases(b), **of_b), METRICS)


def rows(found: Comparison) -> dict[str, Row]:
    return {row.key: row for row in found.rows}


def test_a_run_against_itself_is_identical_in_everything(tmp_path: Path) -> None:
    path = write(tmp_path, "run", cases({"evidence_valid": [1.0, None, 0.5], "filler": [0.1, 0.2, 0.3]}))
    found = compare(path, path, METRICS)
    assert {row.verdict for row in found.rows} == {"identical"}
    assert (found.settings, found.warnings, found.changed, found.broken) == ([], [], [], [])


def test_better_and_worse_follow_the_way_the_metric_runs(tmp_path: Path) -> None:
    more = [value + 0.1 + noise for value, noise in zip(FLAT, NOISE, strict=True)]
    keys = ("evidence_valid", "filler", "nobody_knows", "gaps_named")
    found = compared(
        tmp_path,
        dict.fromkeys(keys, FLAT),
        dict.fromkeys(keys[:3], more) | {"gaps_named": [v + n for v, n in zip(FLAT, NOISE, strict=True)]},
    )
    verdicts = {key: row.verdict for key, row in rows(found).items()}
    assert verdicts == {
        "evidence_valid": "better",
        "filler": "worse",
        "gaps_named": "no difference shown",
        "nobody_knows": "changed",
    }
    risen = rows(found)["filler"]
    assert risen.difference is not None
    assert risen.improvement == -risen.difference.difference
    assert rows(found)["nobody_knows"].improvement is None


def test_among_many_metrics_a_single_doubtful_one_may_be_chance(tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    doubtful = [0.5 + float(one) for one in generator.normal(0.02, 0.045, COUNT)]
    alone = compared(tmp_path, {"gaps_named": FLAT}, {"gaps_named": doubtful})
    assert rows(alone)["gaps_named"].verdict == "better"
    many = {f"m-{number}": FLAT for number in range(20)}
    (tmp_path / "many").mkdir()
    found = compared(tmp_path / "many", {"gaps_named": FLAT} | many, {"gaps_named": doubtful} | many)
    assert rows(found)["gaps_named"].verdict == "may be chance"


def test_only_cases_that_both_have_count_and_the_others_are_named(tmp_path: Path) -> None:
    a = [case(number, {"evidence_valid": 1.0, "filler": 0.1}) for number in range(8)]
    b = [case(number, {"evidence_valid": 0.5, "gaps_named": 1.0}) for number in range(1, 9)]
    b[0] = case(1, {"evidence_valid": None})
    found = compare(write(tmp_path, "a", a), write(tmp_path, "b", b), METRICS)
    assert (found.only_a, found.only_b) == (["case-000"], ["case-008"])
    row = rows(found)["evidence_valid"]
    assert row.difference is not None
    assert (row.difference.n, row.difference.a, row.difference.b) == (6, 1.0, 0.5)
    assert row.lost == ["case-001"]
    gone, new = rows(found)["filler"], rows(found)["gaps_named"]
    assert (gone.verdict, gone.lost) == ("one side", [f"case-{number:03}" for number in range(1, 8)])
    assert (new.verdict, len(new.gained)) == ("one side", 6)


def test_what_changes_the_meaning_of_the_numbers_is_warned_of(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        {"filler": FLAT},
        {"filler": FLAT},
        prompts={"filter_jobs": {"ko": "2222"}},
        corpus=Corpus(version="k2", postings=301),
        dirty=True,
        packages={"langgraph": "1.2.22"},
    )
    said = {one.name: (one.a, one.b) for one in found.settings}
    assert said["prompts.filter_jobs.ko"] == ("1111", "2222")
    assert said["packages.langgraph"] == (None, "1.2.22")
    assert next(iter(said)) == "corpus.version"
    assert list(said)[-1] == "packages.langgraph"
    assert "name" not in said
    assert found.warnings == [
        "corpus.version is k1 in A and k2 in B: the numbers do not mean the same in both",
        "b ran on changes that were not committed: it cannot be repeated",
    ]


RULES = {"offline": True, "models": {"filter_jobs.ko": "checkerboard-offline", "embedding": "e"}}


def test_that_rules_answered_both_runs_is_said_in_words(tmp_path: Path) -> None:
    a = write(tmp_path, "a", cases({"filler": FLAT}), **RULES)
    b = write(tmp_path, "b", cases({"filler": FLAT}), **RULES, prompts={"filter_jobs": {"ko": "2222"}})
    keyed = write(tmp_path, "keyed", cases({"filler": FLAT}), models={"filter_jobs.ko": "gpt-x"})
    (said,) = compare(a, b, METRICS).warnings
    assert "offline model" in said
    assert "cannot be seen" in said
    # Between rules and a model the numbers do not mean the same, which is another thing to say.
    assert [warning.split()[0] for warning in compare(a, keyed, METRICS).warnings] == ["offline"]


def test_a_suite_that_only_searches_has_no_prompts_to_be_seen(tmp_path: Path) -> None:
    searched = {"offline": True, "prompts": {}, "models": {"embedding": "e"}}
    path = write(tmp_path, "a", cases({"filler": FLAT}), **searched)
    found = compare(path, path, METRICS)
    assert (found.warnings, sides(found)) == ([], "")


def test_the_models_of_both_sides_are_named_without_the_judges_and_the_embedding(tmp_path: Path) -> None:
    models = {"filter_jobs.ko": "small", "summarize.ko": "large", "generate_tasks.ko": "large"}
    others = {"embedding": "e", "judge.model": "j", "judge.judge_pair.ko": "sha"}
    a = write(tmp_path, "a", cases({"filler": FLAT}), **RULES)
    b = write(tmp_path, "b", cases({"filler": FLAT}), models=models | others)
    assert sides(compare(a, b, METRICS)) == (
        "A answered by checkerboard-offline (offline), B by large, small"
    )


def test_cases_that_another_data_set_edited_are_left_out(tmp_path: Path) -> None:
    given = cases({"filler": FLAT})
    edited = [case(0, {"filler": 9.0}, inputs={"profile": {"desired_job": "게임 서버"}}), *given[1:]]
    a = write(tmp_path, "a", given)
    b = write(tmp_path, "b", edited, dataset=Dataset(name="profiles", version="d2", cases=COUNT))
    found = compare(a, b, METRICS)
    assert found.other_inputs == ["case-000"]
    assert rows(found)["filler"].verdict == "identical"
    assert any("1 cases have other inputs" in warning for warning in found.warnings)
    assert any(warning.startswith("dataset.version") for warning in found.warnings)


def test_a_run_that_broke_off_is_compared_and_said_to_be(tmp_path: Path) -> None:
    a, path = write(tmp_path, "a", cases({"filler": FLAT})), tmp_path / "b.jsonl"
    with writing(path, header("b", COUNT)) as writer:
        for one in cases({"filler": FLAT})[:10]:
            writer.write(one)
    found = compare(a, path, METRICS)
    assert len(found.common) == 10
    assert found.warnings == ["b broke off: it has 10 of 24 results"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"suite": "retrieval"}, "different things"), ({}, "no case in common")],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    a = write(tmp_path, "a", [case(0, {"filler": 0.1})])
    b = write(tmp_path, "b", [case(1, {"filler": 0.1})], **changes)
    with pytest.raises(InvalidRequestError, match=problem):
        compare(a, b, METRICS)


def test_each_family_is_compared_by_itself(tmp_path: Path) -> None:
    # Families take turns: backend falls, frontend stays, and one of four cases has no family.
    b = [0.1 if number % 3 == 0 else 0.5 for number in range(COUNT)]
    found = compared(tmp_path, {"evidence_valid": FLAT}, {"evidence_valid": b})
    assert list(found.families) == ["백엔드", "프론트엔드", NO_FAMILY]
    assert found.family_sizes == dict.fromkeys(found.families, COUNT // 3)
    assert [family[0].verdict for family in found.families.values()] == ["worse", "identical", "identical"]


def test_a_family_with_few_cases_has_a_difference_and_no_verdict(tmp_path: Path) -> None:
    found = compared(tmp_path, {"filler": [0.5] * 9}, {"filler": [0.1] * 9})
    row = found.families["백엔드"][0]
    assert row.difference is not None
    assert row.difference.difference == pytest.approx(-0.4)
    assert (row.verdict, row.p) == ("too few", None)


def test_the_cases_that_changed_most_come_first_each_metric_in_its_own_measure(tmp_path: Path) -> None:
    a = {"evidence_valid": [0.9, 0.8] * 6, "filler": [0.0, 4.0] * 6, "gaps_named": [0.5] * 12}
    b = {key: list(values) for key, values in a.items()}
    b["filler"][3] += 2.0  # one of its standard deviations, about 2
    b["evidence_valid"][4] -= 0.3  # several of its own, below 0.1
    b["gaps_named"][5] = 0.0  # not guarded
    found = compared(tmp_path, a, b)
    assert [one.case_id for one in found.changed] == ["case-004", "case-003"]
    first, second = found.changed
    assert (first.changes[0].key, first.changes[0].a) == ("evidence_valid", 0.9)
    assert first.changes[0].b == pytest.approx(0.6)
    assert first.distance > second.distance > 0.9
    assert first.direction < 0
    assert second.direction < 0, "more filler is worse"


def test_a_rise_and_a_fall_in_one_case_do_not_cancel_out(tmp_path: Path) -> None:
    flat = [0.4, 0.6] * 6
    both = [*flat[:11], 0.9]
    found = compared(
        tmp_path, {"evidence_valid": flat, "filler": flat}, {"evidence_valid": both, "filler": both}
    )
    assert [one.case_id for one in found.changed] == ["case-011"]
    assert found.changed[0].distance > 2
    assert found.changed[0].direction == pytest.approx(0)


def test_a_case_that_ends_in_an_error_now_comes_before_all_and_is_named(tmp_path: Path) -> None:
    b = [case(number, {"filler": 0.9 if number else None}) for number in range(COUNT)]
    b[0] = case(0, outputs=outputs(error={"code": "model_unavailable", "message": "No answer."}))
    b[7] = case(7, {"filler": 0.5}, outputs=outputs(turns=[{"wishes": {}, "error": {"code": "internal"}}]))
    found = compare(write(tmp_path, "a", cases({"filler": FLAT})), write(tmp_path, "b", b), METRICS)
    assert found.broken == ["case-000", "case-007"]
    assert [one.case_id for one in found.changed[:2]] == ["case-000", "case-007"]
    assert len(found.changed) == 10
    back = compare(tmp_path / "b.jsonl", tmp_path / "a.jsonl", METRICS)
    assert (back.broken, back.recovered) == ([], ["case-000", "case-007"])


def test_repeats_are_averaged_and_the_first_is_shown(tmp_path: Path) -> None:
    def repeated(name: str, title: str, *scores: float) -> Path:
        given = [
            case(
                number,
                {"evidence_valid": score},
                repeat=repeat,
                outputs=outputs(answer(f"{title} {repeat}")),
            )
            for repeat, score in reversed(list(enumerate(scores)))
            for number in range(8)
        ]
        return write(tmp_path, name, given, repeats=len(scores))

    found = compare(repeated("a", "가", 0.4, 0.6), repeated("b", "나", 0.9, 0.7), METRICS)
    row = found.rows[0]
    assert row.difference is not None
    assert row.difference.n == 8
    assert row.difference.difference == pytest.approx(0.3)
    shown = found.changed[0]
    assert shown.a.outputs["answers"][0]["project"]["title"] == "가 0"
    assert (shown.changes[0].a, shown.changes[0].b) == (0.5, 0.8)
