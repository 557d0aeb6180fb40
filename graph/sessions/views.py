"""What a session's state looks like from outside."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, Field

from tools.postings.contracts import (
    Answer,
    Difficulty,
    Language,
    Profile,
    Project,
    RetrievedPosting,
    Subject,
    Summary,
    Versions,
)

SERVICE_VERSION = version("checkerboard")


class TurnWishes(BaseModel):
    """What was asked of the newest project."""

    difficulty: Difficulty | None
    skills: list[str] | None
    feedback: str | None


class SessionView(BaseModel):
    """A session. What a run has not reached yet is null or empty."""

    session_id: str
    language: Language
    profile: Profile
    summary: Summary | None
    subject: Subject | None = Field(description="the one that the project is about")
    candidates: list[Subject]
    wishes: TurnWishes
    rejected: list[Subject] = Field(description="earlier subjects, which are not proposed again")
    project: Project | None
    history: list[Project] = Field(description="every project of the session, oldest first")
    closest_only: bool
    postings: list[RetrievedPosting]
    left_out: dict[str, list[str]]
    versions: Versions


def answer(session_id: str, state: dict[str, Any], *, offline: bool, embeddings_offline: bool) -> Answer:
    """Returns the answer of a finished run."""
    return Answer(
        session_id=session_id,
        project=Project.model_validate(state["project"]),
        candidates=[Subject.model_validate(subject) for subject in state["subjects"]["candidates"]],
        missing=state["subjects"]["missing"],
        summary=Summary.model_validate(state["summary"]),
        postings=_postings(state),
        closest_only=state["relevant"]["closest_only"],
        left_out=_left_out(state),
        versions={
            "service": SERVICE_VERSION,
            "offline": offline,
            "embeddings_offline": embeddings_offline,
            **state["versions"],
        },
    )


def session_view(session_id: str, state: dict[str, Any]) -> dict[str, Any]:
    """Returns a session as JSON, in the form of `SessionView`."""
    subjects = state.get("subjects") or {"current": None, "candidates": []}
    return {
        "session_id": session_id,
        "language": state["language"],
        "profile": state["profile"],
        "summary": state.get("summary"),
        "subject": subjects["current"],
        "candidates": subjects["candidates"],
        "wishes": {key: (state.get("turn") or {}).get(key) for key in ("difficulty", "skills", "feedback")},
        "rejected": state.get("rejected", []),
        "project": state.get("project"),
        "history": state.get("history", []),
        "closest_only": (state.get("relevant") or {}).get("closest_only", False),
        "postings": [posting.model_dump() for posting in _postings(state)],
        "left_out": _left_out(state),
        "versions": state.get("versions", {}),
    }


def _left_out(state: dict[str, Any]) -> dict[str, list[str]]:
    return {node: ids for node, ids in state.get("left_out", {}).items() if ids}


def _postings(state: dict[str, Any]) -> list[RetrievedPosting]:
    relevant = state.get("relevant") or {"kept": [], "dropped": []}
    verdicts = {
        row["posting_id"]: (kept, row["reason"])
        for kept, rows in ((True, relevant["kept"]), (False, relevant["dropped"]))
        for row in rows
    }
    postings = []
    for row in state.get("retrieved", []):
        kept, reason = verdicts.get(row["posting_id"], (False, ""))
        postings.append(RetrievedPosting(**row, kept=kept, reason=reason))
    return postings
