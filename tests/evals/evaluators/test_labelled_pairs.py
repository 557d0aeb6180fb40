"""The evaluators on whole projects: of pairs labelled for the judge, the better one scores higher."""

from __future__ import annotations

from typing import Any

import pytest

from evals.evaluators import ALL, METRICS
from evals.judge.pairwise import LabelledPair, read_pairs

Json = dict[str, Any]
PAIRS = {pair.id: pair for pair in read_pairs()}
OF_PLANS = ("weeks_add_up", "hours_kept", "minimum_halfway", "goal_measured", "faults_answered", "data_named")

SEEN = {
    "ko-senior-strength-replaced": {"skills_covered", "tasks_in_reach"},
    "ko-senior-commonest-gap": {"commonest_gap", "wishes_covered", "quoted_skills_used"},
    "ko-senior-one-posting": {"evidence_spread"},
    "ko-senior-no-budget": {"weeks_add_up", "hours_kept", "minimum_halfway", "tasks_fit_weeks"},
    "ko-senior-leaks": {"prose_clean"},
    "en-analyst-data-from-nowhere": {"data_named"},
    "en-analyst-no-threshold": {"goal_measured"},
    "en-analyst-asset-unused": {"skills_covered", "tasks_in_reach"},
}
"""What a rule sees of the worse project, by pair."""
UNSEEN = {"ko-senior-blind-test", "en-analyst-worn", "en-analyst-tie"}
"""A signal that cannot show its fault, a theme that everybody has: for these there is the judge."""


def scored(pair: LabelledPair, project: Json) -> dict[str, float | None]:
    """The scores of an answer that is this project, without candidates and summary."""
    postings = {i: {**row, "family": None, "hostile": False} for i, row in pair.postings.items()}
    kept = [
        {
            "posting_id": i,
            "source": "s",
            "source_id": i,
            "company": row["company"],
            "job_title": row["job_title"],
            "score": 0.5,
            "kept": True,
            "reason": "",
        }
        for i, row in postings.items()
    ]
    answer = {"project": project, "candidates": [], "summary": {}, "postings": kept, "closest_only": False}
    answer |= {"session_id": "s", "missing": 3, "versions": {}}
    outputs = {"answers": [answer], "postings": postings, "variant": "baseline", "seconds": [1.0]}
    inputs = {"language": pair.language, "profile": pair.profile}
    expect = {"language": pair.language}
    return {s["key"]: s["score"] for evaluate in ALL for s in evaluate(inputs, outputs, expect)}


def better_and_worse(pair: LabelledPair) -> tuple[dict[str, float | None], dict[str, float | None]]:
    good, bad = (pair.b, pair.a) if pair.better == "b" else (pair.a, pair.b)
    return scored(pair, good), scored(pair, bad)


@pytest.mark.parametrize("name", SEEN)
def test_what_a_rule_can_see_of_the_worse_project_falls(name: str) -> None:
    better, worse = better_and_worse(PAIRS[name])
    assert {key: better[key] for key in SEEN[name]} == dict.fromkeys(SEEN[name], 1.0)
    assert {key for key in SEEN[name] if (worse[key] or 0.0) < 1.0} == SEEN[name]


@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_what_only_a_reader_sees_leaves_the_plan_as_it_is(name: str) -> None:
    better, worse = better_and_worse(PAIRS[name])
    assert {key: worse[key] for key in OF_PLANS} == {key: better[key] for key in OF_PLANS}


def test_the_better_projects_keep_what_is_promised() -> None:
    promises = {key for key, metric in METRICS.items() if metric.guarded and not metric.tolerance}
    for name in [*SEEN, *UNSEEN]:
        better, _ = better_and_worse(PAIRS[name])
        assert {key: better[key] for key in promises if better[key] not in (None, 1.0)} == {}
