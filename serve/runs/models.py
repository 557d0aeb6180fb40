"""What `/runs` is sent and answers with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from serve.errors import Problem
from serve.run_models import (
    GenerateInput,
    NodeFinished,
    NodeStarted,
    RegenerateInput,
    RunFailed,
    RunSucceeded,
    StartedSession,
    SubjectProposed,
    TaskMade,
)
from serve.runs.store import Kind, RunRecord, State
from tools.core.contracts import Answer


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GenerateRun(_Asked):
    """A generation to start: a new session."""

    kind: Literal["generate"]
    input: GenerateInput


class RegenerateRun(_Asked):
    """A regeneration to start."""

    kind: Literal["regenerate"]
    input: RegenerateInput


RunRequest = Annotated[GenerateRun | RegenerateRun, Field(discriminator="kind")]

Moment = Annotated[datetime | None, Field(description="UTC")]


class BackgroundRun(BaseModel):
    """A background run."""

    run_id: str
    session_id: str = Field(description="of a new session: there once the run has begun")
    kind: Kind
    state: State
    created_at: datetime = Field(description="UTC")
    started_at: Moment
    ended_at: Moment
    attempts: int = Field(description="how often a worker has begun it")
    error: Problem | None = Field(description="why it failed, or that it was cancelled")


class FinishedRun(BackgroundRun):
    """A background run, with its answer once it has succeeded."""

    result: Answer | None


class SessionRuns(BaseModel):
    """The background runs of a session, newest first, without their answers."""

    runs: list[BackgroundRun]


def run_view(record: RunRecord) -> dict[str, Any]:
    """Returns a run as JSON, in the form of `BackgroundRun`."""
    return {
        "run_id": record.run_id,
        "session_id": record.session_id,
        "kind": record.kind,
        "state": record.state,
        "created_at": _moment(record.created_at),
        "started_at": _moment(record.started_at),
        "ended_at": _moment(record.ended_at),
        "attempts": record.attempts,
        "error": record.error,
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _OfTheStream(BaseModel):
    """An event that no node tells of."""

    node: None
    elapsed_ms: int = Field(description="0")


class Queued(_OfTheStream):
    """The run waits for a worker: when it was asked for, when it is resumed, and when its worker has ended in
    the middle of it. What was told before is told again from here on."""

    type: Literal["queued"]
    data: StartedSession


class Missed(BaseModel):
    """Numbers of events: those between the two were dropped."""

    after: int = Field(description="the last event that was sent; 0: none")
    next: int = Field(description="the next")


class Gap(_OfTheStream):
    """Events were dropped before they were read: GET /runs/{run_id} tells where the run is."""

    type: Literal["gap"]
    data: Missed


class Reconnect(_OfTheStream):
    """This connection has lived long enough, or its worker ends: come again with `Last-Event-ID`."""

    type: Literal["reconnect"]
    data: None


BackgroundRunEvent = TypeAliasType(
    "BackgroundRunEvent",
    Annotated[
        Queued
        | NodeStarted
        | NodeFinished
        | SubjectProposed
        | TaskMade
        | RunSucceeded
        | RunFailed
        | Gap
        | Reconnect,
        Field(discriminator="type", description="one event of `/runs/{run_id}/events`, by its `type`"),
    ],
)
