"""What `langgraph.json` names: the graph for LangGraph Studio and the Agent Server, which bring
their own checkpointer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from graph.build import Graph, build_graph
from local.servers import embedded_servers
from tools.core import proxies, tracing
from tools.core.settings import Settings
from tools.services import open_services

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
            _graphs[loop] = build_graph(services)
    return _graphs[loop]
