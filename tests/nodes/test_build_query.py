"""build_query: the search text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nodes.build_query import build_query, progress_message
from tests.fakes import Stage
from tools.core.contracts import Profile

FULL = {
    "desired_job": "백엔드 개발자",
    "career_stage": "student",
    "skills": ["Java", "Spring Boot"],
    "desired_companies": ["Famous Company"],
    "educations": [{"school": "Some University", "major": "Computer Science", "gpa": 4.1, "gpa_max": 4.5}],
    "experiences": [{"company": "Shop", "role": "API intern", "description": "Ran the order API"}],
    "projects": [{"title": "Chat server", "description": "Web sockets", "skills": ["Redis"]}],
    "activities": [{"title": "Study group"}],
    "certificates": [{"title": "정보처리기사"}],
    "introduction": "I like databases.",
}


async def run(profile: dict[str, Any], **state: Any) -> dict[str, Any]:
    return await build_query({"profile": profile, "language": "ko", **state}, Stage().runtime)


async def test_the_desired_job_comes_first() -> None:
    assert (await run(FULL))["query"].splitlines()[0] == "백엔드 개발자"


async def test_what_the_person_can_and_did_is_searched_for() -> None:
    query = (await run(FULL))["query"]
    for words in (
        "Java, Spring Boot",
        "I like databases.",
        "API intern: Ran the order API",
        "Chat server: Web sockets: Redis",
        "정보처리기사",
        "Study group",
    ):
        assert words in query


async def test_schools_and_companies_stay_out_because_postings_do_not_name_them() -> None:
    query = (await run(FULL))["query"]
    for words in ("Some University", "Computer Science", "Shop", "Famous Company"):
        assert words not in query


async def test_a_profile_with_nothing_but_a_desired_job_is_searched_by_it_alone() -> None:
    assert (await run({"desired_job": " 데이터 엔지니어 "}))["query"] == "데이터 엔지니어"


async def test_nulls_are_as_good_as_absence() -> None:
    nulls = dict.fromkeys(Profile.model_fields, None) | {"desired_job": "QA", "projects": [{"title": None}]}
    assert (await run(nulls))["query"] == "QA"


async def test_a_long_introduction_does_not_drown_the_desired_job() -> None:
    query = (await run({"desired_job": "QA", "introduction": "word " * 900}))["query"]
    assert query.startswith("QA\n\nword ")
    assert len(query) < 600


async def test_the_profile_is_passed_on_validated_and_complete() -> None:
    update = await run({"desired_job": " QA ", "skills": None})
    assert update["profile"] == Profile(desired_job="QA").model_dump()


async def test_a_fresh_run_asks_for_nothing_beyond_the_profile() -> None:
    assert (await run(FULL))["turn"] == {"chosen": None}


async def test_korean_is_spoken_where_no_language_is_given() -> None:
    update = await build_query({"profile": FULL}, Stage().runtime)  # type: ignore[typeddict-item]
    assert update["language"] == "ko"
    assert (await run(FULL, language="en"))["language"] == "en"


async def test_an_invalid_profile_is_refused() -> None:
    with pytest.raises(ValidationError, match="desired_job"):
        await run({"skills": ["Java"]})


async def test_one_line_says_how_long_the_search_text_is() -> None:
    assert progress_message({"query": "12345"}, "en") == "a search text of 5 characters"
    assert progress_message({"query": "12345"}, "ko") == "5자의 검색문"
