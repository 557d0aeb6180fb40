"""The progress of a run: LangGraph's own stream as events for clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nodes import build_query, filter_jobs, generate_tasks, propose_subjects, retrieve, summarize
from tools.core.contracts import Language

PROGRESS_MESSAGES: dict[str, Callable[[dict[str, Any], Language], str]] = {
    "build_query": build_query.progress_message,
    "retrieve": retrieve.progress_message,
    "filter_jobs": filter_jobs.progress_message,
    "summarize": summarize.progress_message,
    "propose_subjects": propose_subjects.progress_message,
    "generate_tasks": generate_tasks.progress_message,
}
"""By node, what makes one line of its update."""


def progress_event(mode: str, data: Any, language: Language) -> tuple[str, str, Any] | None:
    """Returns the type, the node and the data of the event that a part of LangGraph's stream stands for.

    `mode` is the stream mode of the part. Of `tasks`, the begin of a node is a `node_started` and its end a
    `node_finished`; of `custom`, what a node writes itself (`subject`, `task`) is passed on.
    """
    match mode, data:
        case "custom", {"type": kind, "node": node, "data": written}:
            return kind, node, written
        case "tasks", {"name": node, "input": _}:
            return "node_started", node, None
        case "tasks", {"name": node, "result": update, "error": None}:
            return "node_finished", node, PROGRESS_MESSAGES[node](update, language)
    return None
