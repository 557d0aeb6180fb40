"""What `langgraph.json` names: the graph for LangGraph Studio and the Agent Server, which bring
their own checkpointer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import fields

from pydantic_core import CoreSchema, core_schema

from graph.build import Graph, build_graph
from local.servers import embedded_servers
from tools.context import RunContext
from tools.core import proxies, tracing
from tools.core.settings import Settings
from tools.services import Services, open_services

# Before the server that imports this has made a client of its own.
proxies.exempt_loopback()
tracing.hide()

_graphs: dict[asyncio.AbstractEventLoop, Graph] = {}
_opening = asyncio.Lock()
# Held to the end of the process: the server asks for the graph at every request and says nothing
# when it stops. The kernel frees the hold on the embedded servers then.
_held = AsyncExitStack()


async def make_graph() -> Graph:
    """Returns the graph without a saver, its services opened once a process.

    Raises:
        SetupError: an embedded server cannot be started.
    """
    loop = asyncio.get_running_loop()
    async with _opening:
        if loop not in _graphs:
            settings = await asyncio.to_thread(lambda: _held.enter_context(embedded_servers(Settings())))
            services = await _held.enter_async_context(open_services(settings))
            _graphs[loop] = build_graph(context_schema=_context_schema(services))
    return _graphs[loop]


def _context_schema(services: Services) -> type[RunContext]:
    """Returns the type that the server makes a run's context of, out of the `context` in the request's
    JSON. That can carry no services: they come from here, and what the request has is ignored."""

    class StudioContext(RunContext):
        def __init__(self, **_: object) -> None:
            context = RunContext.of(services, watched=True)
            super().__init__(**{field.name: getattr(context, field.name) for field in fields(context)})

        @classmethod
        def __get_pydantic_core_schema__(cls, *_: object) -> CoreSchema:
            """Says that a request's context has no keys, so Studio shows none."""
            return core_schema.typed_dict_schema({})

    return StudioContext
