"""What a worker does between a signal and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import Any

import httpx
import pytest

from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import (
    GENERATE,
    Worker,
    all_held,
    answer_of,
    answered_calls,
    code_of,
    hold,
    slow,
    working,
)
from tools.core.settings import Settings

NOTHING_RUNS = scaled(15)
"""A worker with nothing to do ends within this: half of its drain, and far more than it takes."""


async def streamed(worker: Worker, path: str, heard: asyncio.Event | None = None) -> list[Any]:
    """Listens to a stream to its end and returns its chunks. `heard` is set once the first has come."""
    chunks: list[Any] = []
    async with worker.client.stream("POST", path, json={"input": GENERATE}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunks.append(json.loads(line.removeprefix("data: ")))
                if heard:
                    heard.set()
    return chunks


async def ended(worker: Worker, *, within: float) -> None:
    assert worker.process
    async with asyncio.timeout(within):
        assert await worker.process.wait() == 0


async def draining(worker: Worker) -> dict[str, Any]:
    """Waits until the worker says that it is on its way out; what it says."""
    async with asyncio.timeout(scaled(15)):
        while (ready := await worker.client.get("/readyz")).status_code != 503:
            await asyncio.sleep(0.02)
    report: dict[str, Any] = ready.json()
    return report


def session_of(error: dict[str, Any]) -> str:
    return str(error["details"]["session_id"])


async def test_what_runs_may_end_and_nothing_new_is_taken(settings: Settings, offline: Offline) -> None:
    await slow(offline, scaled(1))
    async with working(settings, CHECKERBOARD_DRAIN_SECONDS=str(time_limit())) as worker:
        assert worker.process
        heard = asyncio.Event()
        stream = asyncio.create_task(streamed(worker, "/generate/stream", heard))
        events = asyncio.create_task(streamed(worker, "/generate/stream_events"))
        invoked = asyncio.create_task(worker.ask("/generate/invoke", GENERATE))
        batch = asyncio.create_task(worker.client.post("/generate/batch", json={"inputs": [GENERATE]}))
        await heard.wait()
        await offline.working_on("JobVerdicts")
        worker.process.send_signal(signal.SIGTERM)
        assert (await draining(worker))["draining"]
        assert (await worker.client.get("/healthz")).status_code == 200
        refusal = await worker.ask("/generate/invoke", GENERATE)
        assert code_of(refusal) == "worker_stopping"
        assert refusal.headers["connection"] == "close"
        assert refusal.headers["retry-after"]
        async with asyncio.timeout(time_limit()):
            assert (await stream)[-1]["type"] == "result"
            assert (await events)[-1]["event"] == "on_chain_end"
            answer_of(await invoked)
            assert (await batch).json()["output"][0]["project"]
        await ended(worker, within=NOTHING_RUNS)


@pytest.mark.parametrize("over", [True, False], ids=["the drain is over", "a second signal"])
async def test_what_outlasts_the_drain_ends_typed_and_another_worker_goes_on(
    settings: Settings, offline: Offline, client: httpx.AsyncClient, over: bool
) -> None:
    await hold(offline, "MarketSummary")
    async with working(settings, CHECKERBOARD_DRAIN_SECONDS="1" if over else "300") as worker:
        assert worker.process
        stream = asyncio.create_task(streamed(worker, "/generate/stream"))
        events = asyncio.create_task(streamed(worker, "/generate/stream_events"))
        invoked = asyncio.create_task(worker.ask("/generate/invoke", GENERATE))
        batch = asyncio.create_task(worker.client.post("/generate/batch", json={"inputs": [GENERATE]}))
        await all_held(offline, 4)
        worker.process.send_signal(signal.SIGINT)
        if not over:
            await draining(worker)
            worker.process.send_signal(signal.SIGINT)
        await ended(worker, within=scaled(20))
    last = (await stream)[-1]
    assert last["type"] == "error"
    assert last["data"]["code"] == "worker_stopping"
    assert "worker_stopping" in json.dumps(await events)
    response = await invoked
    assert response.status_code == 503
    assert code_of(response) == code_of(await batch) == "worker_stopping"
    # The sessions are free at once, and what was answered is not asked for again.
    for error in (last["data"], response.json()["error"]):
        await offline.reset()
        answer_of(await client.post("/regenerate/invoke", json={"input": {"session_id": session_of(error)}}))
        assert await answered_calls(offline) == ["MarketSummary", "ProjectPlan", "SubjectProposals"]


async def test_with_nothing_at_work_the_end_is_quick(settings: Settings) -> None:
    """Whatever hangs on its connections: an idle client, half a head, half a body, one that is just there."""
    async with working(settings) as worker:
        assert worker.process
        address = worker.client.base_url.host, worker.client.base_url.port or 0
        with (
            socket.create_connection(address) as head,
            socket.create_connection(address) as body,
            socket.create_connection(address),
        ):
            head.sendall(b"GET /healthz HT")
            body.sendall(b"POST /generate/invoke HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")
            assert (await worker.client.get("/healthz")).status_code == 200
            worker.process.send_signal(signal.SIGINT)
            await ended(worker, within=NOTHING_RUNS)
            assert b"worker_stopping" in await asyncio.to_thread(body.recv, 4096)
