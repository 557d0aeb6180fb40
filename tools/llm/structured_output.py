"""From the text of an answer to the object that was asked for.

What a model writes is tried as it is. Only where that fails is the JSON in it looked for: in a fence, after
thoughts, between sentences, in an envelope, in a string. JSON that is broken is not mended by guesses: it
goes back to the model.
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

_SCANNED = 2_000_000
"""Characters that may be read in vain in search of JSON: some tens of milliseconds."""
_IN_VAIN = 200
"""What a beginning of nothing counts for besides."""
_BEGINNING = re.compile(r'[{\[]|"(?=\s*[{\[]|\\+["n])')
"""Of an object, of a list, or of a string that may hold one."""
_DEEPEST = 4
"""Envelopes in envelopes."""
_WORDS = 200
"""Characters of a refusal that are passed on."""
_THOUGHT = re.compile(
    r"</\s*(?:\w+:)?(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)\s*>|◁\s*/\s*think\s*▷"
    r"|\[/THINK\]|<\|(?:end_of_thought|/?thought_end)\|>|<\|channel\|>\s*final\b[^<]*<\|message\|>",
    re.IGNORECASE,
)
"""What ends a model's thoughts."""
_ENVELOPES = frozenset(
    {"properties", "arguments", "parameters", "input", "tool_input", "output", "answer", "response", "result"}
    | {"data", "json", "content", "function", "final", "value", "object", "payload"}
)
"""Keys under which models put the object instead of giving it."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value in a text. `part`: it stands in something that is broken."""

    start: int
    end: int
    value: Any
    part: bool = False


def validated(answer: ModelAnswer, schema: type[T]) -> tuple[T | None, list[str]]:
    """Returns an answer as a `schema`, with clean texts (`tools.core.text`), or None and what is wrong."""
    try:
        return schema.model_validate_json(clean_json(answer.text)), []
    except ValidationError as error:
        problems = _reasons(error)
    if answer.ended == "length":
        return None, ["The answer was cut off (length); a shorter one is needed."]
    for place, found in enumerate(_found(answer.text)):
        for value in _unwrapped(found.value, schema):
            try:
                return schema.model_validate_json(json.dumps(clean_values(value))), []
            except ValidationError as error:
                if place == 0 and value is found.value and not found.part:
                    # Of what is most likely meant: "invalid JSON" would not help the model.
                    problems = _reasons(error)
    return None, problems


def refusal_error(
    answer: ModelAnswer, *, purpose: str | None = None, usage: Usage | None = None
) -> ModelOutputError | None:
    """Returns the error for a model that will not answer, None for one that did. Asking again would
    bring the same, and be paid for."""
    if answer.refusal.strip():
        words = " ".join(answer.refusal.split())
        words = words if len(words) <= _WORDS else f"{words[: _WORDS - 1]}…"
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


def _found(text: str) -> list[_Value]:
    """Returns the JSON values in a text, the likeliest first: the last is what a model has come to.

    What stands in its thoughts does not count, unless nothing follows them.
    """
    values = list(_values(text))
    thought = 0
    for mark in _THOUGHT.finditer(text):
        before = bisect(values, mark.start(), key=lambda value: value.start)
        if not before or mark.start() >= values[before - 1].end:
            thought = mark.end()
    said = text[thought:].strip()
    return [value for value in reversed(values) if value.start >= thought or not said]


def _values(text: str) -> Iterator[_Value]:
    """Yields the outermost values in a text, and the objects in what is broken."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_constant)
    place = broken = 0
    left = _SCANNED
    while left > 0 and (found := _BEGINNING.search(text, place)) is not None:
        start = found.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            left -= error.pos - start + _IN_VAIN
            place, broken = start + 1, max(broken, error.pos)
            continue
        except (ValueError, RecursionError):
            left -= len(text) - start + _IN_VAIN
            place, broken = start + 1, len(text)
            continue
        if isinstance(value, str) and _decoded(value) is None:
            left -= end - start + _IN_VAIN
            place = start + 1  # words in quotes
            continue
        place = end
        # The lists in a broken object are its rows, or anything.
        if start >= broken or isinstance(value, dict):
            yield _Value(start, end, value, part=start < broken)


def _unwrapped(value: Any, schema: type[BaseModel], depth: int = 0) -> Iterator[Any]:
    """Yields a value, then what it may be the envelope of."""
    if depth > _DEEPEST:
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
