"""generate_tasks: the subject as a project with steps, tasks and evidence."""

from __future__ import annotations

import logging
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.prompt_data import fit_to_budget, posting_rows, profile_row, remaining_tokens, turn_row
from nodes.state import ProfileDict, Relevant, Subjects, SummaryDict, Turn
from tools.context import RunContext
from tools.core.contracts import Difficulty, Evidence, Language, Project, Step
from tools.core.errors import ModelOutputError, NoPostingsError
from tools.core.fencing import fence
from tools.core.text import find_quote, folded
from tools.postings.contracts import StoredPosting

logger = logging.getLogger(__name__)

_EXCERPT = 2_000
"""Characters of each text of a cited posting: 97 in 100 real ones fit whole. Quotes come out of them."""
_SHORTEST_QUOTE = 4
"""Characters: a shorter quote stands in any posting and shows nothing."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    relevant: Relevant
    summary: SummaryDict
    subjects: Subjects
    turn: Turn
    omitted_postings: dict[str, list[str]]


class Quote(BaseModel):
    """Words of a posting that speak for this project, copied letter for letter."""

    posting_id: str
    quote: str


class ProjectPlan(BaseModel):
    """The project as steps in order, each with tasks that end in something to show."""

    title: str = Field(min_length=1)
    description: str
    difficulty: Difficulty
    duration_weeks: int = Field(ge=1, le=26)
    skills: list[str]
    summary: str = Field(description="why this project, for this person and this market")
    steps: list[Step] = Field(min_length=1)
    evidence: list[Quote]


async def generate_tasks(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Turns the chosen subject, or else the current one, into a project.

    Reads `profile`, `language`, `relevant`, `summary`, `subjects`, `turn`, `omitted_postings`; writes
    `project`, `history`, `omitted_postings` and `versions`. A quote that does not stand in its posting goes
    back to the model, then is dropped. Cited postings for which the prompt has no room, the last ones, are
    named in `omitted_postings`.

    Raises:
        NoPostingsError: the cited postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed, or no quote stands in its posting.
    """
    context, language, turn = runtime.context, state["language"], state["turn"]
    subject = turn.get("chosen") or state["subjects"]["current"]
    postings = await context.postings.by_ids(subject["posting_ids"])
    if not postings:
        raise NoPostingsError
    prompt = context.prompts.get("generate_tasks", language)
    blocks = {
        "request": fence("request", turn_row(state)),
        "profile": fence("profile", profile_row(state["profile"])),
        "subject": fence("subject", subject),
        "summary": fence("summary", state["summary"]),
    }
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, ProjectPlan)
    rows, omitted = fit_to_budget(posting_rows(postings.values(), _EXCERPT), tokens)
    blocks["postings"] = fence("postings", rows)
    reply = await context.chat.ask(
        prompt, blocks, ProjectPlan, lambda plan: _problems(plan, postings, turn.get("difficulty"))
    )
    plan = reply.value
    plan.steps = [step for step in plan.steps if step.tasks]
    evidence = _evidence(plan, postings)
    if not evidence or not plan.steps:
        raise ModelOutputError(purpose="generate_tasks", problems=reply.problems)
    if reply.problems:
        logger.warning("project kept without what failed", extra={"problems": len(reply.problems)})

    fields = plan.model_dump(exclude={"evidence"})
    project = Project(subject_id=subject["id"], evidence=evidence, **fields).model_dump()
    for number, step in enumerate(project["steps"], start=1):
        for task in step["tasks"]:
            placed = {"step": number, "step_title": step["title"], **task}
            runtime.stream_writer({"type": "task", "node": "generate_tasks", "data": placed})
    return {
        "project": project,
        "history": [project],
        "omitted_postings": {"generate_tasks": omitted},
        "versions": {"generate_tasks": context.chat.versions(prompt, ProjectPlan)},
    }


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    project = update["project"]
    steps, tasks = len(project["steps"]), sum(len(step["tasks"]) for step in project["steps"])
    weeks = project["duration_weeks"]
    if language == "ko":
        return f"{steps}단계 {tasks}개 과제, {weeks}주"
    return f"{steps} steps, {tasks} tasks, {weeks} weeks"


def _problems(plan: ProjectPlan, postings: dict[str, StoredPosting], difficulty: str | None) -> list[str]:
    problems = [why for quote in plan.evidence if (why := _wrong_with(quote, postings))]
    if not plan.evidence:
        problems.append("evidence: quote the given postings")
    if any(not step.tasks for step in plan.steps):
        problems.append("steps: every step needs tasks")
    if any(not task.deliverable.strip() for step in plan.steps for task in step.tasks):
        problems.append("tasks: every task ends in a deliverable")
    if difficulty and plan.difficulty != difficulty:
        problems.append(f"difficulty: {difficulty} was asked for")
    return problems


def _evidence(plan: ProjectPlan, postings: dict[str, StoredPosting]) -> list[Evidence]:
    """Returns the quotes that stand in their postings, in these postings' own letters."""
    return [
        Evidence(
            posting_id=quote.posting_id,
            company=postings[quote.posting_id].company,
            job_title=postings[quote.posting_id].job_title,
            quote=words,
        )
        for quote in plan.evidence
        if (words := _quoted(quote, postings)) is not None
    ]


def _wrong_with(quote: Quote, postings: dict[str, StoredPosting]) -> str | None:
    if _quoted(quote, postings) is not None:
        return None
    if len(folded(quote.quote)) < _SHORTEST_QUOTE:
        return f"evidence: '{quote.quote}' is too short to show anything; quote a phrase"
    return f"evidence: '{quote.quote}' does not stand in {quote.posting_id}; copy it letter for letter"


def _quoted(quote: Quote, postings: dict[str, StoredPosting]) -> str | None:
    """Returns the words of the posting that are quoted, None where it has no such words or they are few."""
    posting = postings.get(quote.posting_id)
    if posting is None or len(folded(quote.quote)) < _SHORTEST_QUOTE:
        return None
    return find_quote(quote.quote, posting.text())
