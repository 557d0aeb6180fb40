"""Which lines of a posting tell of the work, and whether a posting says what a line says."""

from __future__ import annotations

import pytest

from nodes.posting_lines import lines_of, named_in, skills_of, speaks_of, supports, telling_lines, work_texts
from tests.fakes import posting

BOILERPLATE = [
    "[주요 업무]",
    "저희 팀을 소개합니다",
    "함께 성장할 동료를 찾고 있습니다",
    "서류 전형 - 1차 면접 - 처우 협의 - 최종합격",
    "이력서와 자기소개서를 제출해 주세요",
    "해외여행에 결격사유가 없는 자",
    "학력: 대졸 이상",
    "경력 3년 이상",
    "웹 프론트엔드 개발 경력 1년 이상",
    "나이/성별 무관",
    "서울 강남구 테헤란로 1",
    "컴퓨터공학 관련 전공자",
    "We are looking for a talented engineer to join our team.",
    "If you do not meet all requirements, we still encourage you to apply.",
    "Bachelor's degree in a related field",
    "Originally posted on a board",
    "Base pay is part of a total package",
]
WORK = [
    "결제팀은 Kafka로 정산 파이프라인을 운영합니다",
    "저희 팀은 송금 서버를 개발하고 운영합니다",
    "수집된 데이터를 분석해 적용한 경험이 있는 분을 모십니다",
    "경력 3년 이상의 Java 개발자",
    "보행자의 나이와 성별 인식",
    "시험 접수 API를 Spring Boot로 개발",
    "Apply engineering fundamentals to break down problems",
    "Improve the experience of interviews and assessments",
    "Work with our data-collection campaigns",
    "Design services that our team operates",
]


@pytest.mark.parametrize("line", BOILERPLATE)
def test_introductions_papers_and_hiring_steps_are_passed_over(line: str) -> None:
    of = work_texts(posting(1, responsibilities=f"결제 서버 설계\n{line}"))
    assert of["responsibilities"] == ["결제 서버 설계"]


@pytest.mark.parametrize("line", WORK)
def test_lines_of_the_work_are_kept_whoever_they_introduce(line: str) -> None:
    assert line in work_texts(posting(1, responsibilities=line))["responsibilities"]


def test_a_field_of_nothing_but_hiring_steps_is_empty_and_a_posting_of_them_is_not() -> None:
    steps = "서류 전형과 면접이 있습니다"
    assert work_texts(posting(1, requirements=steps))["requirements"] == []
    bare = posting(1, responsibilities=steps, requirements="", preferred="")
    assert work_texts(bare)["responsibilities"] == [steps]
    assert [line.text for line in lines_of(bare)] == [steps]


def test_every_line_stands_letter_for_letter_in_the_posting() -> None:
    text = (
        "1. 주문 서버 개발\n• 결제 API 운영\n"
        + "정산 배치를 설계합니다. 장애를 막습니다; 로그를 모읍니다. " * 4
    )
    one = posting(1, responsibilities=text)
    assert len(lines_of(one)) > 4
    assert all(line.text in one.text() for line in lines_of(one))


def test_the_lines_shown_tell_most_of_what_is_asked_for_in_the_postings_order() -> None:
    one = posting(
        1,
        responsibilities="문서 정리와 공유\nKafka 이벤트 처리\n주문 서버 개발\nRedis 캐시 운영",
        requirements="",
        preferred="",
    )
    assert telling_lines(one, frozenset({"Kafka", "Redis"}), frozenset(), 25) == [
        "Kafka 이벤트 처리",
        "Redis 캐시 운영",
    ]
    assert telling_lines(one, frozenset(), frozenset({"주문", "정산", "결제"}), 1) != []


def test_skills_are_those_of_the_title_the_texts_and_the_list() -> None:
    one = posting(1, job_title="Go 개발자", requirements="Kafka 경험", preferred="", skills=["k8s", "C"])
    assert skills_of(one) == {"Go", "Kafka", "Kubernetes", "C"}


KOREAN = posting(
    1,
    company="달보드레마켓",
    job_title="백엔드 개발자",
    responsibilities="중고 거래 주문 서버 설계와 운영\nMySQL 테이블 설계와 쿼리 튜닝\nAWS EKS 배포 자동화",
    requirements="Java 또는 Kotlin 개발 경험\n로그 모니터링과 장애 대응",
    preferred="Kafka 이벤트 처리",
    skills=[],
)
ENGLISH = posting(
    2,
    job_title="Backend engineer",
    responsibilities="Design and operate payment services\nMentor developers\nMonitoring and alerting",
    requirements="Strong Java and Spring Boot\nSchema design with PostgreSQL",
    preferred="Event-driven architectures",
    skills=[],
)


@pytest.mark.parametrize(
    "line",
    [
        "주문 서버 설계",
        "Java, Kotlin 중 하나로 서버 개발",
        "RDBMS 설계 경험",
        "관계형 데이터베이스 쿼리 최적화",
        "쿠버네티스 배포",
        "장애 대응과 로그 수집",
        "Kafka 활용 경험",
        "Order servers",
        "Monitoring of logs",
        "Deployment automation on Kubernetes",
        "Either Java or Kotlin",
    ],
)
def test_a_posting_supports_what_it_says_in_other_words_and_in_the_other_language(line: str) -> None:
    assert supports(line, KOREAN)


@pytest.mark.parametrize(
    "line",
    [
        "추천 모델 학습과 서빙",
        "Redis 캐시 설계",
        "프론트엔드 화면 개발",
        "NoSQL 활용 경험",
        "코드 리뷰와 멘토링",
        "GraphQL API 개발",
        "Real-time chat",
        "Search with Elasticsearch",
        "Mentoring other engineers",
    ],
)
def test_a_posting_does_not_support_what_it_does_not_say(line: str) -> None:
    assert not supports(line, KOREAN)


@pytest.mark.parametrize(
    "line",
    ["결제 서비스 설계", "주니어 멘토링", "모니터링과 로깅", "Spring Boot 개발 경험", "이벤트 기반 아키텍처"],
)
def test_an_english_posting_supports_a_korean_line(line: str) -> None:
    assert supports(line, ENGLISH)


@pytest.mark.parametrize(
    "line", ["주문 검색", "모바일 앱 테스트", "Django 개발 경험", "Terraform 자동화", "보안 점검"]
)
def test_an_english_posting_does_not_support_a_korean_line_of_something_else(line: str) -> None:
    assert not supports(line, ENGLISH)


def test_a_line_of_words_that_no_list_translates_is_believed() -> None:
    assert supports("꼼꼼한 손길", ENGLISH)


def test_a_domain_needs_a_word_of_the_posting() -> None:
    assert speaks_of("중고 거래 앱", KOREAN)
    assert speaks_of("달보드레마켓의 장터", KOREAN)
    assert not speaks_of("온라인 교육 서비스", KOREAN)
    assert speaks_of("payments for shops", ENGLISH)
    assert not speaks_of("a game studio", ENGLISH)


def test_a_name_is_found_whole_but_for_case_and_spaces() -> None:
    text = "Frobnicator  Pro, 사내 ERP와 enterprise 솔루션"
    assert named_in(["frobnicator pro", "FrobnicatorPro", "ERP", "사내ERP", "Pro Max", "ent"], text) == [
        "frobnicator pro",
        "FrobnicatorPro",
        "ERP",
        "사내ERP",
    ]
