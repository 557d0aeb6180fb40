"""The lines of a batch's file, in the forms that gateways give them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ingest.tagging.batch_api import CollectedBatch, _sort
from nodes.filter_jobs import JobVerdicts
from tests.tools.llm.test_chat import GOOD as TEXT
from tools.llm.model_answers import Usage
from tools.llm.structured_output import refusal_error, validated


def line(body: Any, status: Any = 200, **more: Any) -> str:
    response = {"status_code": status, "request_id": "r", "body": body}
    return orjson.dumps({"id": "1", "custom_id": "d/0", "response": response, "error": None, **more}).decode()


def choice(content: Any, **message: Any) -> dict[str, Any]:
    chosen = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return {"choices": [chosen], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"<think>{{p}}</think>\n{TEXT}",
        [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": TEXT}],
        orjson.dumps(TEXT).decode(),
    ],
)
def test_an_answer_is_read_as_one_that_was_asked_singly(content: Any) -> None:
    collected = CollectedBatch("completed")
    assert _sort(line(choice(content)), collected)
    answer = collected.answers["d/0"]
    assert answer.usage == Usage(3, 2)
    assert validated(answer, JobVerdicts)[0] is not None


def test_a_refusal_is_one() -> None:
    collected = CollectedBatch("completed")
    assert _sort(line(choice(None, refusal="No.")), collected)
    refused = refusal_error(collected.answers["d/0"])
    assert refused is not None
    assert refused.refusal == "No."


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (line({"error": {"message": "too long", "code": "x"}}, 400), "too long"),
        (line({"error": "too long"}, 400), "too long"),
        (line("too long", 400), "too long"),
        (line(None, 0, error={"code": "batch_expired", "message": "expired"}), "expired"),
        (line(None, 500, error={"code": "gone"}), "gone"),
        (line({"choices": None}), "no `choices`"),
        (line({"choices": []}), "`choices` are empty"),
        (line([1]), "no `choices`"),
        ('{"custom_id": "d/0", "response": null, "error": {"message": "lost"}}', "lost"),
    ],
)
def test_what_failed_has_its_reason(told: str, said: str) -> None:
    collected = CollectedBatch("completed")
    assert _sort(told, collected)
    assert not collected.answers
    assert said in collected.errors["d/0"]


@pytest.mark.parametrize("broken", ['{"custom_id": "d/0", ', "<html>", "[]", "7", '{"response": {}}'])
def test_what_is_no_line_is_told_to_be_none(broken: str) -> None:
    assert not _sort(broken, CollectedBatch("completed"))
