"""Progress: every node says when it starts and, in one line, what it found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from tools.services import Services

Node = Callable[[Any, Runtime[Services]], Awaitable[dict[str, Any]]]
Found = Callable[[dict[str, Any], str], str]


def with_progress(name: str, node: Node, found: Found, services: Services) -> Any:
    """Returns `node` with `services` as its context, writing its progress to the custom stream.

    The events are `{"type", "node", "data"}`: `node_started`, what the node itself writes
    (`subject`, `task`), and `node_finished`.
    """

    async def run(state: dict[str, Any], runtime: Runtime[None]) -> dict[str, Any]:
        def emit(event: dict[str, Any]) -> None:
            runtime.stream_writer({"node": name, **event})

        emit({"type": "node_started", "data": None})
        update = await node(state, replace(runtime, context=services, stream_writer=emit))  # type: ignore[arg-type]
        emit({"type": "node_finished", "data": found(update, state.get("language", "en"))})
        return update

    run.__name__ = name
    return run
