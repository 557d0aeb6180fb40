"""Server-sent events: what their data looks like."""

from __future__ import annotations

from typing import Any

import orjson

_LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}
"""Characters at which some readers (`str.splitlines`, so httpx) end a line, as JSON escapes."""


def one_line_json(value: Any) -> bytes:
    """Returns `value` as JSON that is one line to every reader of event streams."""
    line = orjson.dumps(value, default=lambda model: model.model_dump())
    for end, escape in _LINE_ENDS.items():
        line = line.replace(end, escape)
    return line
