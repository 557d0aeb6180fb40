"""From the beginning of an answer to what in it is complete.

A model writes JSON from left to right, so whatever another thing follows is complete. Only an answer that is
nothing but JSON, or JSON in a fence, is read so: in one that begins with thoughts, what looks like an answer
may be a draft. Such answers, and those that are broken, are read when they are whole
(`tools.llm.structured_output`), as all are: what is read here is only the earlier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import jiter
import orjson
from pydantic import BaseModel, ValidationError

from tools.core.text import clean, clean_values

T = TypeVar("T", bound=BaseModel)

_OPENING = re.compile(r"\s*(?:```(?:json)?\s*)?(?=\{)", re.IGNORECASE)
_CLOSING = "` \t\r\n"
"""Of a fence, and white space."""


@dataclass(frozen=True, slots=True)
class PartialObject:
    """A JSON object as far as the model has written it. `is_open`: it may write more of it."""

    value: dict[str, Any]
    is_open: bool

    def text(self, key: str) -> str:
        """Returns the text under `key`, cleaned; empty where there is none yet."""
        value = self.value.get(key)
        return clean(value) if isinstance(value, str) else ""

    def parts(self, key: str) -> Iterator[PartialObject]:
        """Yields the objects in the list under `key`; only the last one may be open."""
        items = self.value.get(key)
        if not isinstance(items, list):
            return
        # What stands under the last key is being written still.
        is_open = self.is_open and next(reversed(self.value)) == key
        for place, item in enumerate(items):
            if isinstance(item, dict):
                yield PartialObject(item, is_open and place == len(items) - 1)

    def complete(self, key: str, model: type[T]) -> list[T]:
        """Returns the complete objects under `key` as a `model`, with clean texts, up to the first that is
        none: an answer with such a one will be refused."""
        found: list[T] = []
        for part in self.parts(key):
            if part.is_open:
                break
            try:
                found.append(model.model_validate_json(orjson.dumps(clean_values(part.value))))
            except (ValidationError, orjson.JSONEncodeError):
                break
        return found


def begun(text: str) -> PartialObject | None:
    """Returns the object that an answer begins with, without a string that has no end yet; None where there
    is none."""
    opening = _OPENING.match(text)
    if opening is None:
        return None
    written = text[opening.end() :].rstrip(_CLOSING)
    if written.endswith("}"):
        try:
            return PartialObject(orjson.loads(written), is_open=False)
        except orjson.JSONDecodeError:
            pass  # the end of something within
    try:
        value = jiter.from_json(written.encode(), partial_mode=True, catch_duplicate_keys=True)
    except ValueError:
        return None
    return PartialObject(value, is_open=True)


def as_objects_end(read: Callable[[str], None]) -> Callable[[str], None]:
    """Returns `read` for the growing text of an answer, called only when an object has begun or ended since
    the last time, or the answer begins: nothing else completes one, and a text is told ten times a second."""
    braces = 0

    def heard(text: str) -> None:
        nonlocal braces
        now = text.count("{") + text.count("}")
        if now != braces or not text:
            braces = now
            read(text)

    return heard
