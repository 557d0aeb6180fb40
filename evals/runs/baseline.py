"""The design to beat: one prompt with everything in it, no filter, no summary, no checks.

So the service began, before its work was split into nodes. It searches as the service does and has the
same model; what it lacks is what the split design adds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel

from graph.errors import run_limit
from nodes.build_query import Reads, build_query
from nodes.generate_tasks import ProjectPlan
from nodes.propose_subjects import CANDIDATES, Proposal
from nodes.retrieve import retrieve
from nodes.state import profile_dict
from nodes.texts import posting_rows, profile_row
from tools.context import RunContext
from tools.core.errors import ModelOutputError
from tools.core.fencing import fence
from tools.llm.journal import Call
from tools.postings.contracts import (
    Answer,
    Evidence,
    Language,
    Profile,
    Project,
    RetrievedPosting,
    StoredPosting,
    Subject,
    Summary,
    Wishes,
)
from tools.prompts.registry import PromptRegistry
from tools.services import Services

_EXCERPT = 400
"""Characters of each text of a posting: twenty whole ones would not fit beside everything else."""


class WholeAnswer(BaseModel):
    """Everything at once: the subjects, and the first of them as a project."""

    subjects: list[Proposal]
    project: ProjectPlan


class Baseline:
    """Answers like `Sessions`, out of one prompt. Sessions last as long as the object."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.prompts = PromptRegistry.bundled("evals.runs")
        self._sessions: dict[str, dict[str, Any]] = {}

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        """Returns the first answer of a new session.

        Raises:
            CheckerboardError: as the service's nodes; ModelOutputError where no subject came.
        """
        async with run_limit(self._services.settings.run_timeout_seconds):
            return await self._first(profile, language, RunContext.of(self._services, calls=calls))

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        """Returns the next answer: the same prompt again, with what was shown before as rejected.

        Raises:
            CheckerboardError: as `generate`.
        """
        async with run_limit(self._services.settings.run_timeout_seconds):
            return await self._answer(session_id, wishes, RunContext.of(self._services, calls=calls))

    async def _first(self, profile: Profile, language: Language, context: RunContext) -> dict[str, Any]:
        runtime = Runtime(context=context)
        request: Reads = {"profile": profile_dict(profile), "language": language}
        state: dict[str, Any] = await build_query(request, runtime)
        state |= await retrieve({"query": state["query"], "language": language}, runtime)
        session_id = uuid.uuid4().hex
        self._sessions[session_id] = {**state, "shown": []}
        return await self._answer(session_id, Wishes(), context)

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
            "chosen": chosen and {key: value for key, value in chosen.items() if key != "id"},
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
            Subject(id=_id(proposal, chosen), **proposal.model_dump())
            for proposal in reply.value.subjects[: CANDIDATES + 1]
        ]
        if not subjects:
            raise ModelOutputError(purpose="whole_answer", problems=["no subject"])
        known = {subject["id"] for subject in state["shown"]}
        state["shown"] += [subject.model_dump() for subject in subjects if subject.id not in known]
        return Answer(
            session_id=session_id,
            project=_project(subjects[0].id, reply.value.project, postings),
            candidates=subjects[1:],
            missing=CANDIDATES + 1 - len(subjects),
            summary=Summary(),
            postings=_kept(state["retrieved"]),
            closest_only=False,
            left_out={},
            versions={"whole_answer": context.chat.versions(prompt, WholeAnswer)},
        ).model_dump()


def _id(proposal: Proposal, chosen: Mapping[str, Any] | None) -> str:
    """Returns the id of the chosen candidate where this is it, by its title, or else a new one."""
    if chosen and proposal.title.strip().casefold() == chosen["title"].strip().casefold():
        return str(chosen["id"])
    return f"sub-{uuid.uuid4().hex[:12]}"


def _project(subject_id: str, plan: ProjectPlan, postings: dict[str, StoredPosting]) -> Project:
    """Returns the plan as it was written: what it quotes is not checked."""
    evidence = [
        Evidence(
            posting_id=quote.posting_id,
            company=postings[quote.posting_id].company if quote.posting_id in postings else "",
            job_title=postings[quote.posting_id].job_title if quote.posting_id in postings else "",
            quote=quote.quote,
        )
        for quote in plan.evidence
    ]
    return Project(subject_id=subject_id, evidence=evidence, **plan.model_dump(exclude={"evidence"}))


def _kept(retrieved: Sequence[dict[str, Any]]) -> list[RetrievedPosting]:
    return [RetrievedPosting(**row, kept=True, reason="") for row in retrieved]
