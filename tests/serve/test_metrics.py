"""`/metrics`: the figures are there and right, of all workers together, and without words of people."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx
import orjson
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from tests import databases
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import COMMAND, GENERATE, answer_of, eventually, free_port, slow, working
from tests.serve.test_workers import workers_of
from tools.core.settings import Settings

NODES = ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks")
Figures = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def figures(client: httpx.AsyncClient) -> Figures:
    """Every figure by its name and labels."""
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def one(found: Figures, name: str, **labels: str) -> float:
    """The sum of what has these labels, 0 where nothing has: what never happened is not shown."""
    return sum(
        value
        for (named, given), value in found.items()
        if named == f"checkerboard_{name}" and set(labels.items()) <= given
    )


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something is seen."""
    async with asyncio.timeout(time_limit()):
        while not await seen():
            await asyncio.sleep(0.1)


async def test_a_generation_is_counted_from_its_request_to_its_tokens(client: httpx.AsyncClient) -> None:
    before = await figures(client)
    answer = answer_of(await client.post("/generate/invoke", json={"input": GENERATE}))
    after = await figures(client)

    def grown(name: str, **labels: str) -> float:
        return one(after, name, **labels) - one(before, name, **labels)

    assert grown("runs_total", kind="generate", outcome="succeeded") == 1
    assert grown("runs_total") == 1
    assert grown("run_seconds_count", kind="generate") == 1
    for node in NODES:
        assert grown("node_seconds_count", node=node) == 1
        assert grown("node_seconds_sum", node=node) <= grown("run_seconds_sum")
    for purpose, versions in answer["versions"].items():
        if isinstance(versions, dict) and "prompt" in versions:
            assert grown("model_calls_total", purpose=purpose, outcome="answered") == 1
            labels = {"purpose": purpose, "model": versions["model"], "prompt": versions["prompt"]}
            assert grown("model_tokens_total", direction="input", **labels) > 0
            assert grown("model_tokens_total", direction="output", **labels) > 0
    assert grown("http_requests_total", method="POST", route="/generate/invoke", status="200") == 1
    assert one(after, "runs_in_flight") == 0


async def test_a_run_that_fails_is_counted_by_its_code(client: httpx.AsyncClient) -> None:
    before = await figures(client)
    await client.post("/regenerate/invoke", json={"input": {"session_id": "nowhere"}})
    after = await figures(client)
    labels = {"kind": "regenerate", "outcome": "session_not_found"}
    assert one(after, "runs_total", **labels) == one(before, "runs_total", **labels) + 1
    assert one(after, "run_seconds_count", kind="regenerate") == one(
        before, "run_seconds_count", kind="regenerate"
    )


async def test_a_stream_is_open_as_long_as_somebody_reads_it(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    before = await figures(client)
    await slow(offline, scaled(5))
    async with client.stream("POST", "/generate/stream", json={"input": GENERATE}) as stream:
        lines = stream.aiter_lines()  # kept: the stream is closed with it
        async for line in lines:
            if "node_started" in line:
                break
        during = await figures(client)
        assert one(during, "streams_open") == one(before, "streams_open") + 1
        assert one(during, "runs_in_flight") == 1
        assert one(during, "first_event_seconds_count") == one(before, "first_event_seconds_count") + 1

    async def left() -> bool:
        now = await figures(client)
        gone = one(now, "runs_total", outcome="left") == one(before, "runs_total", outcome="left") + 1
        return gone and one(now, "streams_open") == one(before, "streams_open")

    await until(left)


async def test_no_label_has_words_of_who_asks(client: httpx.AsyncClient) -> None:
    await client.get("/nothing/of/the-kind-asked-for")
    await client.post("/generate/invoke", json={"input": {"profile": {"desired_job": "백엔드 비밀요원"}}})
    text = (await client.get("/metrics")).text
    assert "the-kind-asked-for" not in text
    assert "비밀요원" not in text


async def test_background_runs_are_counted_from_the_queue_on(own: Settings) -> None:
    async with client_of(own) as client:
        before = await figures(client)
        asked = await client.post("/runs", json={"kind": "generate", "input": GENERATE})
        assert asked.status_code == 202, asked.text

        async def begun() -> bool:
            name = "queue_wait_seconds_count"
            return one(await figures(client), name) == one(before, name) + 1

        await until(begun)
        assert ("checkerboard_runs_queued", frozenset()) in await figures(client)


async def test_what_ingest_has_done_is_shown_though_it_has_ended(
    empty_settings: Settings, tmp_path: Path
) -> None:
    good = {"id": 1, "job_title": "백엔드 개발자", "company": "가나다", "responsibilities": "서버 개발"}
    (tmp_path / "rows.jsonl").write_text(orjson.dumps(good).decode() + "\n{broken\n", encoding="utf-8")
    async with open_ingest(empty_settings, [f"folder:{tmp_path}"]) as ingest:
        await ingest.collect_and_work(ingest.runners(), Counts())
    async with client_of(empty_settings) as client:
        found = await figures(client)
    source = tmp_path.name
    assert one(found, "ingest_documents", source=source, stage="loaded") == 1
    assert one(found, "ingest_documents", source=source, stage="set aside") == 1
    assert one(found, "ingest_tokens", source=source, direction="input") > 0
    assert one(found, "ingest_moved_timestamp_seconds", source=source) > time.time() - 3600
    assert "백엔드" not in str(found)


async def test_a_worker_that_serves_nothing_shows_its_figures_on_a_port_of_its_own(
    settings: Settings,
) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        COMMAND, "worker", "--metrics-port", str(port), env=os.environ | databases.environment(settings)
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=time_limit()) as client:

            async def looked_at() -> bool:
                try:
                    return one(await figures(client), "loop_lag_seconds_count") > 0
                except httpx.TransportError:
                    return False

            await until(looked_at)
            assert one(await figures(client), "database_connections", state="idle") > 0
    finally:
        process.terminate()
        async with asyncio.timeout(time_limit()):
            await process.wait()


async def test_where_keys_are_needed_they_are_needed_here(settings: Settings) -> None:
    async with client_of(settings.model_copy(update={"api_keys": SecretStr("shop:" + "0" * 64)})) as client:
        assert (await client.get("/metrics")).status_code == 401


async def test_two_workers_count_together_and_one_that_is_killed_leaves_nothing_open(
    settings: Settings, offline: Offline
) -> None:
    async with working(settings, "--workers", "2") as service:
        assert service.process is not None
        pid = service.process.pid
        await eventually(lambda: len(workers_of(pid)) == 2)

        async def asked() -> None:
            # A connection of its own, so that either worker may get it.
            async with httpx.AsyncClient(base_url=service.client.base_url, timeout=time_limit()) as own:
                answer_of(await own.post("/generate/invoke", json={"input": GENERATE}))

        await asyncio.gather(*(asked() for _ in range(4)))
        for _ in range(6):
            async with httpx.AsyncClient(base_url=service.client.base_url) as own:
                found = await figures(own)
            assert one(found, "runs_total", outcome="succeeded") == 4
            assert one(found, "runs_in_flight") == 0

        await slow(offline, scaled(30))
        waiting = [asyncio.create_task(asked()) for _ in range(6)]

        async def in_flight(number: int) -> bool:
            try:
                async with httpx.AsyncClient(base_url=service.client.base_url) as own:
                    return one(await figures(own), "runs_in_flight") == number
            except httpx.HTTPError:
                return False  # it asked the worker that was killed

        await until(lambda: in_flight(6))
        for worker in workers_of(pid):
            os.kill(worker, signal.SIGKILL)
        await until(lambda: in_flight(0))
        await asyncio.gather(*waiting, return_exceptions=True)
