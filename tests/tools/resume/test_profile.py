"""A model may answer anything: what does not stand in the résumé, or names the person, stays out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.core.contracts import MAX_PROFILE_CHARS
from tools.core.text import texts
from tools.resume.profile import ReadResume, Resume
from tools.resume.reading import MAX_RESUME_CHARS, resume_lines
from tools.resume.schema import ResumeReading

LINES = [
    "나도연",  # 1
    "서버 개발자 | 010-1234-5678 | me@mail.example",
    "나루시장 (2023.03 ~ 현재)",
    "- 주문 API를 나누어 응답 시간을 줄였습니다. 나도연이 이끌었습니다.",
    "- JavaScript로 관리자 화면을 만들었습니다.",
    "한빛대학교 컴퓨터공학과 3.9/4.5",  # 6
    "기술: Spring Boot, Redis",
    "취미는 등산입니다.",
]
EMPTY: dict[str, Any] = {
    "names": [], "private": [], "headings": [], "desired_job": None, "career_stage": None, "stage_line": None,
    "skills": [], "educations": [], "experiences": [], "projects": [], "activities": [], "awards": [],
    "certificates": [], "introduction": [],
}  # fmt: skip


def reading(**said: Any) -> ResumeReading:
    return ResumeReading.model_validate(EMPTY | said)


def read(lines: list[str] = LINES, **said: Any) -> ReadResume:
    return Resume(lines).profile(reading(**said))


def job(**said: Any) -> dict[str, Any]:
    return {"company": None, "role": None, "start": None, "end": None, "lines": [], **said}


def school(**said: Any) -> dict[str, Any]:
    return {"school": None, "major": None, "gpa": None, "gpa_max": None, **said}


@pytest.mark.parametrize("skill", ["Java", "Kotlin", "Boo", "", "등산입니다. 취미는", "x" * 300])
def test_a_skill_that_is_not_named_is_no_skill(skill: str) -> None:
    """Java does not stand in JavaScript."""
    assert Resume(LINES).problems(reading(skills=[skill]))
    assert read(skills=[skill]).profile.skills == []


@pytest.mark.parametrize("skill", ["JavaScript", "Spring Boot", "redis", "스프링 부트"])
def test_one_that_is_named_is_one_by_any_of_its_names(skill: str) -> None:
    assert Resume(LINES).problems(reading(skills=[skill])) == []
    assert read(skills=[skill]).profile.skills == [skill]


def test_one_skill_is_listed_once() -> None:
    assert read(skills=["Spring Boot", "스프링 부트", "Redis", "redis"]).profile.skills == [
        "Spring Boot",
        "Redis",
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"desired_job": "최고 기술 책임자"},
        {"experiences": [job(company="큰회사")]},
        {"experiences": [job(role="팀장")]},
        {"experiences": [job(start="2013.03")]},
        {"educations": [school(school="서울대학교")]},
        {"educations": [school(school="한빛대학교", gpa="4.4", gpa_max="4.5")]},
        {"projects": [{"title": "달 착륙", "skills": [], "lines": []}]},
        {"awards": [{"title": None, "date": "2024", "lines": []}]},
        {"introduction": [9]},
        {"introduction": [0]},
        {"experiences": [job(lines=[-1])]},
    ],
)
def test_what_does_not_stand_there_goes_back_and_then_stays_out(said: dict[str, Any]) -> None:
    assert len(Resume(LINES).problems(reading(**said))) == 1
    profile = read(**said).profile.model_dump()
    kept = {name: value for name, value in profile.items() if value}
    assert kept in ({}, {"educations": [{**school(school="한빛대학교"), "gpa": None, "gpa_max": None}]})


def test_what_stands_there_comes_in() -> None:
    found = read(
        desired_job="서버 개발자",
        career_stage="worker",
        stage_line=3,
        skills=["Redis"],
        educations=[school(school="한빛대학교", major="컴퓨터공학과", gpa="3.9", gpa_max="4.5")],
        experiences=[job(company="나루시장", start="2023.03", end="현재", lines=[4, 5])],
    )
    profile = found.profile
    assert (profile.desired_job, profile.career_stage) == ("서버 개발자", "worker")
    assert profile.educations[0].model_dump() == {
        "school": "한빛대학교", "major": "컴퓨터공학과", "gpa": 3.9, "gpa_max": 4.5
    }  # fmt: skip
    assert profile.experiences[0].model_dump() == {
        "company": "나루시장", "role": None, "start": "2023-03", "end": None,
        "description": "주문 API를 나누어 응답 시간을 줄였습니다. ○○○이 이끌었습니다.\n"
        "JavaScript로 관리자 화면을 만들었습니다.",
    }  # fmt: skip
    assert found.not_understood == ["취미는 등산입니다."]


def test_a_stage_is_believed_where_a_line_says_so() -> None:
    assert read(career_stage="student").profile.career_stage is None
    assert read(career_stage="student", stage_line=99).profile.career_stage is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2023.03", "2023-03"),
        ("2023년 3월", "2023-03"),
        ("Mar 2023", "2023-03"),
        ("March, 2023", "2023-03"),
        ("2023", "2023"),
        ("'23.3", "'23.3"),
        ("현재", None),
        ("Present", None),
    ],
)
def test_dates_have_one_form(said: str, kept: str | None) -> None:
    lines = [f"나루시장 {said}"]
    assert read(lines, experiences=[job(company="나루시장", start=said)]).profile.experiences[0].start == kept


@pytest.mark.parametrize("private", [[], [1, 2]])
@pytest.mark.parametrize("names", [[], ["나도연"]])
def test_names_and_numbers_stay_out_whatever_the_model_says(private: list[int], names: list[str]) -> None:
    """Though it takes them for a job, a company and an introduction."""
    found = read(
        names=names,
        private=private,
        desired_job="나도연",
        skills=["me@mail.example", "나도연"],
        experiences=[job(company="me@mail.example", role="나도연", start="010-1234-5678", lines=[1, 2])],
        introduction=[1, 2, 4],
    )
    told = found.model_dump_json()
    for word in ("나도연", "010", "5678", "mail.example"):
        assert word not in told, word
    assert "이끌었습니다" in (found.profile.introduction or "")


def test_a_skill_that_is_called_a_name_stays_a_skill() -> None:
    """An injected line may ask the model to hide what the person can do."""
    found = read(names=["Redis", "주문 API를 나누어 응답 시간을 줄였습니다", "한"], skills=["Redis"])
    assert found.profile.skills == ["Redis"]


def test_a_name_is_not_taken_out_of_other_words() -> None:
    lines = [
        "이름: 이하나",
        "하나의 서비스를 하나씩 만들었습니다. 이하나는 끝까지 했습니다.",
        "Name: Sam",
        "Same Samples by Sam",
    ]
    found = read(lines, names=["Sam"], introduction=[2, 4]).profile.introduction or ""
    assert "하나의 서비스를 하나씩" in found
    assert "○○○는" in found
    assert "Same Samples by ○○○" in found


def test_a_line_goes_to_one_place() -> None:
    found = read(experiences=[job(company="나루시장", lines=[4])], introduction=[4, 5])
    assert "주문" not in (found.profile.introduction or "")


def test_sentences_that_a_pdf_has_broken_are_whole_again() -> None:
    lines = resume_lines(
        "나루시장 서버 개발\n주문 서비스의 응답 시간을\n줄이고 스프링\n부트로 옮겼습니다.\n"
        "• 장애를 줄임\n• 비용을 줄임"
    )
    found = read(lines, skills=["스프링 부트"], experiences=[job(company="나루시장", lines=[2, 3, 4, 5, 6])])
    assert found.profile.skills == ["스프링 부트"]
    assert found.profile.experiences[0].description == (
        "주문 서비스의 응답 시간을 줄이고 스프링 부트로 옮겼습니다.\n장애를 줄임\n비용을 줄임"
    )


def test_a_text_without_line_breaks_is_cut_at_sentences() -> None:
    text = "저는 서버를 만듭니다. " * 200
    lines = resume_lines(text)
    assert all(len(line) <= 300 for line in lines)
    assert " ".join(lines) == " ".join(text.split())
    assert {line[-1] for line in lines} == {"."}


@given(st.text(max_size=1_000))
def test_cutting_into_lines_loses_no_letter(text: str) -> None:
    from tools.core.text import clean  # noqa: PLC0415

    bullets = str.maketrans("", "", "•▪■●ㆍ")
    cut = "".join("".join(resume_lines(text)).split()).translate(bullets)
    assert cut == "".join(clean(text).split()).translate(bullets)


WORDS = st.sampled_from(
    [*(word for line in LINES for word in line.split()), *LINES, "없는 말", "", "a" * 400]
)
MAYBE = st.none() | WORDS
NUMBERS = st.lists(st.integers(-2, 12), max_size=6)
ITEMS = st.lists(st.fixed_dictionaries({"title": MAYBE, "date": MAYBE, "lines": NUMBERS}), max_size=60)


@given(
    st.fixed_dictionaries(
        {
            "names": st.lists(WORDS, max_size=30),
            "private": NUMBERS,
            "headings": NUMBERS,
            "desired_job": MAYBE,
            "career_stage": st.sampled_from([None, "student", "worker"]),
            "stage_line": st.none() | st.integers(-2, 12),
            "skills": st.lists(WORDS, max_size=120),
            "educations": st.lists(
                st.fixed_dictionaries(dict.fromkeys(("school", "major", "gpa", "gpa_max"), MAYBE)),
                max_size=25,
            ),
            "experiences": st.lists(
                st.fixed_dictionaries(
                    dict.fromkeys(("company", "role", "start", "end"), MAYBE) | {"lines": NUMBERS}
                ),
                max_size=35,
            ),
            "projects": st.lists(
                st.fixed_dictionaries({"title": MAYBE, "skills": st.lists(WORDS), "lines": NUMBERS}),
                max_size=55,
            ),
            "activities": ITEMS,
            "awards": ITEMS,
            "certificates": ITEMS,
            "introduction": NUMBERS,
        }
    )
)
def test_any_answer_gives_a_valid_profile_of_words_that_stand_there(said: dict[str, Any]) -> None:
    resume = Resume(LINES)
    answer = ResumeReading.model_validate(said)
    resume.problems(answer)
    found = resume.profile(answer)
    told = list(texts(found.profile.model_dump()))
    assert sum(map(len, told)) <= MAX_PROFILE_CHARS
    whole = "".join("".join(LINES).split())
    for text in told:
        if text in ("student", "worker") or text == "2023-03":
            continue
        for word in text.replace("○○○", " ").split():
            assert word in whole, text
    for word in ("나도연", "1234", "mail.example"):
        assert word not in found.model_dump_json()


def test_the_longest_resume_becomes_a_profile() -> None:
    lines = resume_lines("나루시장에서 주문 서비스를 만들었습니다. " * 2_000)[: MAX_RESUME_CHARS // 300]
    every = list(range(1, len(lines) + 1))
    found = read(lines, introduction=every[:30], experiences=[job(company="나루시장", lines=every[30:])])
    assert found.profile.introduction
    assert found.profile.experiences[0].description
