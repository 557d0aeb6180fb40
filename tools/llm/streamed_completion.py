"""A chat completion that comes as server-sent events, put together as if it had not been streamed.

OpenAI's client makes a tree of models of each event, and LangChain a message of each and their sum of all: a
hundred milliseconds of CPU for an answer of 500 events. Here an event is a line of JSON whose text is put to
the others, and all of them become one completion, which the rest of the client reads as any other.

Gateways bend this too: an answer in one piece though a stream was asked for, events without the empty line
between them, usage in any event, an error as an event, an end without `[DONE]`.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from tools.llm.model_answers import read_content
from tools.llm.model_errors import is_error

_THOUGHTS = ("reasoning_content", "reasoning")
_REASONS = ("finish_reason", "finishReason", "stop_reason")
_PLAIN = frozenset({"role", "content"})


class StreamedCompletion:
    """Takes the bytes of a stream as they come, cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        """What has no end of line yet."""
        self._event = b""
        """JSON of which lines are missing still."""
        self._body = b""
        """All that came, while no event has: the answer may be in one piece."""
        self._has_events = False
        self._error: bytes | None = None
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._arguments: dict[int, list[str]] = {}
        self._reason: str | None = None
        self._about: dict[str, Any] = {}
        self._usage: Any = None
        self._halves = False
        """Whether a chunk had half a surrogate pair, of which the next one may have the other."""
        self.ended = False
        """Whether the API has said that nothing follows."""

    @property
    def is_whole(self) -> bool:
        """Whether the answer has its end, or an error in its place. What breaks off before has been cut."""
        said = self.ended or self._reason is not None or self._error is not None
        return said if self._has_events else bool(self._body)

    @property
    def text(self) -> str:
        """What the model has written so far."""
        text = "".join(self._texts)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if self._halves else text

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes."""
        if not self._has_events:
            self._body += piece
        *lines, self._rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._read_line(line)

    def close(self) -> None:
        """Takes the last line, which may have no end."""
        line, self._rest = self._rest, b""
        self._read_line(line)

    def body(self) -> bytes:
        """Returns the whole answer as JSON: a completion, or what came in its place."""
        if not self._has_events:
            return self._body
        if self._error is not None:
            return self._error
        calls = [{"function": {"arguments": "".join(parts)}} for parts in self._arguments.values()]
        message = {
            "role": "assistant",
            "content": self.text,
            "refusal": "".join(self._refusals) or None,
            "reasoning_content": "".join(self._thoughts) or None,
            **({"tool_calls": calls} if calls else {}),
        }
        choice = {"index": 0, "finish_reason": self._reason or "stop", "message": message}
        completion = {**self._about, "object": "chat.completion", "choices": [choice]}
        return json.dumps({**completion, "usage": self._usage}).encode()

    def _read_line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return  # of comments, names and numbers of events nothing is needed
        self._has_events, self._body = True, b""
        data = self._event + line[5:].strip()
        self._event = b""
        if data == b"[DONE]":
            self.ended = True
        elif data and self._error is None:
            chunk = self._chunk(data)
            if (text := _plain_text(chunk)) is not None and self._about:
                self._texts.append(text)
            elif is_error(chunk):
                self._error = data
            elif isinstance(chunk, dict):
                self._take(chunk)

    def _chunk(self, data: bytes) -> Any:
        """Returns the JSON of an event; None where lines of it are to come."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        try:
            chunk = json.loads(data)  # it takes half a surrogate pair
        except ValueError:
            self._event = data
            return None
        self._halves = True
        return chunk

    def _take(self, chunk: dict[str, Any]) -> None:
        if not self._about:
            self._about = {key: chunk.get(key) for key in ("id", "created", "model")}
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if usage:
            self._usage = usage
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index"):
            return
        if error := choice.get("error"):
            self._error = orjson.dumps({"error": error})
            return
        for key in _REASONS:
            if isinstance(reason := choice.get(key), str):
                self._reason = reason
        delta = choice.get("delta")
        if not delta and not self._texts:
            # Some end with the message as a whole, which is only new where no part of it came before.
            delta = choice.get("message") or {"content": choice.get("text")}
        if isinstance(delta, dict):
            self._take_delta(delta)

    def _take_delta(self, delta: dict[str, Any]) -> None:
        content = delta.get("content")
        if isinstance(content, str):
            self._texts.append(content)
        elif content:
            text, refusals = read_content(content)
            self._texts.append(text)
            self._refusals += refusals
        if isinstance(refusal := delta.get("refusal"), str):
            self._refusals.append(refusal)
        for key in _THOUGHTS:
            if isinstance(thought := delta.get(key), str):
                self._thoughts.append(thought)
                break  # the same under two names
        calls = delta.get("tool_calls")
        called = (
            [(call.get("index") or 0, call.get("function")) for call in calls if isinstance(call, dict)]
            if isinstance(calls, list)
            else []
        )
        for index, function in [*called, (0, delta.get("function_call"))]:
            arguments = function.get("arguments") if isinstance(function, dict) else None
            if arguments:
                text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
                self._arguments.setdefault(index, []).append(text)


def _plain_text(chunk: Any) -> str | None:
    """Returns the text of an event in OpenAI's form that has nothing else, as nearly all are; else None."""
    try:
        [choice] = chunk["choices"]
        delta, text = choice["delta"], choice["delta"]["content"]
        plain = (
            type(text) is str
            and choice["finish_reason"] is None
            and not choice["index"]
            and delta.keys() <= _PLAIN
            and not (chunk.get("usage") or chunk.get("error") or choice.get("error"))
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    return text if plain else None
