"""A model that is down is not asked: over HTTP, with servers that refuse, hang and fail."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from tests.completions import completion
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.tools.llm.test_chat import GOOD, Asker, asker
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.circuit_breaker import FAILURES, SPREAD, CircuitBreaker
from tools.llm.model_api import ModelApi
from tools.llm.model_errors import NotAskedError
from tools.llm.openai_client import chat_endpoint, open_http_client

OPEN = 60.0
"""Seconds that no test waits out; where one does, it has a shorter circuit."""


def circuit(chat: Asker) -> CircuitBreaker:
    [found] = chat.chat.circuits().values()
    return found


async def fail(chat: Asker, cause: str) -> ModelUnavailableError:
    with pytest.raises(ModelUnavailableError) as failed:
        await chat.ask()
    assert failed.value.cause == cause
    return failed.value


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A circuit opens however fast the failures come."""
    monkeypatch.setattr("tools.llm.circuit_breaker.SPREAD", 0.0)
    yield


@asynccontextmanager
async def failing(settings: Settings, **update: Any) -> AsyncIterator[Asker]:
    async with asker(settings, **{"model_retries": 0, "model_circuit_seconds": OPEN, **update}) as chat:
        yield chat


@pytest.mark.usefixtures("at_once")
async def test_a_dead_port_is_left_alone_after_a_few_failures(embedded: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with failing(embedded, openai_base_url=f"http://127.0.0.1:{port}/v1") as chat:
        for _ in range(FAILURES):
            await fail(chat, "connection")
        asked = len(chat.bodies)
        error = await fail(chat, "circuit_open")
        assert len(chat.bodies) == asked, "nothing was sent"
        assert error.retry_after_seconds is not None
        assert 0 < error.retry_after_seconds <= OPEN
        assert "ask again in" in error.message
        assert circuit(chat).report()["state"] == "open"


@pytest.mark.usefixtures("at_once")
async def test_a_server_that_hangs_is_waited_for_by_the_first_alone(
    embedded: Settings, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "timeout"}])
    async with failing(embedded, model_timeout_seconds=scaled(0.3)) as chat:
        await asyncio.gather(*(fail(chat, "timeout") for _ in range(FAILURES)))
        await asyncio.gather(*(fail(chat, "circuit_open") for _ in range(50)))
        assert (await offline.calls())["total"] == FAILURES


@pytest.mark.usefixtures("at_once")
async def test_tries_of_one_call_count_and_end_with_the_circuit(embedded: Settings, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "server_error"}])
    async with failing(embedded, model_retries=1) as chat:
        for _ in range(FAILURES // 2):
            await fail(chat, "status")
        await fail(chat, "circuit_open")
        assert (await offline.calls())["total"] == FAILURES


async def test_failures_of_one_moment_open_nothing(embedded: Settings, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "cut_stream"}])
    async with failing(embedded) as chat:
        await asyncio.gather(*(fail(chat, "connection") for _ in range(2 * FAILURES)))
        assert circuit(chat).state == "closed"
        await offline.behave()
        assert (await chat.ask()).value.verdicts
        assert circuit(chat).report()["failures"] == 0


@pytest.mark.usefixtures("at_once")
async def test_one_trial_finds_out_that_it_answers_again(embedded: Settings, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "server_error"}])
    async with failing(embedded, model_circuit_seconds=scaled(0.3)) as chat:
        for _ in range(FAILURES):
            await fail(chat, "status")
        await half_open(chat)
        # The trial fails: open for as long again.
        await fail(chat, "status")
        assert circuit(chat).state == "open"
        await half_open(chat)
        await offline.reset()
        await offline.behave(latency={"mean_seconds": FOR_EVER})
        trial = asyncio.create_task(chat.ask())
        await offline.working_on("JobVerdicts")
        for _ in range(3):
            await fail(chat, "circuit_open")
        assert (await offline.calls())["total"] == 1, "one call alone is the trial"
        # Who tried has left: that says nothing of the model, and the next is the trial.
        trial.cancel()
        await asyncio.wait({trial})
        assert circuit(chat).state == "half_open"
        await offline.behave()
        assert (await chat.ask()).value.verdicts
        assert circuit(chat).state == "closed"
        await asyncio.gather(*(chat.ask() for _ in range(5)))


async def half_open(chat: Asker) -> None:
    async with asyncio.timeout(time_limit()):
        while circuit(chat).state != "half_open":
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "answer",
    [
        Response('{"error": {"message": "no"}}', 400, media_type="application/json"),
        Response('{"error": {"message": "no"}}', 401, media_type="application/json"),
        Response('{"error": {"message": "slower"}}', 429, media_type="application/json"),
        Response("<html>this is no model</html>", media_type="text/html"),
        completion("no JSON"),
    ],
    ids=["bad request", "wrong key", "rate limit", "a page", "no JSON"],
)
async def test_an_answer_that_is_of_no_use_is_an_answer(embedded: Settings, answer: Response) -> None:
    async def complete(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    async with running(app) as url, failing(embedded, openai_base_url=url, output_retries=0) as chat:
        for _ in range(2 * FAILURES):
            with pytest.raises((ModelUnavailableError, ModelOutputError)):
                await chat.ask()
        assert circuit(chat).report() == {"state": "closed", "failures": 0, "seconds_left": 0.0}


@pytest.mark.usefixtures("at_once")
async def test_models_of_one_endpoint_fail_each_for_itself(embedded: Settings) -> None:
    async def complete(request: Request) -> Response:
        if orjson.loads(await request.body())["model"] == "dead":
            return Response("", 503)
        return completion(GOOD)

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    async with running(app) as url:
        own = embedded.model_copy(
            update={"openai_base_url": url, "model_retries": 0, "model_circuit_seconds": OPEN}
        )
        async with open_http_client(own) as http_client:
            api = ModelApi(own, http_client, chat_endpoint(own))
            for _ in range(FAILURES):
                with pytest.raises(openai.APIStatusError):
                    await api.post("/chat/completions", {"model": "dead"})
            with pytest.raises(NotAskedError):
                await api.post("/chat/completions", {"model": "dead"})
            assert await api.post("/chat/completions", {"model": "alive"})


def test_a_late_answer_from_before_closes_nothing() -> None:
    breaker = CircuitBreaker("m", OPEN)
    early = breaker.enter()
    for _ in range(FAILURES):
        breaker.failed(breaker.enter(), time.monotonic() - SPREAD * OPEN)
    assert breaker.state == "open"
    breaker.answered(early)
    with pytest.raises(NotAskedError) as refused:
        breaker.enter()
    assert 0 < refused.value.seconds <= OPEN
