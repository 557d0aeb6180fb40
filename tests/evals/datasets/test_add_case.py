"""Regressions become cases: out of a session, out of a trace."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, traceable, tracing_context

from evals.datasets.add_case import case_of, source_of
from evals.datasets.cases import Case, read_cases, write_case
from evals.runs.variants import open_target
from serve.context import AppContext
from tests.langsmith import Fault, LangSmith
from tools.core.contracts import Profile, Wishes
from tools.core.errors import InvalidRequestError, SetupError
from tools.core.settings import Settings

PROFILE = {
    "desired_job": "백엔드 개발자",
    "skills": ["Java"],
    "educations": [{"school": "누리봄대학교", "major": "수학"}],
    "introduction": "저는 김민수입니다. 결제를 해 보고 싶습니다.",
}
FEEDBACK = "누리봄대학교 과제 같아요. kim@example.com 으로 알려 주세요."


async def last(events: Any) -> dict[str, Any]:
    event: dict[str, Any] = {}
    async for event in events:  # noqa: B007
        pass
    return dict(event["data"])


async def test_a_session_becomes_a_case_that_runs(
    app_context: AppContext, settings: Settings, tmp_path: Path
) -> None:
    sessions = app_context.sessions
    first = await last(sessions.generate(Profile.model_validate(PROFILE), "ko"))
    wishes = Wishes(difficulty="beginner", weeks=4, skills=["Kafka"], feedback=FEEDBACK)
    await last(sessions.regenerate(first["session_id"], wishes))
    source = await source_of(first["session_id"], "", sessions, settings)
    write_case(tmp_path / "added.jsonl", case_of(source, "Repeats itself!", ["백엔드", "풀스택"]))
    (case,) = read_cases(tmp_path / "added.jsonl")
    assert case.id.startswith("session-repeats-itself-")
    assert (case.source, case.tags) == ("session", ["Repeats_itself"])
    assert (case.expect.family, case.expect.fits) == ("백엔드", ["백엔드", "풀스택"])
    assert case.expect.known_skills == ["Java"]
    (turn,) = case.inputs.turns
    assert (turn.difficulty, turn.weeks, turn.skills) == ("beginner", 4, ["Kafka"])
    assert turn.feedback == "한 학교 과제 같아요. … 으로 알려 주세요."
    text = case.model_dump_json()
    assert not [word for word in ("김민수", "누리봄", "@") if word in text]
    async with open_target(settings, "split", "in-force") as target:
        outputs = await target.run(case.inputs.model_dump(mode="json"))
    assert outputs["error"] is None
    assert len(outputs["answers"]) == 2


async def test_somebody_elses_session_is_none(app_context: AppContext, settings: Settings) -> None:
    first = await last(app_context.sessions.generate(Profile.model_validate(PROFILE), "ko"))
    with pytest.raises(InvalidRequestError, match=r"no session .* LANGSMITH_API_KEY"):
        await source_of(first["session_id"], "another", app_context.sessions, settings)


def trace(standin: LangSmith, *, hide: bool = False) -> str:
    """A trace as the service's graph leaves it: the request goes in, the state comes out."""
    client = Client(
        api_url=standin.url,
        api_key=standin.key,
        auto_batch_tracing=False,
        hide_inputs=hide,
        hide_outputs=hide,
    )
    run_id = uuid.uuid4()
    turn: dict[str, Any] = {
        "chosen": None,
        "difficulty": "advanced",
        "skills": [],
        "feedback": FEEDBACK,
        "key": None,
    }

    @traceable(name="checkerboard")
    def graph(profile: dict[str, Any], language: str, turn: dict[str, Any]) -> dict[str, Any]:
        return {"profile": profile, "language": language, "turn": turn, "summary": {}}

    with tracing_context(enabled=True, client=client):
        graph(PROFILE, "ko", turn, langsmith_extra={"run_id": run_id})
    client.close()
    return str(run_id)


async def test_a_trace_becomes_a_case(app_context: AppContext, keyed: Settings, standin: LangSmith) -> None:
    source = await source_of(trace(standin), "", app_context.sessions, keyed)
    case = Case.model_validate_json(case_of(source, "too hard", ["백엔드"]).model_dump_json())
    assert case.inputs.profile.skills == ["Java"]
    assert case.inputs.turns[0].difficulty == "advanced"
    assert "누리봄" not in case.model_dump_json()


@pytest.mark.parametrize("ailment", ["hidden", "unknown", "no id", "down"])
async def test_a_trace_that_tells_nothing_is_an_error_that_says_what_to_do(
    app_context: AppContext, keyed: Settings, standin: LangSmith, ailment: str
) -> None:
    run_id = {
        "hidden": trace(standin, hide=True),
        "unknown": str(uuid.uuid4()),
        "no id": "not-an-id",
        "down": str(uuid.uuid4()),
    }[ailment]
    if ailment == "down":
        standin.fail(Fault("/runs", status=401))
    said = {
        "hidden": "has no profile: inputs are hidden .* LANGSMITH_HIDE_INPUTS",
        "unknown": "neither a session nor a trace",
        "no id": "neither a session nor a trace not-an-id",
        "down": "LangSmith did not give the trace",
    }[ailment]
    with pytest.raises(SetupError if ailment == "down" else InvalidRequestError, match=said):
        await source_of(run_id, "", app_context.sessions, keyed)


def test_a_profile_of_another_shape_is_said() -> None:
    with pytest.raises(InvalidRequestError, match="No case can be made of it"):
        case_of({"profile": {"job": "QA"}, "language": "ko"}, "old", [])


def test_a_label_in_korean_makes_an_id_and_a_tag() -> None:
    case = case_of({"profile": {"desired_job": "제빵사"}, "language": "ko"}, "같은 주제 반복", [])
    assert case.id.startswith("session-case-")
    assert case.tags == ["같은_주제_반복"]
    assert case.expect.family is None
    assert case.inputs.turns == []
