"""Two runs are compared as a judge prefers, case by case."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from evals.judge.judge import Judge
from evals.judge.pairwise import prefer
from evals.runs.results import CaseResult, Dataset, Header, Result
from tests.evals.evaluators.good import outputs
from tests.evals.evaluators.person import INPUTS
from tests.evals.judge.bench import Blocks, bench, choosing
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

BETTER, WORSE = "더 나은 프로젝트", "못한 프로젝트"


def run(name: str, titles: dict[str, str], **without: Any) -> Result:
    """A run whose projects have these titles, by case."""
    cases = []
    for case_id, title in titles.items():
        said = copy.deepcopy(outputs())
        said["answers"][0]["project"]["title"] = title
        cases.append(CaseResult(case_id=case_id, inputs=INPUTS, outputs={**said, **without}, scores=[]))
    dataset = Dataset(name="profiles", version="0", cases=len(cases))
    header = Header(name=name, suite="quick", created_at="2026-11-01T00:00:00Z", dataset=dataset)
    return Result(Path(f"{name}.jsonl"), header, cases, None)


def by_title(blocks: Blocks) -> dict[str, Any]:
    first, second = (blocks[place][0]["title"] for place in ("first", "second"))
    if first == second:
        return choosing("first")
    return choosing("first" if first == BETTER else "second")


async def test_the_better_project_of_each_case_is_counted_and_a_place_decides_nothing(
    embedded: Settings,
) -> None:
    old = run("old", {"one": WORSE, "two": BETTER, "three": WORSE, "only-old": WORSE})
    new = run("new", {"one": BETTER, "two": BETTER, "three": BETTER, "only-new": WORSE})
    async with bench(embedded, by_title) as using:
        found = await prefer(Judge(using.chat), old, new)
    assert (found.a, found.b, found.ties, found.one_place) == (0, 2, 1, 1)
    assert found.share_b.mean == pytest.approx(5 / 6)
    assert found.share_b.low is None, "three cases are too few for an interval"
    assert set(found.by_case) == {"one", "two", "three"}
    assert len(using.bodies) == 6


async def test_a_baseline_without_postings_and_runs_without_common_cases_are_refused(
    embedded: Settings,
) -> None:
    old, new = run("old", {"one": WORSE}), run("new", {"two": BETTER})
    async with bench(embedded, by_title) as using:
        with pytest.raises(InvalidRequestError, match="no case in common"):
            await prefer(Judge(using.chat), old, new)
        for case in new.cases:
            case.outputs.pop("postings")
        with pytest.raises(InvalidRequestError, match="kept as a baseline"):
            await prefer(Judge(using.chat), old, new)
    assert using.bodies == []
