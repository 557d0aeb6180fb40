"""Traces: runs as they come in, singly, in batches or as forms, and as they are read back.

A project is made by its first run. What is read with the older routes (`/runs`) and with the newer ones
(`/v2/runs`) is the same data under other names; expressions that filter runs are refused (422).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from tests.langsmith.multipart import parts
from tests.langsmith.server import Answer, Call, Refused

_UNREAD = ("filter", "trace_filter", "tree_filter", "query", "sem_filter", "search")
_EMPTY: dict[str, Any] = {
    "end_time": None,
    "inputs": {},
    "outputs": None,
    "error": None,
    "events": [],
    "extra": {},
    "tags": [],
    "parent_run_id": None,
    "reference_example_id": None,
}


class Runs:
    """Answers under `/runs` and `/v2/runs`. `project` gives the id of the project of a name; `feedback`
    takes a piece of feedback that came with runs, `stats` sums up that of a run."""

    def __init__(
        self,
        project: Callable[[str], str],
        feedback: Callable[[dict[str, Any]], object],
        stats: Callable[[str], dict[str, Any]],
    ) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        self.attachments: dict[tuple[str, str], bytes] = {}
        """Attached files by their run's id and their name."""
        self._project = project
        self._feedback = feedback
        self._stats = stats

    def rows(self) -> list[dict[str, Any]]:
        """All runs, in the order they began."""
        shown = [self._shown(row) for row in self._rows.values()]
        return sorted(shown, key=lambda row: str(row.get("dotted_order") or row["start_time"]))

    def has(self, run_id: str) -> bool:
        """Whether a run has come in."""
        return run_id in self._rows

    def answer(self, call: Call) -> Answer | None:
        """Answers a request; None: this is no path of runs."""
        match call.method, call.parts:
            case "POST", ["runs"]:
                row = call.json()
                if row["id"] in self._rows:
                    raise Refused(409, "Run already exists")
                self._take(row)
                return Answer({"message": "Run accepted"}, 202)
            case "PATCH", ["runs", run_id]:
                self._take({**call.json(), "id": run_id})
                return Answer({"message": "Run accepted"}, 202)
            case "POST", ["runs", "batch"]:
                batch = call.json()
                self._take(*batch.get("post", []), *batch.get("patch", []))
                return Answer({"message": "Runs batch ingested"}, 202)
            case "POST", ["runs", "multipart"]:
                self._take_form(call)
                return Answer({"message": "Runs batch ingested"}, 202)
            case "GET", ["runs", run_id]:
                return Answer(self._found(run_id))
            case "POST", ["runs", "query"]:
                asked = call.json()
                rows, after = self._page(asked, "session", "reference_example", asked.get("limit", 100))
                told = [_selected(row, asked.get("select")) for row in rows]
                return Answer({"runs": told, "cursors": {"next": after}})
            case "GET", ["v2", "runs", run_id]:
                names = call.query.getall("selects", [])
                return Answer(_second(self._found(run_id), names))
            case "POST", ["v2", "runs", "query"]:
                asked = call.json()
                rows, after = self._page(
                    asked, "project_ids", "reference_examples", asked.get("page_size", 100)
                )
                told = [_second(row, asked.get("selects", [])) for row in rows]
                return Answer({"items": told, "next_cursor": after})
        return None

    def _take(self, *rows: dict[str, Any]) -> None:
        for row in rows:
            known = self._rows.setdefault(row["id"], dict(_EMPTY))
            # The SDK sends an empty dictionary of attachments along, and expects none back.
            known |= {key: value for key, value in row.items() if value is not None and key != "attachments"}
            if "session_id" not in known:
                known["session_id"] = self._project(known.get("session_name") or "default")
            known.setdefault("trace_id", known["id"])

    def _take_form(self, call: Call) -> None:
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        pieces = []
        for part in parts(call):
            match part.name:
                case ["post" | "patch" as kind, run_id]:
                    rows.setdefault((kind, run_id), {}).update(part.json() | {"id": run_id})
                case ["post" | "patch" as kind, run_id, key]:
                    rows.setdefault((kind, run_id), {})[key] = part.json()
                case ["attachment", run_id, name]:
                    self.attachments[run_id, name] = part.content
                case ["feedback", _]:
                    pieces.append(part.json())
                case name:
                    raise Refused(422, f"no such part: {'.'.join(name)}")
        self._take(*rows.values())
        for piece in pieces:
            self._feedback(piece)

    def _found(self, run_id: str) -> dict[str, Any]:
        if run_id not in self._rows:
            raise Refused(404, "Run not found")
        return self._shown(self._rows[run_id])

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        above = [segment.partition("Z")[2] for segment in str(row.get("dotted_order", "")).split(".")][:-1]
        return {
            **row,
            "status": "error" if row["error"] else "success" if row["end_time"] else "pending",
            "metadata": (row["extra"] or {}).get("metadata", {}),
            "parent_run_ids": above,
            "feedback_stats": self._stats(row["id"]),
            "app_path": f"/o/-/projects/p/{row['session_id']}/r/{row['id']}",
        }

    def _page(
        self, asked: dict[str, Any], projects: str, examples: str, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The newest runs first, from the cursor on, and the next cursor."""
        if unread := [name for name in _UNREAD if asked.get(name)]:
            raise Refused(422, f"the stand-in does not read {', '.join(unread)}")
        if not 1 <= limit <= 100:
            raise Refused(422, "limit must be from 1 to 100")
        rows = [
            row
            for row in reversed(self.rows())
            if _among(row["session_id"], asked.get(projects))
            and _among(row["id"], asked.get("id") or asked.get("ids"))
            and _among(row["reference_example_id"], asked.get(examples))
            and _among(row["trace_id"], _one(asked.get("trace") or asked.get("trace_id")))
            and _among(row["parent_run_id"], _one(asked.get("parent_run")))
            and _among(row["run_type"], _one(asked.get("run_type") and asked["run_type"].lower()))
            and asked.get("is_root") in (None, row["parent_run_id"] is None)
            and asked.get("error", asked.get("has_error")) in (None, row["error"] is not None)
            and _within(row["start_time"], asked)
        ]
        begin = int(asked.get("cursor") or 0)
        after = begin + limit
        return rows[begin:after], str(after) if after < len(rows) else None


def _one(value: Any) -> list[Any] | None:
    return None if value is None else [value]


def _among(value: Any, wanted: Iterable[Any] | None) -> bool:
    return wanted is None or value in wanted


def _within(start_time: str, asked: dict[str, Any]) -> bool:
    earliest = asked.get("start_time") or asked.get("min_start_time")
    latest = asked.get("max_start_time")
    began = moment(start_time)
    return (earliest is None or began >= moment(earliest)) and (latest is None or began <= moment(latest))


def moment(text: str) -> datetime:
    """A time as the SDK writes it; without a zone it is UTC."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _selected(row: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    return row if names is None else {name: row[name] for name in names if name in row}


def _second(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A run as the second version of the API has it: what was selected, and always its id."""
    renamed = {
        **row,
        "run_type": row["run_type"].upper(),
        "status": row["status"].upper(),
        "project_id": row["session_id"],
        "is_root": row["parent_run_id"] is None,
    }
    return _selected(renamed, ["id", *(name.lower() for name in names)])
