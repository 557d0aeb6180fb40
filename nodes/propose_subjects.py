"""propose_subjects: a subject and three candidates that are new to the session."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.novelty import normalised, repeated
from nodes.texts import profile_row
from tools.contracts import Language, SkillGap
from tools.errors import ModelOutputError
from tools.fencing import fence
from tools.services import Services

logger = logging.getLogger(__name__)

CANDIDATES = 3
"""Subjects offered beside the current one."""
ATTEMPTS = 3
"""Times the model is asked before the answer goes out with the subjects that passed."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: dict[str, Any]
    language: Language
    relevant: dict[str, Any]
    summary: dict[str, Any]
    subjects: dict[str, Any]
    rejected: list[dict[str, Any]]
    turn: dict[str, Any]
    draft: dict[str, Any]


class Proposal(BaseModel):
    """A portfolio project for this person and this market."""

    title: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what is built, two or three sentences")
    goal: str = Field(description="what will have been shown at the end, measurable")
    skills: list[str]
    skill_gaps: list[SkillGap] = Field(description="what the market asks and the profile does not show")
    posting_ids: list[str] = Field(description="ids of the postings that speak for it")


class SubjectProposals(BaseModel):
    """Subjects, the best one first, that differ in kind and not in wording."""

    subjects: list[Proposal]


async def propose_subjects(state: Reads, runtime: Runtime[Services]) -> dict[str, Any]:
    """Proposes the subjects of this turn: four, or three candidates beside the one that was chosen.

    Reads `profile`, `language`, `relevant`, `summary`, `subjects`, `rejected`, `turn`, `draft`.
    A subject that repeats an earlier one of the session, or cites no kept posting, does not pass.
    Until all have passed, or the attempts are used up, it writes `draft` (what passed, and what is
    wrong with the rest) and the graph comes here again; then it writes `subjects`, moves the ones
    that were not chosen to `rejected`, and empties `draft`.

    Raises:
        ModelUnavailableError, ModelOutputError: the model failed, or no subject passed at all.
    """
    services, language, turn = runtime.context, state["language"], state["turn"]
    draft = state.get("draft") or {"passed": [], "problems": [], "attempts": 0}
    chosen = turn.get("chosen")
    shown = _shown(state.get("subjects"))
    earlier = [*state.get("rejected", []), *shown, *([chosen] if chosen else [])]
    wanted = CANDIDATES if chosen else CANDIDATES + 1

    prompt = services.prompts.get("propose_subjects", language)
    missing = wanted - len(draft["passed"])
    taken = [*earlier, *draft["passed"]]
    blocks = {
        "request": fence("request", _request(state, missing)),
        "profile": fence("profile", profile_row(state["profile"])),
        "summary": fence("summary", state["summary"]),
        "rejected": fence("rejected", [{k: s[k] for k in ("title", "description")} for s in taken]),
        "problems": fence("problems", [{"problem": problem} for problem in draft["problems"]]),
    }
    reply = await services.chat.ask(prompt, blocks, SubjectProposals, lambda _: [])

    kept_ids = {row["posting_id"] for row in state["relevant"]["kept"]}
    passed, problems = _judged(reply.value, draft["passed"], earlier, kept_ids)
    passed = passed[:wanted]
    attempts = draft["attempts"] + 1
    if len(passed) < wanted and attempts < ATTEMPTS:
        problems.append(f"{wanted - len(passed)} more subjects are needed")
        return {"draft": {"passed": passed, "problems": problems, "attempts": attempts}}
    if len(passed) < wanted:
        logger.warning("subjects missing", extra={"missing": wanted - len(passed), "problems": problems})
    if not passed and not chosen:
        raise ModelOutputError(purpose="propose_subjects", problems=problems)

    current, *candidates = [chosen, *passed] if chosen else passed
    for subject in (current, *candidates):
        runtime.stream_writer({"type": "subject", "data": subject})
    return {
        "subjects": {"current": current, "candidates": candidates, "missing": wanted - len(passed)},
        "rejected": [subject for subject in shown if subject["id"] != current["id"]],
        "draft": {},
        "versions": {"propose_subjects": {"prompt": prompt.version, "model": services.chat.model_name}},
    }


def found(update: dict[str, Any], language: str) -> str:
    """Says in one line what the node found."""
    if update["draft"]:
        problems = len(update["draft"]["problems"])
        return f"다시 제안: 문제 {problems}건" if language == "ko" else f"asking again: {problems} problems"
    subjects = update["subjects"]
    title, more, missing = subjects["current"]["title"], len(subjects["candidates"]), subjects["missing"]
    if language == "ko":
        return f"{title} 외 후보 {more}개" + (f" ({missing}개 부족)" if missing else "")
    return f"{title}, and {more} candidates" + (f" ({missing} missing)" if missing else "")


def wants_another_try(state: dict[str, Any]) -> bool:
    """Whether subjects are still missing and the model may be asked again."""
    return bool(state.get("draft"))


def _shown(subjects: dict[str, Any] | None) -> list[dict[str, Any]]:
    if not subjects:
        return []
    return [subjects["current"], *subjects["candidates"]]


def _request(state: Reads, count: int) -> dict[str, Any]:
    turn = state["turn"]
    return {
        "desired_job": state["profile"]["desired_job"],
        "language": state["language"],
        "count": count,
        "difficulty": turn.get("difficulty"),
        "skills": turn.get("skills", []),
        "feedback": turn.get("feedback"),
    }


def _judged(
    answer: SubjectProposals,
    passed: list[dict[str, Any]],
    earlier: list[dict[str, Any]],
    kept_ids: set[str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns (all that passed so far, what is wrong with the others)."""
    passed, problems = list(passed), []
    for proposal in answer.subjects:
        subject = {"id": _id(proposal), **proposal.model_dump()}
        subject["posting_ids"] = [i for i in dict.fromkeys(proposal.posting_ids) if i in kept_ids]
        again = repeated(subject, [*earlier, *passed])
        if again is not None:
            problems.append(f"'{subject['title']}' repeats '{again}'")
        elif not subject["posting_ids"]:
            problems.append(f"'{subject['title']}' cites no posting of the summary")
        else:
            passed.append(subject)
    return passed, problems


def _id(proposal: Proposal) -> str:
    """The same proposal has the same id, so that a turn that is run again asks what it asked before."""
    said = normalised(proposal.title) + "\n" + normalised(proposal.description)
    return "sub-" + hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
