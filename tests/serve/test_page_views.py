"""What the page's templates are shown: marked quotes, counted reasons, the market against a profile."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from serve.page import views
from serve.page.rendering import _ENVIRONMENT
from serve.page.words import script_words, words
from serve.web import WEB
from tools.core import errors
from tools.core.contracts import Evidence, Profile, Project, Summary, SummaryLine
from tools.core.errors import ServiceError
from tools.postings.contracts import FoundPosting


def project(*evidence: tuple[str, str, str], skills: tuple[str, ...] = ("Kafka",)) -> Project:
    quotes = [
        Evidence(posting_id=posting, company="c", job_title="t", quote=quote, claim=claim)
        for posting, quote, claim in evidence
    ]
    return Project(
        subject_id="s",
        title="t",
        description="d",
        difficulty="beginner",
        duration_weeks=4,
        skills=list(skills),
        summary="s",
        steps=[],
        evidence=quotes,
    )


def asked(*skills: tuple[str, int]) -> Summary:
    lines = [
        SummaryLine(text=text, count=count, posting_ids=[f"p-{n}" for n in range(count)])
        for text, count in skills
    ]
    return Summary(skills=lines)


def marks(text: str, *quotes: str) -> list[str]:
    return [piece for line in views.marked(text, quotes) for piece, quoted in line if quoted]


@pytest.mark.parametrize(
    ("text", "quotes", "expected"),
    [
        ("결제 API 개발\n장애 대응", ["결제 API 개발"], ["결제 API 개발"]),
        ("결제  API\n개발", ["결제 API 개발"], ["결제  API", "개발"]),  # folded white space, over two lines
        ("AB ABC", ["AB", "ABC"], ["AB", "ABC"]),
        ("a.c abc", ["a.c"], ["a.c"]),
        ("없다", ["있다", " "], []),
    ],
)
def test_quoted_words_are_marked_where_they_stand(text: str, quotes: list[str], expected: list[str]) -> None:
    assert marks(text, *quotes) == expected


@pytest.mark.parametrize("text", ["", "\n\n", "a\n\nb c", "<b>\0</b>"])
def test_marking_loses_no_letter(text: str) -> None:
    lines = ["".join(piece for piece, _ in line) for line in views.marked(text, ["b", "<b>"])]
    assert lines == [line for line in text.split("\n") if line]


def test_a_reason_has_its_quotes_and_is_counted_where_it_names_a_skill() -> None:
    found = views.reasons(
        project(
            ("p-1", "멱등 키", "장애에 강하다"),
            ("p-2", "카프카", "Kafka를 찾는다"),
            ("p-3", "k", "Kafka를 찾는다"),
        ),
        asked(("Redis", 9), ("Kafka", 7)),
    )
    assert [(reason.claim, reason.quoted) for reason in found] == [
        ("Kafka를 찾는다", 2),
        ("장애에 강하다", 1),
    ]
    assert found[0].counted is not None
    assert (found[0].counted.text, found[0].counted.count) == ("Kafka", 7)
    assert found[1].counted is None


def test_the_market_says_what_a_profile_shows_and_what_the_project_trains() -> None:
    profile = Profile.model_validate(
        {"desired_job": "Go developer", "skills": ["k8s"], "introduction": "Redis로 캐시를 만들었습니다."}
    )
    bars = views.market(
        asked(("Redis", 8), ("Kafka", 6), ("Kubernetes", 4), ("AWS", 1)), profile, project(), kept=8
    )
    assert [(bar.line.text, bar.percent, bar.state) for bar in bars] == [
        ("Redis", 100, "known"),
        ("Kafka", 75, "trained"),
        ("Kubernetes", 50, "known"),
        ("AWS", 12, "open"),
    ]
    assert views.market(None, profile, project(), kept=0) == []


def test_a_hit_says_why_it_was_found_and_marks_it() -> None:
    posting = FoundPosting(
        posting_id="p-1",
        source="s",
        source_id="1",
        job_title="결제 서버 개발자",
        requirements="카프카 경험, 재결제, JavaScript, Payments 연동",
        score=0.9,
        terms=["결제", "서버", "kafka", "#Kafka"],
        families=["backend"],
    )
    [hit] = views.hits([posting], "결제 백엔드 Kafka Java (", "en")
    assert hit.skills == ["Kafka"]
    assert hit.words == ["결제", "서버"]
    assert hit.families == ["back-end development"]
    assert [piece for piece, quoted in hit.title[0] if quoted] == ["결제", "서버"]
    # In whichever words the posting says it; "재결제" does not begin with one, and JavaScript is not Java.
    assert [piece for piece, quoted in hit.parts["requirements"][0] if quoted] == ["카프카", "Payments"]


def test_a_search_without_words_marks_nothing() -> None:
    posting = FoundPosting(posting_id="p-1", source="s", source_id="1", job_title="a b", score=0.9)
    [hit] = views.hits([posting], "( -", "ko")
    assert hit.title == [[("a b", False)]]


def test_every_word_is_used_and_every_one_used_is_there_in_both_languages() -> None:
    said, told = words("ko"), script_words("ko")
    korean, english = {**said._said, **told}, {**words("en")._said, **script_words("en")}
    for key, text in korean.items():
        assert fields(text) == fields(english[key]), key
    templates = "\n".join(path.read_text() for path in (WEB / "templates").glob("*.html"))
    code = "\n".join(path.read_text() for path in (WEB.parent / "page").glob("*.py"))
    scripts = "\n".join(path.read_text() for path in (WEB / "static" / "page").glob("*.js"))
    assert set(re.findall(r'\bw\("([\w-]+)"[,)]', templates)) <= said._said.keys()
    assert set(re.findall(r'say\("(\w+)"[,)]', scripts)) <= told.keys()
    begins = (*re.findall(r'w\("(\w+_)" \+', templates), "person_", "gone_", "kept_gone_")
    unused = {key for key in said._said if f'"{key}"' not in templates + code and not key.startswith(begins)}
    unused |= {key for key in told if f'"{key}"' not in scripts and not key.startswith("error_")}
    assert unused == set()


OPERATORS = {"hub_unavailable", "prompt_invalid", "prompt_not_found"}
"""Errors of the routes for operators, which no page asks."""


def test_every_error_is_said_in_words() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.code for kind in kinds if issubclass(kind, ServiceError) and kind is not ServiceError}
    assert {code for code in codes - OPERATORS if f"error_{code}" not in script_words("ko")} == set()


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_templates_escape_what_they_are_shown() -> None:
    assert _ENVIRONMENT.autoescape is True
    for path in (WEB / "templates").glob("*.html"):
        assert "|safe" not in path.read_text().replace(" ", ""), path.name
