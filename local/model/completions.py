"""Chat completions: requests, answers, and the events of a stream."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

from local.model.protocol import ApiError, count_tokens
from tools.core.fencing import unfence

FINGERPRINT = "fp_checkerboard_offline"
DELTA_CHARACTERS = 6
"""Characters of one content event: OpenAI's events hold one token, about as much Korean."""
TOKENS_PER_MESSAGE = 3
"""What OpenAI adds for the role and the borders of a message."""
PLAIN_ANSWER = (
    "I am the offline model of checkerboard: rules, not a language model. I cannot talk, "
    "but I fill in these schemas from the data blocks of a prompt: {known}. "
    "Set OPENAI_API_KEY for a model that talks."
)

_SCHEMA_LINE = re.compile(r"^schema: *(\S+) *$", re.MULTILINE)

Blocks = dict[str, list[dict[str, Any]]]


class Rules(Protocol):
    """What the protocol needs of the rules; the package `local.model.rules` is one.

    `answer` returns the JSON object of the schema `schema_name`, made from the prompt's data
    blocks by name.
    """

    @property
    def KNOWN(self) -> frozenset[str]: ...  # noqa: N802  (a module's constant)

    def answer(self, schema_name: str, blocks: Blocks) -> dict[str, Any]: ...


class _Part(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _Schema(BaseModel):
    name: str


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    # `json_schema` would hide a method of Pydantic's.
    schema_: _Schema | None = Field(None, alias="json_schema")


class _StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of `POST /v1/chat/completions`, as far as the offline model reads it."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1)
    messages: list[_Message] = Field(min_length=1)
    stream: bool = False
    stream_options: _StreamOptions | None = None
    response_format: _ResponseFormat | None = None
    n: int | None = None
    tools: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class ChatTask:
    """A valid chat request: which schema is filled in from which data."""

    model: str
    schema_name: str | None
    """The schema to fill in; None: plain text."""
    blocks: Blocks
    as_json: bool
    """Whether plain text has to be in a JSON object."""
    stream: bool
    with_usage: bool
    prompt_tokens: int


def read_task(request: ChatRequest, known: frozenset[str]) -> ChatTask:
    """Finds the schema and the data blocks.

    The data is in the first user message: later ones are the conversation of a retry.

    Raises:
        ApiError: 400, for a schema that is not in `known`, for a data block that is not JSON lines
            and for what the offline model cannot do (`n` above 1, tools).
    """
    if request.n is not None and request.n != 1:
        raise ApiError("The offline model gives one choice: leave out `n`.", param="n")
    if request.tools:
        raise ApiError(
            "The offline model calls no tools: ask for JSON with `response_format`.", param="tools"
        )
    name = _schema_name(request)
    if name is not None and name not in known:
        raise ApiError(
            f"The offline model does not know the schema {name!r}, only {', '.join(sorted(known))}.",
            param="response_format.json_schema.name",
            code="unknown_schema",
        )
    texts = [message.text() for message in request.messages]
    data = next(
        (text for text, message in zip(texts, request.messages, strict=True) if message.role == "user"), ""
    )
    try:
        blocks = unfence(data) if name is not None else {}
    except ValueError as error:
        raise ApiError(f"A data block of the prompt is not JSON lines: {error}", param="messages") from error
    return ChatTask(
        model=request.model,
        schema_name=name,
        blocks=blocks,
        as_json=request.response_format is not None and request.response_format.type != "text",
        stream=request.stream,
        with_usage=request.stream_options is not None and request.stream_options.include_usage,
        prompt_tokens=sum(count_tokens(text) + TOKENS_PER_MESSAGE for text in texts),
    )


def _schema_name(request: ChatRequest) -> str | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_schema":
        if wanted.schema_ is None:
            raise ApiError("`json_schema` is missing.", param="response_format.json_schema")
        return wanted.schema_.name
    # A gateway that knows only `json_object` has no field for the name, so the service writes it
    # into the instructions.
    for message in request.messages:
        if message.role in ("system", "developer") and (found := _SCHEMA_LINE.search(message.text())):
            return found[1]
    return None


def plain_answer(task: ChatTask, known: frozenset[str]) -> str:
    """Returns the answer where no schema is asked for, as a JSON object where JSON is."""
    text = PLAIN_ANSWER.format(known=", ".join(sorted(known)))
    return orjson.dumps({"message": text}).decode() if task.as_json else text


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer in OpenAI's envelope. `created` is in Unix seconds."""

    task: ChatTask
    text: str
    created: int

    @property
    def completion_tokens(self) -> int:
        """Estimated tokens of the answer."""
        return count_tokens(self.text)

    def body(self) -> bytes:
        """Returns the answer as one JSON object."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        envelope = self._envelope(_new_id(), "chat.completion")
        return orjson.dumps({**envelope, "choices": [choice], "usage": self._usage()})

    def events(self) -> Iterator[bytes]:
        """Yields the server-sent events: role, content by a few characters, finish, usage, end."""
        envelope = self._envelope(_new_id(), "chat.completion.chunk")
        yield _event(envelope, {"role": "assistant", "content": "", "refusal": None})
        for start in range(0, len(self.text), DELTA_CHARACTERS):
            yield _event(envelope, {"content": self.text[start : start + DELTA_CHARACTERS]})
        yield _event(envelope, {}, finish_reason="stop")
        if self.task.with_usage:
            yield _data(orjson.dumps({**envelope, "choices": [], "usage": self._usage()}))
        yield _data(b"[DONE]")

    def _envelope(self, identity: str, kind: str) -> dict[str, Any]:
        return {
            "id": identity,
            "object": kind,
            "created": self.created,
            "model": self.task.model,
            "system_fingerprint": FINGERPRINT,
        }

    def _usage(self) -> dict[str, int]:
        prompt, completion = self.task.prompt_tokens, self.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _event(envelope: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _data(orjson.dumps({**envelope, "choices": [choice]}))


def _data(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"
