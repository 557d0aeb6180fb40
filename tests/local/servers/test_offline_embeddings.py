"""The offline model may answer, embed, or do both; whoever looks can tell."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from local.servers import embedded_servers
from serve.context import open_app_context
from tools.core.settings import OFFLINE, Settings
from tools.llm.embedding_models import DEFAULT_DIMENSIONS
from tools.llm.embeddings import Embedder
from tools.llm.openai_client import embedding_endpoint, open_http_client


async def test_a_real_model_answers_and_the_offline_one_embeds(embedded: Settings) -> None:
    chat = "http://127.0.0.1:9/v1"
    given = embedded.model_copy(
        update={
            "openai_api_key": SecretStr("chat-key"),
            "openai_base_url": chat,
            "embedding_base_url": OFFLINE,
        }
    )
    hold = embedded_servers(given)
    settings = await asyncio.to_thread(hold.__enter__)
    try:
        assert settings.openai_base_url == chat
        assert (settings.offline, settings.embeddings_offline) == (False, True)
        endpoint = embedding_endpoint(settings)
        # The chat model's key is not shown to whatever embeds.
        assert endpoint.api_key.get_secret_value() == "offline"
        async with open_http_client(settings) as http:
            assert len(await Embedder(settings, http).query("서버")) == DEFAULT_DIMENSIONS
    finally:
        await asyncio.to_thread(hold.__exit__, None, None, None)


@pytest.mark.parametrize("real", [True, False])
async def test_readiness_and_versions_tell_what_embeds(settings: Settings, real: bool) -> None:
    # The offline model under a key, as any gateway: what counts is what the settings say of it.
    own = {
        "embedding_api_key": SecretStr("k"),
        "embedding_base_url": settings.openai_base_url,
        "embedding_model": "checkerboard-offline-embedding",
    }
    async with open_app_context(settings.model_copy(update=own if real else {})) as app_context:
        report = await app_context.readiness.report()
        assert (report["offline"], report["embeddings_offline"]) == (True, not real)
        assert len(await app_context.services.embedder.query("서버")) == DEFAULT_DIMENSIONS
