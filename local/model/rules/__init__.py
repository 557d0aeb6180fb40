"""The offline model's answers by rule: extraction and counting, no model behind them.

`answer` is a function of the fenced blocks of a prompt, and of today's month, until which a job without an
end lasts. So it is deterministic and quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .market import asked_for, summarize
from .plan import plan
from .resume import read_resume
from .subjects import propose
from .tagging import read_posting
from .verdicts import judge

__all__ = ["KNOWN", "answer"]

Blocks = Mapping[str, list[dict[str, Any]]]


def _verdicts(blocks: Blocks) -> dict[str, Any]:
    return judge(_one(blocks, "request"), _one(blocks, "profile"), blocks["postings"])


def _summary(blocks: Blocks) -> dict[str, Any]:
    request = _one(blocks, "request") if "request" in blocks else {}
    return summarize(blocks["postings"], "en" if request.get("language") == "en" else "ko")


def _subjects(blocks: Blocks) -> dict[str, Any]:
    request, profile = _one(blocks, "request"), _one(blocks, "profile")
    return propose(request, profile, blocks["summary"], blocks["postings"], blocks.get("rejected", []))


def _plan(blocks: Blocks) -> dict[str, Any]:
    return plan(
        _one(blocks, "request"),
        _one(blocks, "profile"),
        _one(blocks, "subject"),
        blocks["summary"],
        blocks["postings"],
    )


def _whole_answer(blocks: Blocks) -> dict[str, Any]:
    """Everything in one answer, out of all the postings that were given, as one prompt for all asks; without
    the fields that only the service's own prompts ask for."""
    request, profile, postings = _one(blocks, "request"), _one(blocks, "profile"), blocks["postings"]
    asked = asked_for(postings, "en" if request.get("language") == "en" else "ko")
    found = {
        name: [{**line, "count": len(line["posting_ids"])} for line in lines] for name, lines in asked.items()
    }
    subjects = propose(request, profile, [found], postings, blocks.get("rejected", []))["subjects"]
    subjects = [_plain(subject, _PLAIN_SUBJECT) for subject in subjects]
    if chosen := request.get("chosen"):
        subjects = [chosen, *subjects[:-1]]
    project = _plain(plan(request, profile, subjects[0] if subjects else {}, [found], postings), _PLAIN_PLAN)
    project["evidence"] = [_plain(quote, ("posting_id", "quote")) for quote in project["evidence"]]
    for step in project["steps"]:
        del step["weeks"]
        for task in step["tasks"]:
            del task["fault"], task["hours"]
    return {"subjects": subjects, "project": project}


_PLAIN_SUBJECT = ("title", "description", "goal", "skills", "skill_gaps", "posting_ids")
_PLAIN_PLAN = (
    "title",
    "description",
    "summary",
    "evidence",
    "difficulty",
    "duration_weeks",
    "skills",
    "steps",
)


def _plain(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _positions(blocks: Blocks) -> dict[str, Any]:
    return read_posting(_one(blocks, "request"), _one(blocks, "hints"), blocks["document"])


def _resume(blocks: Blocks) -> dict[str, Any]:
    return read_resume(blocks["resume"])


_RULES: dict[str, tuple[Callable[[Blocks], dict[str, Any]], tuple[str, ...]]] = {
    "JobVerdicts": (_verdicts, ("request", "profile", "postings")),
    "MarketSummary": (_summary, ("postings",)),
    "SubjectProposals": (_subjects, ("request", "profile", "summary", "postings")),
    "ProjectPlan": (_plan, ("request", "profile", "subject", "summary", "postings")),
    "WholeAnswer": (_whole_answer, ("request", "profile", "postings")),
    "ResumeReading": (_resume, ("request", "resume")),
    "PostingPositions": (_positions, ("request", "hints", "document")),
}

KNOWN: frozenset[str] = frozenset(_RULES)
"""The names of the schemas that can be answered."""


def answer(schema_name: str, blocks: Blocks) -> dict[str, Any]:
    """Returns an answer of the schema, made from the rows of the prompt's blocks.

    Odd rows (missing keys, values of another type) are read as empty.

    Raises:
        ValueError: the schema is not in `KNOWN`, or a block that it needs is missing.
    """
    if schema_name not in _RULES:
        raise ValueError(f"no rules for {schema_name!r}; known: {', '.join(sorted(KNOWN))}")
    rule, needed = _RULES[schema_name]
    missing = [name for name in needed if name not in blocks]
    if missing:
        raise ValueError(f"{schema_name} needs the blocks {', '.join(missing)}")
    return rule(blocks)


def _one(blocks: Blocks, name: str) -> dict[str, Any]:
    return blocks[name][0] if blocks[name] else {}
