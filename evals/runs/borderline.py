"""Labelled borderline postings before the filter: how far a model keeps to the rules of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from evals.datasets.cases import DATASETS, Record, Strict, read_records
from nodes.filter_jobs import JobVerdicts, judged_rows
from tools.core.contracts import Language
from tools.core.fencing import fence
from tools.llm.chat import ChatModel
from tools.postings.contracts import StoredPosting
from tools.prompts.registry import PromptSet

POSTINGS = DATASETS / "borderline_postings.jsonl"

Rule = Literal["full_stack", "operations", "lead", "several_roles", "research", "data", "qa", "planning"]
"""The rules of the prompt of filter_jobs for borderline postings."""


class BorderlineText(Strict):
    """What a borderline posting says."""

    job_title: str
    responsibilities: str


class BorderlinePosting(Record):
    """A posting that two people could judge differently, the rule that decides it, and how."""

    rule: Rule
    language: Language
    desired_job: str
    posting: BorderlineText
    fits: bool
    why: str

    def stored(self) -> StoredPosting:
        """Returns the posting as a store has it, its id that of the record."""
        return StoredPosting(
            posting_id=self.id, source="borderline", source_id=self.id, **self.posting.model_dump()
        )


def read_postings(path: Path = POSTINGS) -> list[BorderlinePosting]:
    """Returns the borderline postings of a file."""
    return read_records(path, BorderlinePosting)


@dataclass(frozen=True, slots=True)
class Agreement:
    """`by_rule`: verdicts that are the label, and all, of each rule. `wrong`: the model's reasons by id of
    the posting that it judged otherwise; empty for one that it did not judge."""

    by_rule: dict[str, tuple[int, int]]
    wrong: dict[str, str]


async def judge(chat: ChatModel, prompts: PromptSet, postings: Sequence[BorderlinePosting]) -> Agreement:
    """Asks the model as `filter_jobs` does, all postings of one desired job at once, and compares.

    Raises:
        ModelUnavailableError, ModelOutputError: the model failed.
    """
    reasons: dict[str, tuple[bool, str]] = {}
    for (language, job), group in groupby(sorted(postings, key=_asked_with), key=_asked_with):
        rows = judged_rows([posting.stored() for posting in group])
        blocks = {
            "request": fence("request", {"desired_job": job, "language": language}),
            "profile": fence("profile", {"desired_job": job}),
            "postings": fence("postings", rows),
        }
        reply = await chat.ask(prompts.get("filter_jobs", language), blocks, JobVerdicts, lambda _: [])
        reasons |= {verdict.posting_id: (verdict.fits, verdict.reason) for verdict in reply.value.verdicts}
    return _agreement(postings, reasons)


def _asked_with(posting: BorderlinePosting) -> tuple[Language, str]:
    return posting.language, posting.desired_job


def _agreement(postings: Sequence[BorderlinePosting], reasons: dict[str, tuple[bool, str]]) -> Agreement:
    by_rule: dict[str, tuple[int, int]] = {}
    wrong: dict[str, str] = {}
    for posting in postings:
        fits, reason = reasons.get(posting.id, (None, ""))
        right, asked = by_rule.get(posting.rule, (0, 0))
        by_rule[posting.rule] = (right + (fits is posting.fits), asked + 1)
        if fits is not posting.fits:
            wrong[posting.id] = reason
    return Agreement(by_rule, wrong)
