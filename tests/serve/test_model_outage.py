"""A provider's outage, as people and operators see it: at once, in words, with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from serve.context import AppContext, open_app_context
from tests.gateways import Gateway, gateway_to
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import GENERATE, PROFILE, answer_of, code_of
from tests.serve.runs.watching import asked, until_state
from tests.serve.test_metrics import figures, one
from tools.core.contracts import Profile
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.circuit_breaker import FAILURES

FIRST, SECOND = "gpt-4.1", "gpt-4o-mini"
CHAT_NODES = ("filter_jobs", "summarize", "propose_subjects", "generate_tasks")
LONG = 60.0
"""Seconds that a circuit stays open, which no test waits out."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit opens however fast the failures come."""
    monkeypatch.setattr("tools.llm.circuit_breaker.SPREAD", 0.0)


@asynccontextmanager
async def provided(settings: Settings, **update: Any) -> AsyncIterator[tuple[Settings, Gateway]]:
    """Yields settings with a provider of their own, and the provider."""
    async with gateway_to(settings) as gateway:
        own = {
            "openai_api_key": SecretStr("any"),
            "openai_base_url": gateway.url,
            "embedding_base_url": settings.openai_base_url,
            "chat_model": FIRST,
            "model_retries": 0,
            "model_circuit_seconds": LONG,
        }
        yield settings.model_copy(update={**own, **update}), gateway


async def generate(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/generate/invoke", json={"input": GENERATE})


async def break_down(client: httpx.AsyncClient, gateway: Gateway) -> None:
    """Has the provider fail until the circuit is open."""
    gateway.fail()
    for _ in range(FAILURES):
        await generate(client)


async def model_part(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.get("/readyz")
    assert response.status_code == 200, "readiness does not depend on the model"
    part: dict[str, Any] = response.json()["parts"]["model"]
    return part


async def test_people_are_told_at_once_and_operators_see_why(settings: Settings) -> None:
    async with provided(settings) as (own, gateway), client_of(own) as client:
        before = one(await figures(client), "model_circuits_open", model=FIRST)
        await break_down(client, gateway)
        sent = len(gateway.asked)
        answers = await asyncio.gather(*(generate(client) for _ in range(3)))
        for answer in answers:
            assert (answer.status_code, code_of(answer)) == (503, "model_unavailable")
            details = answer.json()["error"]["details"]
            assert details["cause"] == "circuit_open"
            assert details["session_id"]
            assert 0 < int(answer.headers["Retry-After"]) <= LONG
        assert len(gateway.asked) == sent, "the provider was not asked"

        part = await model_part(client)
        assert part["circuits"][FIRST]["state"] == "open"
        assert 0 < part["circuits"][FIRST]["seconds_left"] <= LONG
        assert part["ok"] is False
        assert FIRST in part["message"]
        assert one(await figures(client), "model_circuits_open", model=FIRST) == before + 1


async def test_a_run_in_the_background_fails_as_typed_and_goes_on_when_the_model_is_back(
    own: Settings,
) -> None:
    async with (
        provided(own, model_circuit_seconds=scaled(0.5)) as (settings, gateway),
        client_of(settings) as client,
    ):
        await break_down(client, gateway)
        run = await asked(client)
        ended = await until_state(client, run["run_id"], "failed", "succeeded")
        assert (ended["state"], ended["error"]["code"]) == ("failed", "model_unavailable")
        gateway.serve()
        async with asyncio.timeout(time_limit()):
            while (await model_part(client))["circuits"][FIRST]["state"] == "open":
                await asyncio.sleep(0.02)
        assert (await client.post(f"/runs/{run['run_id']}/resume")).status_code < 300
        ended = await until_state(client, run["run_id"], "failed", "succeeded")
        assert ended["state"] == "succeeded", ended["error"]
        part = await model_part(client)
        assert part["circuits"][FIRST]["state"] == "closed"
        assert "message" not in part or FIRST not in part["message"]


async def test_a_fallback_answers_and_is_named_everywhere(settings: Settings) -> None:
    fallback = {"fallback_model": SECOND, "fallback_api_key": SecretStr("any")}
    async with (
        gateway_to(settings) as second,
        provided(settings, **fallback, fallback_base_url=second.url) as (own, gateway),
        client_of(own) as client,
    ):
        versions = answer_of(await generate(client))["versions"]
        assert {versions[node]["model"] for node in CHAT_NODES} == {FIRST}
        part = await model_part(client)
        assert (part["fallback_model"], part["fallback_serves"]) == (SECOND, False)

        await break_down(client, gateway)
        sent = len(gateway.asked)
        answer = answer_of(await generate(client))
        for node in CHAT_NODES:
            made = answer["versions"][node]
            assert (made["model"], made["fallback_for"]) == (SECOND, FIRST), node
        session = (await client.get(f"/sessions/{answer['session_id']}")).json()
        assert session["versions"]["generate_tasks"]["fallback_for"] == FIRST
        assert len(gateway.asked) == sent
        assert set(second.asked) == {SECOND}
        part = await model_part(client)
        assert part["fallback_serves"] is True
        assert f"{SECOND} answers in its place" in part["warning"]
        assert part["ok"] is not False
        tokens = one(await figures(client), "model_tokens_total", model=SECOND, purpose="generate_tasks")
        assert tokens > 0


async def generation(context: AppContext) -> dict[str, Any]:
    return await context.sessions.generate(Profile(**PROFILE), "ko").answer()


async def test_a_pause_that_one_worker_is_told_holds_for_another_s_people(settings: Settings) -> None:
    async with (
        provided(settings) as (own, gateway),
        open_app_context(own, working=False) as one_worker,
        open_app_context(own, working=False) as other,
    ):
        gateway.limit(3600)
        with pytest.raises(ModelUnavailableError) as told:
            await generation(one_worker)
        assert (told.value.cause, told.value.retry_after_seconds) == ("rate_limit", 3600)
        sent = len(gateway.asked)
        async with asyncio.timeout(time_limit()):
            while True:
                with pytest.raises(ModelUnavailableError) as heard:
                    await generation(other)
                if len(gateway.asked) == sent:
                    break
                sent = len(gateway.asked)
        assert heard.value.cause == "rate_limit"
        assert heard.value.retry_after_seconds is not None
        assert heard.value.retry_after_seconds <= 600
