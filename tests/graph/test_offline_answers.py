"""The offline model's answers, by way of the whole service: they pass its checks at the first try, and are
not wrong in what a person sees first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from local.model.rules.crafts import angle_of
from serve.context import AppContext
from tests.graph.sessions.test_sessions import finished, result
from tools.core.contracts import Answer, Language, Profile, Wishes

SAMPLES = Path(__file__).parents[2] / "samples" / "profiles.jsonl"
PROFILES = {
    row["id"]: Profile.model_validate(row["profile"])
    for row in map(json.loads, SAMPLES.read_text("utf-8").splitlines())
}
MODEL_CALLS = ["filter_jobs", "summarize", "propose_subjects", "generate_tasks"]


async def asked_once(app_context: AppContext, profile: Profile, language: Language) -> Answer:
    """The first answer of a session, for which nothing was sent back to the model."""
    run = app_context.sessions.generate(profile, language)
    answer = result(await finished(run))
    assert [call.purpose for call in run.calls if call.purpose in MODEL_CALLS] == MODEL_CALLS
    return answer


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("name", PROFILES)
async def test_nothing_is_sent_back_and_nothing_is_warned_of(
    app_context: AppContext, name: str, language: Language
) -> None:
    answer = await asked_once(app_context, PROFILES[name], language)
    assert answer.warnings == []
    assert (len(answer.candidates), answer.missing) == (3, 0)


@pytest.mark.parametrize("language", get_args(Language))
async def test_what_all_postings_ask_for_is_in_the_project(
    app_context: AppContext, language: Language
) -> None:
    answer = await asked_once(app_context, PROFILES["frontend-student"], language)
    kept = sum(posting.kept for posting in answer.postings)
    asked = next(line for line in answer.summary.skills if line.text == "TypeScript")
    assert asked.count > kept / 2
    assert "TypeScript" in answer.project.skills
    tasks = [task for step in answer.project.steps for task in step.tasks]
    assert any("TypeScript" in task.skills for task in tasks)


async def test_eight_back_end_developers_get_no_single_project(app_context: AppContext) -> None:
    people: list[dict[str, Any]] = [
        {"skills": ["Java", "Spring Boot", "MySQL"]},
        {"skills": ["Java", "Spring Boot"], "introduction": "결제를 다루고 싶습니다."},
        {"skills": ["Kotlin", "Spring Boot", "PostgreSQL"]},
        {"skills": ["Python", "Django"], "career_stage": "student"},
        {"skills": ["Go", "Redis"], "career_stage": "worker"},
        {"skills": ["Node.js", "NestJS", "MongoDB"]},
        {"skills": ["Java"], "introduction": "검색 엔진에 관심이 많습니다.", "career_stage": "student"},
        {"skills": ["C#", ".NET"], "experiences": [{"role": "물류 창고 시스템 운영"}]},
    ]
    profiles = [Profile.model_validate({"desired_job": "백엔드 개발자", **person}) for person in people]
    titles = [(await asked_once(app_context, profile, "ko")).project.title for profile in profiles]
    assert len(set(titles)) >= 6, titles


@pytest.mark.parametrize("said", ["게임 쪽으로", "너무 어려워요", "더 짧게 해 주세요"])
async def test_a_regeneration_stays_in_the_desired_job(app_context: AppContext, said: str) -> None:
    profile = PROFILES["java-backend"]
    first = await asked_once(app_context, profile, "ko")
    again = result(await finished(app_context.sessions.regenerate(first.session_id, Wishes(feedback=said))))
    assert again.warnings == []
    assert {"Java", "Spring Boot"} <= set(again.project.skills)
    angle = angle_of(again.project.title, again.project.description, "ko")
    assert angle is not None
    assert angle.craft == "backend"
    if said == "게임 쪽으로":
        assert "게임" in again.project.title
    if said.startswith("더 짧게"):
        assert again.project.duration_weeks < first.project.duration_weeks
    if said.startswith("너무"):
        assert again.project.difficulty == "beginner"


@pytest.mark.parametrize("language", get_args(Language))
async def test_a_job_that_no_posting_is_for_is_not_answered_as_if_one_were(
    app_context: AppContext, language: Language
) -> None:
    profile = Profile(desired_job="pastry chef", skills=["Excel"])
    answer = result(await finished(app_context.sessions.generate(profile, language)))
    assert answer.closest_only
    said = {"ko": "희망 직무의 공고가 없어", "en": "No posting was for the desired job (pastry chef)"}[
        language
    ]
    assert said in answer.project.summary
    assert said in answer.project.description
    assert not set(answer.project.skills) & {"Unity", "C#"}


async def test_wishes_are_served_or_named_as_left_out(app_context: AppContext) -> None:
    wishes = ["Kafka로 이벤트를 흘려 보고 싶습니다", "블로그에 연재하고 싶습니다"]
    profile = Profile(
        desired_job="백엔드 개발자",
        skills=["Java", "Spring Boot", "한자 1급"],
        wishes=wishes,
        hours_per_week=6,
    )
    answer = await asked_once(app_context, profile, "ko")
    project = answer.project
    assert answer.warnings == []
    assert "Kafka" in project.skills
    assert wishes[0] in project.wishes
    left = {item.name for item in project.not_covered}
    assert wishes[1] in left
    # No skill of the trade: a project neither uses it nor need say why not.
    assert "한자 1급" not in left
    assert project.hours_per_week == 6
