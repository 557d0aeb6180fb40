"""Services that answer from the prompts of a LangSmith stand-in: real PostgreSQL, real Redis, the real
client of LangSmith."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import certifi
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from local.servers import embedded_servers
from tests.databases import cloned
from tests.langsmith import LangSmith, langsmith_standin
from tests.places import passing_folder
from tools.core.database import open_pool
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.prompts.changes import PromptChanges, open_prompts
from tools.prompts.prompt import Texts
from tools.prompts.registry import PACKAGES, PromptRegistry

FILES = PromptRegistry.bundled(*PACKAGES).files
NAMED = {"filter_jobs.ko": "filter-ko", "summarize.ko": "summarize-ko", "tag_posting.en": "tag-en"}
"""The prompts that come from the hub in these tests, and their names there."""

Messages = list[tuple[str, str]]
Opened = Callable[..., AbstractAsyncContextManager[PromptChanges]]


def texts(key: str, note: str = "") -> Texts:
    """The bundled texts of a prompt, with a line more."""
    bundled = FILES[key].texts
    return Texts(f"{bundled.system}\n{note}".strip(), bundled.human)


def messages(key: str, note: str = "") -> Messages:
    """The same as the messages of a commit."""
    said = texts(key, note)
    return [("system", said.system), ("human", said.human)]


def commit_all(standin: LangSmith, note: str, **tagged: Any) -> dict[str, str]:
    """Commits every named prompt with a line more; the commits by key."""
    return {key: standin.commit(name, messages(key, note), **tagged) for key, name in NAMED.items()}


@pytest.fixture(scope="package", autouse=True)
def _few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients trust one authority: to read all would be most of what opening one costs."""
    end = "-----END CERTIFICATE-----\n"
    one = Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(one, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="module")
def langsmith() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


@pytest.fixture
def standin(langsmith: LangSmith) -> LangSmith:
    """The stand-in, with an empty hub and in good health."""
    langsmith.mend()
    with langsmith.lock:
        langsmith.hub.repos.clear()
        langsmith.requests.clear()
    return langsmith


@pytest.fixture(scope="module")
async def stores(embedded: Settings) -> AsyncIterator[Settings]:
    """Settings of a Redis and a PostgreSQL database of these tests' own: they empty it, and other tests of
    the process look at all its keys."""
    async with cloned(embedded, "template1") as own:
        with passing_folder() as folder:
            alone = own.model_copy(update={"home": folder, "redis_url": None})
            with embedded_servers(alone, servers=("redis",)) as ready:
                yield own.model_copy(update={"redis_url": ready.redis_url})


@pytest.fixture
async def redis(stores: Settings) -> AsyncIterator[Redis]:
    async with open_redis(stores) as client:
        await client.flushdb()
        yield client
        await client.flushdb()


@pytest.fixture
def opened(stores: Settings, redis: Redis, standin: LangSmith) -> Opened:
    """Opens the prompts of a worker, with settings of the test's own."""
    return opening(stores, standin)


@pytest.fixture(scope="module")
async def opened_for_module(stores: Settings, langsmith: LangSmith) -> AsyncIterator[Opened]:
    """The same, for a service that lives as long as its module."""
    async with open_redis(stores) as client:
        await client.flushdb()
        yield opening(stores, langsmith)
        await client.flushdb()


def opening(stores: Settings, standin: LangSmith) -> Opened:
    of_hub = {
        "langsmith_endpoint": standin.url,
        "langsmith_api_key": SecretStr(standin.key),
        "hub_prompts": tuple(f"{key}={name}" for key, name in NAMED.items()),
    }

    @asynccontextmanager
    async def open_worker(*, newest: bool = False, **update: Any) -> AsyncIterator[PromptChanges]:
        settings = stores.model_copy(update=of_hub | update)
        async with (
            await open_pool(settings) as pool,
            open_redis(settings) as client,
            open_prompts(settings, client, pool, newest=newest) as changes,
        ):
            yield changes

    return open_worker
