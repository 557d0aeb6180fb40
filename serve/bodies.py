"""Bodies of requests: how large they may be, and that a client which is still sending can read the answer."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import error_response
from tools.core.errors import InvalidRequestError

MAX_BODY_BYTES = 1_000_000
"""A batch of ten of the longest profiles (20,000 characters, three bytes each) and room."""
READ_REST_BYTES = 64_000_000
"""How much of a body is read and discarded after its request was refused."""
READ_REST_SECONDS = 10.0
_PROBLEM = f"is too large; at most {MAX_BODY_BYTES} bytes are read"
_TOO_LARGE = InvalidRequestError(
    f"The request's body {_PROBLEM}.", fields=[{"field": "body", "problem": _PROBLEM}]
)


class ReadRestMiddleware:
    """ASGI middleware: reads the rest of the request's body before an answer ends.

    Many clients (Python's `urllib`, `requests`, Java's) send a body to its end before they read anything.
    If the connection were closed meanwhile, it would be reset and the answer lost. A client that sends more
    than READ_REST_BYTES, or for longer than READ_REST_SECONDS, is cut off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; the end of the answer waits until the body has arrived."""
        headers = dict(scope.get("headers", ()))
        if not _has_body(headers):
            await self._app(scope, receive, send)
            return
        # A client that waits for a 100 before the body reads the answer instead, and sends no body.
        whole = headers.get(b"expect", b"").lower() == b"100-continue"

        async def receive_noted() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body") and not whole:
                await _read_rest(receive_noted)
            await send(message)

        await self._app(scope, receive_noted, send_last)


class BodyLimitMiddleware:
    """ASGI middleware: 413 for a body above MAX_BODY_BYTES, declared or not, whatever the route.

    A smaller one is handed on whole, so that no parser on the way meets the limit in the middle.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its body, or refuses it."""
        headers = dict(scope.get("headers", ()))
        if not _has_body(headers):
            await self._app(scope, receive, send)
            return
        declared = headers.get(b"content-length", b"")
        body = None if declared.isdigit() and int(declared) > MAX_BODY_BYTES else await _whole_body(receive)
        if body is None:
            await error_response(_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)(scope, receive, send)
            return
        waiting = [body]

        async def receive_body() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, receive_body, send)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def _whole_body(receive: Receive) -> Message | None:
    """Returns the whole body as one message, None when it is too large; or that the client has left."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return message
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            return None
    return {"type": "http.request", "body": b"".join(chunks), "more_body": False}


async def _read_rest(receive: Receive) -> None:
    read, more = 0, True
    try:
        async with asyncio.timeout(READ_REST_SECONDS):
            while more and read < READ_REST_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return
