"""Patterns that read what strangers wrote take no longer for a text than it is long.

Each text here took time by the square of its length, or worse. Nothing is timed: a pattern that does so again
is at one of them for minutes, or for good, until the suite's own limit ends it and shows where.
"""

from __future__ import annotations

import pytest

from tools.core.contacts import is_contact_line, names_in, redacted
from tools.postings.normalization import normal_company, normal_title

LENGTH = 100_000
"""Characters: five times the longest résumé."""


def long(piece: str) -> str:
    return piece * (LENGTH // len(piece))


@pytest.mark.parametrize(
    "piece", ["a", "a.", "a-", "+", "@", "a@", "1 ", "서울 ", ".github", "www", "(", "02-"]
)
def test_what_leads_to_a_person_is_looked_for_once_in_each_place(piece: str) -> None:
    text = long(piece)
    assert redacted(text).replace(" ", "") in (text.replace(" ", ""), "")
    is_contact_line(text)


@pytest.mark.parametrize("around", [" a{}b", " a {} b", "{}|"])
def test_spaces_between_what_is_left_are_read_once(around: str) -> None:
    without = redacted("me@example.org" + around.format(" " * LENGTH))
    assert without.strip("| ") in ("", "a b")


@pytest.mark.parametrize("piece", ["!", "I am ", "개발자 ", "name ", "Ab ", "van ", "my name is "])
def test_names_are_looked_for_once_in_each_place(piece: str) -> None:
    assert len(names_in([long(piece), long(piece)])) <= 20


@pytest.mark.parametrize("piece", [" ", ", ", "한 ", "co "])
def test_the_legal_form_of_a_company_is_looked_for_once_in_each_place(piece: str) -> None:
    assert len(normal_company(f"a{long(piece)}b")) <= LENGTH + 2


@pytest.mark.parametrize("piece", ["상시 채용 ", "신입/", "1~2년 ", "긴급 구인, "])
def test_a_bracket_of_words_for_hiring_is_not_parted_in_every_way(piece: str) -> None:
    """It would be in two to the power of their number."""
    title = f"Backend [{piece * 40}x]"
    assert "x" in normal_title(title)


def test_what_says_how_it_is_hired_is_still_left_out() -> None:
    assert normal_title("[상시 채용/경력직] 백엔드 개발자") == "백엔드 개발자"


def test_what_was_found_before_still_is() -> None:
    """Beginning at the first letter of a run alone finds the same."""
    line = "me.too+x@mail.example.co.kr, see x.github.com/me and (linkedin.com/in/me) ... velog.io/@me"
    assert redacted(line) == "see and ..."
