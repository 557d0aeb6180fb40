"""Projects, of which experiments are those that belong to a data set, and feedback on their runs."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tests.langsmith.server import Answer, Call, Refused


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as a test looks at it: its root runs and all feedback on them and on itself."""

    name: str
    metadata: dict[str, Any]
    dataset_id: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)

    def scores(self, key: str) -> list[Any]:
        """The scores of a metric, in no order."""
        return [piece["score"] for piece in self.feedback if piece["key"] == key]


class Experiments:
    """Answers under `/sessions` and `/feedback`. `has_run` says whether a run has come in."""

    def __init__(self, tenant: str, now: Callable[[], datetime], has_run: Callable[[str], bool]) -> None:
        self.projects: dict[str, dict[str, Any]] = {}
        self.feedback: dict[str, dict[str, Any]] = {}
        self._tenant = tenant
        self._now = now
        self._has_run = has_run

    def project(self, name: str) -> str:
        """The id of the project `name`, which is made if it is missing."""
        known = self._named(name)
        return str((known or self._made({"name": name}))["id"])

    def take(self, piece: dict[str, Any]) -> dict[str, Any]:
        """Keeps a piece of feedback; one of the same id is replaced."""
        now = self._now().isoformat()
        kept: dict[str, Any] = {
            "created_at": now,
            "modified_at": now,
            "score": None,
            "run_id": None,
            "trace_id": None,
        }
        kept |= {key: value for key, value in piece.items() if value is not None}
        kept.setdefault("id", str(uuid.uuid4()))
        self.feedback[kept["id"]] = kept
        return kept

    def stats(self, run_id: str) -> dict[str, Any]:
        """A run's feedback, summed up by key."""
        return _summed([piece for piece in self.feedback.values() if piece["run_id"] == run_id])

    def answer(self, call: Call) -> Answer | None:
        """Answers a request; None: this is no path of projects or feedback."""
        match call.method, call.parts:
            case "POST", ["sessions"]:
                return self._create(call)
            case "GET", ["sessions"]:
                return Answer([self._shown(row) for row in self._listed(call)][call.window(100)])
            case method, ["sessions", project_id]:
                if project_id not in self.projects:
                    raise Refused(404, "Session not found")
                return self._project(method, project_id, call)
            case "POST", ["feedback"]:
                piece = call.json()
                if piece.get("run_id") and not self._has_run(piece["run_id"]):
                    raise Refused(404, "Run not found")
                return Answer(self.take(piece))
            case "GET", ["feedback"]:
                return Answer(self._pieces(call)[call.window(100)])
            case method, ["feedback", feedback_id]:
                if feedback_id not in self.feedback:
                    raise Refused(404, "Feedback not found")
                return self._piece(method, feedback_id, call)
        return None

    def _named(self, name: str) -> dict[str, Any] | None:
        return next((row for row in self.projects.values() if row["name"] == name), None)

    def _made(self, asked: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": asked.get("id") or str(uuid.uuid4()),
            "tenant_id": self._tenant,
            "name": asked["name"],
            "description": asked.get("description"),
            "extra": asked.get("extra") or {},
            "start_time": self._now().isoformat(),
            "end_time": None,
            "reference_dataset_id": asked.get("reference_dataset_id"),
        }
        self.projects[row["id"]] = row
        return row

    def _create(self, call: Call) -> Answer:
        asked = call.json()
        known = self._named(asked["name"])
        if known is None:
            return Answer(self._shown(self._made(asked)))
        if call.query.get("upsert", "").lower() != "true":
            raise Refused(409, "Session already exists.")
        return Answer(self._shown(known))

    def _project(self, method: str, project_id: str, call: Call) -> Answer | None:
        row = self.projects[project_id]
        match method:
            case "GET":
                pass
            case "PATCH":
                row |= {key: value for key, value in call.json().items() if value is not None}
            case "DELETE":
                del self.projects[project_id]
                return Answer({})
            case _:
                return None
        return Answer(self._shown(row))

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        own = [piece for piece in self.feedback.values() if piece.get("session_id") == row["id"]]
        return {
            **row,
            "feedback_stats": _summed([piece for piece in own if piece["run_id"]]),
            "session_feedback_stats": _summed([piece for piece in own if not piece["run_id"]]),
        }

    def _listed(self, call: Call) -> list[dict[str, Any]]:
        query = call.query
        wanted = orjson.loads(query.get("metadata", "{}"))
        ids = query.getall("id", [])
        datasets = query.getall("reference_dataset", [])
        found = [
            row
            for row in self.projects.values()
            if query.get("name") in (None, row["name"])
            and query.get("name_contains", "") in row["name"]
            and (not ids or row["id"] in ids)
            and (not datasets or row["reference_dataset_id"] in datasets)
            and wanted.items() <= row["extra"].get("metadata", {}).items()
        ]
        return sorted(found, key=lambda row: str(row["start_time"]), reverse=True)

    def _pieces(self, call: Call) -> list[dict[str, Any]]:
        filters = {"run": "run_id", "key": "key", "session": "session_id"}
        return [
            piece
            for piece in self.feedback.values()
            if all(
                piece.get(name) in call.query.getall(asked)
                for asked, name in filters.items()
                if asked in call.query
            )
        ]

    def _piece(self, method: str, feedback_id: str, call: Call) -> Answer | None:
        match method:
            case "GET":
                return Answer(self.feedback[feedback_id])
            case "PATCH":
                self.feedback[feedback_id] |= {**call.json(), "modified_at": self._now().isoformat()}
                return Answer(self.feedback[feedback_id])
            case "DELETE":
                del self.feedback[feedback_id]
                return Answer({})
        return None


def _summed(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    by_key: dict[str, list[Any]] = {}
    for piece in pieces:
        by_key.setdefault(piece["key"], []).append(piece["score"])
    return {key: {"n": len(scores), "avg": _mean(scores)} for key, scores in by_key.items()}


def _mean(scores: list[Any]) -> float | None:
    known = [float(score) for score in scores if score is not None]
    return statistics.fmean(known) if known else None
