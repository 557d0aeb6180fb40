"""Server-sent events: what their data looks like, and the answer that they come in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse
from starlette.types import Send

_LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}
"""Characters at which some readers (`str.splitlines`, so httpx) end a line, as JSON escapes."""


def one_line_json(value: Any) -> bytes:
    """Returns `value` as JSON that is one line to every reader of event streams."""
    return on_one_line(orjson.dumps(value, default=lambda model: model.model_dump()))


def on_one_line(line: bytes) -> bytes:
    """Returns JSON so that it is one line to every reader of event streams."""
    for end, escape in _LINE_ENDS.items():
        line = line.replace(end, escape)
    return line


class EventStreamResponse(StreamingResponse):
    """A stream of server-sent events, which neither caches nor proxies keep.

    The generator that makes them is closed with the connection. One that waits for a reader who takes nothing
    would else be left to the garbage collector, and at the worker's end to nobody.
    """

    def __init__(self, events: AsyncGenerator[bytes], background: BackgroundTask | None = None) -> None:
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            background=background,
        )
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Sends the events as they come."""
        async with aclosing(self._events):
            await super().stream_response(send)
