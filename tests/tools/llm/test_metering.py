"""What models were asked for a piece of work: each call with its tokens, and whether it was paid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evals.evaluators.cost import cost
from evals.runs.variants import _call
from nodes.filter_jobs import JobVerdicts
from tests.offline import Offline
from tests.tools.llm.test_chat import asker
from tests.tools.llm.test_journal import Memory
from tools.core.settings import Settings
from tools.llm import journal, metering
from tools.llm.embeddings import Embedder
from tools.llm.metering import Call
from tools.llm.openai_client import open_http_client


@pytest.fixture
def noted() -> Iterator[list[Call]]:
    calls: list[Call] = []
    token = metering.calls.set(calls)
    yield calls
    metering.calls.reset(token)


async def test_a_call_tells_its_purpose_model_tokens_and_time(
    embedded: Settings, offline: Offline, noted: list[Call]
) -> None:
    async with asker(embedded) as chat:
        reply = await chat.ask()
    (call,) = noted
    assert (call.purpose, call.replayed) == ("filter_jobs", False)
    assert (call.input_tokens, call.output_tokens) == (reply.usage.input_tokens, reply.usage.output_tokens)
    assert call.input_tokens
    assert call.seconds > 0
    assert call.model


async def test_an_answer_from_the_ledger_is_replayed_and_one_without_it_paid_twice(
    embedded: Settings, offline: Offline, noted: list[Call]
) -> None:
    token = journal.current.set(Memory())
    try:
        async with asker(embedded) as chat:
            for _ in range(2):
                await chat.ask()
            journal.current.set(None)
            await chat.ask()
    finally:
        journal.current.reset(token)
    assert [call.replayed for call in noted] == [False, True, False]
    assert len({call.question for call in noted}) == 1
    outputs = {"seconds": [1.0], "calls": [_call(0, call) for call in noted]}
    scores = {score["key"]: score["score"] for score in cost({}, outputs, {})}
    assert scores["calls"] == 2
    assert scores["paid_twice"] == 1
    assert scores["tokens_in"] == 2 * (noted[0].input_tokens or 0)


async def test_other_questions_and_an_answer_that_was_sent_back_are_not_paid_twice(
    embedded: Settings, offline: Offline, noted: list[Call]
) -> None:
    await offline.behave(faults=[{"kind": "schema_violation", "schema": JobVerdicts.__name__, "times": 1}])
    async with asker(embedded) as chat:
        await chat.ask()
    async with open_http_client(embedded) as http_client:
        embedder = Embedder(embedded, http_client)
        await embedder.query("백엔드")
        await embedder.query("데이터")
    assert [call.purpose for call in noted] == ["filter_jobs", "filter_jobs", "embedding", "embedding"]
    assert len({call.question for call in noted}) == 4
    # Embeddings are paid for as well.
    assert all(call.input_tokens for call in noted)


async def test_nobody_who_does_not_ask_is_told(embedded: Settings, offline: Offline) -> None:
    assert metering.calls.get() is None
    async with asker(embedded) as chat:
        await chat.ask()
    assert metering.calls.get() is None
