"""Two services behind the real nginx, as the docs' example has them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from serve.client import Client, RunEvent
from serve.runs.models import FinishedRun
from tests.nginx import behind_nginx
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import served
from tests.serve.processes import GENERATE, PROFILE, all_held, answered_calls, hold, slow, working_together
from tests.serve.runs.test_kills import TAKEN_UP_SECONDS
from tests.serve.test_kills import GENERATION
from tools.core.contracts import Profile
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


async def test_an_idle_stream_lives_on_by_its_heartbeats(
    services: list[str], offline: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.runs.events.HEARTBEAT_SECONDS", scaled(0.25))
    await hold(offline, "MarketSummary")
    async with (
        behind_nginx(services, proxy_read_timeout=f"{scaled(2_000):.0f}ms") as address,
        httpx.AsyncClient(base_url=address, timeout=time_limit()) as client,
    ):
        run = (await client.post("/runs", json={"kind": "generate", "input": GENERATE})).json()
        silent, last = 0, ""
        async with client.stream("GET", f"/runs/{run['run_id']}/events") as response:
            async for line in response.aiter_lines():
                silent = silent + 1 if line.startswith(": heartbeat") else silent * (not line)
                if silent == 12:  # three seconds, without an event among them
                    await client.delete(f"/runs/{run['run_id']}")
                last = line or last
        assert json.loads(last.removeprefix("data: "))["data"]["code"] == "run_cancelled"


async def test_a_killed_worker_ends_no_run_and_none_twice(own: Settings, offline: Offline) -> None:
    """Runs are at work on both, and each has readers that come through nginx. No answer is paid for twice."""
    profile = Profile.model_validate(PROFILE)
    async with (
        working_together(own, 2) as (one, other),
        behind_nginx([str(one.client.base_url), str(other.client.base_url)]) as address,
        Client(address) as client,
        Client(str(one.client.base_url)) as direct,
    ):
        await slow(offline, scaled(1))
        assert other.process
        other.process.send_signal(signal.SIGSTOP)  # so that these are at work on the one that is killed
        lost = [await direct.generate(profile) for _ in range(4)]
        await all_running(direct, lost)
        other.process.send_signal(signal.SIGCONT)
        runs = lost + [await client.generate(profile) for _ in range(2)]
        readers = [run.run_id for run in runs for _ in range(3)]
        following = [asyncio.create_task(followed(client, run_id)) for run_id in readers]
        await all_running(client, runs)
        # Wherever each has come to, the call that it makes next lasts beyond the kill.
        await slow(offline, scaled(8))
        await all_held(offline, len(runs))
        await one.kill()
        killed = time.monotonic()
        await slow(offline, 0)
        seen = await asyncio.gather(*following)
        assert time.monotonic() - killed < TAKEN_UP_SECONDS
        assert await answered_calls(offline) == sorted(GENERATION * len(runs))
        for run_id, events in zip(readers, seen, strict=True):
            assert [event.type for event in events].count("result") == 1
            assert events[-1].type == "result"
            numbers = [int((event.id or "").partition("-")[2]) for event in events]
            assert numbers == list(range(1, len(events) + 1))
            # What a reader saw across the kill is what is told to one who comes now.
            assert events == await followed(client, run_id)
        for run in runs:
            ended = await client.run(run.run_id)
            assert ended.state == "succeeded"
            assert ended.attempts == 2 or run not in lost
            assert len((await client.session(run.session_id)).history) == 1


async def all_running(client: Client, runs: list[FinishedRun]) -> None:
    """Waits until a worker is at work on each."""
    async with asyncio.timeout(time_limit()):
        while {(await client.run(run.run_id)).state for run in runs} != {"running"}:
            await asyncio.sleep(0.02)


async def followed(client: Client, run_id: str) -> list[RunEvent]:
    async with asyncio.timeout(2 * time_limit()):
        return [event async for event in client.events(run_id)]
