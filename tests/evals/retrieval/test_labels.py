"""Labels by rule: what a grade means, and that the queries of the project can be answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest

from evals.datasets.cases import Family
from evals.retrieval.labels import Label, Level, Wants, grade, grades, level_of, read_hostile, read_samples
from evals.retrieval.search_suites import Query, read_queries

SERVER = Label(
    stands_for=("samples", "s-1"),
    family="백엔드",
    skills=frozenset({"java", "spring boot", "mysql", "kafka"}),
    level="mid",
    domain="fintech",
    language="ko",
)
GAME = replace(SERVER, stands_for=("samples", "s-2"), family="게임")
QA = replace(SERVER, stands_for=("samples", "s-3"), family="QA")


@pytest.mark.parametrize(
    ("wants", "posting", "expected"),
    [
        (Wants(), SERVER, 3),
        (Wants(skills=["Java", "Spring Boot", "Redis"]), SERVER, 3),
        (Wants(skills=["JAVA", "MySQL"], level="senior", domain="fintech"), SERVER, 3),
        (Wants(skills=["Java", "Redis"]), SERVER, 2),
        (Wants(level="entry"), SERVER, 2),
        (Wants(level="junior"), SERVER, 3),
        (Wants(domain="game"), SERVER, 2),
        (Wants(domain="fintech"), replace(SERVER, domain=None), 2),
        (Wants(skills=["Java", "Kafka"], level="entry"), GAME, 1),
        (Wants(skills=["Java", "Redis"]), GAME, 0),
        (Wants(), GAME, 0),
        (Wants(skills=["Java", "Kafka"]), QA, 0),
    ],
)
def test_the_grade_follows_the_rule(wants: Wants, posting: Label, expected: int) -> None:
    assert grade("백엔드", wants, posting) == expected


def test_neighbours_are_so_both_ways() -> None:
    wants = Wants(skills=["Java", "Kafka"])
    for one in get_args(Family):
        for other in get_args(Family):
            there = grade(one, wants, replace(SERVER, family=other))
            assert there == grade(other, wants, replace(SERVER, family=one))


@pytest.mark.parametrize(
    ("experience", "level"),
    [
        ("신입", "entry"),
        ("신입/경력", "entry"),
        ("인턴", "entry"),
        ("경력 2년 이상", "junior"),
        ("경력 4~8년", "mid"),
        ("경력 10년 이상", "senior"),
        ("1+ year", "junior"),
        ("6+ years", "senior"),
    ],
)
def test_the_level_is_that_of_the_fewest_years(experience: str, level: Level) -> None:
    assert level_of(experience) == level


def test_a_posting_published_again_counts_once() -> None:
    again = replace(SERVER, skills=frozenset({"java"}))
    assert grades("백엔드", Wants(skills=["Java", "Kafka"]), [again, SERVER]) == {("samples", "s-1"): 3}
    samples = read_samples()
    assert len(samples) == 368
    assert len(grades("QA", Wants(), samples.values())) == 356


def test_every_posting_is_labelled_with_a_known_family() -> None:
    labels = [*read_samples().values(), *read_hostile().values()]
    assert Counter(label.family for label in labels).keys() == set(get_args(Family))
    assert all(label.skills for label in labels)
    assert all(label.domain for label in read_samples().values())


async def test_the_queries_cover_families_and_languages() -> None:
    queries = await read_queries()
    assert len(queries) >= 130
    families = Counter(query.family for query in queries)
    assert all(families[family] >= 10 for family in get_args(Family)), families
    assert sum(query.language == "en" for query in queries) >= 30
    assert sum(query.profile is not None for query in queries) >= 20
    said = Counter(query.query or str(query.profile) for query in queries)
    assert max(said.values()) == 1


async def test_every_query_can_be_answered_and_asks_for_what_exists() -> None:
    samples = read_samples()
    skills = {skill for label in samples.values() for skill in label.skills}
    for query in await read_queries():
        found = Counter(grades(query.family, query.wants, samples.values()).values())
        assert found[3] >= 2, query.id
        assert {skill.casefold() for skill in query.wants.skills} <= skills, query.id


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": {"desired_job": "QA"}}, "either `query` or `profile`"),
        ({"query": None}, "either `query` or `profile`"),
        ({"wants": {"skills": ["Java"]}}, "needs 2 or more"),
        ({"wants": {"domain": "finance"}}, "domain"),
    ],
)
def test_a_query_that_says_too_much_or_too_little_is_refused(changes: dict[str, object], said: str) -> None:
    valid = {"id": "q", "query": "QA 엔지니어", "language": "ko", "family": "QA", "wants": {}}
    Query.model_validate(valid)
    with pytest.raises(ValueError, match=said):
        Query.model_validate(valid | changes)
