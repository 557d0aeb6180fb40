"""Worker processes follow a change of the prompts, on whatever machine it was made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.databases import cloned
from tests.langsmith import LangSmith, langsmith_standin
from tests.pace import scaled
from tests.serve.processes import Worker
from tools.core.database import open_pool
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.prompts.active_set import ActiveSet
from tools.prompts.changes import PromptChanges, open_prompts
from tools.prompts.registry import PACKAGES, PromptRegistry

FOLLOWED_SECONDS = scaled(2)
TEXTS = PromptRegistry.bundled(*PACKAGES).files["summarize.ko"].texts


def commit(standin: LangSmith, note: str) -> str:
    """Commits the prompt of a node with a line more; the version that workers show."""
    made = standin.commit("own-summarize", [("system", f"{TEXTS.system}\n{note}"), ("human", TEXTS.human)])
    return f"own-summarize:{made}"


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with open_redis(settings) as client:
        yield client


@pytest.fixture
async def changes(embedded: Settings, settings: Settings, standin: LangSmith) -> AsyncIterator[PromptChanges]:
    """Another machine of the service that `workers` belong to; all go back to the bundled prompts in
    the end."""
    of_hub = {
        "langsmith_endpoint": standin.url,
        "langsmith_api_key": SecretStr(standin.key),
        "hub_prompts": ("summarize.ko=own-summarize",),
    }
    async with (
        cloned(embedded, "template1") as own,
        await open_pool(own) as pool,
        open_redis(settings) as client,
    ):
        async with open_prompts(own.model_copy(update=of_hub), client, pool, newest=True) as opened:
            yield opened
        async with open_prompts(own, client, pool, newest=True):
            pass


@pytest.fixture
def standin() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        commit(running, "처음")
        yield running


async def followed(workers: tuple[Worker, Worker], version: str, began: float) -> None:
    """Waits until all workers answer from `version`, at most as long as the service promises."""
    for worker in workers:
        while True:
            shown = (await worker.client.get("/prompts", params={"changes": 0})).json()
            if version in [prompt["version"] for prompt in shown["prompts"]]:
                break
            assert time.monotonic() - began < FOLLOWED_SECONDS, shown
            await asyncio.sleep(0.02)


async def test_workers_follow_a_reload_made_elsewhere_within_two_seconds(
    workers: tuple[Worker, Worker], changes: PromptChanges, standin: LangSmith
) -> None:
    for note in ("하나", "둘"):
        version = commit(standin, note)
        await changes.reload("ada")
        await followed(workers, version, time.monotonic())


async def test_workers_that_missed_the_announcement_follow_within_two_seconds(
    workers: tuple[Worker, Worker], changes: PromptChanges, standin: LangSmith, redis: Redis
) -> None:
    first = commit(standin, "하나")
    before: ActiveSet = await changes.reload("ada")
    await followed(workers, first, time.monotonic())
    second = commit(standin, "둘")
    await changes.reload("ada")
    await followed(workers, second, time.monotonic())
    began = time.monotonic()
    await redis.mset({"prompts:in-force": before.model_dump_json(), "prompts:version": before.version})
    await followed(workers, first, began)
