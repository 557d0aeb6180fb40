"""The stand-in and clients of the real SDK, a new one for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from langsmith import AsyncClient, Client
from langsmith.utils import get_env_var

from tests.langsmith import LangSmith, langsmith_standin
from tests.pace import time_limit


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK as it comes: the service, once imported, has it hide inputs and outputs."""
    for name in ("LANGSMITH_HIDE_INPUTS", "LANGSMITH_HIDE_OUTPUTS"):
        monkeypatch.delenv(name, raising=False)
    get_env_var.cache_clear()  # type: ignore[attr-defined]
    yield
    get_env_var.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture
def standin() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


@pytest.fixture
def client(standin: LangSmith) -> Iterator[Client]:
    """Without batches, so without threads."""
    made = Client(
        api_url=standin.url,
        api_key=standin.key,
        auto_batch_tracing=False,
        timeout_ms=int(1000 * time_limit()),
    )
    yield made
    made.close()


@pytest.fixture
async def async_client(standin: LangSmith) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        api_url=standin.url, api_key=standin.key, timeout_ms=int(1000 * time_limit())
    ) as made:
        yield made
