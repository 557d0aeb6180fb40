"""How the offline model reads requests and sends answers, and notices that a client has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from local.model import ApiError
from local.model.behaviour import ClientLeftError

BODY_LIMIT = 8 * 1024 * 1024
"""Longest request body, bytes."""
STREAM_BURSTS = 20
"""In how many pieces a slow answer is streamed: a timer for each event would cost far more than
the event, and nobody can see the difference."""

Parsed = TypeVar("Parsed", bound=BaseModel)
Result = TypeVar("Result")


async def left(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def pause(receive: Receive, seconds: float) -> None:
    """Waits; a client that leaves is noticed at once, as `ClientLeftError`.

    The wait is the server's own wait for the connection's end under a time limit, so that a
    sleeping call costs one timer: no thread, no further task.
    """
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            await left(receive)
    except TimeoutError:
        return
    raise ClientLeftError


async def unless_left(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Returns what `work` returns; cancels it with `ClientLeftError` when the client leaves first."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeftError
    finally:
        working.cancel()
        leaving.cancel()


async def send_body(send: Send, body: bytes, *, cut: bool) -> None:
    """Sends a JSON answer; `cut` breaks off in the middle of the promised length."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if cut:
        # Returning while more is promised is how an ASGI app makes its server drop the connection.
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    else:
        await send({"type": "http.response.body", "body": body})


async def send_stream(
    receive: Receive, send: Send, events: list[bytes], *, seconds: float, cut: bool
) -> None:
    """Sends server-sent events spread over `seconds`; `cut` breaks off in the middle of one."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if cut:
        half = b"".join(events[: len(events) // 2 + 1])
        await send({"type": "http.response.body", "body": half[:-9], "more_body": True})
        return
    size = len(events) if seconds <= 0 else -(-len(events) // STREAM_BURSTS)
    for start in range(0, len(events), size):
        burst = b"".join(events[start : start + size])
        await send({"type": "http.response.body", "body": burst, "more_body": True})
        await pause(receive, seconds * size / len(events))
    await send({"type": "http.response.body", "body": b""})


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """Returns the body of a request.

    Raises:
        ApiError: 413, it is longer than `limit` bytes.
    """
    too_long = ApiError(f"The body is longer than {limit} bytes.", status=413, code="body_too_long")
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_long
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise too_long
    return bytes(body)


async def parse(request: Request, model: type[Parsed]) -> Parsed:
    """Reads the body of a request.

    Raises:
        ApiError: 413 for a body above 8 MB, 400 for one that is not what `model` says.
    """
    return understood(await body_of(request), model)


def understood(body: bytes, model: type[Parsed]) -> Parsed:
    """Returns a body as what `model` says.

    Raises:
        ApiError: 400, it is not.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        raise ApiError(f"{param or 'body'}: {first['msg']}", param=param, code=first["type"]) from error


def json_response(
    content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
