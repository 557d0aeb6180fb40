"""What models were asked for a piece of work: each call with its tokens, and whether it was paid."""

from __future__ import annotations

from evals.evaluators.cost import cost
from evals.runs.variants import _call
from nodes.filter_jobs import JobVerdicts
from tests.offline import Offline
from tests.tools.llm.test_chat import asker
from tests.tools.llm.test_journal import Memory
from tools.core.settings import Settings
from tools.llm.embeddings import Embedder
from tools.llm.journal import Call
from tools.llm.openai_client import open_http_client


async def test_a_call_tells_its_purpose_model_tokens_and_time(embedded: Settings, offline: Offline) -> None:
    calls: list[Call] = []
    async with asker(embedded) as chat:
        chat.record(None, calls)
        reply = await chat.ask()
    (call,) = calls
    assert (call.purpose, call.replayed) == ("filter_jobs", False)
    assert (call.input_tokens, call.output_tokens) == (reply.usage.input_tokens, reply.usage.output_tokens)
    assert call.input_tokens
    assert call.seconds > 0
    assert call.model


async def test_an_answer_from_the_journal_is_replayed_and_one_without_it_paid_twice(
    embedded: Settings, offline: Offline
) -> None:
    calls: list[Call] = []
    async with asker(embedded) as chat:
        chat.record(Memory(), calls)
        for _ in range(2):
            await chat.ask()
        chat.record(None, calls)
        await chat.ask()
    assert [call.replayed for call in calls] == [False, True, False]
    assert len({call.question for call in calls}) == 1
    outputs = {"seconds": [1.0], "calls": [_call(0, call) for call in calls]}
    scores = {score["key"]: score["score"] for score in cost({}, outputs, {})}
    assert scores["calls"] == 2
    assert scores["paid_twice"] == 1
    assert scores["tokens_in"] == 2 * (calls[0].input_tokens or 0)


async def test_other_questions_and_an_answer_that_was_sent_back_are_not_paid_twice(
    embedded: Settings, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "schema_violation", "schema": JobVerdicts.__name__, "times": 1}])
    calls: list[Call] = []
    async with asker(embedded) as chat:
        chat.record(None, calls)
        await chat.ask()
    async with open_http_client(embedded) as http_client:
        embedder = Embedder(embedded, http_client).for_run(None, calls)
        await embedder.query("백엔드")
        await embedder.query("데이터")
    assert [call.purpose for call in calls] == ["filter_jobs", "filter_jobs", "embedding", "embedding"]
    assert len({call.question for call in calls}) == 4
    # Embeddings are paid for as well.
    assert all(call.input_tokens for call in calls)


async def test_a_run_sees_its_own_calls_alone(embedded: Settings, offline: Offline) -> None:
    """The client is shared: what one run asks is neither in the list nor in the journal of another."""
    one, other = list[Call](), list[Call]()
    journal = Memory()
    async with open_http_client(embedded) as http_client:
        embedder = Embedder(embedded, http_client)
        await embedder.for_run(journal, one).query("백엔드")
        await embedder.for_run(None, other).query("백엔드")
        await embedder.query("백엔드")
    assert ([call.replayed for call in one], [call.replayed for call in other]) == ([False], [False])
    assert list(journal.kept) == [one[0].question]
    assert (await offline.calls())["total"] == 3
