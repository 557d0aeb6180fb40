"""The id of a request: in its answer, in every line of the log that is written for it, and in its trace.

A caller that has one of its own, such as a gateway before several services, sends it as `X-Request-ID`.
"""

from __future__ import annotations

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from tools.core import spans

NAME = "X-Request-ID"
_HEADER = NAME.lower().encode()
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,127}")
"""UUIDs, ULIDs, ids of traces and of nginx (`$request_id`). Whatever else comes may be words, which no log
may have."""


class RequestIdMiddleware:
    """ASGI middleware: takes the id that a request came with, where it is a sane one, and else makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, with the id bound to its context."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _sent(scope) or uuid.uuid4().hex.encode()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_HEADER, request_id)]
            await send(message)

        with bound_contextvars(request_id=request_id.decode()):
            if spans.tracer is not None:
                spans.bind_trace(request_id=request_id.decode())
            await self._app(scope, receive, named)


def _sent(scope: Scope) -> bytes | None:
    """Returns the one id that came; None where there is none, or it is not sane."""
    ids = [value for name, value in scope["headers"] if name == _HEADER]
    return ids[0] if len(ids) == 1 and _SANE.fullmatch(ids[0]) else None
