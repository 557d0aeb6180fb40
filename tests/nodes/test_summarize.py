"""summarize: what the kept postings ask for."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.summarize import AskedFor, CompanyDomain, MarketSummary, progress_message, summarize
from tests.fakes import Stage, posting
from tools.core.contracts import Profile
from tools.core.errors import ModelOutputError

POSTINGS = [
    posting(1, responsibilities="Design and run the payment API", preferred="Kafka in production"),
    posting(2, responsibilities="Run the order API with Kafka", preferred="", skills=["Java", "Redis"]),
    posting(
        3,
        responsibilities="Build screens for sellers",
        requirements="Two years of C++",
        preferred="",
        skills=[],
    ),
    posting(4, responsibilities="Teach COBOL"),
]
STATE: Any = {
    "profile": Profile(desired_job="Backend developer").model_dump(),
    "language": "en",
    "relevant": {"kept": [{"posting_id": f"p-{n}", "reason": ""} for n in (1, 2, 3)], "dropped": []},
}
Lines = list[tuple[str, list[str]]]


def market(
    responsibilities: Lines | None = None,
    qualifications: Lines | None = None,
    skills: list[str] | None = None,
    domains: dict[str, str] | None = None,
) -> MarketSummary:
    def asked(lines: Lines | None) -> list[AskedFor]:
        return [AskedFor(text=text, posting_ids=ids) for text, ids in lines or []]

    return MarketSummary(
        responsibilities=asked(responsibilities),
        qualifications=asked(qualifications),
        preferred=[],
        skills=skills or [],
        domains=[CompanyDomain(posting_id=i, domain=domain) for i, domain in (domains or {}).items()],
    )


async def summary_of(answer: MarketSummary, **state: Any) -> dict[str, Any]:
    update = await summarize({**STATE, **state}, Stage(answer, postings=POSTINGS).runtime)
    found: dict[str, Any] = update["summary"]
    return found


def counts(lines: list[dict[str, Any]]) -> dict[str, int]:
    return {line["text"]: line["count"] for line in lines}


async def test_each_line_names_the_postings_that_ask_for_it_and_the_most_wanted_stands_first() -> None:
    answer = market([("Build screens", ["p-3"]), ("Run an API", ["p-2", "p-1"])])
    assert (await summary_of(answer))["responsibilities"] == [
        {"text": "Run an API", "count": 2, "posting_ids": ["p-1", "p-2"]},
        {"text": "Build screens", "count": 1, "posting_ids": ["p-3"]},
    ]


async def test_a_posting_that_does_not_say_it_is_taken_out_and_the_line_counted_again() -> None:
    answer = market(
        [("Run the payment API", ["p-1", "p-2", "p-3"]), ("Work with Kafka", ["p-1", "p-2", "p-3"])]
    )
    found = {line["text"]: line["posting_ids"] for line in (await summary_of(answer))["responsibilities"]}
    assert found == {"Run the payment API": ["p-1", "p-2"], "Work with Kafka": ["p-1", "p-2"]}


async def test_a_line_that_no_posting_says_is_left_out_without_asking_again() -> None:
    lines: Lines = [("Run an API", ["p-1"]), ("Build screens", ["p-3"]), ("Train language models", ["p-2"])]
    stage = Stage(market(lines), postings=POSTINGS)
    update = await summarize(STATE, stage.runtime)
    assert list(counts(update["summary"]["responsibilities"])) == ["Run an API", "Build screens"]
    assert stage.chat.refusals == []


async def test_an_answer_whose_lines_mostly_rest_on_nothing_goes_back() -> None:
    made_up = market([("Train language models", ["p-1"]), ("Fly drones over fields", ["p-2"])])
    stage = Stage(made_up, market([("Run an API", ["p-1"])]), postings=POSTINGS)
    update = await summarize(STATE, stage.runtime)
    assert stage.chat.refusals == [
        [
            "posting_ids: none of the named postings says this: Train language models",
            "posting_ids: none of the named postings says this: Fly drones over fields",
        ]
    ]
    assert list(counts(update["summary"]["responsibilities"])) == ["Run an API"]


async def test_skills_are_counted_in_the_texts_whatever_the_model_names() -> None:
    """Wherever a posting names one: title, texts or list; and "C++" is no skill of a posting with "C"."""
    found = await summary_of(market(skills=["Redis", "Rust"]))
    assert counts(found["skills"]) == {"Java": 2, "Kafka": 2, "Redis": 1, "C++": 1}
    assert found["skills"][0]["posting_ids"] == ["p-1", "p-2"]


async def test_of_equally_many_the_skills_that_the_model_names_come_first() -> None:
    assert list(counts((await summary_of(market(skills=["c++", "Kafka"])))["skills"])) == [
        "Kafka",
        "Java",
        "C++",
        "Redis",
    ]


async def test_a_skill_that_no_lexicon_knows_counts_where_a_posting_has_it_letter_for_letter() -> None:
    postings = [
        posting(1, requirements="Frobnicator  Pro in production"),
        posting(2, requirements="We are frobnicators", skills=["frobnicator pro"]),
        posting(3, requirements="Enterprise software"),
    ]
    answer = market(skills=["Frobnicator Pro", "Frobnicator", "erp", "Quux"])
    update = await summarize(STATE, Stage(answer, postings=postings).runtime)
    found = counts(update["summary"]["skills"])
    assert (found["Frobnicator Pro"], found["Frobnicator"]) == (2, 2)
    assert not {"erp", "Quux"} & found.keys()


async def test_at_most_fifteen_skills_are_told() -> None:
    names = (
        "Java Kotlin Scala Ruby PHP Perl Kafka Redis MySQL MongoDB Docker Kubernetes Terraform Jenkins AWS"
    )
    stage = Stage(market(), postings=[posting(1, skills=[*names.split(), "GCP"])])
    update = await summarize(STATE, stage.runtime)
    assert len(update["summary"]["skills"]) == 15


async def test_what_the_companies_make_is_kept_with_their_postings() -> None:
    answer = market(
        [("Run an API", ["p-1"])],
        domains={"p-1": "payment service", "p-2": "Payment  service", "p-3": "shop for sellers"},
    )
    # p-2 says nothing of payments.
    assert (await summary_of(answer))["domains"] == [
        {"text": "payment service", "count": 1, "posting_ids": ["p-1"]},
        {"text": "shop for sellers", "count": 1, "posting_ids": ["p-3"]},
    ]


async def test_companies_that_make_the_same_are_one_line() -> None:
    postings = [posting(n) for n in (1, 2)]
    answer = market(domains={"p-1": "payment service", "p-2": "payment  service", "p-9": "payment service"})
    update = await summarize(STATE, Stage(answer, postings=postings).runtime)
    assert update["summary"]["domains"] == [
        {"text": "payment service", "count": 2, "posting_ids": ["p-1", "p-2"]}
    ]


async def test_a_posting_named_twice_counts_once() -> None:
    found = await summary_of(market([("Run an API", ["p-1", "p-1"])]))
    assert counts(found["responsibilities"]) == {"Run an API": 1}


async def test_the_model_reads_the_kept_postings_and_no_other() -> None:
    stage = Stage(market([("Run an API", ["p-1"])]), postings=POSTINGS)
    await summarize(STATE, stage.runtime)
    [(purpose, blocks)] = stage.chat.asked
    assert purpose == "summarize"
    assert [row["posting_id"] for row in blocks["postings"]] == ["p-1", "p-2", "p-3"]
    assert blocks["request"] == [{"desired_job": "Backend developer", "language": "en"}]


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (["p-1", "p-4"], "posting_ids: no such posting was given: p-4"),
        ([], "posting_ids: no posting is named for the line: Run an API"),
    ],
)
async def test_a_line_that_rests_on_nothing_goes_back(ids: list[str], complaint: str) -> None:
    stage = Stage(market([("Run an API", ids)]), market([("Run an API", ["p-2"])]), postings=POSTINGS)
    update = await summarize(STATE, stage.runtime)
    assert stage.chat.refusals == [[complaint]]
    assert counts(update["summary"]["responsibilities"]) == {"Run an API": 1}


async def test_a_paragraph_goes_back_and_is_then_left_out() -> None:
    text = "Run the payment API " * 7
    stage = Stage(market([(text, ["p-1"]), ("Run an API", ["p-1"])]), postings=POSTINGS)
    update = await summarize(STATE, stage.runtime)
    assert stage.chat.refusals == [[f"text: more than 120 characters; say one thing in a few words: {text}"]]
    assert list(counts(update["summary"]["responsibilities"])) == ["Run an API"]


async def test_a_line_that_still_rests_on_nothing_is_left_out() -> None:
    answer = market([("Run an API", ["p-1"]), ("Teach COBOL", ["p-77"]), ("Teach Ada", [])])
    assert list(counts((await summary_of(answer))["responsibilities"])) == ["Run an API"]


async def test_a_posting_that_was_not_kept_supports_no_line() -> None:
    answer = market([("Teach COBOL", ["p-4"]), ("Run an API", ["p-1", "p-4"])])
    assert counts((await summary_of(answer))["responsibilities"]) == {"Run an API": 1}


@pytest.mark.parametrize("answer", [market(), market([("Teach COBOL", ["p-77"])])])
async def test_a_model_that_says_nothing_of_use_still_leaves_the_skills(answer: MarketSummary) -> None:
    assert counts((await summary_of(answer))["skills"])["Java"] == 2


async def test_a_summary_of_nothing_is_a_failure_and_not_an_empty_page() -> None:
    bare = posting(1, requirements="Diligence", preferred="", skills=[])
    with pytest.raises(ModelOutputError):
        await summarize(STATE, Stage(market(), postings=[bare]).runtime)


async def test_one_line_says_what_is_most_wanted() -> None:
    answer = market([("Run an API", ["p-1"])], domains={"p-1": "payment service"})
    update = await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)
    assert progress_message(update, "en") == "5 lines; most wanted: Java, Kafka, Redis"
    assert progress_message(update, "ko") == "요구 사항 5줄, 많이 찾는 기술: Java, Kafka, Redis"
    assert update["versions"]["summarize"]["model"] == "scripted"
