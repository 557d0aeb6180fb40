"""The wiring of the graph: reads like the picture in README.md."""

from __future__ import annotations

from types import ModuleType
from typing import get_type_hints

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy

from graph.progress import with_progress
from graph.state import Request, State
from nodes import build_query, filter_jobs, generate_tasks, propose_subjects, retrieve, summarize
from tools.core.database import NoAnswerError
from tools.services import Services

NODES: dict[str, ModuleType] = {
    "build_query": build_query,
    "retrieve": retrieve,
    "filter_jobs": filter_jobs,
    "summarize": summarize,
    "propose_subjects": propose_subjects,
    "generate_tasks": generate_tasks,
}

STORE_RETRY = RetryPolicy(
    max_attempts=3,
    initial_interval=0.2,
    retry_on=lambda error: (
        isinstance(error, psycopg.OperationalError) and not isinstance(error, NoAnswerError)
    ),
)
"""A query that met a broken connection is asked again; one that was waited for in vain is not. Model calls
are retried by their client alone, or the two layers would multiply."""

Graph = CompiledStateGraph[State, None, Request, State]


def build_graph(services: Services, checkpointer: BaseCheckpointSaver[str] | None = None) -> Graph:
    """Returns the graph, with `services` at hand in every node as `runtime.context`."""
    graph: StateGraph[State, None, Request, State] = StateGraph(State, input_schema=Request)
    for name, node in NODES.items():
        function = getattr(node, name)
        graph.add_node(
            name,
            with_progress(name, function, node.found, services),
            input_schema=get_type_hints(function)["state"],
            retry_policy=STORE_RETRY,
        )

    graph.add_edge(START, "build_query")
    graph.add_edge("build_query", "retrieve")
    graph.add_edge("retrieve", "filter_jobs")
    graph.add_edge("filter_jobs", "summarize")
    graph.add_conditional_edges("summarize", start_turn, ["propose_subjects", "generate_tasks"])
    graph.add_conditional_edges(
        "propose_subjects", after_proposal, ["propose_subjects", "generate_tasks", END]
    )
    graph.add_edge("generate_tasks", END)
    return graph.compile(checkpointer=checkpointer, name="checkerboard")


def start_turn(state: State) -> list[str]:
    """A chosen subject's project and the next candidates do not wait for each other."""
    if state.get("turn", {}).get("chosen"):
        return ["propose_subjects", "generate_tasks"]
    return ["propose_subjects"]


def after_proposal(state: State) -> str:
    """Asks again while a subject repeats or cites nothing; then the project, unless it is being
    made already."""
    if propose_subjects.wants_another_try(dict(state)):
        return "propose_subjects"
    return END if state.get("turn", {}).get("chosen") else "generate_tasks"
