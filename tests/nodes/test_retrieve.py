"""retrieve: the nearest postings."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nodes.retrieve import RETRIEVED, progress_message, retrieve
from tests.fakes import Stage, posting
from tools.core.errors import NoPostingsError

STATE: Any = {"query": "백엔드 개발자", "profile": {"desired_job": "백엔드 개발자"}, "language": "ko"}


async def test_twenty_postings_are_taken_nearest_first() -> None:
    update = await retrieve(STATE, Stage(postings=[posting(n) for n in range(1, 31)]).runtime)
    assert [row["posting_id"] for row in update["retrieved"]] == [f"p-{n}" for n in range(1, 21)]
    assert RETRIEVED == 20


async def test_fewer_postings_than_twenty_are_all_taken() -> None:
    update = await retrieve(STATE, Stage(postings=[posting(1), posting(2)]).runtime)
    assert len(update["retrieved"]) == 2


async def test_the_state_keeps_what_an_answer_shows_of_a_posting_and_no_texts() -> None:
    update = await retrieve(STATE, Stage(postings=[posting(4)]).runtime)
    assert update["retrieved"] == [
        {
            "posting_id": "p-4",
            "source": "test",
            "source_id": "4",
            "company": "Company 4",
            "job_title": "Backend developer",
            "score": 0.9,
        }
    ]
    assert orjson.loads(orjson.dumps(update)) == update


async def test_the_query_is_what_is_embedded() -> None:
    stage = Stage(postings=[posting(1)])
    await retrieve(STATE, stage.runtime)
    assert stage.embedder.queries == ["백엔드 개발자"]


async def test_without_postings_no_embedding_is_paid_for() -> None:
    stage = Stage()
    with pytest.raises(NoPostingsError):
        await retrieve(STATE, stage.runtime)
    assert stage.embedder.queries == []


async def test_the_answer_names_the_model_and_the_corpus_it_rests_on() -> None:
    update = await retrieve(STATE, Stage(postings=[posting(1)]).runtime)
    assert update["versions"] == {"retrieve": {"embedding_model": "scripted-embedding", "corpus_revision": 7}}


async def test_one_line_says_how_many_were_found() -> None:
    update = await retrieve(STATE, Stage(postings=[posting(1)]).runtime)
    assert progress_message(update, "en") == "1 postings"
    assert progress_message(update, "ko") == "공고 1건"
