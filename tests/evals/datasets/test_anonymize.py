"""Personal data goes, what a person can do stays."""

from __future__ import annotations

from typing import Any

import pytest

from evals.datasets.add_case import anonymize
from tools.core.contracts import Language, Profile


def cleaned(text: str, language: Language = "ko", **profile: Any) -> str:
    return anonymize(Profile(desired_job="개발자", **profile), language, text)[1]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("메일은 minsu.kim@example.com 입니다.", "메일은 … 입니다."),
        ("https://velog.io/@minsu 와 github.com/minsu-kim/shop을 보세요", "… 와 …을 보세요"),
        ("포트폴리오: minsu.github.io, 깃허브: minsukim", "포트폴리오: …, 깃허브: …"),
        ("010-1234-5678, 01012345678, +82 10-1234-5678, 02-123-4567", "…, …, …, …"),
        ("980315-1234567", "…"),
        ("제 이름은 박서준입니다. 박서준은 백엔드를 합니다.", "제 이름은 …입니다. …은 백엔드를 합니다."),
        ("저는 김민수입니다. Java를 합니다.", "저는 …입니다. Java를 합니다."),
        ("성명: 남궁민, 지원 동기", "성명: …, 지원 동기"),
        ("잘 부탁드립니다. 이영자 드림", "잘 부탁드립니다. … 드림"),
        ("누리봄대학교를 나와 (주)소담소프트에서 일했다.", "한 학교를 나와 한 회사에서 일했다."),
        ("2024년 3월 5일에 시작해 2024-08-31에 끝났다.", "2024년 3월에 시작해 2024-08에 끝났다."),
        ("3월 5일 배포, 20240305 빌드", "3월 배포, 2024-03 빌드"),
        ("주소: 어느 시 어느 동 12, 이사 예정", "주소: …, 이사 예정"),
        ("팀장 박서윤 님과, 김민수씨와 함께 했다.", "팀장 … 님과, …씨와 함께 했다."),
        ("카톡 minji_k, 텔레그램 @minji 로 주세요.", "카톡 …, 텔레그램 … 로 주세요."),
        ("1996년생이고 생년월일은 1996.04.05 입니다.", "…이고 생년월일… 입니다."),
        ("서울시 마포구 도담북로 12 거주", "… 거주"),
        ("Born in 1996, I was born on 5 April 1996.", "Born …, I was born …."),
        ("I live at 12 Maple Street.", "I live at …."),
    ],
)
def test_what_names_somebody_goes(text: str, left: str) -> None:
    assert cleaned(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Reach me at jane@example.org or (555) 123-4567.", "Reach me at … or …."),
        ("My name is Jane Roe. Jane likes Go.", "My name is …. … likes Go."),
        ("I'm Jane Roe, a tester.", "I'm …, a tester."),
        ("Graduated from Brindlegate University.", "Graduated from a school."),
        ("I worked at Hobbin Lark Inc. for a year.", "I worked at a company for a year."),
        ("From March 5, 2024 to 31 August 2024.", "From March 2024 to August 2024."),
    ],
)
def test_what_names_somebody_in_english_goes(text: str, left: str) -> None:
    assert cleaned(text, "en") == left


@pytest.mark.parametrize(
    "text",
    [
        "저는 전공자입니다. Spring Boot 3.2.1과 Node.js, socket.io를 씁니다.",
        "저는 백엔드 개발자로 일했고, 제가 리눅스, 도커를 맡았습니다.",
        "저는 유학생입니다. 신입입니다.",
        "채용공고 1,200건을 모아 응답을 820ms에서 140ms로 줄였다.",
        "Next.js/React, CI/CD, TCP/IP, A/B test, ISO 27001",
        "I am Senior Backend Engineer. I'm Java Developer.",
        "Kotlin 1.9.20, PostgreSQL 16, 192.168.0.1 아님",
        "2026-03부터 6개월 동안 했다.",
        "고객님께 텔레그램 봇으로 알리고 @Transactional을 붙였다. 카카오톡 로그인도 했다.",
        "서울 지역 3곳의 연구 결과로 12건을 고쳤다.",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert cleaned(text) == text


def test_a_profile_keeps_its_shape_its_skills_and_its_months() -> None:
    profile = Profile.model_validate(
        {
            "desired_job": "백엔드 개발자",
            "career_stage": "worker",
            "skills": ["Java", "Next.js", "Redis"],
            "desired_companies": ["소담소프트"],
            "educations": [{"school": "누리봄대학교", "major": "수학", "gpa": 3.5}],
            "experiences": [
                {"company": "Redis", "role": "교육생", "start": "2024-03-05", "end": "2024.08.31"},
                {"company": "두물정보", "role": "개발", "start": "2021", "description": "두물정보의 정산"},
            ],
            "projects": [
                {
                    "title": "두물정보 결제",
                    "description": "누리봄대 축제에서 썼다. Redis를 썼다.",
                    "skills": ["Redis"],
                }
            ],
            "awards": [{"title": "누리봄대학교 대상", "date": "2023-11-02"}],
            "certificates": [{"title": "SQLD", "date": "2023.11.02"}],
        }
    )
    left, _ = anonymize(profile, "ko")
    assert left.skills == ["Java", "Next.js", "Redis"]
    assert left.desired_companies == []
    (school,) = left.educations
    assert (school.school, school.major, school.gpa) == ("한 학교", "수학", 3.5)
    first, second = left.experiences
    assert (first.company, first.start, first.end) == ("한 회사", "2024-03", "2024-08")
    assert (second.company, second.start, second.description) == ("한 회사", "2021", "한 회사의 정산")
    (project,) = left.projects
    assert project.title == "한 회사 결제"
    assert project.description == "한 학교 축제에서 썼다. Redis를 썼다.", "a skill is no company"
    assert project.skills == ["Redis"]
    assert (left.awards[0].title, left.awards[0].date) == ("한 학교 대상", "2023-11")
    assert left.certificates[0].date == "2023-11"


def test_a_company_is_also_called_without_its_legal_form() -> None:
    experiences = [
        {"company": "㈜두물정산", "description": "두물정산에서 결제를 맡았다."},
        {"company": "Fernhollow Cards Ltd", "description": "At Fernhollow I ran it."},
        {"company": "Mobile Works", "description": "Mobile work."},
    ]
    left, _ = anonymize(Profile.model_validate({"desired_job": "개발자", "experiences": experiences}), "ko")
    assert [one.description for one in left.experiences] == [
        "한 회사에서 결제를 맡았다.",
        "At 한 회사 I ran it.",
        "Mobile work.",
    ]
