"""Two services behind the real nginx, as the docs' example has them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.nginx import behind_nginx
from tests.offline import FOR_EVER, Offline
from tests.pace import time_limit
from tests.serve.conftest import served
from tests.serve.processes import GENERATE, hold
from tools.core.settings import Settings


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[list[str]]:
    """The addresses of two services."""
    async with served(settings) as one, served(settings) as other:
        yield [one, other]


async def test_a_stream_arrives_event_by_event(services: list[str], offline: Offline) -> None:
    await hold(offline, "MarketSummary")
    async with (
        behind_nginx(services) as address,
        httpx.AsyncClient(base_url=address, timeout=time_limit()) as client,
        client.stream("POST", "/generate/stream", json={"input": GENERATE}) as response,
    ):
        seen = []
        async for line in response.aiter_lines():
            if line.startswith('data: {"type"'):
                event = json.loads(line.removeprefix("data: "))
                seen.append((event["type"], event["node"]))
                if event["node"] == "summarize":
                    break
        assert seen[-1] == ("node_started", "summarize")
        assert ("node_finished", "filter_jobs") in seen
        await offline.in_flight(1)  # all this came while the run is still at it


async def test_an_answer_that_takes_longer_than_the_read_time_out_is_broken_off(
    services: list[str], offline: Offline
) -> None:
    """Which is why the example's is longer than a run may take: nginx's own is 60 seconds."""
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    async with (
        behind_nginx(services, proxy_read_timeout="1s") as address,
        httpx.AsyncClient(base_url=address, timeout=time_limit()) as client,
    ):
        response = await client.post("/generate/invoke", json={"input": GENERATE})
        assert response.status_code == 504
        # The service is told, and asks the model no more.
        assert (await offline.in_flight(0))["cancelled"] == 1
