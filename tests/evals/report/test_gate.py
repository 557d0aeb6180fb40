"""The gate: what it stops, what it lets through, and what it refuses to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.evaluators.base import Metric
from evals.report.gate import FAILED, PASSED, REFUSED, Verdict, gate
from evals.runs.results import Corpus, Dataset, writing
from tests.evals.made_results import METRICS, Values, case, cases, header, outputs, write
from tools.core.errors import InvalidRequestError

COUNT = 24
FLAT = [0.8] * COUNT
HIGH: Values = {"evidence_valid": FLAT, "filler": FLAT, "gaps_named": FLAT}
GENERATOR = np.random.default_rng(6)


def held(folder: Path, b: Values, a: Values = HIGH, **of_b: Any) -> Verdict:
    return gate(write(folder, "baseline", cases(a)), write(folder, "new", cases(b), **of_b), METRICS)


def shifted(by: float, noise: float = 0.0) -> list[float]:
    return [0.8 + by + float(one) for one in GENERATOR.normal(0, noise, COUNT)]


def test_the_same_results_pass(tmp_path: Path) -> None:
    verdict = held(tmp_path, HIGH)
    assert (verdict.exit_code, verdict.failures, verdict.text()) == (PASSED, [], "gate passed")


@pytest.mark.parametrize(("key", "by"), [("evidence_valid", -0.1), ("filler", 0.1)])
def test_a_guarded_metric_that_fell_beyond_its_noise_fails(tmp_path: Path, key: str, by: float) -> None:
    verdict = held(tmp_path, {**HIGH, key: shifted(by, 0.05)})
    assert verdict.exit_code == FAILED
    assert len(verdict.failures) == 1
    assert verdict.failures[0].startswith(f"{key} 0.800 → ")
    assert f"✗ {key}" in verdict.text()


@pytest.mark.parametrize(("key", "by"), [("evidence_valid", 0.1), ("filler", -0.1)])
def test_a_guarded_metric_that_rose_passes_and_is_said(tmp_path: Path, key: str, by: float) -> None:
    verdict = held(tmp_path, {**HIGH, key: shifted(by, 0.05)})
    assert verdict.exit_code == PASSED
    assert verdict.rose[0].startswith(key)


def test_a_fall_within_its_noise_passes_with_a_note(tmp_path: Path) -> None:
    b = [0.0, 0.0, *FLAT[2:]]
    verdict = held(tmp_path, {**HIGH, "evidence_valid": b})
    assert verdict.exit_code == PASSED
    assert verdict.notes[0].endswith("within its noise")


def test_a_fall_within_its_tolerance_passes_with_a_note(tmp_path: Path) -> None:
    verdict = held(tmp_path, {**HIGH, "filler": shifted(0.04)})
    assert verdict.exit_code == PASSED
    assert verdict.notes[0].endswith("within its tolerance of 0.05")
    (tmp_path / "beyond").mkdir()
    assert held(tmp_path / "beyond", {**HIGH, "filler": shifted(0.06)}).exit_code == FAILED


def test_what_is_not_guarded_may_fall(tmp_path: Path) -> None:
    assert held(tmp_path, {**HIGH, "gaps_named": shifted(-0.5)}).exit_code == PASSED


def test_too_few_cases_to_tell_pass_with_a_note(tmp_path: Path) -> None:
    verdict = held(tmp_path, {"evidence_valid": [0.1] * 4}, {"evidence_valid": [0.9] * 4})
    assert verdict.exit_code == PASSED
    assert "too few cases" in verdict.notes[0]


def test_a_guarded_metric_that_is_gone_fails(tmp_path: Path) -> None:
    verdict = held(tmp_path, {"filler": FLAT}, skipped={"judge": "no key"})
    assert verdict.failures == [
        "evidence_valid is gone: it applied to 24 cases, and to none of them now; skipped: judge: no key"
    ]


@pytest.mark.parametrize(("lost", "exit_code"), [(2, PASSED), (3, FAILED)])
def test_a_guarded_metric_that_comes_not_to_apply_fails(tmp_path: Path, lost: int, exit_code: int) -> None:
    verdict = held(
        tmp_path, {**HIGH, "evidence_valid": [None if place < lost else 0.8 for place in range(COUNT)]}
    )
    assert verdict.exit_code == exit_code
    if exit_code == FAILED:
        assert verdict.failures[0].startswith(
            "evidence_valid does not apply any more to 3 of 24 cases: case-000"
        )


def test_a_case_that_ends_in_an_error_now_fails(tmp_path: Path) -> None:
    broken = cases(HIGH)
    broken[3] = case(3, outputs=outputs(error={"code": "model_unavailable", "message": "No answer."}))
    baseline, new = write(tmp_path, "baseline", cases(HIGH)), write(tmp_path, "new", broken)
    assert gate(baseline, new, METRICS).failures == ["cases that end in an error now: case-003"]
    # One that already did, or does no longer, is no reason.
    assert gate(new, new, METRICS).exit_code == PASSED
    assert gate(new, baseline, METRICS).notes == ["cases that end in an error no longer: case-003"]


def test_cases_that_were_not_run_fail(tmp_path: Path) -> None:
    baseline, path = write(tmp_path, "baseline", cases(HIGH)), tmp_path / "new.jsonl"
    with writing(path, header("new", COUNT)) as writer:
        for one in cases(HIGH)[1:]:
            writer.write(one)
    assert gate(baseline, path, METRICS).failures == [
        "new broke off: it has 23 of 24 results",
        "not run: case-000",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dataset": Dataset(name="profiles", version="d2", cases=COUNT)}, "dataset.version is d2"),
        ({"corpus": Corpus(version="k2")}, "corpus.version is k2"),
        ({"suite": "retrieval"}, "suite is retrieval"),
    ],
)
def test_other_cases_or_postings_are_refused_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    verdict = held(tmp_path, HIGH, **changes)
    assert (verdict.exit_code, verdict.comparison) == (REFUSED, None)
    assert verdict.text().startswith(f"gate refused: {named}")
    assert "Make a new baseline" in verdict.text()


def test_a_baseline_that_broke_off_is_refused(tmp_path: Path) -> None:
    new, path = write(tmp_path, "new", cases(HIGH)), tmp_path / "baseline.jsonl"
    with writing(path, header("baseline", COUNT)) as writer:
        writer.write(cases(HIGH)[0])
    verdict = gate(path, new, METRICS)
    assert verdict.refused is not None
    assert verdict.refused.startswith("the baseline is no whole run: baseline broke off")


def test_a_run_in_which_nothing_is_guarded_says_so(tmp_path: Path) -> None:
    verdict = held(tmp_path, {"gaps_named": FLAT}, {"gaps_named": FLAT})
    assert verdict.notes == ["no guarded metric was measured in either run"]


def test_what_is_no_result_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="not a result file"):
        gate(tmp_path / "x.jsonl", write(tmp_path, "new", cases(HIGH)), METRICS)


PROMISE = {"canaries_absent": Metric("higher", "no canary comes out", guarded=True, tolerance=0.0)}


@pytest.mark.parametrize("count", [3, 24])
def test_a_promise_is_broken_by_one_case(tmp_path: Path, count: int) -> None:
    """No interval over so few cases leaves zero out when a single one of them fell."""
    kept: Values = {"canaries_absent": [1.0] * count}
    broken: Values = {"canaries_absent": [0.0, *[1.0] * (count - 1)]}
    baseline, new = write(tmp_path, "baseline", cases(kept)), write(tmp_path, "new", cases(broken))
    verdict = gate(baseline, new, PROMISE)
    assert verdict.exit_code == FAILED
    assert verdict.failures[0].startswith("canaries_absent 1.000 → ")
    assert gate(new, baseline, PROMISE).exit_code == PASSED
    # What was not kept before is a figure like others.
    assert gate(new, new, PROMISE).exit_code == PASSED
