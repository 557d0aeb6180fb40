"""Refuses request bodies that no honest caller sends."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1_000_000
"""A batch of ten of the longest profiles (20,000 characters, three bytes each) and room."""


class BodyLimit:
    """ASGI middleware: 413 for a body above MAX_BODY_BYTES, declared or streamed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            await self._refused(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLargeError:
            # The body is read before anything is sent, so the answer has not begun.
            await self._refused(scope, receive, send)

    @staticmethod
    async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
        problem = f"is too large; at most {MAX_BODY_BYTES} bytes are read"
        details = {"fields": [{"field": "body", "problem": problem}]}
        error = {"code": "invalid_request", "message": f"The request's body {problem}.", "details": details}
        await JSONResponse({"error": error}, 413)(scope, receive, send)


class _TooLargeError(Exception):
    """The body went on past the limit."""
