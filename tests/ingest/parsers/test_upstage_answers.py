"""What Upstage answers, in every shape it may come in."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.parsers.upstage import Answer, blocks_of
from tests.ingest.parsers.standins import element


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ({}, []),
        ({"elements": None, "content": None, "usage": None}, []),
        ({"content": {"html": "<p>가</p>"}}, ["가"]),
        ({"content": {"html": "", "markdown": "# 가\n- 나"}}, ["가", "- 나"]),
        ({"content": {"text": "가\n나"}}, ["가\n나"]),
        ({"elements": [{"content": {"markdown": "- 가"}}]}, ["- 가"]),
        (
            {"elements": [element("heading1", "<h1>가</h1>"), element("heading1", "<h1>나</h1>")]},
            ["가", "나"],
        ),
        ({"elements": [element("figure", "<figure><img alt='가\n나'></figure>")]}, ["가\n나"]),
        ({"elements": [element("list", "<p data-category='list'>- 가<br>- 나</p>")]}, ["- 가\n- 나"]),
        (
            {
                "elements": [
                    element("footer", "<footer>가</footer>"),
                    element("caption", "<caption>나</caption>"),
                ]
            },
            ["가", "나"],
        ),
    ],
)
def test_answers_of_every_shape_are_read(answer: dict[str, Any], texts: list[str]) -> None:
    read = blocks_of([(Answer.model_validate(answer), 1)])
    assert [getattr(block, "text", "") for block in read] == texts


def test_only_the_first_heading_is_the_title() -> None:
    answer = Answer.model_validate({"elements": [element("heading1", f"<h1>{n}</h1>") for n in "abc"]})
    assert [getattr(block, "level", 0) for block in blocks_of([(answer, 1)])] == [1, 2, 2]
