"""summarize: what the kept postings ask for."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.summarize import AskedFor, MarketSummary, progress_message, summarize
from tests.fakes import Stage, posting
from tools.core.contracts import Profile
from tools.core.errors import ModelOutputError

POSTINGS = [posting(n) for n in range(1, 5)]
STATE: Any = {
    "profile": Profile(desired_job="Backend developer").model_dump(),
    "language": "en",
    "relevant": {"kept": [{"posting_id": f"p-{n}", "reason": ""} for n in (1, 2, 3)], "dropped": []},
}


def market(**lists: list[tuple[str, list[str]]]) -> MarketSummary:
    empty: dict[str, list[tuple[str, list[str]]]] = {name: [] for name in MarketSummary.model_fields}
    return MarketSummary.model_validate(
        {
            name: [AskedFor(text=text, posting_ids=ids).model_dump() for text, ids in lines]
            for name, lines in (empty | lists).items()
        }
    )


async def test_each_line_names_the_postings_that_ask_for_it_and_the_most_wanted_stands_first() -> None:
    answer = market(skills=[("Java", ["p-1"]), ("Kafka", ["p-3", "p-1", "p-2"])])
    update = await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)
    assert update["summary"]["skills"] == [
        {"text": "Kafka", "count": 3, "posting_ids": ["p-1", "p-2", "p-3"]},
        {"text": "Java", "count": 1, "posting_ids": ["p-1"]},
    ]


async def test_a_posting_named_twice_counts_once() -> None:
    update = await summarize(
        STATE, Stage(market(skills=[("Java", ["p-1", "p-1"])]), postings=POSTINGS).runtime
    )
    assert update["summary"]["skills"][0]["count"] == 1


async def test_the_model_reads_the_kept_postings_and_no_other() -> None:
    stage = Stage(market(skills=[("Java", ["p-1"])]), postings=POSTINGS)
    await summarize(STATE, stage.runtime)
    [(purpose, blocks)] = stage.chat.asked
    assert purpose == "summarize"
    assert [row["posting_id"] for row in blocks["postings"]] == ["p-1", "p-2", "p-3"]
    assert blocks["request"] == [{"desired_job": "Backend developer", "language": "en"}]


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        (["p-1", "p-4"], "posting_ids: no such posting was given: p-4"),
        ([], "posting_ids: no posting is named for the line: Java"),
    ],
)
async def test_a_line_that_rests_on_nothing_goes_back(ids: list[str], complaint: str) -> None:
    stage = Stage(market(skills=[("Java", ids)]), market(skills=[("Java", ["p-2"])]), postings=POSTINGS)
    update = await summarize(STATE, stage.runtime)
    assert stage.chat.refusals == [[complaint]]
    assert update["summary"]["skills"] == [{"text": "Java", "count": 1, "posting_ids": ["p-2"]}]


async def test_a_line_that_still_rests_on_nothing_is_left_out() -> None:
    answer = market(skills=[("Java", ["p-1"]), ("COBOL", ["p-77"]), ("Ada", [])])
    update = await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)
    assert [line["text"] for line in update["summary"]["skills"]] == ["Java"]


async def test_a_posting_that_was_not_kept_supports_no_line() -> None:
    answer = market(skills=[("Java", ["p-1", "p-4"])])
    update = await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)
    assert update["summary"]["skills"] == [{"text": "Java", "count": 1, "posting_ids": ["p-1"]}]


@pytest.mark.parametrize("answer", [market(), market(skills=[("Java", ["p-77"])])])
async def test_a_summary_of_nothing_is_a_failure_and_not_an_empty_page(answer: MarketSummary) -> None:
    with pytest.raises(ModelOutputError):
        await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)


async def test_one_line_says_what_is_most_wanted() -> None:
    answer = market(
        responsibilities=[("Run APIs", ["p-1"])],
        skills=[(name, ["p-1"]) for name in ("Java", "Kafka", "Redis", "Go")],
    )
    update = await summarize(STATE, Stage(answer, postings=POSTINGS).runtime)
    assert progress_message(update, "en") == "5 lines; most wanted: Java, Kafka, Redis"
    assert progress_message(update, "ko") == "요구 사항 5줄, 많이 찾는 기술: Java, Kafka, Redis"
    assert update["versions"]["summarize"]["model"] == "scripted"
