"""Borderline postings: what the data set holds, that the offline model keeps to it, how a model is asked."""

from __future__ import annotations

from typing import get_args

import pytest

from evals.runs.borderline import BorderlinePosting, Rule, judge, read_postings
from local.model.rules import answer
from nodes.filter_jobs import JobVerdicts, judged_rows
from tests.evals.judge.bench import Blocks, Json, bench
from tools.core.settings import Settings
from tools.prompts.registry import PromptRegistry

POSTINGS = {posting.id: posting for posting in read_postings()}
PROMPTS = PromptRegistry.bundled("nodes").current


@pytest.mark.parametrize("rule", get_args(Rule))
def test_every_rule_has_a_posting_that_fits_or_nearly_does_and_one_that_does_not(rule: str) -> None:
    of_rule = [posting for posting in POSTINGS.values() if posting.rule == rule]
    assert len(of_rule) >= 2
    assert False in {posting.fits for posting in of_rule}
    # Nothing that plans or manages fits a developer's job.
    assert True in {posting.fits for posting in of_rule} or rule == "planning"


@pytest.mark.parametrize("posting", POSTINGS.values(), ids=list(POSTINGS))
def test_the_offline_model_keeps_to_the_rules(posting: BorderlinePosting) -> None:
    found = answer(
        "JobVerdicts",
        {
            "request": [{"desired_job": posting.desired_job, "language": posting.language}],
            "profile": [{"desired_job": posting.desired_job}],
            "postings": judged_rows([posting.stored()]),
        },
    )
    [verdict] = JobVerdicts.model_validate(found).verdicts
    assert verdict.fits is posting.fits, posting.why


async def test_a_model_is_asked_as_the_filter_asks_and_its_mistakes_are_named(embedded: Settings) -> None:
    """One call for each desired job and language."""

    def script(blocks: Blocks) -> Json:
        rows = [row for row in blocks["postings"] if row["posting_id"] != "lead-english"]
        return {
            "verdicts": [
                {
                    "posting_id": row["posting_id"],
                    "fits": POSTINGS[row["posting_id"]].fits is not (row["posting_id"] == "lead-manages"),
                    "reason": "팀장이다",
                }
                for row in rows
            ]
        }

    async with bench(embedded, script) as using:
        agreement = await judge(using.chat, PROMPTS, list(POSTINGS.values()))
    assert len(using.bodies) == len({(p.language, p.desired_job) for p in POSTINGS.values()})
    assert agreement.wrong == {"lead-manages": "팀장이다", "lead-english": ""}
    assert agreement.by_rule["lead"] == (1, 3)
    assert agreement.by_rule["qa"] == (3, 3)
