"""The variants that are evaluated: the service (`split`), and the single prompt it has to beat (`baseline`).

A `Target` answers the cases of one run with one of them, and collects what the evaluators look at.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from evals.datasets.cases import Inputs, Turn
from evals.runs.corpus import truth
from graph.errors import run_limit, to_service_error
from graph.sessions.checkpointer import open_checkpointer
from graph.sessions.lease import open_lease
from graph.sessions.sessions import Run, Sessions
from nodes.build_query import Reads, build_query
from nodes.prompt_data import posting_rows, profile_row
from nodes.propose_subjects import CANDIDATES
from nodes.retrieve import Reads as Searched
from nodes.retrieve import retrieve
from nodes.state import profile_dict
from tools.context import RunContext
from tools.core.contracts import (
    Answer,
    Difficulty,
    Evidence,
    Language,
    Profile,
    Project,
    RetrievedPosting,
    SkillGap,
    Subject,
    Summary,
    Wishes,
)
from tools.core.errors import CheckerboardError, InternalError, ModelOutputError
from tools.core.fencing import fence
from tools.core.settings import Settings
from tools.llm.journal import Call
from tools.llm.token_estimates import usd
from tools.postings.contracts import StoredPosting
from tools.prompts.registry import PromptRegistry, PromptSet
from tools.services import Services, open_services

logger = logging.getLogger(__name__)

Variant = Literal["split", "baseline"]
PromptChoice = Literal["in-force", "bundled", "hub"]

_EXCERPT = 400
"""Characters of each text of a posting in the baseline's prompt: twenty whole postings would not fit."""


class Answering(Protocol):
    """A variant: both methods return an `Answer` as JSON, or raise a CheckerboardError. Their model calls are
    appended to `calls`."""

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """Returns the first answer of a new session."""

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """Returns the next answer of a session."""


@dataclass(frozen=True, slots=True)
class Target:
    """A variant over one corpus and one set of prompts, which no reload changes meanwhile."""

    services: Services
    variant: Variant
    answering: Answering
    prompts: PromptSet

    async def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs for the `inputs` of a case (docs/evaluations.md). It raises nothing: what fails
        is a result, and in the outputs."""
        inputs = Inputs.model_validate(values)
        outputs: dict[str, Any] = {
            "error": None,
            "answers": [],
            "turns": [],
            "postings": {},
            "calls": [],
            "seconds": [],
            "variant": self.variant,
        }
        generate = partial(self.answering.generate, inputs.profile, inputs.language)
        first = await self._answer(outputs, generate)
        if isinstance(first, CheckerboardError):
            return {**outputs, "error": first.as_json()}
        answer = first
        for turn in inputs.turns:
            wishes = _wishes(turn, answer)
            regenerate = partial(self.answering.regenerate, answer["session_id"], wishes)
            after = await self._answer(outputs, regenerate)
            if isinstance(after, CheckerboardError):
                outputs["turns"].append({"wishes": wishes.model_dump(), "error": after.as_json()})
                break
            outputs["turns"].append({"wishes": wishes.model_dump(), "error": None})
            answer = after
        try:
            outputs["postings"] = await self._postings(first["postings"])
        except Exception as error:  # noqa: BLE001 - without its postings nothing of the case can be judged
            return {**outputs, "answers": [], "turns": [], "error": _service_error(error).as_json()}
        return outputs

    async def _answer(
        self, outputs: dict[str, Any], request: Callable[[list[Call]], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any] | CheckerboardError:
        """Awaits an answer and adds it, its model calls and its seconds to the outputs; or returns the
        error."""
        calls: list[Call] = []
        turn = len(outputs["seconds"])
        started = time.monotonic()
        try:
            answer = await request(calls)
        except Exception as error:  # noqa: BLE001 - whatever fails is the outcome of the case
            return _service_error(error)
        finally:
            outputs["seconds"].append(round(time.monotonic() - started, 4))
            outputs["calls"] += [_call(turn, call) for call in calls]
        outputs["answers"].append(answer)
        return answer

    async def _postings(self, retrieved: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns the retrieved postings, whole, with the truth about them."""
        stored = await self.services.postings.by_ids([row["posting_id"] for row in retrieved])
        known = truth()
        return {
            posting_id: {
                **posting.model_dump(mode="json"),
                "family": None,
                "hostile": False,
                **known.get((posting.source, posting.source_id), {}),
            }
            for posting_id, posting in stored.items()
        }


class Split:
    """The service's own sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """See `Answering.generate`."""
        return await _run_answer(self._sessions.generate(profile, language), calls)

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """See `Answering.regenerate`."""
        return await _run_answer(self._sessions.regenerate(session_id, wishes), calls)


async def _run_answer(run: Run, calls: list[Call]) -> dict[str, Any]:
    try:
        return await run.answer()
    finally:
        calls += run.calls


class PlainSubject(BaseModel):
    """A portfolio project for this person and this market."""

    title: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what is built, two or three sentences")
    goal: str = Field(description="what will have been shown at the end, measurable")
    skills: list[str]
    skill_gaps: list[SkillGap] = Field(description="what the market asks and the profile does not show")
    posting_ids: list[str] = Field(description="ids of the postings that speak for it")


class PlainTask(BaseModel):
    """One piece of work with something to show at its end."""

    title: str
    description: str
    skills: list[str]
    deliverable: str


class PlainStep(BaseModel):
    """A stage of the project: tasks in the order they are done."""

    title: str
    tasks: list[PlainTask]


class PlainQuote(BaseModel):
    """Words of a posting that speak for this project, copied letter for letter."""

    posting_id: str
    quote: str


class PlainPlan(BaseModel):
    """The project as steps in order, each with tasks that end in something to show."""

    title: str = Field(min_length=1)
    description: str
    difficulty: Difficulty
    duration_weeks: int = Field(ge=1, le=26)
    skills: list[str]
    summary: str = Field(description="why this project, for this person and this market")
    steps: list[PlainStep] = Field(min_length=1)
    evidence: list[PlainQuote]


class WholeAnswer(BaseModel):
    """What the baseline's prompt asks for: the subjects, and the first of them as a project. Its schemas are
    its own, as the service's were when it was split: what the service's prompts ask for since is no part of
    what they are compared with."""

    subjects: list[PlainSubject]
    project: PlainPlan


class Baseline:
    """One prompt with everything in it: no filter, no summary, no checks. So the service began. It searches
    as the service does and asks the same model. Sessions last as long as the object."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.prompts = PromptRegistry.bundled("evals.runs")
        self._sessions: dict[str, dict[str, Any]] = {}

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """See `Answering.generate`.

        Raises:
            CheckerboardError: as the service's nodes; ModelOutputError where no subject came.
        """
        context = RunContext.of(self._services, calls=calls)
        async with run_limit(self._services.settings.run_timeout_seconds):
            runtime = Runtime(context=context)
            request: Reads = {"profile": profile_dict(profile), "language": language}
            state: dict[str, Any] = await build_query(request, runtime)
            found_by: Searched = {"profile": state["profile"], "language": language, "query": state["query"]}
            state |= await retrieve(found_by, runtime)
            session_id = uuid.uuid4().hex
            self._sessions[session_id] = {**state, "shown": []}
            return await self._answer(session_id, Wishes(), context)

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """See `Answering.regenerate`: the same prompt again, with the subjects shown so far as rejected.

        Raises:
            CheckerboardError: as `generate`.
        """
        async with run_limit(self._services.settings.run_timeout_seconds):
            return await self._answer(session_id, wishes, RunContext.of(self._services, calls=calls))

    async def _answer(self, session_id: str, wishes: Wishes, context: RunContext) -> dict[str, Any]:
        state = self._sessions[session_id]
        language: Language = state["language"]
        postings = await context.postings.by_ids([row["posting_id"] for row in state["retrieved"]])
        prompt = self.prompts.get("whole_answer", language)
        chosen = next((s for s in state["shown"] if s["id"] == wishes.subject_id), None)
        request = {
            "desired_job": state["profile"]["desired_job"],
            "language": language,
            "count": CANDIDATES + 1,
            "kept_postings": len(postings),
            "difficulty": wishes.difficulty,
            "skills": wishes.skills,
            "feedback": wishes.feedback,
            **({"weeks": wishes.weeks} if wishes.weeks else {}),
            "chosen": chosen and {name: chosen[name] for name in PlainSubject.model_fields},
        }
        rejected = [{k: s[k] for k in ("title", "description")} for s in state["shown"] if s is not chosen]
        blocks = {
            "request": fence("request", request),
            "profile": fence("profile", profile_row(state["profile"])),
            "postings": fence("postings", posting_rows(postings.values(), _EXCERPT)),
            "rejected": fence("rejected", rejected),
        }
        reply = await context.chat.ask(prompt, blocks, WholeAnswer, lambda _: [])
        subjects = [
            Subject(id=_subject_id(proposal, chosen), **proposal.model_dump())
            for proposal in reply.value.subjects[: CANDIDATES + 1]
        ]
        if not subjects:
            raise ModelOutputError(purpose="whole_answer", problems=["no subject"])
        known = {subject["id"] for subject in state["shown"]}
        state["shown"] += [subject.model_dump() for subject in subjects if subject.id not in known]
        return Answer(
            session_id=session_id,
            project=_unchecked_project(subjects[0].id, reply.value.project, postings),
            candidates=subjects[1:],
            missing=CANDIDATES + 1 - len(subjects),
            summary=Summary(),
            postings=[RetrievedPosting(**row, kept=True, reason="") for row in state["retrieved"]],
            closest_only=False,
            left_out={},
            versions={"whole_answer": context.chat.versions(prompt, WholeAnswer)},
        ).model_dump()


def _subject_id(proposal: PlainSubject, chosen: Mapping[str, Any] | None) -> str:
    """Returns the id of the chosen candidate where this is it, by its title, or else a new one."""
    if chosen and proposal.title.strip().casefold() == chosen["title"].strip().casefold():
        return str(chosen["id"])
    return f"sub-{uuid.uuid4().hex[:12]}"


def _unchecked_project(subject_id: str, plan: PlainPlan, postings: dict[str, StoredPosting]) -> Project:
    evidence = []
    for quote in plan.evidence:
        posting = postings.get(quote.posting_id)
        company, job_title = (posting.company, posting.job_title) if posting else ("", "")
        evidence.append(
            Evidence(posting_id=quote.posting_id, company=company, job_title=job_title, quote=quote.quote)
        )
    return Project(subject_id=subject_id, evidence=evidence, **plan.model_dump(exclude={"evidence"}))


@asynccontextmanager
async def open_target(settings: Settings, variant: Variant, prompts: PromptChoice) -> AsyncIterator[Target]:
    """Yields the variant over the postings that `settings` name.

    `prompts`: the active ones (`in-force`), the files of this checkout (`bundled`), or the newest of the hub
    without activating them (`hub`).

    Raises:
        PromptInvalidError, HubUnavailableError: the hub's prompts cannot be used.
        SetupError: a store does not answer.
    """
    async with open_services(settings) as opened:
        match prompts:
            case "in-force":
                prompt_set = opened.prompts.current
            case "bundled":
                prompt_set = opened.prompts.bundled_set()
            case "hub":
                prompt_set = await opened.prompt_changes.preview_reload()
        registry = PromptRegistry(opened.prompts.files, settings.models)
        registry.current = prompt_set
        services = replace(opened, prompts=registry)
        if variant == "baseline":
            baseline = Baseline(services)
            yield Target(services, variant, baseline, baseline.prompts.current)
            return
        saver = await open_checkpointer(settings, services.redis)
        async with open_lease(settings) as lease, aclosing(Sessions(services, saver, lease)) as sessions:
            yield Target(services, variant, Split(sessions), prompt_set)


def _service_error(error: Exception) -> CheckerboardError:
    """Returns what failed as an error of the service. An unexpected one is logged with its traceback."""
    converted = to_service_error(error)
    if isinstance(converted, InternalError) and converted is not error:
        logger.error("a case failed unexpectedly", exc_info=error)
    return converted


def _wishes(turn: Turn, answer: Mapping[str, Any]) -> Wishes:
    wishes = turn.model_dump(exclude={"choose", "subject_id"})
    if turn.choose is None or turn.choose >= len(answer["candidates"]):
        return Wishes(**wishes)
    return Wishes(**wishes, subject_id=answer["candidates"][turn.choose]["id"])


def _call(turn: int, call: Call) -> dict[str, Any]:
    tokens_in, tokens_out = call.input_tokens, call.output_tokens
    counted = tokens_in is not None and tokens_out is not None
    return {
        "turn": turn,
        "purpose": call.purpose,
        "model": call.model,
        "question": call.question,
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        # An API that does not report its tokens is not one that costs nothing.
        "usd": usd(call.model, tokens_in or 0, tokens_out or 0) if counted else None,
        "seconds": round(call.seconds, 4),
        "replayed": call.replayed,
    }
