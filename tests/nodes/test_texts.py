"""How postings and profiles are written into a prompt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodes.texts import excerpt, posting_rows, profile_row
from tests.fakes import posting
from tools.contracts import Profile


@given(st.text(), st.integers(1, 50))
def test_an_excerpt_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(excerpt(text, limit)) <= limit


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_a_text_that_fits_is_taken_whole(text: str) -> None:
    assert excerpt(text, len(text)) == text


def test_an_excerpt_ends_with_a_whole_line() -> None:
    assert excerpt("one\ntwo\nthree", 9) == "one\ntwo"
    assert excerpt("one\ntwo\nthree", 7) == "one\ntwo"
    assert excerpt("one\ntwo\nthree", 6) == "one"


def test_a_first_line_that_is_too_long_is_cut_between_words() -> None:
    assert excerpt("결제 서버를 설계합니다", 8) == "결제 서버를"


def test_a_first_line_that_is_too_long_is_cut_after_a_sentence_where_one_fits() -> None:
    assert excerpt("서버를 설계한다. 그리고 운영한다.", 15) == "서버를 설계한다."


def test_one_endless_word_is_cut_at_the_limit() -> None:
    assert excerpt("a" * 30, 10) == "a" * 10


def test_a_heading_over_one_long_line_does_not_stand_in_for_it() -> None:
    assert "payments" in excerpt("Duties\n" + "payments and orders " * 100, 400)


def test_a_posting_is_one_row_with_its_id_and_its_texts_cut() -> None:
    [row] = posting_rows([posting(3, responsibilities="first\nsecond")], 5)
    assert row["posting_id"] == "p-3"
    assert row["responsibilities"] == "first"
    assert row["skills"] == ["Java"]


def test_a_profile_says_nothing_of_what_was_left_empty() -> None:
    profile = Profile(desired_job="QA", introduction="", skills=[]).model_dump()
    assert profile_row(profile) == {"desired_job": "QA"}
