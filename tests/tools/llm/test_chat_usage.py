"""Tokens of the chat model's answers, their pace, and requests for a batch."""

from __future__ import annotations

import asyncio

import pytest

from nodes.filter_jobs import JobVerdicts
from tests.offline import Offline
from tests.tools.llm.test_chat import BLOCKS, GOOD, PROMPT, asker, gateway, said
from tests.tools.llm.test_journal import Memory
from tools.core.errors import ModelOutputError
from tools.core.settings import Settings
from tools.llm.chat import ChatModel, Usage
from tools.llm.openai_client import open_http_client
from tools.llm.pacing import Pacer


async def test_every_answer_is_counted_also_the_refused_ones(embedded: Settings) -> None:
    async with gateway(embedded, said("{"), said(GOOD)) as chat:
        assert (await chat.ask()).usage == Usage(2, 2)


async def test_answers_that_stay_invalid_tell_their_tokens_too(embedded: Settings) -> None:
    async with gateway(embedded, said("{"), output_retries=1) as chat:
        with pytest.raises(ModelOutputError) as failed:
            await chat.ask()
    assert failed.value.details["usage"] == {"input_tokens": 2, "output_tokens": 2}


async def test_an_answer_from_the_journal_still_tells_its_tokens(
    embedded: Settings, offline: Offline
) -> None:
    async with asker(embedded) as chat:
        chat.record(Memory())
        first, again = await chat.ask(), await chat.ask()
    assert len(chat.bodies) == 1
    assert first.usage == again.usage
    assert again.usage.input_tokens > 0


async def test_calls_wait_for_their_turn_and_answers_from_the_journal_do_not(
    embedded: Settings, offline: Offline
) -> None:
    pacer = Pacer(0.01)
    async with open_http_client(embedded) as http_client:
        chat = ChatModel(embedded, http_client, pacer)
        recording = chat.for_run(Memory())
        async with asyncio.timeout(20):
            for _ in range(2):
                await recording.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [])
    assert (await offline.calls())["total"] == 1


@pytest.mark.parametrize("temperature", [None, 0.5])
async def test_the_request_for_a_batch_is_what_would_have_been_sent(
    embedded: Settings, offline: Offline, temperature: float | None
) -> None:
    settings = embedded.model_copy(update={"temperature": temperature})
    async with asker(settings) as chat:
        await chat.ask()
        async with open_http_client(settings) as http_client:
            body = ChatModel(settings, http_client).request(PROMPT, BLOCKS, JobVerdicts)
    assert body == {key: value for key, value in chat.bodies[0].items() if key != "stream"}
