"""A model and parameters of its own for each purpose: who is asked, with what, and what answers say."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr, ValidationError

from nodes.filter_jobs import JobVerdicts
from tests.offline import Offline
from tests.tools.llm.test_chat import BLOCKS
from tools.core.settings import ModelChoice, Settings
from tools.llm.chat import _MODELS, ChatModel
from tools.llm.openai_client import open_http_client
from tools.prompts.active_set import ActiveSet
from tools.prompts.registry import PromptRegistry

CHOICE = ModelChoice(
    model="gpt-4.1", temperature=0.4, top_p=0.9, max_completion_tokens=5_000, reasoning_effort="low"
)


class Asked:
    """A chat model with a key, at the offline model's address; `body` is the last request's."""

    def __init__(self, settings: Settings, http_client: Any) -> None:
        http_client.event_hooks = {"request": [self._keep]}
        self.chat = ChatModel(settings, http_client)
        self.body: dict[str, Any] = {}

    async def _keep(self, request: Any) -> None:
        self.body = orjson.loads(request.content)

    async def versions(self, registry: PromptRegistry) -> dict[str, Any]:
        prompt = registry.get("filter_jobs", "en")
        await self.chat.ask(prompt, BLOCKS, JobVerdicts, lambda _: [])
        return self.chat.versions(prompt, JobVerdicts)


@pytest.fixture
async def asked(embedded: Settings) -> AsyncIterator[Asked]:
    update = {"openai_api_key": SecretStr("any"), "chat_model": "gpt-4o-mini", "temperature": 0.7}
    settings = embedded.model_copy(update=update)
    async with open_http_client(settings) as http_client:
        yield Asked(settings, http_client)


async def test_without_a_choice_the_settings_answer(asked: Asked, offline: Offline) -> None:
    versions = await asked.versions(PromptRegistry.bundled("nodes"))
    assert (versions["model"], versions["parameters"]) == ("gpt-4o-mini", {"temperature": 0.7})
    assert (asked.body["model"], asked.body["temperature"]) == ("gpt-4o-mini", 0.7)


async def test_a_choice_is_asked_for_and_named_by_answers(asked: Asked, offline: Offline) -> None:
    registry = PromptRegistry.bundled("nodes", models={"filter_jobs": CHOICE})
    versions = await asked.versions(registry)
    [call] = (await offline.calls())["calls"]
    assert call["model"] == versions["model"] == "gpt-4.1"
    assert versions["parameters"] == CHOICE.parameters()
    assert {key: asked.body[key] for key in CHOICE.parameters()} == CHOICE.parameters()
    assert versions["schema"].startswith("JobVerdicts@")


async def test_a_reload_chooses_over_the_settings(asked: Asked, offline: Offline) -> None:
    registry = PromptRegistry.bundled("nodes", models={"filter_jobs": CHOICE})
    registry.activate(ActiveSet(prompts={}, models={"filter_jobs": ModelChoice(model="gpt-5-nano")}))
    versions = await asked.versions(registry)
    assert versions["model"] == asked.body["model"] == "gpt-5-nano"
    assert versions["parameters"] == CHOICE.parameters(), "what it leaves open is the settings'"


async def test_reloads_without_end_keep_a_bounded_number_of_clients(asked: Asked) -> None:
    clients = [weakref.ref(asked.chat._api._model(ModelChoice(model=f"m{number}"))) for number in range(40)]
    gc.collect()
    kept = [client for client in clients if client() is not None]
    assert kept == clients[-_MODELS:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 3},
        {"model": ""},
        {"model": "gpt\x00"},
        {"modle": "x"},
        {"max_completion_tokens": 0},
        {"reasoning_effort": "x"},
    ],
)
def test_a_choice_that_no_model_takes_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelChoice(**wrong)
