"""What a provider asks of one worker, 429 with `Retry-After`, is honoured by all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from nodes.filter_jobs import JobVerdicts
from tests.gateways import Gateway, gateway_to
from tests.pace import time_limit
from tests.tools.llm.test_chat import BLOCKS, PROMPT
from tools.core.errors import ModelUnavailableError
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.llm.chat import ChatModel, Reply
from tools.llm.model_errors import Endpoint, NotAskedError
from tools.llm.openai_client import chat_endpoint, chat_model_name, open_http_client
from tools.llm.pauses import LONGEST_PAUSE, LONGEST_WAIT, Pauses, open_pauses, pause_name


class Worker:
    """What a process has to ask a model, with what it hears through Redis."""

    def __init__(self, settings: Settings, chat: ChatModel, pauses: Pauses) -> None:
        self._chat = chat
        self._pauses = pauses
        self._name = pause_name(chat_endpoint(settings), chat_model_name(settings))

    async def ask(self) -> Reply[JobVerdicts]:
        return await self._chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [])

    async def fail(self) -> ModelUnavailableError:
        with pytest.raises(ModelUnavailableError) as failed:
            await self.ask()
        assert failed.value.cause == "rate_limit"
        return failed.value

    def left(self) -> float:
        return self._pauses.left(self._name)

    async def hears(self) -> None:
        async with asyncio.timeout(time_limit()):
            while not self.left():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    async with (
        open_redis(settings) as redis,
        open_pauses(redis) as pauses,
        open_http_client(settings) as http_client,
    ):
        yield Worker(settings, ChatModel(settings, http_client, pauses=pauses), pauses)


@pytest.fixture
async def gateway(embedded: Settings) -> AsyncIterator[Gateway]:
    async with gateway_to(embedded) as opened:
        yield opened


@pytest.fixture
def own(embedded: Settings, gateway: Gateway) -> Settings:
    return embedded.model_copy(update={"openai_base_url": gateway.url, "model_retries": 1})


async def test_what_one_worker_is_told_the_other_honours(own: Settings, gateway: Gateway) -> None:
    async with worker(own) as one, worker(own) as other:
        assert (await other.ask()).value.verdicts
        gateway.limit(1)
        began = time.monotonic()
        asking = asyncio.create_task(one.ask())
        await other.hears()
        asked = len(gateway.asked)
        gateway.serve()
        assert (await other.ask()).value.verdicts
        assert time.monotonic() - began >= 1, "it waited as long as the other was told to"
        assert (await asking).value.verdicts
        assert len(gateway.asked) == asked + 2


async def test_an_hour_is_not_waited_by_anybody(own: Settings, gateway: Gateway) -> None:
    gateway.limit(3600)
    async with worker(own) as one, worker(own) as other:
        told = await one.fail()
        assert (told.status, told.retry_after_seconds) == (429, 3600)
        await other.hears()
        for each in (one, other):
            again = await each.fail()
            assert again.retry_after_seconds is not None
            assert LONGEST_WAIT < again.retry_after_seconds <= LONGEST_PAUSE
            assert "ask again in 10 minutes" in again.message
        assert len(gateway.asked) == 1, "after the first nobody asked"


async def test_who_begins_later_has_not_heard_of_it_and_honours_it(own: Settings, gateway: Gateway) -> None:
    gateway.limit(3600)
    async with worker(own) as one:
        await one.fail()
    async with worker(own) as late:
        await late.fail()
        assert late.left() > LONGEST_WAIT
    assert len(gateway.asked) == 1


async def test_another_key_and_another_address_are_not_in_it(own: Settings, gateway: Gateway) -> None:
    gateway.limit(3600)
    async with worker(own) as one:
        await one.fail()
    gateway.serve()
    for change in ({"openai_api_key": SecretStr("another")}, {"openai_base_url": f"{gateway.url}/"}):
        async with worker(own.model_copy(update=change)) as other:
            assert (await other.ask()).value.verdicts


async def test_a_worker_whose_redis_is_away_honours_what_it_was_told_itself(
    own: Settings, gateway: Gateway
) -> None:
    gateway.limit(3600)
    async with (
        open_redis(own.model_copy(update={"redis_url": "redis://127.0.0.1:1"}), retrying=False) as redis,
        open_http_client(own) as http_client,
    ):
        pauses = Pauses(redis)
        alone = Worker(own, ChatModel(own, http_client, pauses=pauses), pauses)
        await alone.fail()
        await alone.fail()
    assert len(gateway.asked) == 1


async def test_waits_add_up_to_no_more_than_one_call_has_patience_for() -> None:
    name = pause_name(Endpoint(None, SecretStr("k"), "", "", ""), "m")
    pauses = Pauses()
    await pauses.begin(name, "m", 0.05)
    assert 0.05 <= await pauses.wait(name) < time_limit()
    await pauses.begin(name, "m", 30)
    with pytest.raises(NotAskedError) as refused:
        await pauses.wait(name, LONGEST_WAIT - 100)
    assert 20 < refused.value.seconds <= 30
    assert await pauses.wait("another") == 0


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pauses = Pauses()
    await pauses.begin("n", "m", 60)
    await pauses.begin("n", "m", 5)
    assert pauses.left("n") > 50


def test_the_name_of_a_pause_tells_no_key() -> None:
    endpoint = Endpoint("https://api.example/v1", SecretStr("sk-secret"), "", "", "")
    assert "secret" not in pause_name(endpoint, "m")
    assert pause_name(endpoint, "m") != pause_name(endpoint, "n")
