"""What a session's state looks like from outside."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, Field

from tools.core.contracts import (
    AnswerWarning,
    Difficulty,
    Language,
    Profile,
    Project,
    RetrievedPosting,
    Subject,
    Summary,
    Versions,
)
from tools.core.settings import Settings

SERVICE_VERSION = version("checkerboard")


class TurnWishes(BaseModel):
    """What was asked of the newest project."""

    difficulty: Difficulty | None
    weeks: int | None
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
    warnings: list[AnswerWarning]
    versions: Versions


def answer(session_id: str, state: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Returns the answer of a finished run as JSON, in the form of `Answer`."""
    return {
        "session_id": session_id,
        "project": state["project"],
        "candidates": state["subjects"]["candidates"],
        "missing": state["subjects"]["missing"],
        "summary": state["summary"],
        "postings": _postings(state),
        "closest_only": state["relevant"]["closest_only"],
        "left_out": _left_out(state),
        "warnings": _warnings(state),
        "versions": made_by(settings) | state["versions"],
    }


def made_by(settings: Settings) -> dict[str, Any]:
    """Returns the part of `versions` that is not of a node: the service, and whether a model was at work."""
    return {
        "service": SERVICE_VERSION,
        "offline": settings.offline,
        "embeddings_offline": settings.embeddings_offline,
    }


def session_view(session_id: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a session as JSON, in the form of `SessionView`. `state` may lack what no run has reached."""
    subjects = state.get("subjects") or {"current": None, "candidates": []}
    turn = state.get("turn") or {}
    return {
        "session_id": session_id,
        "language": state["language"],
        "profile": state["profile"],
        "summary": state.get("summary"),
        "subject": subjects["current"],
        "candidates": subjects["candidates"],
        "wishes": {key: turn.get(key) for key in ("difficulty", "weeks", "skills", "feedback")},
        "rejected": state.get("rejected", []),
        "project": state.get("project"),
        "history": state.get("history", []),
        "closest_only": (state.get("relevant") or {}).get("closest_only", False),
        "postings": _postings(state),
        "left_out": _left_out(state),
        "warnings": _warnings(state),
        "versions": state.get("versions", {}),
    }


def view_of_guest(view: dict[str, Any]) -> dict[str, Any]:
    """Returns the view of a session for somebody who has a link to it: of the person, only the desired job
    and the skills, which the project is measured by; what they asked for in their own words is left out."""
    own = view["profile"]
    told = Profile(desired_job=own["desired_job"], skills=own["skills"])
    return {**view, "profile": told.model_dump(), "wishes": {**view["wishes"], "feedback": None}}


def _left_out(state: Mapping[str, Any]) -> dict[str, list[str]]:
    return {node: ids for node, ids in state.get("omitted_postings", {}).items() if ids}


def _warnings(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [warning for warnings in state.get("warnings", {}).values() for warning in warnings]


def _postings(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the retrieved postings in the form of `RetrievedPosting`: each with its verdict."""
    relevant = state.get("relevant") or {"kept": [], "dropped": []}
    reasons = {row["posting_id"]: row["reason"] for row in (*relevant["kept"], *relevant["dropped"])}
    kept = {row["posting_id"] for row in relevant["kept"]}
    return [
        {**row, "kept": row["posting_id"] in kept, "reason": reasons.get(row["posting_id"], "")}
        for row in state.get("retrieved", [])
    ]
