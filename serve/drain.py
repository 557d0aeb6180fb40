"""The drain of a worker that is stopping: which requests it still answers, and how it refuses the others."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import error_response
from tools.core.errors import WorkerStoppingError

HEALTH = ("/healthz", "/readyz")
"""Answered to the end: load balancers ask here where to send requests."""


class Drain:
    """The state of the drain. The server sets it; the app reads it."""

    def __init__(self) -> None:
        self.started = False
        """Every answer closes its connection, so that its client finds another worker."""
        self.refusing = False
        """No request is taken any more."""


def drain_of(request: Request) -> Drain:
    """Returns the drain of the worker that answers."""
    drain: Drain = request.app.state.drain
    return drain


class DrainMiddleware:
    """ASGI middleware: closes connections and refuses requests as the drain has it."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def closing(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                if self._drain.started:
                    headers = MutableHeaders(scope=message)
                    headers["connection"] = "close"
                    if message["status"] == WorkerStoppingError.http_status:
                        headers["retry-after"] = "1"
            await send(message)

        if self._drain.refusing and scope["path"] not in HEALTH:
            await error_response(WorkerStoppingError())(scope, receive, closing)
            return
        try:
            await self._app(scope, receive, closing)
        except asyncio.CancelledError:
            # uvicorn cancels what goes on after the end.
            if not self._drain.refusing:
                raise
            if not answering:
                await error_response(WorkerStoppingError())(scope, receive, closing)
