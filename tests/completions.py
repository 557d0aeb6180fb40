"""What an OpenAI-compatible gateway of a test answers."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response


def completion(
    content: str | None, finish_reason: str = "stop", *, tokens: tuple[int, int] = (1, 1), **message: Any
) -> Response:
    """A chat completion; `tokens` are those of the prompt and of the answer."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, **message},
    }
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
    return Response(orjson.dumps(body), media_type="application/json")
