"""The stand-in and clients of the real SDK, a new one for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from langsmith import AsyncClient, Client

from tests.langsmith import LangSmith, langsmith_standin
from tests.pace import patience


@pytest.fixture
def standin() -> Iterator[LangSmith]:
    with langsmith_standin() as running:
        yield running


@pytest.fixture
def client(standin: LangSmith) -> Iterator[Client]:
    """Without batches, so without threads."""
    made = Client(
        api_url=standin.url, api_key=standin.key, auto_batch_tracing=False, timeout_ms=int(1000 * patience())
    )
    yield made
    made.close()


@pytest.fixture
async def async_client(standin: LangSmith) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        api_url=standin.url, api_key=standin.key, timeout_ms=int(1000 * patience())
    ) as made:
        yield made
