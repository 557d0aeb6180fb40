"""Batches: half the price, nothing paid for twice, and what a batch does not answer is asked for singly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from ingest.documents import Hints, Parsed
from ingest.errors import NotAPostingError
from ingest.tagging import batch_api as batches
from ingest.tagging.batch_api import BatchRequest, BatchTagger, within_limits
from ingest.tagging.tagger import MadeBy, Tagger
from tests.ingest.tagging.building import heading, table, text
from tests.ingest.tagging.conftest import Opened, Script, Server, settings_for, stated
from tests.ingest.tagging.documents import FORM, MERGED
from tests.offline import Offline
from tools.core.contracts import Language
from tools.core.errors import ModelUnavailableError
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.prompts.registry import PromptRegistry

DOCUMENTS = [("d-1", FORM), ("d-2", MERGED)]
MADE_BY: tuple[Language, MadeBy] = ("ko", MadeBy("sha256:0", "gpt-4o-mini"))


@pytest.fixture
async def model(server: Server) -> AsyncIterator[Offline]:
    """The model's controls."""
    async with Offline(server.url) as controls:
        await controls.reset()
        yield controls
        await controls.reset()


@pytest.fixture
async def batch(server: Server, script: Script, model: Offline) -> AsyncIterator[BatchTagger]:
    settings = settings_for(server, output_retries=0, model_retries=0)
    async with open_http_client(settings) as http_client:
        tagger = Tagger(ChatModel(settings, http_client), PromptRegistry.bundled("ingest.tagging"))
        yield BatchTagger(tagger, settings, http_client, first_pause_seconds=0.02)


def requests(batch: BatchTagger, seed: str) -> list[BatchRequest]:
    """The calls for both documents; with a seed of its own, because an equal batch is found again."""
    return [
        request
        for key, document in DOCUMENTS
        for request in batch.requests(f"{seed}-{key}", document.parsed, document.hints)
    ]


async def test_documents_come_out_as_if_asked_one_by_one_at_half_the_price(
    batch: BatchTagger, opened: Opened, model: Offline
) -> None:
    collected = await batch.collect(await batch.submit(requests(batch, "plain")))
    assert (collected.status, len(collected.answers), collected.errors) == ("completed", 2, {})
    calls = (await model.calls())["total"]
    async with opened() as tagger:
        for key, document in DOCUMENTS:
            tagged = await batch.tag(f"plain-{key}", document.parsed, document.hints, collected)
            singly = await tagger.tag(document.parsed, document.hints)
            assert tagged.positions == singly.positions
            assert tagged.cost.input_tokens == singly.cost.input_tokens
            assert tagged.cost.usd == pytest.approx((singly.cost.usd or 0) / 2)
    assert (await model.calls())["total"] == calls + 2  # those of the comparison


async def test_the_same_requests_submitted_again_find_their_batch(batch: BatchTagger, model: Offline) -> None:
    first = await batch.submit(requests(batch, "again"))
    assert await batch.submit(requests(batch, "again")) == first
    await batch.collect(first)
    assert await batch.submit(requests(batch, "again")) == first
    assert await batch.submit(requests(batch, "another")) != first
    assert (await batch.collect(first)).answers == (await batch.collect(first)).answers


async def test_a_batch_is_waited_for(batch: BatchTagger, model: Offline) -> None:
    await model.behave(latency={"mean_seconds": 0.5})
    batch_id = await batch.submit(requests(batch, "slow"))
    assert (await model.calls())["total"] == 0
    assert (await batch.collect(batch_id)).status == "completed"


async def test_a_request_that_fails_in_a_batch_is_asked_for_singly_and_paid_for_in_full(
    batch: BatchTagger, model: Offline, opened: Opened
) -> None:
    await model.behave(faults=[{"kind": "server_error", "schema": "PostingPositions", "times": 1}])
    collected = await batch.collect(await batch.submit(requests(batch, "partial")))
    assert (list(collected.answers), list(collected.errors)) == (["partial-d-2/0"], ["partial-d-1/0"])
    assert "simulated" in collected.errors["partial-d-1/0"]
    tagged = await batch.tag("partial-d-1", FORM.parsed, FORM.hints, collected)
    async with opened() as tagger:
        singly = await tagger.tag(FORM.parsed, FORM.hints)
    assert (tagged.positions, tagged.cost) == (singly.positions, singly.cost)


@pytest.mark.parametrize("kind", ["invalid_json", "schema_violation"])
async def test_an_invalid_answer_is_asked_for_singly_and_both_are_paid_for(
    batch: BatchTagger, model: Offline, kind: str
) -> None:
    await model.behave(faults=[{"kind": kind, "times": 1}])
    collected = await batch.collect(await batch.submit(requests(batch, kind)))
    tagged = await batch.tag(f"{kind}-d-1", FORM.parsed, FORM.hints, collected)
    assert tagged.positions[0].job_title == FORM.truth[0].title
    paid = collected.answers[f"{kind}-d-1/0"].usage
    assert tagged.cost.input_tokens == 2 * paid.input_tokens


async def test_lines_that_the_document_has_not_are_no_more_welcome_in_a_batch(
    batch: BatchTagger, script: Script
) -> None:
    blocks = [heading("서버 개발자", 1), text("담당업무", "- 예약 API 개발")]
    parsed = Parsed(blocks=blocks, parser="test/1")
    true = {"job_title": "서버 개발자", "responsibilities": ["예약 API 개발"]}
    script.say(stated({**true, "preferred": ["석사 학위"]}), stated(true))
    collected = await batch.collect(await batch.submit(batch.requests("invented", parsed, Hints())))
    tagged = await batch.tag("invented", parsed, Hints(), collected)
    assert (tagged.positions[0].preferred, tagged.dropped) == ("", [])
    assert len(script.asked) == 2


async def test_a_batch_that_expires_gives_what_it_has_answered(batch: BatchTagger, model: Offline) -> None:
    await model.behave(faults=[{"kind": "batch_expired"}])
    batch_id = await batch.submit(requests(batch, "late"))
    collected = await batch.collect(batch_id)
    assert (collected.status, list(collected.answers)) == ("expired", ["late-d-1/0"])
    assert "expired" in collected.errors["late-d-2/0"]
    await model.reset()
    assert await batch.submit(requests(batch, "late")) != batch_id


async def test_a_batch_that_is_refused_is_an_error_with_its_reason(
    batch: BatchTagger, model: Offline
) -> None:
    await model.behave(faults=[{"kind": "batch_failed", "times": 1}])
    batch_id = await batch.submit(requests(batch, "refused"))
    with pytest.raises(ModelUnavailableError, match="Nothing of it is paid for") as failed:
        await batch.collect(batch_id)
    assert failed.value.cause == "batch_failed"
    assert failed.value.problems == ["Enqueued token limit reached (simulated)."]
    again = await batch.submit(requests(batch, "refused"))
    assert (await batch.collect(again)).status == "completed"


async def test_a_batch_that_is_not_there_is_an_unavailable_model(batch: BatchTagger) -> None:
    with pytest.raises(ModelUnavailableError):
        await batch.collect("batch_of_yesterday")


async def test_a_long_document_has_a_request_for_each_part(batch: BatchTagger) -> None:
    rows = [
        [f"엔지니어 {n}", f"- {n}번 설비의 제어 프로그램을 개발하고 점검하는 업무를 수행"] for n in range(400)
    ]
    parsed = Parsed(blocks=[heading("채용", 1), table(["모집부문", "담당업무"], *rows)], parser="test/1")
    asked = batch.requests("long", parsed, Hints(deadline=date(2027, 5, 1)))
    assert len(asked) > 1
    collected = await batch.collect(await batch.submit(asked))
    tagged = await batch.tag("long", parsed, Hints(deadline=date(2027, 5, 1)), collected)
    assert len(tagged.positions) == 400


async def test_a_document_without_text_has_no_request(batch: BatchTagger) -> None:
    empty = Parsed(blocks=[text("  ")], parser="test/1")
    assert batch.requests("empty", empty, Hints()) == []
    collected = await batch.collect(await batch.submit(requests(batch, "with-empty")))
    with pytest.raises(NotAPostingError):
        await batch.tag("empty", empty, Hints(), collected)
    with pytest.raises(ValueError, match="a batch has 1 to"):
        await batch.submit([])


def test_requests_are_grouped_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_REQUESTS", 3)
    asked = [BatchRequest(str(n), body("x"), MADE_BY) for n in range(7)]
    documents = [[request] for request in asked]
    assert [len(group) for group in within_limits(documents)] == [3, 3, 1]
    monkeypatch.setattr(batches, "MAX_BYTES", 2 * len(asked[0].line()))
    assert [len(group) for group in within_limits(documents)] == [2, 2, 2, 1]
    # Those of one document are in one batch.
    assert [len(group) for group in within_limits([asked[:1], asked[1:3], asked[3:4]])] == [1, 1, 1]


def body(content: str) -> dict[str, Any]:
    """A chat request."""
    return {"model": "m", "messages": [{"role": "user", "content": content}]}
