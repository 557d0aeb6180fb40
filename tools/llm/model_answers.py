"""A chat completion, in any form that gateways give it, as one `ModelAnswer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from tools.core.errors import Usage


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


Ended = Literal["stop", "length", "content_filter"]

_LENGTH = _names("length max_tokens max_output_tokens max_length model_length token_limit incomplete")
_FILTERED = _names(
    "content_filter content_filtered content-filter safety recitation blocklist "
    "prohibited_content spii image_safety sensitive guardrail_intervened refusal"
)
_THOUGHTS = _names("reasoning thinking redacted_thinking thought summary")
"""Types of content blocks that are no part of the answer."""


class NoAnswerError(Exception):
    """A body is no chat completion; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's answer. `ended` is `stop` for anything but a cut or a filter; `refusal` is how the model
    refused."""

    ended: Ended
    text: str
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)


def read_completion(body: Any) -> ModelAnswer:
    """Returns the answer in the body of a chat completion.

    Text in content blocks is joined, without the reasoning, and the arguments of tool calls follow it. Where
    there is nothing else, what a reasoning parser took for thoughts is the answer.

    Raises:
        NoAnswerError: the body is no chat completion.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list):
        raise NoAnswerError("it has no `choices`")
    choice = choices[0] if choices else None
    if not isinstance(choice, dict):
        raise NoAnswerError("its `choices` are empty")
    message = choice.get("message") or choice.get("delta")
    if not isinstance(message, dict):
        message = {"content": message or choice.get("text")}
    text, refusals = read_content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        refusals.insert(0, refusal)
    text = "\n".join(filter(None, [text, *_arguments(message)]))
    ended = _ended(choice)
    if not text.strip() and not any(refusals) and ended == "stop":
        thoughts = (message.get(key) for key in ("parsed", "reasoning_content", "reasoning"))
        text = next((read_content(thought)[0] for thought in thoughts if thought), text)
    return ModelAnswer(ended, text, " ".join(filter(None, refusals)), read_usage(body))


def read_usage(body: dict[str, Any]) -> Usage:
    """Returns the tokens in the body of a chat completion or of embeddings."""
    counts = body.get("usage")
    if not isinstance(counts, dict):
        return Usage()
    return Usage(
        _count(counts, "prompt_tokens", "input_tokens"),
        _count(counts, "completion_tokens", "output_tokens"),
    )


def as_openai_completion(body: Any) -> Any:
    """Returns a chat completion in OpenAI's form; `body` itself where it has that already.

    Raises:
        NoAnswerError: as `read_completion`.
    """
    if _is_openai_completion(body):
        return body
    answer = read_completion(body)
    return {
        "id": str(body.get("id") or ""),
        "object": "chat.completion",
        "created": 0,
        "model": str(body.get("model") or ""),
        "choices": [
            {
                "index": 0,
                "finish_reason": answer.ended,
                "message": {
                    "role": "assistant",
                    "content": answer.text,
                    "refusal": answer.refusal or None,
                },
            }
        ],
        "usage": {
            "prompt_tokens": answer.usage.input_tokens,
            "completion_tokens": answer.usage.output_tokens,
            "total_tokens": answer.usage.input_tokens + answer.usage.output_tokens,
        },
    }


def _is_openai_completion(body: Any) -> bool:
    try:
        choice = body["choices"][0]
        message, usage = choice["message"], body["usage"]
        return (
            choice["finish_reason"] in ("stop", "length", "content_filter")
            and message["role"] == "assistant"
            and type(message["content"]) is str
            and message["content"] != ""
            and not message.get("tool_calls")
            and not message.get("refusal")
            and type(usage["prompt_tokens"]) is int
            and type(usage["completion_tokens"]) is int
            and isinstance(usage.get("prompt_tokens_details") or {}, dict)
            and isinstance(usage.get("completion_tokens_details") or {}, dict)
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        return False


def _ended(choice: dict[str, Any]) -> Ended:
    reasons = (choice.get(key) for key in ("finish_reason", "finishReason", "stop_reason"))
    reason = next((reason for reason in reasons if isinstance(reason, str)), "").strip().lower()
    return "length" if reason in _LENGTH else "content_filter" if reason in _FILTERED else "stop"


def read_content(content: Any) -> tuple[str, list[str]]:
    """Returns the text of a message's content, and the refusals in it."""
    if isinstance(content, str):
        return content, []
    if isinstance(content, dict):
        # It may be the object that was asked for, and no block.
        is_block = "type" in content or content.keys() == {"text"}
        content = [content] if is_block else [orjson.dumps(content).decode()]
    if not isinstance(content, list):
        return "", []
    texts, refusals = [], []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, dict) and isinstance(block.get("refusal"), str):
            refusals.append(block["refusal"])
        elif isinstance(block, dict) and block.get("type") not in _THOUGHTS:
            texts.append(_block(block))
    return "".join(texts), refusals


def _block(block: dict[str, Any]) -> str:
    for key in ("text", "content", "json", "input", "arguments"):
        inner = block.get(key)
        if isinstance(inner, dict) and isinstance(inner.get("value"), str):
            return str(inner["value"])
        if isinstance(inner, str):
            return inner
        if isinstance(inner, dict | list):
            return orjson.dumps(inner).decode()
    return ""


def _arguments(message: dict[str, Any]) -> list[str]:
    """Returns the arguments of tool calls, for models that call a tool instead of answering."""
    listed = message.get("tool_calls")
    calls = (
        [call.get("function") for call in listed if isinstance(call, dict)]
        if isinstance(listed, list)
        else []
    )
    functions = [call for call in [*calls, message.get("function_call")] if isinstance(call, dict)]
    arguments = (function.get("arguments") for function in functions)
    return [each if isinstance(each, str) else orjson.dumps(each).decode() for each in arguments if each]


def _count(counts: dict[str, Any], *names: str) -> int:
    for name in names:
        number = counts.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < 1e12:  # noqa: PLR2004
            return int(number)
    return 0
