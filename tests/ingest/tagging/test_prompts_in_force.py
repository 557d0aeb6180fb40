"""A document says which prompt and which model it was tagged by, though others come into force."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from ingest.tagging.batch_api import BatchTagger
from ingest.tagging.tagger import PURPOSE, Tagger
from tests.ingest.tagging.conftest import Script, Server, settings_for
from tests.ingest.tagging.documents import FORM
from tests.offline import Offline
from tools.core.settings import ModelChoice, Settings
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client
from tools.prompts.active_set import ActivePrompt, ActiveSet, FromHub
from tools.prompts.registry import PromptRegistry

OTHER = "gpt-4.1"


@pytest.fixture
def registry() -> PromptRegistry:
    return PromptRegistry.bundled("ingest.tagging")


@pytest.fixture
async def tagger(server: Server, script: Script, registry: PromptRegistry) -> AsyncIterator[Tagger]:
    settings = settings_for(server)
    async with open_http_client(settings) as http_client:
        yield Tagger(ChatModel(settings, http_client), registry)


@pytest.fixture
async def batch(server: Server, script: Script, registry: PromptRegistry) -> AsyncIterator[BatchTagger]:
    settings: Settings = settings_for(server, output_retries=0, model_retries=0)
    async with open_http_client(settings) as http_client:
        tagger = Tagger(ChatModel(settings, http_client), registry)
        yield BatchTagger(tagger, settings, http_client, first_pause_seconds=0.02)


def reload(registry: PromptRegistry, commit: str) -> str:
    """Puts a commit of the Korean prompt and another model in force; the version that documents name."""
    texts = registry.files[f"{PURPOSE}.ko"].texts
    origin = FromHub(name="own-tag", commit=commit, system=f"{texts.system}\n{commit}", human=texts.human)
    entry = ActivePrompt(origin=origin, since=datetime.now(UTC), by="ada")
    models = {PURPOSE: ModelChoice(model=OTHER, temperature=0.1)}
    registry.activate(ActiveSet(prompts={f"{PURPOSE}.ko": entry}, models=models))
    return f"own-tag:{commit}"


async def test_a_document_is_tagged_by_what_is_in_force(
    tagger: Tagger, registry: PromptRegistry, server: Server
) -> None:
    bundled = await tagger.tag(FORM.parsed, FORM.hints)
    assert (bundled.prompt, bundled.model) == (registry.files[f"{PURPOSE}.ko"].version, "gpt-4o-mini")
    version = reload(registry, "c" * 8)
    async with Offline(server.url) as model:
        await model.reset()
        tagged = await tagger.tag(FORM.parsed, FORM.hints)
        assert [call["model"] for call in (await model.calls())["calls"]] == [OTHER]
    assert (tagged.prompt, tagged.model) == (version, OTHER)
    assert tagged.positions == bundled.positions
    assert (tagged.cost.usd or 0) > (bundled.cost.usd or 0), "at the price of the model that answered"


async def test_a_batch_names_what_it_was_asked_with_though_it_ends_under_other_prompts(
    batch: BatchTagger, registry: PromptRegistry
) -> None:
    asked = registry.current.get(PURPOSE, "ko").version
    requests = batch.requests("versions", FORM.parsed, FORM.hints)
    batch_id = await batch.submit(requests)
    version = reload(registry, "d" * 8)
    collected = await batch.collect(batch_id)
    tagged = await batch.tag("versions", FORM.parsed, FORM.hints, collected)
    assert (tagged.prompt, tagged.model) == (asked, "gpt-4o-mini")
    collected.answers.clear()
    singly = await batch.tag("versions", FORM.parsed, FORM.hints, collected)
    assert (singly.prompt, singly.model) == (version, OTHER)


async def test_what_has_begun_keeps_its_prompts(batch: BatchTagger, registry: PromptRegistry) -> None:
    before = registry.current
    reload(registry, "e" * 8)
    [request] = batch.requests("begun", FORM.parsed, FORM.hints, before)
    assert request.made_by[1].prompt == before.get(PURPOSE, "ko").version
    [later] = batch.requests("begun", FORM.parsed, FORM.hints)
    assert (later.body["model"], later.body["temperature"]) == (OTHER, 0.1)
    assert request.body["messages"] != later.body["messages"]
