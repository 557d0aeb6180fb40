"""generate_tasks: the project, and quotes that stand in their postings."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from nodes.generate_tasks import ProjectPlan, Quote, generate_tasks, progress_message
from tests.fakes import Stage, posting
from tests.watching import steps_of, watched
from tools.core.contracts import (
    DataSource,
    Fault,
    MinimumVersion,
    NotCovered,
    Profile,
    Project,
    Step,
    Task,
)
from tools.core.errors import ModelOutputError, ModelUnavailableError

POSTINGS = [
    posting(
        1, responsibilities="주문·결제 API 설계와 운영\n정산 배치 개선", preferred="Unreal Engine shaders"
    ),
    posting(2, requirements="Kafka in production"),
    posting(3),
]
TASK = Task(title="Build it", description="Build the payment API", skills=["Java"], deliverable="a test")
LAST = Task(title="Measure it", description="Send 500 payments", skills=["Java"], deliverable="a report")
GOOD = Quote(posting_id="p-1", quote="주문·결제 API 설계와 운영")
OTHERS = [
    Quote(posting_id="p-1", quote="정산 배치 개선"),
    Quote(posting_id="p-2", quote="Kafka in production"),
    Quote(posting_id="p-2", quote="Design and run payment API number 2"),
]
"""With one more there are as many quotes as are asked for."""


def subject(name: str) -> dict[str, Any]:
    return {
        "id": f"sub-{name}",
        "title": name,
        "description": f"It is {name}.",
        "goal": "500 payments",
        "skills": ["Java", "Kafka"],
        "skill_gaps": [{"skill": "Kafka", "reason": "1 of 2 postings asks for it"}],
        "posting_ids": ["p-1", "p-2"],
        "wishes": ["Backend developer"],
        "strengths": [],
        "not_covered": [],
    }


def state(**turn: Any) -> Any:
    return {
        "profile": Profile(desired_job="Backend developer", skills=["Java"]).model_dump(),
        "language": "en",
        "relevant": {"kept": [{"posting_id": "p-1"}, {"posting_id": "p-2"}], "closest_only": False},
        "summary": {"skills": [{"text": "Kafka", "count": 2, "posting_ids": ["p-1", "p-2"]}]},
        "subjects": {"current": subject("current"), "candidates": [subject("other")]},
        "turn": turn,
    }


def plan(*evidence: Quote, **fields: Any) -> ProjectPlan:
    """One in which nothing is found wrong, with `evidence` before quotes that stand."""
    given = {
        "title": "A settlement server",
        "description": "It pays once, with Java and Kafka",
        "goal": "500 payments, none lost",
        "difficulty": "intermediate",
        "duration_weeks": 6,
        "hours_per_week": 10,
        "skills": ["Java", "Kafka"],
        "summary": "2 of 2 postings ask for Kafka",
        "data": [DataSource(name="made payments", origin="a script")],
        "steps": [
            Step(title="First", weeks=3, tasks=[TASK, TASK]),
            Step(title="Second", weeks=3, tasks=[LAST]),
        ],
        "minimum_version": MinimumVersion(after_step=1, shows="an API"),
        "evidence": [*evidence, *OTHERS],
    }
    return ProjectPlan(**{**given, **fields})


def quotes(update: dict[str, Any]) -> list[str]:
    return [row["quote"] for row in update["project"]["evidence"]]


async def codes(bad: ProjectPlan, **turn: Any) -> list[str]:
    """The codes of what is found wrong with a plan that the model never puts right."""
    update = await generate_tasks(state(**turn), Stage(bad, postings=POSTINGS).runtime)
    return [warning["code"] for warning in update["warnings"]["generate_tasks"]]


async def test_the_current_subject_becomes_a_project_that_names_it() -> None:
    update = await generate_tasks(state(), Stage(plan(GOOD), postings=POSTINGS).runtime)
    project = Project.model_validate(update["project"])
    assert project.subject_id == "sub-current"
    assert [len(step.tasks) for step in project.steps] == [2, 1]
    assert project.wishes == ["Backend developer"]
    assert update["warnings"] == {"generate_tasks": []}
    assert project.evidence[0].model_dump() == {
        "claim": "",
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
    wishes = {"difficulty": "advanced", "weeks": 6, "skills": ["Go"], "feedback": "harder"}
    await generate_tasks(state(**wishes), stage.runtime)
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
        "weeks": 6,
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
    update = await generate_tasks(state(), stage.runtime)
    assert "quote_not_in_posting" not in {w["code"] for w in update["warnings"]["generate_tasks"]}
    assert quotes(update)[0] == " ".join(quote.split())


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
    assert quotes(update) == [GOOD.quote, *(quote.quote for quote in OTHERS)]


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
    assert quotes(update) == [GOOD.quote, *(quote.quote for quote in OTHERS)]


async def test_a_posting_that_was_stored_in_another_form_can_be_quoted() -> None:
    stored = posting(1).model_copy(
        update={"responsibilities": unicodedata.normalize("NFD", "주문·결제 API 설\u00ad계와 운영")}
    )
    stage = Stage(plan(GOOD), postings=[stored, *POSTINGS[1:]])
    update = await generate_tasks(state(), stage.runtime)
    assert quotes(update)[0] == GOOD.quote


async def test_a_quote_that_is_too_short_is_not_called_wrong() -> None:
    stage = Stage(plan(GOOD, Quote(posting_id="p-1", quote="API")), plan(GOOD), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert "does not stand" not in stage.chat.refusals[0][0]


@pytest.mark.parametrize("evidence", [[], [Quote(posting_id="p-1", quote="made up words")]])
async def test_a_project_without_any_true_quote_goes_out_with_a_warning_and_no_quote(
    evidence: list[Quote],
) -> None:
    stage = Stage(plan(evidence=evidence), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals
    assert quotes(update) == []
    assert "too_few_quotes" in {warning["code"] for warning in update["warnings"]["generate_tasks"]}


async def test_a_quote_that_is_given_twice_is_shown_once() -> None:
    update = await generate_tasks(state(), Stage(plan(GOOD, GOOD), postings=POSTINGS).runtime)
    assert quotes(update).count(GOOD.quote) == 1


async def test_the_model_reads_the_lines_of_all_kept_postings_and_more_of_the_cited_ones() -> None:
    many = [
        posting(n, preferred="\n".join(f"Kafka in plant {n}{line:03}" for line in range(200))) for n in (1, 2)
    ]
    stage = Stage(plan(GOOD), postings=many)
    cited = {**subject("current"), "posting_ids": ["p-2"]}
    given = state()
    given["subjects"]["current"] = cited
    await generate_tasks(given, stage.runtime)
    first, second = stage.chat.asked[0][1]["postings"]
    assert [first["posting_id"], second["posting_id"]] == ["p-2", "p-1"]
    assert sum(map(len, first["lines"])) <= 1_200
    assert all(line in many[1].text() for line in first["lines"])


def task(**fields: Any) -> Task:
    return TASK.model_copy(update=fields)


def steps(*tasks: Task, last: Task = LAST, weeks: float = 3) -> list[Step]:
    return [Step(title="First", weeks=weeks, tasks=list(tasks)), Step(title="Second", weeks=3, tasks=[last])]


KILL = task(description="Kill the server on purpose between two writes")
REMEDY = Fault(what="it dies", signal="rows without an event", remedy="an outbox")


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("quote_off_topic", {"evidence": [Quote(posting_id="p-1", quote="Unreal Engine shaders"), *OTHERS]}),
        ("too_few_quotes", {"evidence": OTHERS}),
        ("gap_without_quote", {"evidence": [GOOD, OTHERS[0], OTHERS[2]]}),
        ("claim_without_quote", {"evidence": [GOOD, OTHERS[0], OTHERS[2]]}),
        ("count_untrue", {"summary": "7 of 2 postings ask for Kafka"}),
        ("no_deliverable", {"steps": steps(task(deliverable=" "))}),
        ("weeks_do_not_add_up", {"duration_weeks": 9}),
        ("too_much_work", {"steps": steps(task(hours=40)), "hours_per_week": 10}),
        ("too_much_work", {"steps": steps(*[TASK] * 4, weeks=0.5), "duration_weeks": 4, "hours_per_week": 8}),
        ("no_reserve", {"steps": [Step(title="All", weeks=6, tasks=[task(hours=28), LAST, task(hours=29)])]}),
        ("goal_without_number", {"goal": "It is fast"}),
        ("goal_not_met", {"goal": "9,000 payments"}),
        ("minimum_version_late", {"minimum_version": None}),
        ("minimum_version_late", {"minimum_version": MinimumVersion(after_step=2, shows="all")}),
        ("data_unknown", {"data": []}),
        ("data_unknown", {"data": [DataSource(name="logs", origin="")]}),
        ("fault_without_signal", {"steps": steps(KILL)}),
        ("fault_without_signal", {"steps": steps(task(fault=REMEDY.model_copy(update={"signal": ""})))}),
        ("mostly_new", {"steps": steps(*[task(skills=["Rust"], description="Write it in Rust")] * 3)}),
        ("leak", {"summary": "2 of 2 postings ask for Kafka, as p-1 does"}),
        ("leak", {"description": "It closes skill_gaps"}),
        ("wrong_language", {"description": "결제를 한 번만 처리하는 정산 서버"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_built_or_believed_goes_back_and_then_out_with_a_warning(
    code: str, fields: dict[str, Any]
) -> None:
    stage = Stage(plan(**{"evidence": [GOOD, *OTHERS], **fields}), plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals
    assert update["warnings"] == {"generate_tasks": []}
    assert code in await codes(plan(**{"evidence": [GOOD, *OTHERS], **fields}))


async def test_a_fault_with_its_signal_and_its_remedy_is_right() -> None:
    assert await codes(plan(GOOD, steps=steps(KILL.model_copy(update={"fault": REMEDY})))) == []


async def test_more_than_two_quotes_of_a_posting_are_named_by_its_company() -> None:
    third = Quote(posting_id="p-1", quote="Three years of Java")
    update = await generate_tasks(state(), Stage(plan(GOOD, third), postings=POSTINGS).runtime)
    [warning] = update["warnings"]["generate_tasks"]
    assert warning["code"] == "posting_quoted_often"
    assert "Company 1" in warning["message"]
    assert len(quotes(update)) == 5


async def test_a_technology_of_a_quote_is_used_or_named_as_left_out() -> None:
    asked = [POSTINGS[0], posting(2, preferred="Kafka and Terraform in production")]
    quote = Quote(posting_id="p-2", quote="Kafka and Terraform in production")
    evidence = [GOOD, OTHERS[0], quote, OTHERS[2]]
    stage = Stage(plan(evidence=evidence), postings=asked)
    update = await generate_tasks(state(), stage.runtime)
    assert [warning["code"] for warning in update["warnings"]["generate_tasks"]] == ["quoted_skill_unused"]
    left = [NotCovered(name="Terraform", reason="one machine is enough")]
    stage = Stage(plan(evidence=evidence, not_covered=left), postings=asked)
    update = await generate_tasks(state(), stage.runtime)
    assert update["warnings"] == {"generate_tasks": []}
    assert update["project"]["not_covered"] == [{"name": "Terraform", "reason": "one machine is enough"}]


async def test_the_hours_of_the_profile_are_kept_to() -> None:
    given = state()
    given["profile"]["hours_per_week"] = 5
    update = await generate_tasks(given, Stage(plan(GOOD), postings=POSTINGS).runtime)
    assert [warning["code"] for warning in update["warnings"]["generate_tasks"]] == ["hours_differ"]


@pytest.mark.parametrize(
    ("feedback", "code"),
    [("Make it shorter", "not_shorter"), ("기간을 줄여 주세요", "not_shorter"), ("too hard", "not_easier")],
)
async def test_shorter_and_easier_are_measured_by_the_project_before(feedback: str, code: str) -> None:
    before = {"title": "Old", "duration_weeks": 6, "difficulty": "beginner"}
    given = {**state(feedback=feedback), "project": before}
    stage = Stage(plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(given, stage.runtime)
    assert stage.chat.asked[0][1]["request"][0]["before"] == before
    assert code in {warning["code"] for warning in update["warnings"]["generate_tasks"]}


@pytest.mark.parametrize("feedback", ["너무 짧아요", "짧은 동영상을 다루고 싶어요", "harder, please"])
async def test_what_only_sounds_like_shorter_is_not_held_to_it(feedback: str) -> None:
    before = {"title": "Old", "duration_weeks": 6, "difficulty": "intermediate"}
    given = {**state(feedback=feedback), "project": before}
    update = await generate_tasks(given, Stage(plan(GOOD), postings=POSTINGS).runtime)
    assert update["warnings"] == {"generate_tasks": []}


async def test_warnings_are_in_the_language_of_the_person() -> None:
    given = {**state(), "language": "ko"}
    update = await generate_tasks(given, Stage(plan(GOOD, goal="It is fast"), postings=POSTINGS).runtime)
    messages = {warning["code"]: warning["message"] for warning in update["warnings"]["generate_tasks"]}
    assert messages["goal_without_number"] == "목표에 숫자가 없습니다."


async def test_the_asked_difficulty_is_insisted_on() -> None:
    stage = Stage(plan(GOOD), plan(GOOD, difficulty="beginner"), postings=POSTINGS)
    update = await generate_tasks(state(difficulty="beginner"), stage.runtime)
    assert stage.chat.refusals == [
        ["difficulty: The difficulty is not the one that was asked for (beginner)."]
    ]
    assert update["project"]["difficulty"] == "beginner"


async def test_a_project_that_takes_more_weeks_than_asked_for_goes_back() -> None:
    halves = [step.model_copy(update={"weeks": 2.0}) for step in plan(GOOD).steps]
    within = plan(GOOD, duration_weeks=4, steps=halves, hours_per_week=15)
    stage = Stage(plan(GOOD), within, postings=POSTINGS)
    update = await generate_tasks(state(weeks=4), stage.runtime)
    assert stage.chat.refusals == [["duration_weeks: It takes more weeks than were asked for (at most 4)."]]
    assert update["project"]["duration_weeks"] == 4
    assert update["warnings"] == {"generate_tasks": []}


async def test_who_gets_more_weeks_than_asked_for_is_told_so_in_their_language() -> None:
    given = {**state(weeks=4), "language": "ko"}
    update = await generate_tasks(given, Stage(plan(GOOD), postings=POSTINGS).runtime)
    messages = {warning["code"]: warning["message"] for warning in update["warnings"]["generate_tasks"]}
    assert messages["too_many_weeks"] == "길어도 4주 안에 끝나는 것을 원했지만 그보다 깁니다."


@pytest.mark.parametrize("weeks", [6, 7, 26, None])
async def test_a_project_within_the_weeks_that_were_asked_for_is_right(weeks: int | None) -> None:
    stage = Stage(plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(weeks=weeks), stage.runtime)
    assert stage.chat.refusals == []
    assert update["warnings"] == {"generate_tasks": []}


async def test_a_step_without_tasks_goes_back() -> None:
    stage = Stage(plan(GOOD, steps=[Step(title="Empty", tasks=[])]), plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    assert "steps: Step 1 has no tasks." in stage.chat.refusals[0]
    assert update["project"]["steps"][0]["title"] == "First"


async def test_a_step_that_stays_without_tasks_is_left_out() -> None:
    steps = [Step(title="Full", tasks=[TASK]), Step(title="Empty", tasks=[])]
    update = await generate_tasks(state(), Stage(plan(GOOD, steps=steps), postings=POSTINGS).runtime)
    assert [step["title"] for step in update["project"]["steps"]] == ["Full"]


async def test_a_plan_that_stays_without_any_task_is_refused() -> None:
    steps = [Step(title="Empty", tasks=[])]
    with pytest.raises(ModelOutputError):
        await generate_tasks(state(), Stage(plan(GOOD, steps=steps), postings=POSTINGS).runtime)


async def test_every_task_is_shown_with_its_step_as_it_is_written() -> None:
    stage = Stage(plan(GOOD), postings=POSTINGS)
    update = await generate_tasks(state(), stage.runtime)
    placed = [(e["data"]["step"], e["data"]["step_title"], e["data"]["position"]) for e in stage.events]
    assert placed == [(0, "First", 0), (0, "First", 1), (1, "Second", 0)]
    assert {event["type"] for event in stage.events} == {"task"}
    assert stage.events[0]["data"]["task"] == TASK.model_dump()
    assert watched(stage.events).steps() == steps_of(update["project"])


async def test_the_tasks_of_a_plan_that_is_refused_are_withdrawn_before_the_next_is_shown() -> None:
    stage = Stage(plan(GOOD, duration_weeks=9), plan(GOOD), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert stage.chat.refusals
    assert [event["type"] for event in stage.events] == ["task"] * 3 + ["withdrawn"] + ["task"] * 3
    assert stage.events[3]["data"] == {"attempt": 2, "what": "tasks", "positions": None}


async def test_a_step_without_tasks_counts_for_none_in_what_is_shown() -> None:
    steps = [Step(title="Empty", tasks=[]), Step(title="Full", tasks=[TASK])]
    stage = Stage(plan(GOOD, steps=steps), postings=POSTINGS)
    await generate_tasks(state(), stage.runtime)
    assert [(e["type"], e["data"]["step"]) for e in stage.events] == [("task", 0)]


async def test_nothing_is_shown_where_nobody_watches() -> None:
    stage = Stage(plan(GOOD), postings=POSTINGS, watched=False)
    await generate_tasks(state(), stage.runtime)
    assert stage.events == []


async def test_nothing_is_announced_of_a_project_that_is_refused() -> None:
    stage = Stage(plan(steps=[Step(title="Empty", tasks=[])]), postings=POSTINGS)
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
