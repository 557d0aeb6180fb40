"""From the text of an answer to an object of the schema.

The text is tried as it is. Only where that fails is JSON searched in it: in a fence, after thoughts, between
sentences, in an envelope, in a string. Broken JSON is not repaired by guesses: it goes back to the model.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tools.core.errors import ModelOutputError, Usage
from tools.core.text import clean_json, clean_values
from tools.llm.model_answers import ModelAnswer

T = TypeVar("T", bound=BaseModel)

_SCAN_LIMIT = 2_000_000
"""Characters that may be read in vain in search of JSON: some tens of milliseconds."""
_FAILED_START_COST = 200
"""Characters that each failed start counts for besides."""
_START = re.compile(r'[{\[]|"(?=\s*[{\[]|\\+["n])')
"""Of an object, a list, or a string that may hold one."""
_MAX_ENVELOPES = 4
"""Envelopes in envelopes."""
_MAX_REFUSAL = 200
"""Characters of a refusal that are passed on."""
_THOUGHTS_END = re.compile(
    r"</\s*(?:\w+:)?(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)\s*>|◁\s*/\s*think\s*▷"
    r"|\[/THINK\]|<\|(?:end_of_thought|/?thought_end)\|>|<\|channel\|>\s*final\b[^<]*<\|message\|>",
    re.IGNORECASE,
)
_ENVELOPES = frozenset(
    {"properties", "arguments", "parameters", "input", "tool_input", "output", "answer", "response", "result"}
    | {"data", "json", "content", "function", "final", "value", "object", "payload"}
)
"""Keys under which models put the object instead of giving it."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value in a text. `part`: it is inside something that is broken."""

    start: int
    end: int
    value: Any
    part: bool = False


def validated(answer: ModelAnswer, schema: type[T]) -> tuple[T | None, list[str]]:
    """Returns an answer as a `schema`, with clean texts (`tools.core.text`); or None and what is wrong."""
    try:
        return schema.model_validate_json(clean_json(answer.text)), []
    except ValidationError as error:
        problems = _reasons(error)
    if answer.ended == "length":
        return None, ["The answer was cut off (length); a shorter one is needed."]
    for rank, candidate in enumerate(_candidates(answer.text)):
        for value in _unwrapped(candidate.value, schema):
            try:
                return schema.model_validate_json(json.dumps(clean_values(value))), []
            except ValidationError as error:
                if rank == 0 and value is candidate.value and not candidate.part:
                    # Of the likeliest value: "invalid JSON" would not help the model.
                    problems = _reasons(error)
    return None, problems


def refusal_error(
    answer: ModelAnswer, *, purpose: str | None = None, usage: Usage | None = None
) -> ModelOutputError | None:
    """Returns the error for a model that refuses to answer; None for one that answered. Asking again would
    bring the same, at a price."""
    if answer.refusal.strip():
        words = " ".join(answer.refusal.split())
        words = words if len(words) <= _MAX_REFUSAL else f"{words[: _MAX_REFUSAL - 1]}…"
        return ModelOutputError(
            f"The model refuses to answer: “{words}” Ask for something else, or take another model.",
            cause="refusal",
            refusal=words,
            purpose=purpose,
            usage=usage,
        )
    if answer.ended == "content_filter":
        return ModelOutputError(
            "The answer was withheld by the content filter of the model's API. Ask for something else, or "
            "have the operator loosen the filter.",
            cause="content_filter",
            purpose=purpose,
            usage=usage,
        )
    return None


def _reasons(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:10]
    ]


def _candidates(text: str) -> list[_Value]:
    """Returns the JSON values in a text, the likeliest first: models end with their answer.

    Values in the model's thoughts do not count, unless nothing follows them.
    """
    values = list(_values(text))
    answer_start = 0
    for mark in _THOUGHTS_END.finditer(text):
        before = bisect(values, mark.start(), key=lambda value: value.start)
        if not before or mark.start() >= values[before - 1].end:
            answer_start = mark.end()
    has_answer = bool(text[answer_start:].strip())
    return [value for value in reversed(values) if value.start >= answer_start or not has_answer]


def _values(text: str) -> Iterator[_Value]:
    """Yields the outermost values in a text, and the objects inside broken ones."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_constant)
    place = broken_until = 0
    left = _SCAN_LIMIT
    while left > 0 and (match := _START.search(text, place)) is not None:
        start = match.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            left -= error.pos - start + _FAILED_START_COST
            place, broken_until = start + 1, max(broken_until, error.pos)
            continue
        except (ValueError, RecursionError):
            left -= len(text) - start + _FAILED_START_COST
            place, broken_until = start + 1, len(text)
            continue
        if isinstance(value, str) and _decoded(value) is None:
            left -= end - start + _FAILED_START_COST
            place = start + 1  # a quotation
            continue
        place = end
        # A list inside a broken object may be anything.
        if start >= broken_until or isinstance(value, dict):
            yield _Value(start, end, value, part=start < broken_until)


def _unwrapped(value: Any, schema: type[BaseModel], depth: int = 0) -> Iterator[Any]:
    """Yields a value, then what it may be an envelope of."""
    if depth > _MAX_ENVELOPES:
        return
    if isinstance(value, str):
        inner = _decoded(value)
        if isinstance(inner, dict | list | str):
            yield from _unwrapped(inner, schema, depth + 1)
        return
    if isinstance(value, dict):
        yield value
        for key, inner in value.items():
            named = key.replace("_", "").lower() == schema.__name__.lower() or key.lower() in _ENVELOPES
            if named or len(value) == 1:
                yield from _unwrapped(inner, schema, depth + 1)
    elif isinstance(value, list) and value:
        if len(value) == 1:
            yield from _unwrapped(value[0], schema, depth + 1)
        if depth == 0 and len(schema.model_fields) == 1:
            # The rows without the object around them.
            yield {next(iter(schema.model_fields)): value}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
