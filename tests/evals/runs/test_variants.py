"""What becomes of a case: whatever fails in it is told in its outputs."""

from __future__ import annotations

from typing import Any

import pytest

from evals.evaluators.cost import cost
from evals.runs.variants import Answering, Target
from serve.context import AppContext
from tools.core.contracts import Language, Profile, Wishes
from tools.core.errors import ModelUnavailableError
from tools.llm.journal import Call

INPUTS = {
    "profile": {"desired_job": "백엔드 개발자"},
    "language": "ko",
    "turns": [{"choose": 1}, {"difficulty": "beginner"}, {"skills": ["Go"]}],
}


class Scripted:
    """Answers, or fails, in turn; keeps what it was asked."""

    def __init__(self, *said: dict[str, Any] | Exception) -> None:
        self._said = list(said)
        self.wishes: list[Wishes] = []

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        return self._next()

    async def regenerate(self, session_id: str, wishes: Wishes, calls: list[Call]) -> dict[str, Any]:
        self.wishes.append(wishes)
        return self._next()

    def _next(self) -> dict[str, Any]:
        said = self._said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def answer(**changes: Any) -> dict[str, Any]:
    candidates = [{"id": f"sub-{number}"} for number in range(3)]
    return {"session_id": "s", "candidates": candidates, "postings": [], **changes}


def target(app_context: AppContext, answering: Answering) -> Target:
    return Target(app_context.services, "split", answering, app_context.services.prompts.current)


async def test_a_chosen_candidate_is_the_one_at_its_place_in_the_answer_before(
    app_context: AppContext,
) -> None:
    scripted = Scripted(answer(), answer(candidates=[]), answer(), answer())
    outputs = await target(app_context, scripted).run(INPUTS)
    assert [turn["error"] for turn in outputs["turns"]] == [None, None, None]
    chosen, easier, more = scripted.wishes
    assert chosen.subject_id == "sub-1"
    assert (easier.subject_id, easier.difficulty) == (None, "beginner")
    assert more.skills == ["Go"]
    assert len(outputs["answers"]) == len(outputs["seconds"]) == 4


async def test_a_candidate_that_was_not_offered_is_not_asked_for(app_context: AppContext) -> None:
    scripted = Scripted(answer(candidates=[]), answer(), answer(), answer())
    await target(app_context, scripted).run(INPUTS)
    assert scripted.wishes[0].subject_id is None


async def test_a_turn_that_fails_ends_the_case_and_keeps_what_was_answered(app_context: AppContext) -> None:
    scripted = Scripted(answer(), answer(), ModelUnavailableError(cause="timeout"))
    outputs = await target(app_context, scripted).run(INPUTS)
    assert outputs["error"] is None
    assert len(outputs["answers"]) == 2
    assert [turn["error"] and turn["error"]["code"] for turn in outputs["turns"]] == [
        None,
        "model_unavailable",
    ]
    assert len(outputs["seconds"]) == 3, "what failed took its time as well"


async def test_what_nobody_foresaw_is_a_result_too_and_is_logged(
    app_context: AppContext, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = await target(app_context, Scripted(KeyError("subjects"))).run(INPUTS)
    assert outputs["error"]["code"] == "internal"
    assert "KeyError" in caplog.text


async def test_a_case_whose_postings_cannot_be_read_is_an_error(app_context: AppContext) -> None:
    scripted = Scripted(*4 * [answer(postings=[{}])])
    outputs = await target(app_context, scripted).run(INPUTS)
    assert outputs["error"]["code"] == "internal"
    assert outputs["answers"] == outputs["turns"] == []
    assert len(outputs["seconds"]) == 4


class Untold(Scripted):
    """Answers with the help of an API that does not tell its tokens."""

    async def generate(self, profile: Profile, language: Language, calls: list[Call]) -> dict[str, Any]:
        calls.append(Call("filter_jobs", "gpt-4o-mini", "q", 0.1, False, None, None))
        return await super().generate(profile, language, calls)


async def test_tokens_that_no_api_told_are_not_none_at_all(app_context: AppContext) -> None:
    outputs = await target(app_context, Untold(answer())).run({**INPUTS, "turns": []})
    assert [(call["input_tokens"], call["usd"]) for call in outputs["calls"]] == [(None, None)]
    said = {score["key"]: score for score in cost(INPUTS, outputs, {})}
    assert (said["tokens_in"]["score"], said["usd"]["score"], said["calls"]["score"]) == (None, None, 1.0)
    assert said["usd"]["comment"] == "an API did not tell its tokens"
