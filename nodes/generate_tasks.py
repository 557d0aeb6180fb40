"""generate_tasks: the subject as a project with steps, tasks and evidence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.findings import Finding
from nodes.project_checks import Grounds, project_findings, quoted
from nodes.prompt_data import (
    fit_to_budget,
    kept_postings,
    posting_domains,
    profile_row,
    remaining_tokens,
    summary_row,
    telling_rows,
    turn_row,
)
from nodes.state import ProfileDict, ProjectDict, Relevant, Subjects, SummaryDict, Turn
from tools.context import RunContext
from tools.core import metrics
from tools.core.contracts import (
    MOST_WEEKS,
    DataSource,
    Difficulty,
    Evidence,
    Language,
    MinimumVersion,
    NotCovered,
    Project,
    Step,
    Task,
)
from tools.core.errors import ModelOutputError, NoPostingsError
from tools.core.fencing import fence
from tools.core.text import texts
from tools.llm.partial_answers import as_objects_end, begun
from tools.postings.contracts import StoredPosting
from tools.shown import Place

logger = logging.getLogger(__name__)

_LONGEST_LINES, _LATER_LINES, _ALL_LINES = 1_000, 180, 6_000
"""Characters of the lines of one posting, in a session's first turn and in a later one, which is to cost less
(tests/graph/test_regeneration_cost.py), and of all together: quotes come out of them."""
_CITED = 2
"""A posting that the subject cites has so many times the room of another."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    relevant: Relevant
    summary: SummaryDict
    subjects: Subjects
    turn: Turn
    omitted_postings: dict[str, list[str]]
    project: ProjectDict


class Quote(BaseModel):
    """Words of a posting that speak for this project, copied letter for letter."""

    claim: str = Field("", description="what of the project or of its reasons it speaks for")
    posting_id: str
    quote: str


class ProjectPlan(BaseModel):
    """The project as steps in order, each with tasks that end in something to show."""

    title: str = Field(min_length=1)
    description: str
    goal: str = Field("", description="what is shown at the end, by a number")
    summary: str = Field(description="why this project, for this person and this market")
    evidence: list[Quote]
    difficulty: Difficulty
    duration_weeks: int = Field(ge=1, le=MOST_WEEKS)
    hours_per_week: int | None = Field(
        None, ge=1, le=80, description="hours a week that the weeks are reckoned with"
    )
    skills: list[str]
    data: list[DataSource] = []
    steps: list[Step] = Field(min_length=1)
    minimum_version: MinimumVersion | None = None
    costs: str = Field("", description="what it costs to run, and how it is taken down again")
    not_covered: list[NotCovered] = Field(
        [], description="what quotes or wishes name and the project leaves out, each with the reason"
    )


async def generate_tasks(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Turns the chosen subject, or else the current one, into a project.

    Reads `profile`, `language`, `relevant`, `summary`, `subjects`, `turn`, `omitted_postings`, `project`;
    writes `project`, `history`, `omitted_postings`, `warnings` and `versions`. The model reads the telling
    lines of all kept postings, most of those that the subject cites. What `nodes.project_checks` finds wrong
    goes back to the model; after the last retry quotes that do not stand in their posting, or repeat another,
    are dropped, and the rest goes out with `warnings`. Postings for which the prompt has no room, the last
    ones, are named in `omitted_postings`.

    Raises:
        NoPostingsError: the kept postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed, or no step has a task.
    """
    context, language, turn = runtime.context, state["language"], state["turn"]
    subject = turn.get("chosen") or state["subjects"]["current"]
    cited = subject["posting_ids"]
    kept = [row["posting_id"] for row in state["relevant"]["kept"]]
    postings = await context.postings.by_ids(list(dict.fromkeys([*cited, *kept])))
    if not postings:
        raise NoPostingsError
    prompt = context.prompts.get("generate_tasks", language)
    blocks = {
        "request": fence("request", turn_row(state)),
        "profile": fence("profile", profile_row(state["profile"])),
        "subject": fence("subject", subject),
        "summary": fence("summary", summary_row(state["summary"])),
    }
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, ProjectPlan)
    about = "\n".join([*texts(subject), *turn.get("skills", []), *(state["profile"].get("skills") or [])])
    longest = _LATER_LINES if state.get("project") else _LONGEST_LINES
    limits = _limits(postings, cited, longest)
    lines = telling_rows(postings.values(), about, limits, posting_domains(state["summary"]))
    rows, omitted = fit_to_budget(lines, tokens)
    blocks["postings"] = fence("postings", rows)
    grounds = Grounds(
        profile=state["profile"],
        language=language,
        summary=state["summary"],
        subject=subject,
        postings=postings,
        kept=kept_postings(state),
        turn=turn,
        before=state.get("project"),
    )

    # Of the plan that was checked last, which is the one that comes back.
    findings: list[Finding] = []

    def problems(plan: ProjectPlan) -> list[str]:
        findings[:] = project_findings(plan, grounds)
        return [finding.problem(language) for finding in findings]

    def show(steps: Sequence[tuple[str, Sequence[Task]]]) -> None:
        if context.watched:
            context.shown_tasks.show(_placed(steps), runtime.stream_writer)

    def heard(text: str) -> None:
        if not text:
            context.shown_tasks.begin()
        show(_complete(text))

    reply = await context.chat.ask(
        prompt, blocks, ProjectPlan, problems, heard=as_objects_end(heard) if context.watched else None
    )
    plan = reply.value
    if not any(step.tasks for step in plan.steps):
        raise ModelOutputError(purpose="generate_tasks", problems=reply.problems)
    warnings = [finding.warning("generate_tasks", language) for finding in findings]
    if warnings:
        logger.warning("project goes out with warnings", extra={"problems": len(warnings)})

    plan.steps = [step for step in plan.steps if step.tasks]
    project = Project(
        subject_id=subject["id"],
        wishes=subject.get("wishes", []),
        evidence=_evidence(plan, postings),
        **plan.model_dump(exclude={"evidence"}),
    ).model_dump()
    show([(step.title, step.tasks) for step in plan.steps])
    return {
        "project": project,
        "history": [project],
        "omitted_postings": {"generate_tasks": omitted},
        "warnings": {"generate_tasks": warnings},
        "versions": {"generate_tasks": context.chat.versions(prompt, ProjectPlan)},
    }


def _complete(text: str) -> list[tuple[str, list[Task]]]:
    """Returns the complete tasks in the beginning of an answer, by steps, with the steps' titles. Those of a
    step whose title is to come are left out."""
    written = begun(text)
    steps = written.parts("steps") if written else ()
    return [(title, step.complete("tasks", Task)) for step in steps if (title := step.text("title"))]


def _placed(steps: Sequence[tuple[str, Sequence[Task]]]) -> dict[Place, dict[str, Any]]:
    """Returns tasks as they are shown. A step without any is none, as in the project."""
    with_tasks = [(title, tasks) for title, tasks in steps if tasks]
    return {
        (step, n): {"step": step, "step_title": title, "position": n, "task": task.model_dump()}
        for step, (title, tasks) in enumerate(with_tasks)
        for n, task in enumerate(tasks)
    }


def _limits(postings: Mapping[str, StoredPosting], cited: Sequence[str], longest: int) -> dict[str, int]:
    """Returns by posting id the characters of its lines: at most `longest`, and more of what is cited."""
    shares = {posting_id: _CITED if posting_id in cited else 1 for posting_id in postings}
    each = min(longest, _ALL_LINES // sum(shares.values()))
    return {posting_id: min(_LONGEST_LINES, each * share) for posting_id, share in shares.items()}


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    project = update["project"]
    steps, tasks = len(project["steps"]), sum(len(step["tasks"]) for step in project["steps"])
    weeks = project["duration_weeks"]
    if language == "ko":
        return f"{steps}단계 {tasks}개 과제, {weeks}주"
    return f"{steps} steps, {tasks} tasks, {weeks} weeks"


def _evidence(plan: ProjectPlan, postings: Mapping[str, StoredPosting]) -> list[Evidence]:
    """Returns the quotes that stand in their postings, in these postings' own letters, each once."""
    standing: dict[tuple[str, str], Evidence] = {}
    for quote in plan.evidence:
        words = quoted(quote, postings)
        if words is None:
            metrics.QUOTES_DROPPED.inc()
        elif (quote.posting_id, words) not in standing:
            posting = postings[quote.posting_id]
            standing[quote.posting_id, words] = Evidence(
                posting_id=quote.posting_id,
                company=posting.company,
                job_title=posting.job_title,
                quote=words,
                claim=quote.claim,
            )
    return list(standing.values())
