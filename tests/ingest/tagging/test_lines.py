"""The lines of a model in order, whichever model copied them."""

from __future__ import annotations

import pytest

from ingest.tagging.lines import in_fields


def requirements(*lines: str) -> list[str]:
    return in_fields({"responsibilities": [], "requirements": lines, "preferred": []})["requirements"]


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("O 예약 API 개발", "예약 API 개발"),
        ("○ □ 배치 운영 ■", "배치 운영"),
        ("0 Java 경험 |", "Java 경험"),
        ("- ㅇ 협업 능력 -", "협업 능력"),
        (": C++ 경험", "C++ 경험"),
    ],
)
def test_what_is_left_of_bullets_goes(line: str, bare: str) -> None:
    assert requirements(line) == [bare]


@pytest.mark.parametrize(
    "line", ["O2O 서비스 경험", "0 ~ 3년 경력", "OS 이해", "C#", "R", "설계ㆍ구현 경험", "<script> 이해"]
)
def test_what_belongs_to_a_line_stays(line: str) -> None:
    assert requirements(line) == [line]


def test_scraps_and_heads_are_no_items() -> None:
    assert requirements("험", "2", "ㆍ", "자격요건", "[우대사항]", "Go 경험") == ["Go 경험"]


def test_items_in_one_line_are_parted() -> None:
    assert requirements("API 설계 • 배치 운영\nㆍ장애 대응 ㆍ문서화") == [
        "API 설계",
        "배치 운영",
        "장애 대응",
        "문서화",
    ]


def test_a_run_on_line_goes_into_the_fields_that_its_heads_name() -> None:
    lines = {
        "responsibilities": ["담당업무: API 개발자격요건Java 3년 이상우대사항ㆍKafka 경험"],
        "requirements": [],
        "preferred": [],
    }
    assert in_fields(lines) == {
        "responsibilities": ["API 개발"],
        "requirements": ["Java 3년 이상"],
        "preferred": ["Kafka 경험"],
    }


@pytest.mark.parametrize(
    "line", ["자격요건을 갖춘 분", "담당업무 관련 경험", "고객사의 담당업무와 절차를 이해하는 분"]
)
def test_a_head_that_is_a_word_like_others_parts_nothing(line: str) -> None:
    assert requirements(line) == [line]


def test_a_label_stands_before_each_of_its_lines() -> None:
    assert requirements("[Android]", "Kotlin", "Compose", "【iOS】", "Swift", "[공통] Git", "협업") == [
        "[Android] Kotlin",
        "[Android] Compose",
        "[iOS] Swift",
        "[공통] Git",
        "협업",
    ]
