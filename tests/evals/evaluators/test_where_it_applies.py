"""Where a metric has a score and where it has none: failed cases, unknown families, other designs."""

from __future__ import annotations

from typing import Any

import pytest

from evals.evaluators import METRICS
from tests.evals.evaluators.good import outputs
from tests.evals.evaluators.person import EXPECT, INPUTS, POSTINGS
from tests.evals.evaluators.scoring import GOOD, both, first, later, scores


def test_a_project_of_wanted_skills_meets_more_demand() -> None:
    changed = outputs()
    for answer in both(changed):
        for step in answer["project"]["steps"]:
            for each in step["tasks"]:
                each["skills"] = ["COBOL"]
        answer["project"]["skills"] = ["COBOL"]
    assert (scores(changed)["project_demand"] or 0) < (GOOD["project_demand"] or 0)


def test_of_a_case_that_failed_only_that_is_said() -> None:
    failed = {
        **outputs(),
        "error": {"code": "model_unavailable", "message": "no"},
        "answers": [],
        "turns": [],
        "postings": {},
    }
    kept = {key: score for key, score in scores(failed).items() if score is not None}
    assert kept.pop("answered") == 0.0
    assert not [key for key in kept if METRICS[key].unit == "share"]


def test_where_families_are_unknown_fit_is_not_scored() -> None:
    changed = outputs()
    changed["postings"] = {i: {**row, "family": None} for i, row in POSTINGS.items()}
    assert scores(changed)["fit_precision"] is None
    other = scores(outputs(), {**EXPECT, "family": None, "fits": []})
    assert (other["fit_precision"], other["closest_said"]) == (None, 0.0)


def test_where_nothing_fits_that_has_to_be_said() -> None:
    expect = {**EXPECT, "family": "qa", "fits": ["qa"]}
    got = scores(outputs(), expect)
    assert (got["fit_precision"], got["fit_recall"], got["closest_said"]) == (None, None, 0.0)
    changed = outputs()
    first(changed)["closest_only"] = True
    assert scores(changed, expect)["closest_said"] == 1.0


def test_a_subject_of_two_turns_ago_is_not_new_either() -> None:
    changed = outputs()
    again = [{**subject, "id": f"again-{subject['id']}"} for subject in first(changed)["candidates"]]
    changed["answers"].append({**later(changed), "candidates": again})
    changed["turns"].append({"wishes": {}, "error": None})
    # Its project is the one before, and so are its three candidates.
    assert scores(changed)["subjects_new"] == pytest.approx(3 / 7)


def test_a_candidate_that_is_shown_again_under_its_id_is_not_new() -> None:
    changed = outputs()
    later(changed)["candidates"] = first(changed)["candidates"]
    changed["turns"][0]["wishes"] = {"subject_id": later(changed)["project"]["subject_id"]}
    assert scores(changed)["subjects_new"] == 0.0


def test_turns_that_an_error_kept_from_being_asked_are_not_answered() -> None:
    changed = outputs()
    changed["turns"][0]["error"] = {"code": "model_output_invalid", "message": "no"}
    del changed["answers"][1]
    assert scores(changed, inputs={**INPUTS, "turns": [{}, {}, {}]})["answered"] == 0.25


def test_a_design_without_a_summary_is_not_scored_on_one() -> None:
    changed = {**outputs(), "variant": "baseline"}
    for answer in both(changed):
        parts = ("responsibilities", "qualifications", "preferred", "skills", "domains")
        answer["summary"] = {part: [] for part in parts}
    got = scores(changed)
    assert (got["skill_coverage"], got["counts_honest"]) == (None, None)
    assert got["project_demand"] == GOOD["project_demand"]


def test_what_nobody_asked_for_is_not_scored() -> None:
    changed = outputs()
    changed["turns"][0]["wishes"] = {}
    got = scores(changed)
    asked = ("difficulty", "weeks", "skills", "choice", "feedback", "words")
    assert {got[f"asked_{key}"] for key in asked} == {None}


def of_before(changed: dict[str, Any]) -> dict[str, Any]:
    """The outputs in the shape that answers had before they named weeks, goal, data and what they leave."""
    for answer in both(changed):
        del answer["warnings"], answer["left_out"]
        answer["summary"].pop("domains", None)
        for name in ("goal", "hours_per_week", "minimum_version", "data", "costs", "wishes", "not_covered"):
            del answer["project"][name]
        for subject in answer["candidates"]:
            del subject["wishes"], subject["strengths"], subject["not_covered"]
        for quote in answer["project"]["evidence"]:
            del quote["claim"]
        for step in answer["project"]["steps"]:
            del step["weeks"]
            for task in step["tasks"]:
                task.pop("fault", None)
    return changed


def test_what_an_answer_of_before_does_not_say_counts_as_not_there() -> None:
    got = scores(of_before(outputs()))
    assert set(got) == set(GOOD)
    fell = {key: got[key] for key, was in GOOD.items() if got[key] != was}
    assert fell == {
        # The one wish is worked on, by the words of the project; the other is left without a word.
        "wishes_covered": 0.5,
        "wishes_in_own_words": None,
        "wishes_worked_on": None,
        "strengths_own": None,
        "commonest_gap": 0.5,
        **dict.fromkeys(("weeks_add_up", "hours_kept", "minimum_halfway", "goal_measured"), 0.0),
        "faults_answered": 0.0,
        "data_named": None,
    }


def test_hours_and_wishes_that_the_person_does_not_name_are_not_asked_of_the_answer() -> None:
    profile = {
        key: value for key, value in INPUTS["profile"].items() if key not in ("wishes", "hours_per_week")
    }
    changed = outputs()
    for answer in both(changed):
        answer["project"]["wishes"] = ["공구 대여와 반납"]
        for subject in answer["candidates"]:
            subject["wishes"] = []
    got = scores(changed, inputs={**INPUTS, "profile": profile})
    assert (got["wishes_covered"], got["hours_kept"]) == (None, None)
    # What is said to be served has to stand somewhere in the profile, and to be worked on.
    assert (got["wishes_in_own_words"], got["wishes_worked_on"]) == (1.0, 0.0)
    assert got["tasks_fit_weeks"] == 1.0


def test_somebody_who_shares_nothing_with_the_market_may_begin_anew() -> None:
    changer = {"desired_job": "백엔드 개발자", "skills": ["Photoshop", "Excel"]}
    got = scores(outputs(), {**EXPECT, "known_skills": []}, {**INPUTS, "profile": changer})
    assert got["tasks_in_reach"] is None
    assert got["skills_covered"] == 0.0


def test_a_line_in_another_language_than_its_posting_is_no_false_one() -> None:
    changed = outputs()
    for answer in both(changed):
        answer["summary"]["responsibilities"][0]["text"] = "Design and run settlement and order servers"
    assert scores(changed)["lines_cited_truly"] == 1.0


def test_where_few_postings_are_kept_as_many_quotes_are_enough() -> None:
    changed = outputs()
    for answer in both(changed):
        for posting in answer["postings"]:
            posting["kept"] = posting["posting_id"] == "p-1"
        answer["project"]["evidence"] = answer["project"]["evidence"][:1]
    assert scores(changed)["evidence_enough"] == 1.0
    first(changed)["project"]["evidence"] *= 20
    assert scores(changed)["evidence_enough"] == 0.75


def test_a_price_that_is_unknown_is_not_zero() -> None:
    changed = outputs()
    changed["calls"][0]["usd"] = None
    assert scores(changed)["usd"] is None
    changed["calls"][0]["replayed"] = True
    assert scores(changed)["usd"] == pytest.approx(0.002)


def test_an_english_answer_is_in_english() -> None:
    changed = outputs()
    wrong = scores(changed, inputs={**INPUTS, "language": "en"})
    assert wrong["language_match"] == 0.0
