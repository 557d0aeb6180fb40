"""A second model answers while the first is down: told, counted as its own, and never beside the first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr, ValidationError
from starlette.responses import Response

from nodes.filter_jobs import JobVerdicts
from tests.completions import completion
from tests.gateways import Gateway, gateway_to
from tests.pace import scaled, time_limit
from tests.tools.llm.test_chat import BLOCKS, PROMPT
from tests.tools.llm.test_journal import Memory
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.chat import ChatModel
from tools.llm.circuit_breaker import FAILURES
from tools.llm.journal import Call
from tools.llm.openai_client import fallback_endpoint, open_http_client

FIRST, SECOND = "gpt-4.1", "gpt-4o-mini"
KEY = SecretStr("any")


class World:
    """A model, a fallback at another address, and a run's chat that asks them."""

    def __init__(self, settings: Settings, http_client: Any, first: Gateway, second: Gateway) -> None:
        self.first, self.second = first, second
        self.journal = Memory()
        self.calls: list[Call] = []
        self._chat = ChatModel(settings, http_client, falls_back=True)
        self.chat = self._chat.for_run(self.journal, self.calls)

    def again(self) -> None:
        """The next run of the same turn: what was answered is in the journal."""
        self.calls = []
        self.chat = self._chat.for_run(self.journal, self.calls)

    def anew(self) -> None:
        """A run of another turn."""
        self.journal = Memory()
        self.again()

    async def ask(self) -> dict[str, Any]:
        """Asks; the `versions` of the answer."""
        reply = await self.chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [])
        assert reply.value.verdicts
        return self.chat.versions(PROMPT, JobVerdicts)


@asynccontextmanager
async def world(embedded: Settings, **update: Any) -> AsyncIterator[World]:
    async with gateway_to(embedded) as first, gateway_to(embedded) as second:
        own = {
            "openai_api_key": KEY,
            "openai_base_url": first.url,
            "chat_model": FIRST,
            "fallback_model": SECOND,
            "fallback_base_url": second.url,
            "fallback_api_key": KEY,
            "model_retries": 0,
            "output_retries": 0,
        }
        settings = embedded.model_copy(update={**own, **update})
        async with open_http_client(settings) as http_client:
            yield World(settings, http_client, first, second)


@pytest.fixture
async def both(embedded: Settings) -> AsyncIterator[World]:
    async with world(embedded) as opened:
        yield opened


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tools.llm.circuit_breaker.SPREAD", 0.0)
    yield


def figure(name: str, **labels: str) -> float:
    """The sum of a figure's samples that have these labels."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == f"checkerboard_{name}" and labels.items() <= sample.labels.items()
    )


async def test_while_the_first_answers_the_second_is_not_asked(both: World) -> None:
    versions = await both.ask()
    assert (versions["model"], versions.get("fallback_for")) == (FIRST, None)
    assert both.second.asked == []


async def test_the_answer_says_who_gave_it_and_is_counted_as_that_one_s(both: World) -> None:
    def paid() -> float:
        return figure("model_cost_usd_total", purpose="filter_jobs", model=SECOND)

    def calls(model: str, outcome: str) -> float:
        return figure("model_calls_total", purpose="filter_jobs", model=model, outcome=outcome)

    before = paid(), calls(SECOND, "answered"), calls(FIRST, "model_unavailable")
    both.first.fail()
    versions = await both.ask()
    assert (versions["model"], versions["fallback_for"]) == (SECOND, FIRST)
    assert versions["parameters"] == {}
    assert both.second.asked == [SECOND]
    [call] = both.calls
    assert (call.model, call.fallback, call.replayed) == (SECOND, True, False)
    assert paid() > before[0]
    assert calls(SECOND, "answered") == before[1] + 1
    assert calls(FIRST, "model_unavailable") == before[2] + 1


@pytest.mark.usefixtures("at_once")
async def test_an_open_circuit_asks_the_second_at_once_and_recovery_goes_back(embedded: Settings) -> None:
    async with world(embedded, model_circuit_seconds=scaled(0.4)) as both:
        both.first.fail()
        for _ in range(FAILURES):
            both.anew()
            await both.ask()
        [circuit] = both.chat.circuits().values()
        assert circuit.state == "open"
        asked = len(both.first.asked)
        both.anew()
        assert (await both.ask())["fallback_for"] == FIRST
        assert len(both.first.asked) == asked
        both.first.serve()
        async with asyncio.timeout(time_limit()):
            while circuit.state == "open":
                await asyncio.sleep(0.02)
        both.anew()
        assert (await both.ask())["model"] == FIRST
        assert circuit.state == "closed"


async def test_what_one_of_them_has_answered_is_not_asked_of_the_other(both: World) -> None:
    await both.ask()
    both.first.fail()
    both.again()
    assert (await both.ask())["model"] == FIRST
    assert both.second.asked == []
    # And the other way round: what the second answered stays its answer when the first is back.
    both.anew()
    await both.ask()
    both.first.serve()
    asked = len(both.first.asked)
    both.again()
    versions = await both.ask()
    assert (versions["model"], versions["fallback_for"]) == (SECOND, FIRST)
    assert (len(both.first.asked), len(both.second.asked)) == (asked, 1)
    assert both.calls[0].replayed


@pytest.mark.parametrize(
    "answer",
    [
        Response('{"error": {"message": "no"}}', 400, media_type="application/json"),
        Response('{"error": {"message": "no"}}', 401, media_type="application/json"),
        Response("<html>this is no model</html>", media_type="text/html"),
        completion("no JSON"),
        completion(None, "content_filter"),
    ],
    ids=["bad request", "wrong key", "a page", "no JSON", "content filter"],
)
async def test_what_is_no_outage_is_not_asked_of_the_second(both: World, answer: Response) -> None:
    both.first.answer = answer
    with pytest.raises((ModelUnavailableError, ModelOutputError)):
        await both.ask()
    assert both.second.asked == []


async def test_a_rate_limit_is_no_outage(both: World) -> None:
    both.first.limit(3600)
    for _ in range(2):
        with pytest.raises(ModelUnavailableError) as failed:
            await both.ask()
        assert failed.value.cause == "rate_limit"
    assert both.second.asked == []


async def test_where_both_are_down_the_first_s_error_is_told(both: World) -> None:
    before = figure("model_calls_total", purpose="filter_jobs", model=SECOND, outcome="model_unavailable")
    both.first.fail()
    both.second.answer = Response('{"error": {"message": "no"}}', 401, media_type="application/json")
    with pytest.raises(ModelUnavailableError) as failed:
        await both.ask()
    assert (failed.value.cause, failed.value.status) == ("status", 503)
    assert both.journal.kept == {}
    after = figure("model_calls_total", purpose="filter_jobs", model=SECOND, outcome="model_unavailable")
    assert after == before + 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"fallback_model": "m"}, "OPENAI_API_KEY"),
        ({"openai_api_key": "k", "fallback_api_key": "k"}, "CHECKERBOARD_FALLBACK_MODEL"),
        ({"openai_api_key": "k", "fallback_model": "m", "fallback_base_url": "offline"}, "offline"),
        (
            {"openai_api_key": "k", "fallback_model": "m", "fallback_base_url": "http://h/v1"},
            "CHECKERBOARD_FALLBACK_API_KEY",
        ),
    ],
)
def test_a_fallback_that_could_not_answer_is_refused_at_the_start(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings(**given)


def test_a_key_of_its_own_goes_to_openai_and_never_to_the_first_s_gateway() -> None:
    first = {"openai_api_key": KEY, "openai_base_url": "http://gateway/v1", "fallback_model": "m"}
    endpoint = fallback_endpoint(Settings(**first))
    assert (endpoint.base_url, endpoint.key_setting) == ("http://gateway/v1", "OPENAI_API_KEY")
    endpoint = fallback_endpoint(Settings(**first, fallback_api_key=SecretStr("other")))
    assert endpoint.base_url == "https://api.openai.com/v1"
    assert endpoint.api_key.get_secret_value() == "other"
