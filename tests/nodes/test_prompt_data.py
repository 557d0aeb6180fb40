"""How postings and profiles are written into a prompt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.posting_lines import excerpt
from nodes.prompt_data import fit_to_budget, posting_rows, profile_row, subject_rows
from tests.fakes import posting
from tools.core.contracts import Profile
from tools.core.fencing import fence
from tools.core.text import find_quote
from tools.llm.token_estimates import estimated_tokens


@given(st.text(), st.integers(1, 50))
def test_an_excerpt_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(excerpt(text, limit)) <= limit


@given(st.text())
def test_a_text_that_fits_is_taken_whole(text: str) -> None:
    assert excerpt(text, len(text)) == text


@given(st.text(st.sampled_from([*"가나 .\n-", *"ab👍🏽"]), max_size=200), st.integers(1, 80))
def test_what_is_quoted_of_an_excerpt_stands_in_the_text(text: str, limit: int) -> None:
    short = excerpt(text, limit)
    assert text.startswith(short)
    assert find_quote(short, text) == (" ".join(short.split()) or None)


def test_an_excerpt_ends_with_a_whole_line() -> None:
    assert excerpt("one\ntwo\nthree", 9) == "one\ntwo"
    assert excerpt("one\ntwo\nthree", 7) == "one\ntwo"
    assert excerpt("one\ntwo\nthree", 6) == "one"


def test_a_long_line_is_cut_between_words_and_loses_no_more_than_one() -> None:
    line = "저희 팀은 결제를 맡습니다. " + "주문과 정산 서버를 설계하고 " * 40
    assert line.startswith(short := excerpt(line, 400))
    assert 390 <= len(short) <= 400
    assert line[len(short)] == " "


def test_a_line_without_a_space_is_cut_between_letters() -> None:
    assert excerpt("가" * 30, 10) == "가" * 10
    assert excerpt("👩‍💻" * 10, 10) == "👩‍💻" * 3


def test_no_scrap_of_a_line_is_taken_behind_whole_ones() -> None:
    assert excerpt("payments " * 10 + "\n" + "orders " * 10, 100) == "payments " * 10
    assert excerpt("payments " * 10 + "\n" + "orders " * 10, 150).endswith("\n" + "orders " * 7 + "orders")


def test_reading_ends_where_the_room_is_nearly_used_up() -> None:
    assert excerpt("first line\nthe second one is long\nend", 16) == "first line"


def test_a_posting_is_one_row_with_its_id_and_its_texts_cut() -> None:
    [row] = posting_rows([posting(3, responsibilities="first line\nsecond line")], 10)
    assert row["posting_id"] == "p-3"
    assert row["responsibilities"] == "first line"
    assert row["skills"] == ["Java", "Kafka"], "by their usual names, those of the texts too"


def test_a_profile_says_nothing_of_what_was_left_empty() -> None:
    profile = Profile(desired_job="QA", introduction="", skills=[]).model_dump()
    assert profile_row(profile) == {"desired_job": "QA"}


def test_the_skills_of_a_posting_are_whole_names_as_many_as_fit() -> None:
    skills = [f"skill {number:03}" for number in range(1000)]
    [row] = posting_rows([posting(1, skills=skills)], 5)
    assert row["skills"] == skills[: len(row["skills"])]
    assert len("".join(row["skills"])) <= 300


ROWS = [{"posting_id": f"p-{number}", "responsibilities": "결제 서버 운영 " * 20} for number in range(6)]
ONE = estimated_tokens(fence("row", ROWS[0]))


@pytest.mark.parametrize("room", [ONE, 2 * ONE, 3 * ONE + 1, 6 * ONE, 1000 * ONE])
def test_the_most_relevant_postings_are_taken_as_many_as_fit_and_the_others_named(room: int) -> None:
    rows, left_out = fit_to_budget(ROWS, room)
    assert rows == ROWS[: room // ONE]
    assert left_out == [row["posting_id"] for row in ROWS[room // ONE :]]
    assert estimated_tokens(fence("postings", rows)) <= room + 10


@pytest.mark.parametrize("room", [ONE - 1, 0, -5])
def test_the_most_relevant_posting_is_taken_even_where_there_is_no_room(room: int) -> None:
    rows, left_out = fit_to_budget(ROWS, room)
    assert rows == ROWS[:1]
    assert left_out == ["p-1", "p-2", "p-3", "p-4", "p-5"]


def earlier(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"s-{n}", "title": f"주제 {n}", "description": "서버를 만든다. " * 10} for n in range(count)
    ]


def test_a_short_history_of_subjects_is_told_whole_oldest_first() -> None:
    subjects = earlier(3)
    told = subject_rows(subjects, [], 5_000)
    assert told == [{"title": s["title"], "description": s["description"]} for s in subjects]


def test_of_a_long_history_the_old_subjects_are_told_by_their_titles() -> None:
    told = subject_rows(earlier(300), [], 50_000)
    assert [row["title"] for row in told] == [f"주제 {n}" for n in range(300)]
    assert ["description" in row for row in told] == [False] * 260 + [True] * 40


def test_of_a_history_without_room_the_oldest_subjects_are_left_out() -> None:
    told = subject_rows(earlier(300), [], 2_000)
    assert 0 < len(told) < 300
    assert told[-1]["title"] == "주제 299"
    assert "description" in told[-1]
    assert estimated_tokens(fence("rejected", told)) <= 2_000
    assert subject_rows(earlier(3), [], 0) == []


def test_titles_that_were_refused_come_before_all_and_are_the_first_left_out() -> None:
    told = subject_rows(earlier(2), ["다른 말로 한 것"], 5_000)
    assert told[0] == {"title": "다른 말로 한 것"}
    assert [row["title"] for row in told[1:]] == ["주제 0", "주제 1"]
    assert {"title": "다른 말로 한 것"} not in subject_rows(earlier(300), ["다른 말로 한 것"], 2_000)
