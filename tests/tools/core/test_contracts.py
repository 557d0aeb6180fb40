"""What a caller may send, and what a posting from the wild becomes."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tools.core.contracts import MAX_PROFILE_CHARS, Profile, Wishes
from tools.postings.contracts import FoundPosting, Posting

LISTS = (
    "skills",
    "desired_companies",
    "educations",
    "experiences",
    "projects",
    "activities",
    "awards",
    "certificates",
)
SPACES = ["\x00", "\x08", "\x1b", "\x7f", "\ud800"]
BREAKS = ["\x0b", "\x0c", "\x85", "\u2028", "\u2029"]
FORBIDDEN = [*SPACES, *BREAKS]
UNSEEN = ["\u200b", "\u00ad", "\ufeff", "\u2060", "\u202e", "\U000e0041"]


def test_a_desired_job_is_all_a_profile_needs() -> None:
    profile = Profile.model_validate({"desired_job": "  백엔드 개발자 "})
    assert profile.desired_job == "백엔드 개발자"
    assert profile.skills == []


def test_null_is_welcome_for_all_that_is_optional() -> None:
    given_nulls = dict.fromkeys(Profile.model_fields) | {"desired_job": "QA"}
    assert Profile.model_validate(given_nulls) == Profile(desired_job="QA")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"school": None, "major": None, "gpa": None, "gpa_max": None}, "educations"),
        (dict.fromkeys(("company", "role", "start", "end", "description")), "experiences"),
        ({"title": None, "description": None, "skills": None}, "projects"),
        ({"title": None, "description": None, "date": None}, "awards"),
    ],
)
def test_null_is_welcome_inside_a_list_item_too(item: dict[str, None], field: str) -> None:
    Profile.model_validate({"desired_job": "QA", field: [item]})


@pytest.mark.parametrize("field", LISTS)
def test_a_list_that_was_left_out_or_null_is_empty(field: str) -> None:
    assert getattr(Profile.model_validate({"desired_job": "QA", field: None}), field) == []


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"desired_job": None},
        {"desired_job": ""},
        {"desired_job": " \n "},
        {"desired_job": "x" * 201},
        {"desired_job": 7},
        {"desired_job": "QA", "career_stage": "retired"},
        {"desired_job": "QA", "skills": "Java"},
        {"desired_job": "QA", "skills": [" "]},
        {"desired_job": "QA", "skills": ["Java"] * 101},
        {"desired_job": "QA", "skills": [None]},
        {"desired_job": "QA", "educations": [{"gpa": -1}]},
        {"desired_job": "QA", "educations": [{"gpa": float("nan")}]},
        {"desired_job": "QA", "educations": [{"gpa_max": 0}]},
        {"desired_job": "QA", "introduction": "x" * 5_001},
    ],
)
def test_what_makes_no_sense_is_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate(profile)


@pytest.mark.parametrize(
    "profile",
    [
        {"desired_job": "QA", "desired_jobs": "QA"},
        {"desired_job": "QA", "educations": [{"university": "x"}]},
    ],
)
def test_unknown_keys_are_refused_by_name(profile: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"desired_jobs|university"):
        Profile.model_validate(profile)


@pytest.mark.parametrize("character", FORBIDDEN)
@pytest.mark.parametrize("field", ["desired_job", "introduction"])
def test_control_characters_are_refused(character: str, field: str) -> None:
    with pytest.raises(ValidationError, match="control characters"):
        Profile.model_validate({"desired_job": "QA", field: f"a{character}b"})


@pytest.mark.parametrize("character", FORBIDDEN)
def test_control_characters_are_refused_inside_items_and_wishes_too(character: str) -> None:
    bad = f"a{character}b"
    for profile in (
        {"skills": [bad]},
        {"projects": [{"title": "x", "skills": [bad]}]},
        {"experiences": [{"start": bad}]},
        {"educations": [{"school": bad}]},
    ):
        with pytest.raises(ValidationError, match="control characters"):
            Profile.model_validate({"desired_job": "QA", **profile})
    for wishes in ({"feedback": bad}, {"subject_id": bad}, {"skills": [bad]}):
        with pytest.raises(ValidationError, match="control characters"):
            Wishes.model_validate(wishes)


def test_line_breaks_tabs_emoji_and_korean_are_ordinary_text() -> None:
    text = "첫 줄\n\t둘째 줄\r\n👩‍💻 끝"
    assert Profile(desired_job="QA", introduction=text).introduction == text


def test_a_profile_beyond_the_limit_is_refused_and_says_how_long_it_is() -> None:
    items = [{"description": "가" * 4_000}] * 6
    with pytest.raises(
        ValidationError, match=rf"the profile has 2\d{{4}} characters; at most {MAX_PROFILE_CHARS}"
    ):
        Profile.model_validate({"desired_job": "QA", "experiences": items})
    Profile.model_validate({"desired_job": "QA", "experiences": items[:4]})


def test_the_limit_counts_the_characters_of_texts_and_not_how_json_writes_them() -> None:
    text = "a line\n" * 700
    items = [{"description": text.strip()}] * 4
    assert 4 * len(text) < MAX_PROFILE_CHARS
    Profile.model_validate({"desired_job": "QA", "experiences": items})


def test_wishes_may_all_be_left_out_but_not_made_up() -> None:
    nothing = {"subject_id": None, "difficulty": None, "weeks": None, "skills": None, "feedback": None}
    assert Wishes.model_validate(nothing) == Wishes()
    for wishes in ({"difficulty": "hard"}, {"level": "beginner"}, {"feedback": "x" * 2_001}):
        with pytest.raises(ValidationError):
            Wishes.model_validate(wishes)


@pytest.mark.parametrize("weeks", [0, -1, 27, 2.5, "soon"])
def test_weeks_that_no_project_can_take_are_refused(weeks: object) -> None:
    assert [Wishes(weeks=1).weeks, Wishes(weeks=26).weeks] == [1, 26]
    with pytest.raises(ValidationError):
        Wishes.model_validate({"weeks": weeks})


def posting(**fields: Any) -> Posting:
    return Posting.model_validate({"source": "s", "source_id": "1", "job_title": "Backend", **fields})


TEXTS = ["responsibilities", "requirements", "preferred"]
NAMES = ["company", "job_title", "location", "employment_type", "experience"]


@pytest.mark.parametrize("field", [*TEXTS, *NAMES])
def test_control_characters_of_a_posting_become_spaces_in_every_text(field: str) -> None:
    said = [getattr(posting(**{field: f"a{character}b"}), field) for character in SPACES]
    assert said == ["a b"] * len(SPACES)


@pytest.mark.parametrize("line_break", [*BREAKS, "\r\n", "\r"])
def test_every_line_break_ends_an_item_of_a_text_and_none_a_name(line_break: str) -> None:
    for field in TEXTS:
        assert getattr(posting(**{field: f"a{line_break}b"}), field) == "a\nb"
    for field in NAMES:
        assert getattr(posting(**{field: f"a{line_break}b"}), field) == "a b"


@pytest.mark.parametrize("character", UNSEEN)
def test_what_is_invisible_is_no_part_of_a_posting_or_a_profile(character: str) -> None:
    said = posting(job_title=f"백{character}엔드", skills=[f"Ja{character}va", character])
    assert (said.job_title, said.skills) == ("백엔드", ["Java"])
    profile = Profile(desired_job=f"백{character}엔드", skills=[f"Ja{character}va"], introduction=character)
    assert (profile.desired_job, profile.skills, profile.introduction) == ("백엔드", ["Java"], "")
    assert Wishes(feedback=f"쉽{character}게").feedback == "쉽게"


def test_hangul_in_pieces_is_the_same_profile_and_the_same_posting() -> None:
    pieces = unicodedata.normalize("NFD", "백엔드 개발자")
    assert Profile(desired_job=pieces, skills=[pieces]) == Profile(
        desired_job="백엔드 개발자", skills=["백엔드 개발자"]
    )
    assert posting(source=pieces, source_id=pieces, requirements=pieces) == posting(
        source="백엔드 개발자", source_id="백엔드 개발자", requirements="백엔드 개발자"
    )


@pytest.mark.parametrize("nothing", ["\u3164", "\u200b \u00ad", "\u2800", "\ufeff"])
def test_a_desired_job_that_shows_nothing_is_none(nothing: str) -> None:
    with pytest.raises(ValidationError):
        Profile(desired_job=nothing)


def test_control_characters_of_a_skill_become_spaces_too() -> None:
    skills = [f"a{character}b" for character in FORBIDDEN]
    assert posting(skills=skills).skills == ["a b"] * len(FORBIDDEN)


@pytest.mark.parametrize(("url", "kept"), [("https://acme.example/1", True), ("javascript:alert(1)", False)])
def test_the_url_of_a_posting_leads_to_a_page_of_the_web(url: str, kept: bool) -> None:
    assert posting(url=url).url == (url if kept else None)


@given(st.text(max_size=200))
def test_no_text_from_the_wild_breaks_a_posting(text: str) -> None:
    said = posting(responsibilities=text).responsibilities
    assert said.encode().decode() == said
    assert "\x00" not in said
    assert said == said.strip()


def test_a_missing_text_is_an_empty_one() -> None:
    assert posting(company=None, preferred=None, skills=None).preferred == ""


@pytest.mark.parametrize("field", ["source", "source_id", "job_title"])
@pytest.mark.parametrize("value", [None, "", "  ", "\x00"])
def test_a_posting_without_its_id_or_its_title_is_refused(field: str, value: str | None) -> None:
    with pytest.raises(ValidationError, match=field):
        posting(**{field: value})


def test_keys_that_a_posting_does_not_have_are_passed_over() -> None:
    assert not hasattr(posting(colour="blue"), "colour")


def test_a_deadline_is_a_day() -> None:
    assert posting(deadline="2026-12-31").deadline == date(2026, 12, 31)
    assert posting(deadline="2026-12-31T23:59:00+09:00").deadline == date(2026, 12, 31)
    assert posting(deadline="2026.11.01 ~ 2026.12.31").deadline == date(2026, 12, 31)
    assert posting(deadline=1798729199).deadline == date(2026, 12, 31)


@pytest.mark.parametrize("said", ["2026-13-01", True, {"a": []}, "12/31", b"x"])
def test_a_deadline_that_cannot_be_read_is_none_that_is_known(said: Any) -> None:
    assert posting(deadline=said).deadline is None


@pytest.mark.parametrize("words", ["", "상시채용", "until filled", None])
def test_a_deadline_in_words_is_none_that_is_known(words: str | None) -> None:
    assert posting(deadline=words).deadline is None


def test_skills_in_one_text_are_split_at_commas() -> None:
    assert posting(skills="Java, Spring Boot,").skills == ["Java", "Spring Boot"]


def test_windows_line_ends_become_plain_ones() -> None:
    assert posting(requirements="a\r\nb").requirements == "a\nb"


def test_a_quote_may_stand_in_the_title_and_the_three_texts() -> None:
    text = posting(company="Co", responsibilities="r1\nr2", preferred="p").text()
    assert text == "Backend\nr1\nr2\np"


def test_a_hit_is_a_posting_with_an_id_and_a_score() -> None:
    hit = FoundPosting(**posting().model_dump(), posting_id="p-1", score=0.5)
    assert (hit.posting_id, hit.score, hit.job_title) == ("p-1", 0.5, "Backend")
