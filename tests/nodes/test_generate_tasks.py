"""generate_tasks: the project, and quotes that stand in their postings."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from nodes.generate_tasks import ProjectPlan, Quote, generate_tasks, progress_message
from tests.fakes import Stage, posting
from tools.core.contracts import Profile, Project, Step, Task
from tools.core.errors import ModelOutputError, ModelUnavailableError

POSTINGS = [
    posting(1, responsibilities="주문·결제 API 설계와 운영\n정산 배치 개선"),
    posting(2, requirements="Kafka in production"),
    posting(3),
]
TASK = Task(title="Build it", description="Build the API", skills=["Java"], deliverable="a test")
GOOD = Quote(posting_id="p-1", quote="주문·결제 API 설계와 운영")


def subject(name: str) -> dict[str, Any]:
    return {
        "id": f"sub-{name}",
        "title": name,
        "description": f"It is {name}.",
        "posting_ids": ["p-1", "p-2"],
    }


def state(**turn: Any) -> Any:
    return {
        "profile": Profile(desired_job="Backend developer").model_dump(),
        "language": "en",
        "relevant": {"kept": [{"posting_id": "p-1"}, {"posting_id": "p-2"}], "closest_only": False},
        "summary": {"skills": []},
        "subjects": {"current": subject("current"), "candidates": [subject("other")]},
        "turn": turn,
    }


def plan(*evidence: Quote, **fields: Any) -> ProjectPlan:
    given = {
        "title": "A settlement server",
        "description": "It pays once",
        "difficulty": "intermediate",
        "duration_weeks": 6,
        "skills": ["Java"],
        "relevant": {"kept": [{"posting_id": "p-1"}, {"posting_id": "p-2"}], "closest_only": False},
        "summary": "2 of 2 ask for it",
        "steps": [Step(title="First", tasks=[TASK, TASK]), Step(title="Second", tasks=[TASK])],
    }
    return ProjectPlan(evidence=list(evidence), **{**given, **fields})


async def test_the_current_subject_becomes_a_project_that_names_it() -> None:
    update = await generate_tasks(state(), Stage(plan(GOOD), postings=POSTINGS).runtime)
    project = Project.model_validate(update["project"])
    assert project.subject_id == "sub-current"
    assert [len(step.tasks) for step in project.steps] == [2, 1]
    assert project.evidence[0].model_dump() == {
        "posting_id": "p-1",
        "company": "Company 1",
        "job_title": "Backend developer",
        "quote": "주문·결제 API 설계와 운영",
    }


async def test_a_chosen_subject_comes_before_the_current_one() -> None:
    stage = Stage(plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(chosen=subject("chosen")), stage.runtime)
    assert update["project"]["subject_id"] == "sub-chosen"
    assert stage.chat.asked[0][1]["subject"] == [subject("chosen")]


async def test_the_project_joins_the_history_of_the_session() -> None:
    update = await generate_tasks(state(), Stage(plan(GOOD), postings=POSTINGS).runtime)
    assert update["history"] == [update["project"]]
    assert update["versions"]["generate_tasks"]["model"] == "scripted"


async def test_the_model_reads_the_cited_postings_and_the_wishes_of_the_turn() -> None:
    stage = Stage(plan(GOOD, difficulty="advanced"), postings=POSTINGS)
    await generate_tasks(state(difficulty="advanced", skills=["Go"], feedback="harder"), stage.runtime)
    [(purpose, blocks)] = stage.chat.asked
    assert purpose == "generate_tasks"
    assert [row["posting_id"] for row in blocks["postings"]] == ["p-1", "p-2"]
    assert blocks["request"][0] == {
        "desired_job": "Backend developer",
        "language": "en",
        "kept_postings": 2,
        "closest_only": False,
        "difficulty": "advanced",
        "skills": ["Go"],
        "feedback": "harder",
    }


@pytest.mark.parametrize(
    "quote",
    [
        "주문·결제 API 설계와 운영",
        "  주문·결제\n API   설계와 운영 ",
        "설계와 운영 정산 배치",
        "Backend developer",
    ],
)
async def test_a_quote_stands_in_its_posting_when_white_space_is_folded(quote: str) -> None:
    stage = Stage(plan(Quote(posting_id="p-1", quote=quote)), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals == []


@pytest.mark.parametrize(
    "bad",
    [
        Quote(posting_id="p-1", quote="주문 결제 API 설계와 운영"),
        Quote(posting_id="p-1", quote="backend developer"),
        Quote(posting_id="p-2", quote="주문·결제 API 설계와 운영"),
        Quote(posting_id="p-3", quote="Design and run payment API number 3"),
        Quote(posting_id="p-99", quote="주문·결제 API 설계와 운영"),
        Quote(posting_id="p-1", quote="API"),
        Quote(posting_id="p-1", quote=" \n "),
    ],
    ids=["a letter", "case", "another posting", "not cited", "unknown", "too short", "nothing"],
)
async def test_a_quote_that_does_not_stand_in_a_cited_posting_goes_back_and_is_never_shown(
    bad: Quote,
) -> None:
    stage = Stage(plan(GOOD, bad), plan(GOOD, bad), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert len(stage.chat.refusals) == 2
    assert [row["quote"] for row in update["project"]["evidence"]] == [GOOD.quote]


@pytest.mark.parametrize(
    "quote",
    [
        unicodedata.normalize("NFD", "주문·결제 API 설계와 운영"),
        "주문\u200b·결제\u00ad API 설계와 운영",
        "주문•결제\u00a0API 설계와 운영",
        "주문·결제 ＡＰＩ 설계와\n운영",
    ],
    ids=["in pieces", "invisible", "another dot and space", "full width"],
)
async def test_a_quote_in_another_form_is_shown_in_the_letters_of_its_posting(quote: str) -> None:
    stage = Stage(plan(Quote(posting_id="p-1", quote=quote)), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals == []
    assert [row["quote"] for row in update["project"]["evidence"]] == [GOOD.quote]


async def test_a_posting_that_was_stored_in_another_form_can_be_quoted() -> None:
    stored = posting(1).model_copy(
        update={"responsibilities": unicodedata.normalize("NFD", "주문·결제 API 설\u00ad계와 운영")}
    )
    stage = Stage(plan(GOOD), postings=[stored, *POSTINGS[1:]])
    update = await generate_tasks(state(), stage.runtime)
    assert [row["quote"] for row in update["project"]["evidence"]] == [GOOD.quote]


async def test_a_quote_that_is_too_short_is_not_called_wrong() -> None:
    stage = Stage(plan(GOOD, Quote(posting_id="p-1", quote="API")), plan(GOOD), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert "does not stand" not in stage.chat.refusals[0][0]


@pytest.mark.parametrize("evidence", [[], [Quote(posting_id="p-1", quote="made up words")]])
async def test_a_project_without_any_true_quote_is_refused(evidence: list[Quote]) -> None:
    with pytest.raises(ModelOutputError) as refused:
        await generate_tasks(state(), Stage(plan(*evidence), postings=POSTINGS).runtime)
    assert refused.value.purpose == "generate_tasks"
    assert refused.value.problems


async def test_the_asked_difficulty_is_insisted_on() -> None:
    stage = Stage(plan(GOOD), plan(GOOD, difficulty="beginner"), postings=POSTINGS)
    update = await generate_tasks(state(difficulty="beginner"), stage.runtime)
    assert stage.chat.refusals == [["difficulty: beginner was asked for"]]
    assert update["project"]["difficulty"] == "beginner"


async def test_a_step_without_tasks_goes_back() -> None:
    stage = Stage(plan(GOOD, steps=[Step(title="Empty", tasks=[])]), plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals == [["steps: every step needs tasks"]]
    assert update["project"]["steps"][0]["title"] == "First"


async def test_a_step_that_stays_without_tasks_is_left_out() -> None:
    steps = [Step(title="Full", tasks=[TASK]), Step(title="Empty", tasks=[])]
    update = await generate_tasks(state(), Stage(plan(GOOD, steps=steps), postings=POSTINGS).runtime)
    assert [step["title"] for step in update["project"]["steps"]] == ["Full"]


async def test_a_plan_that_stays_without_any_task_is_refused() -> None:
    steps = [Step(title="Empty", tasks=[])]
    with pytest.raises(ModelOutputError):
        await generate_tasks(state(), Stage(plan(GOOD, steps=steps), postings=POSTINGS).runtime)


async def test_every_task_is_announced_with_its_step() -> None:
    stage = Stage(plan(GOOD), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert [(e["type"], e["data"]["step"], e["data"]["step_title"]) for e in stage.events] == [
        ("task", 1, "First"),
        ("task", 1, "First"),
        ("task", 2, "Second"),
    ]
    assert stage.events[0]["data"]["deliverable"] == "a test"


async def test_nothing_is_announced_of_a_project_that_is_refused() -> None:
    stage = Stage(plan(), postings=POSTINGS)
    with pytest.raises(ModelOutputError):
        await generate_tasks(state(), stage.runtime)
    assert stage.events == []


async def test_a_model_that_fails_is_not_hidden() -> None:
    with pytest.raises(ModelUnavailableError):
        await generate_tasks(state(), Stage(ModelUnavailableError(), postings=POSTINGS).runtime)


async def test_one_line_says_how_large_the_project_is() -> None:
    update = await generate_tasks(state(), Stage(plan(GOOD), postings=POSTINGS).runtime)
    assert progress_message(update, "en") == "2 steps, 3 tasks, 6 weeks"
    assert progress_message(update, "ko") == "2단계 3개 과제, 6주"
