"""What a posting is searched by, made by rule of what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.postings.contracts import Posting
from tools.postings.normalization import normal_company, normal_skills, normal_title, unnamed


@pytest.mark.parametrize(
    ("title", "company", "normal"),
    [
        ("백 엔 드 개발자", "", "백엔드 개발자"),
        ("[한빛데이터랩] 백엔드 개발자 (Kotlin) 채용", "(주)한빛 데이터랩", "백엔드 개발자 (Kotlin)"),
        ("한빛데이터랩 백엔드 개발자 모집", "㈜한빛데이터랩", "백엔드 개발자"),
        ("[Android] 앱 개발자 [REQ-2024-031]", "", "Android 앱 개발자"),
        ("■ 서버 개발자 (0명)", "", "서버 개발자"),
        ("[신입/경력] 프론트엔드 개발자(정규직)", "", "프론트엔드 개발자"),
        ("데이터 분석가를 모십니다!", "", "데이터 분석가"),
        ("Senior Backend Engineer (R-12345)", "", "Senior Backend Engineer"),
        ("Job ID: 48213 Platform Engineer", "", "Platform Engineer"),
        ("Backend Engineer at Acme", "Acme, Inc.", "Backend Engineer"),
        ("We're hiring a Data Engineer", "", "Data Engineer"),
    ],
)
def test_a_title_is_the_name_of_the_job_alone(title: str, company: str, normal: str) -> None:
    assert normal_title(title, company) == normal


@pytest.mark.parametrize(
    "title",
    [
        "React Native 개발자 (Java 17)",
        "3D 그래픽스 개발자 (2D/3D)",
        "채용 담당자",
        "인사/채용",
        "채용",
        "C/C++ 개발자",
        "Founding Engineer – Backend & Platform",
        "R 데이터 분석가",
    ],
)
def test_a_title_that_is_nothing_but_a_name_stays_letter_for_letter(title: str) -> None:
    # What does not change needs no new vector.
    assert normal_title(title) == title


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("㈜물푸레소프트", "물푸레소프트"),
        ("두레박 클라우드 주식회사", "두레박클라우드"),
        ("한 빛 데 이 터", "한빛데이터"),
        ("가람 (주)", "가람"),
        ("Acme Co., Ltd.", "Acme"),
        ("Broad Field GmbH", "Broad Field"),
        ("Incheon Co-op", "Incheon Co-op"),
        ("(주)", "(주)"),
    ],
)
def test_a_company_is_its_name_without_the_legal_form(name: str, normal: str) -> None:
    assert normal_company(name) == normal


@given(st.text(max_size=60), st.text(max_size=20))
def test_what_is_normal_stays(title: str, company: str) -> None:
    once = normal_title(title, company)
    assert normal_title(once, company) == once
    assert normal_company(normal_company(company)) == normal_company(company)


def test_skills_are_named_as_the_lexicon_does_and_unknown_ones_stay() -> None:
    assert normal_skills(["k8s", "Zig", "K8S"], "스프링부트 경험") == ["Kubernetes", "Zig", "Spring Boot"]


def test_what_is_searched_names_a_skill_that_is_spelled_otherwise_and_repeats_none() -> None:
    posting = Posting(
        source="s",
        source_id="1",
        job_title="[신입] 서버 개발자 (0명)",
        requirements="스프링부트와 Java 경험\nJavaScript 경험",
    )
    assert posting.search_text() == "서버 개발자\n스프링부트와 Java 경험\nJavaScript 경험\nSpring Boot"
    assert posting.text().startswith("[신입] 서버 개발자 (0명)\n"), "quotes stand in the posting's own words"
    assert unnamed(["Java"], "JavaScript 경험") == ["Java"]
    assert unnamed(["Java"], "Java를 다룬 경험") == []


def test_a_posting_of_any_source_is_normalized_and_a_reading_passes_the_same_rules() -> None:
    literal = {"source": "s", "source_id": "1", "job_title": "젯 차 개발자", "company": "(주)한 빛"}
    by_rule = Posting(**literal)
    assert (by_rule.normalized_title, by_rule.normalized_company) == ("젯 차 개발자", "한빛")
    read = Posting(**literal, normalized_title="[첫차] 개발자 채용", normalized_skills=["k8s"])
    assert (read.normalized_title, read.normalized_skills) == ("첫차 개발자", ["Kubernetes"])
    assert read.job_title == "젯 차 개발자"
    assert Posting.model_validate(read.model_dump()) == read
