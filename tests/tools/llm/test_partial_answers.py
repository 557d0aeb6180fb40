"""What is complete in the beginning of an answer, wherever that ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tools.llm.partial_answers import as_objects_end, begun

LETTERS = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)


class Row(BaseModel):
    """A piece, which may have an object in it."""

    name: str
    size: float | None = None
    inner: dict[str, str] = {}


ROWS = st.builds(
    Row,
    name=LETTERS,
    size=st.none() | st.integers(0, 99) | st.floats(0, 9),
    inner=st.dictionaries(LETTERS, LETTERS, max_size=2),
)


def names(text: str) -> list[str]:
    found = begun(text)
    return [row.name for row in found.complete("rows", Row)] if found else []


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", []),
        ("{", []),
        ('{"rows": [{"name": "a"}', []),
        ('{"rows": [{"name": "a"}, {', ["a"]),
        ('{"rows": [{"name": "a"}, {"name": "b"', ["a"]),
        ('{"rows": [{"name": "a"}, {"name": "b"}], "more": 1', ["a", "b"]),
        ('{"rows": [{"name": "a"}]}', ["a"]),
        ('```json\n{"rows": [{"name": "a"}, {"na', ["a"]),
        ('```json\n{"rows": [{"name": "a"}]}\n```', ["a"]),
        ('{"rows": [{"name": "}, {\\"name\\": \\"b"', []),
        ('{"rows": [{"name": "a\\u20', []),
        ('{"rows": [{"name": "\u200ba\u00a0b"}, {', ["a b"]),
        ('{"rows": [{"size": 1}, {"name": "b"}, {', []),
        ('{"rows": [{"name": "a"}, {"name": 7}, {"name": "c"}, {', ["a"]),
        ('{"rows": [1, {"name": "b"}, {', ["b"]),
        ('{"rows": {"name": "a"}, "x": 1}', []),
        ('<think>{"rows": [{"name": "a"}, {', []),
        ('Here: {"rows": [{"name": "a"}, {', []),
        ('{"rows": [{"name": "a"}], "rows": [{"name": "b"', []),
        ('[{"rows": [{"name": "a"}]}, ', []),
    ],
)
def test_what_another_thing_follows_is_complete(text: str, complete: list[str]) -> None:
    assert names(text) == complete


@given(rows=st.lists(ROWS, max_size=4), ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_every_beginning_has_the_first_rows_and_the_whole_has_all(
    rows: list[Row], ascii_only: bool, indent: int | None
) -> None:
    whole: dict[str, Any] = {"title": "t", "rows": [row.model_dump() for row in rows], "end": {"of": "it"}}
    text = json.dumps(whole, ensure_ascii=ascii_only, indent=indent)
    read = begun(text)
    assert read is not None
    every = read.complete("rows", Row)
    assert len(every) == len(rows)
    seen = 0
    for length in range(len(text)):
        part = begun(text[:length])
        found = part.complete("rows", Row) if part else []
        assert found == every[: len(found)]
        assert len(found) >= seen
        seen = len(found)


def test_an_answer_is_read_again_only_when_an_object_begins_or_ends() -> None:
    read: list[str] = []
    heard = as_objects_end(read.append)
    for text in ("", '{"a', '{"a": [{"b', '{"a": [{"b": 1', '{"a": [{"b": 1}', "", "{"):
        heard(text)
    assert read == ["", '{"a', '{"a": [{"b', '{"a": [{"b": 1}', "", "{"]
