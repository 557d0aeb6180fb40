"""Whether a line stands in a document."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.blocks import plain
from ingest.tagging.word_index import WordIndex, index_of
from tests.ingest.tagging.building import heading, table, text

INDEX = index_of(
    [
        heading("㈜물푸레소프트 자바스크립트 개발자를 모십니다"),
        text("- 주문서 생성과 재고 선점, 결제 연동"),
        text("구간의 안정화", "ㆍC++ 경력 3~5년, Node.js 20 이상", "1) 2.5D 그래픽"),
        table(["Kafka 운영", "Kubernetes 경험"], ["2024. 03. 01 ~ 2024.03.15", ""]),
    ]
)


@pytest.mark.parametrize(
    "line",
    [
        "주문서 생성과 재고 선점, 결제 연동 구간의 안정화",
        "• 재고선점 / 결제연동",
        "C++ 경력 3 ~ 5년",
        "node.js 20 이상",
        "2.5D 그래픽",
        "(주)물푸레소프트",
        "2024.03.01~2024-03-15",
    ],
)
def test_white_space_bullets_and_punctuation_do_not_count(line: str) -> None:
    assert INDEX.has(line)


@pytest.mark.parametrize(
    "line",
    [
        "자바 개발자",
        "C 경력",
        "C# 경력",
        "35년",
        "5D 그래픽",
        "재고 선점과 결제 연동",
        "Kafka 운영 Kubernetes 경험",
        "ript 개발자",
        "---",
        "",
    ],
)
def test_another_word_another_number_and_what_stands_apart_do(line: str) -> None:
    assert not INDEX.has(line)


def test_a_name_may_have_a_particle_behind_it_and_a_line_may_not() -> None:
    assert INDEX.has("자바스크립트 개발자", inflected=True)
    assert not INDEX.has("자바스크립트 개발자")
    assert not INDEX.has("Node.j", inflected=True)


RUN_ON = index_of([table(["자격요건Java 3년 이상대졸 이상우대사항석사Kafka 운영 경험"])])


def test_the_head_of_a_section_parts_words() -> None:
    assert RUN_ON.has("석사Kafka 운영 경험")
    assert not RUN_ON.has("졸 이상")


def test_items_without_a_break_stand_where_one_ends_and_the_next_begins() -> None:
    items = ["Java 3년 이상", "대졸 이상", "석사", "Kafka 운영 경험"]
    assert RUN_ON.standing(items) == frozenset(items)
    # Half of a run-on text vouches for nothing.
    assert RUN_ON.standing(["Java 3년 이상"]) == frozenset()
    assert INDEX.standing(["자바스크", "립트 개발"]) == frozenset()


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
def test_every_line_of_a_text_stands_in_it(lines: list[str]) -> None:
    index = WordIndex(lines)
    for line in lines:
        assert index.has(line) or not any(letter.isalnum() for letter in line) or not _foldable(line)


def _foldable(line: str) -> bool:
    return WordIndex([line]).has(line)


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("- ① 주요 업무", "주요 업무"),
        ("ㅇ 서버  개발", "서버 개발"),
        ("가. 자격", "자격"),
        ("1. 2.5D 그래픽", "2.5D 그래픽"),
        (".NET 개발", ".NET 개발"),
        ("3년 이상", "3년 이상"),
    ],
)
def test_a_bullet_is_not_part_of_a_line(line: str, bare: str) -> None:
    assert plain(line) == bare


@pytest.mark.parametrize("line", ["주문서 생성과 재고 선점", "자바스크립트 개발자를", "C++ 경력 3~5년"])
def test_a_line_in_pieces_with_invisible_characters_stands_all_the_same(line: str) -> None:
    bent = unicodedata.normalize("NFD", "\u200b".join(line))
    assert INDEX.has(bent)
    assert index_of([text(bent)]).has(line)


@pytest.mark.parametrize("line", ["~3년 경력", "~ 5년"])
def test_a_range_is_no_bullet(line: str) -> None:
    assert plain(line) == line
    assert plain(f"- {line}") == line
