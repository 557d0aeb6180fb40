"""Shared by the routes: errors in OpenAI's envelope, token counts, reading requests, sending answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

TOKENS_PER_WIDE_CHARACTER = 0.7
TOKENS_PER_NARROW_CHARACTER = 0.25
BODY_LIMIT = 8 * 1024 * 1024
"""Longest request body, bytes."""
STREAM_BURSTS = 20
"""In how many pieces a slow answer is streamed: a timer for each event would cost far more than the event."""

Parsed = TypeVar("Parsed", bound=BaseModel)
Result = TypeVar("Result")


class ApiError(Exception):
    """An answer in OpenAI's error envelope.

    Attributes:
        status: HTTP status.
        kind: the envelope's `type`, such as `invalid_request_error`.
        param: the field of the request that is at fault, as a dotted path.
        code: a word for programs.
        headers: further HTTP headers of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers

    def as_json(self) -> dict[str, dict[str, str | None]]:
        """Returns `{"error": {"message", "type", "param", "code"}}`."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


def count_tokens(text: str) -> int:
    """Estimates the tokens of `text` for `usage`: 0.7 a Korean syllable, 0.25 any other character.

    The weights are rules of thumb for recent OpenAI tokenisers, not a count by one of them, which
    would have to be downloaded. A Korean syllable has two bytes more in UTF-8 than a
    character of ASCII, so the text is counted without looking at each character.
    """
    wide = (len(text.encode()) - len(text)) / 2
    return math.ceil(
        TOKENS_PER_WIDE_CHARACTER * wide + TOKENS_PER_NARROW_CHARACTER * max(0.0, len(text) - wide)
    )


class ClientDisconnectedError(Exception):
    """The client closed its connection before the answer was finished."""


async def disconnected(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def sleep(receive: Receive, seconds: float) -> None:
    """Waits. It waits for the connection's end under a time limit, so that a call costs one timer.

    Raises:
        ClientDisconnectedError: the client leaves before the time is over.
    """
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            await disconnected(receive)
    except TimeoutError:
        return
    raise ClientDisconnectedError


async def run_while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Returns what `work` returns.

    Raises:
        ClientDisconnectedError: the client leaves first; `work` is cancelled.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnectedError
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
    receive: Receive, send: Send, events: list[bytes], *, seconds: float, pause: float, cut: bool
) -> None:
    """Sends server-sent events spread over `seconds`, or each alone with a `pause` behind it; `cut` breaks
    off in the middle of one."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if cut:
        half = b"".join(events[: len(events) // 2 + 1])
        await send({"type": "http.response.body", "body": half[:-9], "more_body": True})
        return
    size = 1 if pause else len(events) if seconds <= 0 else -(-len(events) // STREAM_BURSTS)
    for start in range(0, len(events), size):
        burst = b"".join(events[start : start + size])
        await send({"type": "http.response.body", "body": burst, "more_body": True})
        await sleep(receive, pause or seconds * size / len(events))
    await send({"type": "http.response.body", "body": b""})


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
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


async def read_request(request: Request, model: type[Parsed]) -> Parsed:
    """Returns the body of a request as a `model`.

    Raises:
        ApiError: 413 for a body above 8 MB, 400 for one that is no `model`.
    """
    return validated(await read_body(request), model)


def validated(body: bytes, model: type[Parsed]) -> Parsed:
    """Returns a body as a `model`.

    Raises:
        ApiError: 400, it is none.
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
