"""The JSON in what a model writes, wherever it stands."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from evals.judge.judge import Verdict
from ingest.tagging.positions import PostingPositions
from nodes.filter_jobs import JobVerdicts
from tests.pace import scaled
from tools.llm.model_answers import Ended, ModelAnswer
from tools.llm.structured_output import refusal_error, validated

GOOD = {"verdicts": [{"posting_id": "p-1", "fits": True, "reason": "서버 {p-1} ```json </think>"}]}
DRAFT = {"verdicts": [{"posting_id": "p-9", "fits": False, "reason": "a draft"}]}
TEXT = json.dumps(GOOD, ensure_ascii=False)
DRAFTED = json.dumps(DRAFT)


def read(text: str, ended: Ended = "stop") -> dict[str, object] | None:
    """The object in an answer, None where it goes back to the model."""
    value, problems = validated(ModelAnswer(ended, text), JobVerdicts)
    assert (value is None) == bool(problems)
    return None if value is None else value.model_dump()


WRAPPED = {
    "as it is": TEXT,
    "a fence": f"```json\n{TEXT}\n```",
    "a fence without a language": f"```\n{TEXT}\n```",
    "a fence of tildes": f"~~~JSON\r\n{TEXT}\r\n~~~",
    "a fence that never ends": f"```json\n{TEXT}",
    "a fence between sentences": f"Here you are:\n\n```json\n{TEXT}\n```\nLet me know!",
    "a sentence before": f"Sure! Looking at {{p-1}} and [p-2], the verdicts are: {TEXT}",
    "a tail": f"{TEXT}\n\nI left p-2 out {{because}} it is for a designer.",
    "a closing bracket too many": f"{TEXT}}}",
    "thoughts": f"<think>\nFirst I look at {{p-1}}.\n</think>\n\n{TEXT}",
    "thoughts with a draft": f"<think>{DRAFTED}</think>{TEXT}",
    "thoughts, then a fence": f"<thinking>\n```json\n{DRAFTED}\n```\n</thinking>\n```json\n{TEXT}\n```",
    "thoughts whose beginning the gateway ate": f"let me see: {DRAFTED} </think> {TEXT}",
    "thoughts that never end": f"<think> perhaps {DRAFTED}. No: {TEXT}",
    "thoughts around everything": f"<think>{TEXT}</think>",
    "reasoning": f"<reasoning>…</reasoning>{TEXT}",
    "a name space": f"<seed:think>{DRAFTED}</seed:think>{TEXT}",
    "Kimi's thoughts": f"◁think▷ {DRAFTED} ◁/think▷ {TEXT}",
    "Magistral's thoughts": f"[THINK]{DRAFTED}[/THINK]{TEXT}",
    "raw harmony": f"<|channel|>analysis<|message|>{DRAFTED}<|end|><|start|>assistant<|channel|>final "
    f"<|constrain|>json<|message|>{TEXT}<|return|>",
    "another object before": f'{{"plan": ["read", "judge"]}}\n{TEXT}',
    "another object after": f'{TEXT}\n{{"confidence": 0.9}}',
    "a correction": f"{DRAFTED}\nWait, p-1 was asked for:\n{TEXT}",
    "a byte order mark": f"\ufeff{TEXT}",
    "odd white space": f"\u00a0\u200b\n{TEXT}\u00a0",
    "twice encoded": json.dumps(TEXT),
    "three times encoded, in a fence": f"```json\n{json.dumps(json.dumps(TEXT))}\n```",
    "a list of one": f"[{TEXT}]",
    "rows without the object": json.dumps(GOOD["verdicts"]),
    "under the schema's name": json.dumps({"JobVerdicts": GOOD}),
    "under the schema's name, otherwise written": json.dumps({"job_verdicts": GOOD, "note": "ok"}),
    "as a schema": json.dumps({"type": "object", "properties": GOOD}),
    "as arguments": json.dumps({"name": "JobVerdicts", "arguments": GOOD}),
    "as arguments in a string": json.dumps(
        [{"type": "function", "function": {"name": "JobVerdicts", "arguments": TEXT}}]
    ),
    "under any one name": json.dumps({"the_answer": GOOD}),
    "a tool call in tags": f"<tool_call>{json.dumps({'name': 'f', 'arguments': GOOD})}</tool_call>",
    "a line break in a string": TEXT.replace("서버", "서버\n").join(["```", "```"]),
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED.keys())
def test_the_json_that_is_there_is_taken(text: str) -> None:
    found = read(text)
    assert found is not None
    assert found["verdicts"][0]["posting_id"] == "p-1"  # type: ignore[index]


BROKEN = {
    "nothing": "",
    "a sentence": "I looked at all of them.",
    "half": TEXT[:-9],
    "half in a fence": f"```json\n{TEXT[:-3]}\n```",
    "a trailing comma": f"{TEXT[:-1]},}}",
    "Python's words": "{'verdicts': [{'posting_id': 'p-1', 'fits': True, 'reason': 'x'}]}",
    "no number": '{"verdicts": NaN}',
    "a draft in thoughts, then a sentence": f"<think>{DRAFTED}</think> I cannot say.",
    "a draft in thoughts, then half": f"<think>{DRAFTED}</think> {TEXT[:-9]}",
    "an empty list in something broken": '{"verdicts": [], oops',
    "the wrong object": '{"posting_id": "p-1", "fits": true, "reason": "x"}',
    "null": "null",
    "a number": "7",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_goes_back_and_is_not_guessed_at(text: str) -> None:
    assert read(text) is None


def test_the_rows_of_something_broken_are_not_taken_for_the_answer() -> None:
    broken = '{"positions": [{"job_title": "서버", "responsibilities": [], "skills": ["Java"], oops}]}'
    value, problems = validated(ModelAnswer("stop", broken), PostingPositions)
    assert value is None
    assert problems


def test_the_reasons_are_those_of_the_object_that_was_meant() -> None:
    _, problems = validated(ModelAnswer("stop", '```json\n{"verdicts": [{"fits": true}]}\n```'), JobVerdicts)
    assert {problem.partition(":")[0] for problem in problems} == {
        "verdicts.0.posting_id",
        "verdicts.0.reason",
    }
    _, problems = validated(ModelAnswer("stop", TEXT[:-9]), JobVerdicts)
    assert problems[0].startswith("answer: Invalid JSON")


def test_an_answer_that_was_cut_behind_its_end_is_whole() -> None:
    assert read(TEXT, ended="length") is not None
    _, problems = validated(ModelAnswer("length", f"{DRAFTED} {TEXT[:-3]}"), JobVerdicts)
    assert problems == ["The answer was cut off (length); a shorter one is needed."]


@given(
    st.text(alphabet=st.characters(exclude_characters="{[", exclude_categories=("Cs",))),
    st.text(alphabet=st.characters(exclude_characters="{[", exclude_categories=("Cs",))),
    st.text(max_size=40).filter(lambda text: text.strip() != ""),
)
def test_any_words_around_any_object_are_passed_over(before: str, after: str, reason: str) -> None:
    said = {"reason": reason, "better": "first"}
    for text in (json.dumps(said), json.dumps(said, ensure_ascii=False)):
        whole = f"x{before}{text}{after}"
        value, problems = validated(ModelAnswer("stop", whole.encode("utf-8", "replace").decode()), Verdict)
        assert value is not None, problems


@given(st.text(max_size=400))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    value, problems = validated(ModelAnswer("stop", text.encode("utf-8", "replace").decode()), Verdict)
    assert value is not None or problems


class Tree(BaseModel):
    """A schema that is only for this test."""

    leaf: int


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 100_000, "{x" * 200_000, "[1," * 150_000, '["' * 100_000, "[NaN " * 90_000],
)
def test_a_hostile_text_takes_no_time(text: str) -> None:
    began = time.monotonic()
    assert validated(ModelAnswer("stop", text), Tree)[0] is None
    assert time.monotonic() - began < scaled(2)


def test_a_refusal_is_told_in_its_own_words_shortened() -> None:
    told = refusal_error(ModelAnswer("stop", "", "I can't\nhelp with that."), purpose="summarize")
    assert told is not None
    assert "“I can't help with that.”" in told.message
    assert told.details == {"purpose": "summarize", "cause": "refusal", "refusal": "I can't help with that."}
    long = refusal_error(ModelAnswer("stop", "", "no " * 1000))
    assert long is not None
    assert len(long.message) < 350
    assert refusal_error(ModelAnswer("content_filter", "")).cause == "content_filter"  # type: ignore[union-attr]
    assert refusal_error(ModelAnswer("length", "")) is None
    assert refusal_error(ModelAnswer("stop", "no JSON")) is None
