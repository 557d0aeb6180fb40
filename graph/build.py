"""The wiring of the graph, drawn in README.md."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy

from graph.state import Request, State
from nodes.build_query import build_query
from nodes.filter_jobs import filter_jobs
from nodes.generate_tasks import generate_tasks
from nodes.propose_subjects import propose_subjects
from nodes.retrieve import retrieve
from nodes.summarize import summarize
from tools.context import RunContext
from tools.core import metrics, spans
from tools.core.database import NoAnswerError

STORE_RETRY = RetryPolicy(
    max_attempts=3,
    initial_interval=0.2,
    retry_on=lambda error: (
        isinstance(error, psycopg.OperationalError) and not isinstance(error, NoAnswerError)
    ),
)
"""A query that met a broken connection is sent again; one that got no answer in time is not. Model calls
are retried by their client alone, or the two layers would multiply."""

P = ParamSpec("P")
T = TypeVar("T")
Graph = CompiledStateGraph[State, RunContext, Request, State]


def build_graph(
    checkpointer: BaseCheckpointSaver[str] | None = None, context_schema: type[RunContext] = RunContext
) -> Graph:
    """Returns the graph. A run is given a RunContext; under Studio, which cannot give one, `context_schema`
    makes it."""
    graph = StateGraph(State, context_schema=context_schema, input_schema=Request)
    graph.set_node_defaults(retry_policy=STORE_RETRY)

    graph.add_node("build_query", timed(build_query))
    graph.add_node("retrieve", timed(retrieve))
    graph.add_node("filter_jobs", timed(filter_jobs))
    graph.add_node("summarize", timed(summarize))
    graph.add_node("propose_subjects", timed(propose_subjects))
    graph.add_node("generate_tasks", timed(generate_tasks))

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


def timed(node: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Returns a node that is measured."""
    seconds = metrics.NODE_SECONDS.labels(node.__name__)
    node = spans.of_node(node)

    @functools.wraps(node)
    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.monotonic()
        try:
            return await node(*args, **kwargs)
        finally:
            seconds.observe(time.monotonic() - began)

    return measured


def start_turn(state: State) -> list[str]:
    """A chosen subject's project and the next candidates do not wait for each other."""
    return ["propose_subjects", "generate_tasks"] if _chosen(state) else ["propose_subjects"]


def after_proposal(state: State) -> str:
    """Asks again while the draft is incomplete; then the project, unless it is being made already."""
    if state["draft"]:
        return "propose_subjects"
    return END if _chosen(state) else "generate_tasks"


def _chosen(state: State) -> bool:
    return bool(state["turn"].get("chosen"))
