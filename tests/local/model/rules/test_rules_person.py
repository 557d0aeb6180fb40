"""Whom the rules take a person for, and whether what they say of time and level is followed."""

from __future__ import annotations

from typing import Any

import pytest

from local.model.rules.person import read_feedback, read_person
from tests.local.model.rules.test_rules_answers import profile, project, request, subjects

Row = dict[str, Any]

STAGES = ("student", "job_seeker", "worker")
LEVELS = ("beginner", "intermediate", "advanced")


def planned(stage: str, difficulty: str | None = None, **wishes: Any) -> Row:
    who = profile(career_stage=stage)
    asked = request(difficulty=difficulty, **wishes)
    return project(subjects(asked, who)[0], asked, who)


def tasks(plan: Row) -> int:
    return sum(len(step["tasks"]) for step in plan["steps"])


def before(plan: Row) -> Row:
    return {name: plan[name] for name in ("title", "difficulty", "duration_weeks")}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("level", LEVELS)
def test_shorter_and_longer_are_measured_by_the_project_before(stage: str, level: str) -> None:
    shown = planned(stage, level)
    for said in ("더 짧게", "Shorter, please", "너무 오래 걸려요"):
        for now in (None, *LEVELS):
            again = planned(stage, now, feedback=said, before=before(shown))
            assert again["duration_weeks"] < shown["duration_weeks"]
    for said in ("더 길게 해 주세요", "a bit longer", "너무 짧아요"):
        again = planned(stage, feedback=said, before=before(shown))
        assert again["duration_weeks"] > shown["duration_weeks"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_shorter_plan_has_less_to_do(stage: str, level: str) -> None:
    shown = planned(stage, level)
    again = planned(stage, level, feedback="더 짧게", before=before(shown))
    assert tasks(again) < tasks(shown)
    assert tasks(again) <= 4 * again["duration_weeks"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("weeks", [1, 2, 3, 5, 26])
def test_a_plan_takes_no_more_weeks_than_are_asked_for(stage: str, weeks: int) -> None:
    shown = planned(stage)["duration_weeks"]
    assert planned(stage, weeks=weeks)["duration_weeks"] == min(weeks, shown)
    for said in ("더 길게 해 주세요", "10주로 해 주세요", "더 어렵게"):
        asked = planned(stage, "advanced", weeks=weeks, feedback=said)
        assert asked["duration_weeks"] <= weeks
        assert sum(step["weeks"] for step in asked["steps"]) == pytest.approx(asked["duration_weeks"])
    assert planned(stage, weeks=weeks, feedback="2주 안에")["duration_weeks"] == min(weeks, 2)


@pytest.mark.parametrize("level", LEVELS)
def test_easier_is_measured_by_the_project_before(level: str) -> None:
    shown = {"title": "", "difficulty": level, "duration_weeks": 6}
    again = planned("worker", feedback="너무 어려워요", before=shown)
    assert again["difficulty"] == LEVELS[max(LEVELS.index(level) - 1, 0)]
    assert planned("worker", level, feedback="더 쉽게", before=shown)["difficulty"] == level


@pytest.mark.parametrize("hours", [2, 5, 8, 30])
def test_the_weeks_are_shared_out_and_the_hours_are_enough(hours: int) -> None:
    for said in (None, "2주 안에", "더 길게"):
        asked, who = request(feedback=said), profile(career_stage="worker", hours_per_week=hours)
        plan = project(subjects(asked, who)[0], asked, who)
        assert plan["hours_per_week"] == hours
        assert sum(step["weeks"] for step in plan["steps"]) == pytest.approx(plan["duration_weeks"])
        assert all(step["weeks"] > 0 for step in plan["steps"])
        if hours * plan["duration_weeks"] >= 4 * len(plan["steps"]):
            assert min(step["weeks"] * hours / len(step["tasks"]) for step in plan["steps"]) >= 2


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("React는 써 본 적이 없습니다.", False),
        ("React를 배우고 싶습니다.", False),
        ("I have never used React, but Vue.", False),
        ("I would like to learn React.", False),
        ("React로 동아리 홈페이지를 만들었습니다. Vue는 못 써 봤습니다.", True),
    ],
)
def test_what_is_not_had_yet_is_no_skill(words: str, has: bool) -> None:
    asked = {"desired_job": "프론트엔드 개발자", "language": "ko"}
    assert ("React" in read_person(asked, {"skills": ["HTML"], "introduction": words}).has) is has


@pytest.mark.parametrize(
    ("said", "stretch", "number"),
    [
        ("기간을 조금 줄여 주세요", -1, None),
        ("빨리 끝낼 수 있는 걸로", -1, None),
        ("it takes too long", -1, None),
        ("시간이 별로 없어요", -1, None),
        ("기간을 늘려 주세요", 1, None),
        ("이건 너무 짧아요", 1, None),
        ("4주보다 짧게", -1, 3),
        ("기간은 한 달 정도밖에 없어요", 0, 4),
        ("I have three weeks", 0, 3),
        ("일주일 안에", 0, 1),
        ("짧은 동영상을 다루고 싶어요", 0, None),
        ("something with short videos", 0, None),
        ("입사 3주 차입니다, 창립 10주년이고요", 0, None),
        ("달콤한 디저트 가게 이야기로", 0, None),
    ],
)
def test_understands_how_long_it_may_take(said: str, stretch: int, number: int | None) -> None:
    found = read_feedback(said)
    assert (found.stretch, found.weeks) == (stretch, number)


def level_of(job: str, stage: str | None, **fields: Any) -> str:
    return read_person({"desired_job": job, "language": "ko"}, {"career_stage": stage, **fields}).difficulty


def job(role: str, start: str, end: str | None = None, description: str = "") -> Row:
    return {"company": "가온", "role": role, "start": start, "end": end, "description": description}


@pytest.mark.parametrize(
    ("expected", "wanted", "stage", "fields"),
    [
        # Nothing to show yet in the trade.
        ("beginner", "백엔드 개발자", "student", {"skills": ["Java", "MySQL"]}),
        ("beginner", "소프트웨어 아키텍트", "student", {"skills": ["Java", "AWS", "Kafka", "Redis"]}),
        ("beginner", "백엔드 개발자", "job_seeker", {"skills": ["Python"]}),
        ("beginner", "백엔드 개발자 신입", None, {}),
        ("beginner", "백엔드 개발자", "worker", {"experiences": [job("병동 간호사", "2015-03")]}),
        ("beginner", "backend developer", "worker", {"experiences": [job("Sales manager", "2010-01")]}),
        # On the way.
        ("intermediate", "백엔드 개발자", None, {}),
        ("intermediate", "백엔드 개발자", "job_seeker", {"skills": ["Java", "Spring Boot", "MySQL"]}),
        (
            "intermediate", "백엔드 개발자", "worker",
            {
                "experiences": [job("병동 간호사", "2015-03", "2022-03")],
                "projects": [{"title": "병동 일정표", "skills": ["Django"]}],
            },
        ),
        ("intermediate", "백엔드 개발자", "worker", {"experiences": [job("서버 개발", "2019", "2022-06")]}),
        (
            "intermediate", "컴퓨터 비전 엔지니어", "student",
            {"educations": [{"school": "가온대", "major": "인공지능 석사 과정"}]},
        ),
        ("intermediate", "백엔드 개발자", "worker", {"introduction": "간호사로 10년 동안 일했습니다."}),
        # Years in the trade.
        ("advanced", "백엔드 개발자", "worker", {"experiences": [job("서버 개발자", "2012-01", "2019-01")]}),
        (
            "advanced", "Site Reliability Engineer", "worker",
            {"experiences": [job("SRE", "2016-02", "2019-01"), job("Cloud engineer", "2013-01", "2016-01")]},
        ),
        ("advanced", "시니어 백엔드 개발자", "worker", {}),
        ("advanced", "백엔드 개발자", "worker", {"introduction": "Java 서버 개발 8년 차입니다."}),
        ("advanced", "백엔드 리드", "worker", {"experiences": [job("백엔드 개발자", "2016-01", "2019-06")]}),
    ],
)  # fmt: skip
def test_the_level_fits_the_person(expected: str, wanted: str, stage: str | None, fields: Row) -> None:
    assert level_of(wanted, stage, **fields) == expected


def test_two_jobs_at_once_count_once() -> None:
    both = [job("서버 개발자", "2016-01", "2019-01"), job("백엔드 개발자", "2016-01", "2019-01")]
    assert level_of("백엔드 개발자", "worker", experiences=both) == "intermediate"


@pytest.mark.parametrize(
    "odd", [{"start": "언젠가"}, {"start": "2030-13"}, {"start": "1900", "end": "2999"}, {}]
)
def test_odd_dates_are_survived(odd: Row) -> None:
    assert level_of("백엔드 개발자", "worker", experiences=[{"role": "서버 개발자", **odd}, None]) in LEVELS
