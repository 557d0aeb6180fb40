"""Another embedding is made beside live traffic, and serves from when it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.load import SAMPLES, load, reembed
from tests.ingest.pipeline.runs import POSTING, ingested, until, write
from tests.offline import Offline
from tests.pace import time_limit
from tools.core.errors import EmbeddingMismatchError, NoPostingsError
from tools.core.settings import Settings
from tools.llm.embeddings import Embedded
from tools.postings.contracts import Posting
from tools.services import Services, open_services


@pytest.fixture
def other(own_settings: Settings) -> Settings:
    """The settings of workers with the new embedding."""
    return own_settings.model_copy(update={"embedding_dimensions": 128})


async def found(services: Services, text: str = "백엔드 개발자") -> list[str]:
    vector = await services.embedder.query(text)
    return [posting.posting_id for posting in await services.postings.nearest(vector, k=5)]


async def test_the_former_embedding_serves_until_the_new_one_is_whole(
    own_settings: Settings, other: Settings, tmp_path: Path
) -> None:
    async with open_services(own_settings) as old, open_services(other) as new:
        before = await found(old)
        begun, go_on = asyncio.Event(), asyncio.Event()
        embed = new.embedder.postings

        async def held(texts: Sequence[Posting]) -> Embedded:
            begun.set()
            await go_on.wait()
            return await embed(texts)

        new.embedder.postings = held  # type: ignore[assignment]
        work = asyncio.create_task(reembed(new))
        await asyncio.wait_for(begun.wait(), time_limit())
        assert await found(old) == before
        with pytest.raises(EmbeddingMismatchError):
            await new.postings.corpus()
        write(tmp_path / "in", "new.md", POSTING.format(n=5))
        await ingested(own_settings, tmp_path / "in")
        go_on.set()
        # What was loaded meanwhile is in both.
        assert await work == 369
        assert await nearest_itself(new)
        assert len(await found(new)) == len(before) == 5


async def test_what_the_former_workers_load_later_is_embedded_by_another_run(
    own_settings: Settings, other: Settings, tmp_path: Path
) -> None:
    async with open_services(own_settings) as old, open_services(other) as new:
        await reembed(new)
        write(tmp_path / "in", "new.md", POSTING.format(n=5))
        await ingested(own_settings, tmp_path / "in")
        assert await nearest_itself(old)
        assert not await nearest_itself(new)
        assert await reembed(new) == 1
        assert await nearest_itself(new)


async def nearest_itself(services: Services) -> bool:
    """Whether the posting that was ingested, the 369th, is found by its own text."""
    stored = (await services.postings.by_ids(["p-369"]))["p-369"]
    return (await found(services, stored.text()))[0] == "p-369"


async def _begun(batches: list[int]) -> bool:
    return bool(batches)


async def test_broken_off_it_goes_on_where_it_stopped(
    own_settings: Settings, other: Settings, offline: Offline
) -> None:
    async with open_services(other) as new:
        batches: list[int] = []
        await offline.behave(embedding_latency={"mean_seconds": 0.3})
        work = asyncio.create_task(reembed(new, lambda texts, _: batches.append(texts)))
        await until(lambda: _begun(batches))
        work.cancel()
        await asyncio.wait([work], timeout=time_limit())
        await offline.reset()
        rest = await reembed(new)
        assert 0 < rest < 368
        assert len(await found(new)) == 5


async def test_the_former_vectors_can_be_forgotten(own_settings: Settings, other: Settings) -> None:
    async with open_services(own_settings) as old, open_services(other) as new:
        await reembed(new)
        [dropped] = await new.vectors.drop_others()
        assert dropped.endswith("in 1536 dimensions")
        with pytest.raises(EmbeddingMismatchError, match="128 dimensions"):
            await old.postings.corpus()
        # Loading the same postings again finds every text embedded.
        assert (await load(new, [SAMPLES])).postings == 368


async def test_an_empty_database_has_nothing_to_embed(empty_settings: Settings) -> None:
    async with open_services(empty_settings) as services:
        assert await reembed(services) == 0
        with pytest.raises(NoPostingsError):
            await services.postings.corpus()
